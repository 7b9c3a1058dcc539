"""The listing without loading: equal to the loaded one, fresh after any edit, and never an obstacle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dabench.components.listing import cache_file, listing_key, listing_of, read_listing
from dabench.components.registry import Registry
from dabench.errors import ConfigError, UnknownNameError

SOURCE = """
from dabench.plugin import Component, EvaluationProtocol, hookimpl

@hookimpl
def register_protocols(register):
    register(Component("quick@1", EvaluationProtocol, summary="SUMMARY"))
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DABENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DABENCH_PLUGIN_FILES", raising=False)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A single-file plugin of the session."""
    file = tmp_path / "quick.py"
    file.write_text(SOURCE)
    monkeypatch.setenv("DABENCH_PLUGIN_FILES", str(file))
    return file


@pytest.fixture
def no_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever loads plugins fails."""

    def refuse() -> Registry:
        raise AssertionError("the plugins were loaded")

    monkeypatch.setattr(Registry, "load", refuse)


def names() -> dict[str, str]:
    return {item.name: item.summary for item in read_listing().of_kind("protocol")}


def test_the_cached_listing_is_the_loaded_one(registry: Registry, request: pytest.FixtureRequest) -> None:
    first = read_listing()
    request.getfixturevalue("no_loading")
    assert read_listing() == first == listing_of(registry)
    assert {(item.kind, item.name) for item in first.components} == {(item.kind, item.name) for item in registry}


def test_settings_are_those_of_the_loaded_plugins(registry: Registry, request: pytest.FixtureRequest) -> None:
    """Under every preset, and under one that a component does not have."""
    read_listing()
    request.getfixturevalue("no_loading")
    listing = read_listing()
    for item in registry:
        (found,) = listing.find(f"{item.kind}:{item.name}")
        for preset in (*item.component.presets, "another"):
            loaded = registry.settings(item.kind, item.name, preset, {}).model_dump(mode="json")
            assert listing.settings_of(found, preset) == loaded
        assert listing.meanings(found).keys() == item.component.config.model_fields.keys()


def test_names_are_found_in_all_kinds(registry: Registry) -> None:
    listing = listing_of(registry)
    assert {item.kind for item in listing.find("uncertainty")} == set(registry.kinds_of("uncertainty"))
    with pytest.raises(UnknownNameError, match="unknown protocol 'das-2d'") as caught:
        listing.find("protocol:das-2d")
    assert caught.value.near[0] == "das-2d@1"
    with pytest.raises(UnknownNameError, match="unknown component 'mean-teacer'"):
        listing.find("mean-teacer")


def test_an_invalid_preset_is_said_when_it_is_asked_for(plugin: Path) -> None:
    """It does not keep the others from being listed."""
    plugin.write_text(SOURCE.replace('summary="SUMMARY"', 'summary="s", presets={"tiny": {"speed": 1}}'))
    listing = read_listing()
    (quick,) = listing.find("quick@1")
    assert listing.settings_of(quick, "small") == {}
    with pytest.raises(ConfigError, match=r"quick@1\.speed"):
        listing.settings_of(quick, "tiny")


def test_an_edit_of_a_plugin_is_seen(plugin: Path) -> None:
    assert names()["quick@1"] == "SUMMARY"
    plugin.write_text(SOURCE.replace("SUMMARY", "another summary"))
    assert names()["quick@1"] == "another summary"


def test_the_key_follows_every_file_of_a_plugin(plugin: Path, registry: Registry) -> None:
    before = listing_key()
    assert listing_key() == before
    os.utime(plugin, ns=(1, 1))
    assert listing_key() != before
    folders = {Path(p.location).parent for p in registry.plugins.values()}
    assert folders, "first-party plugins say where they lie"
    assert all((folder / "__init__.py").is_file() for folder in folders)


def test_installing_a_plugin_changes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = listing_key()
    monkeypatch.syspath_prepend(tmp_path)
    info = tmp_path / "stranger-1.0.dist-info"
    info.mkdir()
    (tmp_path / "stranger.py").write_text(SOURCE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dabench]\nstranger = stranger\n")
    installed = listing_key()
    (tmp_path / "stranger.py").write_text(SOURCE + "\n")
    assert len({before, installed, listing_key()}) == 3


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"key": "KEY"}', '{"key": "KEY", "components": [1], "plugins": []}']
)
def test_a_damaged_cache_is_read_anew(content: str) -> None:
    expected = read_listing()
    file = cache_file()
    assert file is not None
    file.write_text(content.replace("KEY", listing_key()))
    assert read_listing() == expected
    assert json.loads(file.read_text())["key"] == listing_key()


def test_a_cache_that_cannot_be_written_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("DABENCH_CACHE", str(tmp_path / "file"))
    assert read_listing().components


def test_a_broken_plugin_is_looked_at_again(plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it lacks may come without a change of its own files."""
    plugin.write_text("import lacked_by_quick\n" + SOURCE)
    assert "lacked_by_quick" in read_listing().failures()[0].error
    (tmp_path / "lacked_by_quick.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert not read_listing().failures()


@pytest.mark.parametrize("asked", [["ls"], ["info", "prompt-das"]], ids=" ".join)
def test_the_second_call_imports_no_pytorch(tmp_path: Path, asked: list[str]) -> None:
    def ls(*flags: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *flags, "-m", "dabench.cli.main", *asked, "--json"]
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)

    first, second = ls(), ls("-X", "importtime")
    assert first.stdout == second.stdout
    imported = {line.rpartition("|")[2].strip() for line in second.stderr.splitlines()}
    assert "dabench.components.listing" in imported
    assert not imported & {"torch", "scipy", "skimage", "pandas", "mlflow"}
