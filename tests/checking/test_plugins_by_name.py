"""Plugins travel by name: a run says what it was made with, and an import says what to install."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dabench.checking.bundle import BundleError, export_runs
from dabench.checking.bundle_import import import_bundle
from dabench.checking.plugins import how_to_install, missing_plugins, plugins_of
from dabench.checking.verify import Verifier
from dabench.components.registry import Registry
from dabench.files.workspace import Workspace
from dabench.tracking.events import PluginUsed
from dabench.tracking.journal import read_journal
from dabench.tracking.run_reader import read_run
from tests.checking.conftest import Made
from tests.checking.forging import Zip, edit_journal, reseal
from tests.checking.test_bundles import call, names

Elsewhere = Callable[[], Verifier]
THEIRS = {
    "name": "their-method",
    "distribution": "dabench-their-method",
    "version": "1.2",
    "source": "ab" * 32,
    "components": ["method:their-method", "network:their-network"],
}


def test_a_run_says_what_it_was_made_with(made: Made) -> None:
    found = {used.name: used for used in plugins_of(read_run(made.run))}
    parts = {part for used in found.values() for part in used.components}
    assert {"method:prompt-das", "method:source-only", "weak_label:points", "protocol:das-2d@1"} <= parts
    method = next(used for used in found.values() if "method:prompt-das" in used.components)
    registry = made.registry
    assert method.distribution == registry.get("method", "prompt-das").distribution
    assert method.version == registry.plugins[method.name].version
    assert method.source == registry.source_digest("method", "prompt-das")


def test_a_journal_of_before_there_was_a_list_is_read(made: Made, run: Path) -> None:
    edit_journal(run, "cell_started", lambda event: event.pop("plugins"))
    assert plugins_of(read_run(run)) == ()
    assert len(read_journal(run / "journal.jsonl")) == len(read_journal(made.run / "journal.jsonl"))


@pytest.fixture
def theirs(made: Made, run: Path, tmp_path: Path) -> Path:
    """A bundle of a run that was made with a plugin which is not here."""
    edit_journal(run, "cell_started", lambda event: event["plugins"].append(THEIRS))
    reseal(run)
    export_runs([run], tmp_path / "theirs.zip", made.verifier, "em-lab")
    return tmp_path / "theirs.zip"


def test_an_import_without_the_plugin_says_what_to_install(theirs: Path, empty: Workspace) -> None:
    with zipfile.ZipFile(theirs) as opened:
        (listed,) = json.loads(opened.read("manifest.json"))["runs"]
    assert listed["plugins"][-1] == THEIRS
    code, output = call(empty, "results", "import", str(theirs))
    assert (code, len(names(empty))) == (0, 1)
    wanted = "their-method, their-network not installed here. To run or apply it: pip install dabench-their-method==1.2"
    assert wanted in output
    assert output.count("not installed here") == 1


def test_a_manifest_that_names_other_plugins_is_refused(
    theirs: Path, empty: Workspace, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    zipped = Zip(theirs)

    def change(manifest: dict[str, Any]) -> None:
        manifest["runs"][0]["plugins"][-1]["distribution"] = "another"

    zipped.manifest(change)
    with pytest.raises(BundleError, match=r"manifest.json lists other plugins than the journal"):
        import_bundle(zipped.write(tmp_path / "forged.zip"), empty, elsewhere(), quick=True)


@pytest.mark.parametrize(
    ("distribution", "version", "wanted"),
    [
        ("dabench-x", "1.0+local", "pip install dabench-x==1.0+local"),
        ("dabench-x", "", "pip install dabench-x"),
        ("dabench-x", "1; rm -rf ~", "pip install dabench-x"),
        ("x; rm -rf ~", "1", "ask the author of the run for the x; rm -rf ~, then: dabench --plugin FILE ..."),
        ("-r evil", "1", "ask the author of the run for the -r evil, then: dabench --plugin FILE ..."),
        ("file mine.py", "", "ask the author of the run for the file mine.py, then: dabench --plugin FILE ..."),
    ],
)
def test_no_command_that_does_something_else(distribution: str, version: str, wanted: str) -> None:
    assert how_to_install(PluginUsed("x", distribution, version)) == wanted


def test_a_registry_without_plugins_lacks_them_all(made: Made, empty: Workspace) -> None:
    used = plugins_of(read_run(made.run))
    assert missing_plugins([*used, *used], Registry()) == list(used)
    assert missing_plugins(used, made.registry) == []
