"""Plugins: loaded one by one, named when they fail, and unable to break anything else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from dabench.cli.main import main
from dabench.components.registry import PluginStatus, Registry
from dabench.errors import ConfigError, PluginError, UnknownNameError
from dabench.plugin import Component, Settings, hookimpl

_GOOD = """
from dabench.plugin import Component, EvaluationProtocol, hookimpl

class Rule(EvaluationProtocol):
    def update(self, z, prediction, label): ...
    def result(self): return {{}}

@hookimpl
def register_protocols(register):
    register(Component({name!r}, lambda config: Rule(), summary="a rule", licence="MIT"{more}))
"""

#: distribution -> (source, words that must be shown as the cause)
BROKEN = {
    "no-import": ("import a_module_that_nobody_has", "a_module_that_nobody_has"),
    "wants-to-exit": ("raise SystemExit('bye')", "SystemExit"),
    "wrong-syntax": ("def register_methods(:", "SyntaxError"),
    "takes-a-name": (_GOOD.format(name="das-2d@1", more=""), "already registered by dabench"),
    "twice-itself": (
        _GOOD.format(name="twice", more="") + '    register(Component("twice", Rule))\n',
        "already registered",
    ),
    "misspelt-hook": (
        "from dabench.plugin import hookimpl\n@hookimpl\ndef register_metods(register): ...\n",
        "register_metods",
    ),
    "no-hook": ("def register_methods(register): ...\n", "registers nothing"),
    "other-version": (_GOOD.format(name="from-the-future", more=", api_version=99"), "API version 99"),
    "raises-late": (
        "from dabench.plugin import hookimpl\n@hookimpl\ndef register_methods(register): raise RuntimeError('oops')\n",
        "oops",
    ),
    "no-component": (
        "from dabench.plugin import hookimpl\n@hookimpl\ndef register_methods(register): register('x')\n",
        "str",
    ),
}


def install(site, distribution, source):
    """What pip leaves behind: a module and a dist-info folder with an entry point."""
    module = distribution.replace("-", "_")
    (site / f"{module}.py").write_text(source)
    info = site / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[dabench]\n{distribution} = {module}\n")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """All broken plugins, and a good one, installed together."""
    folder = tmp_path_factory.mktemp("site")
    for distribution, (source, _) in BROKEN.items():
        install(folder, distribution, source)
    install(folder, "a-good-one", _GOOD.format(name="good@1", more=""))
    return folder


@pytest.fixture
def dabench(site, tmp_path, monkeypatch, capsys):
    """Call the command line with these plugins installed, in this process: another takes seconds to import torch."""
    monkeypatch.syspath_prepend(site)
    for name in ("DABENCH_WORKSPACE", "DABENCH_DATA"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("DABENCH_PLUGIN_FILES", "")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["dabench", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        return subprocess.CompletedProcess(arguments, stop.value.code, *capsys.readouterr())

    return call


def test_another_process_names_all_too(site, tmp_path):
    env = os.environ | {"PYTHONPATH": str(site), "DABENCH_WORKSPACE": str(tmp_path)}
    command = [sys.executable, "-m", "dabench.cli.main", "ls", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    check_named(done.stderr)


def check_named(text):
    for distribution, (_, cause) in BROKEN.items():
        lines = [line for line in text.splitlines() if distribution in line]
        assert lines, f"{distribution} is not named"
        assert any(cause in line for line in lines), f"{distribution}: {cause!r} is not in {lines}"


# ---------------------------------------------------------------- installed together
def test_ls_names_all_and_lists_the_rest(dabench):
    done = dabench("ls", "--json")
    assert done.returncode == 0, done.stderr
    check_named(done.stderr)
    listed = {(c["kind"], c["name"]): c["distribution"] for c in json.loads(done.stdout)}
    assert listed["protocol", "good@1"] == "a-good-one"
    assert listed["protocol", "das-2d@1"] == "dabench"
    assert ("protocol", "twice") not in listed, "a plugin with a fault registers nothing at all"


def test_plugins_lists_causes(dabench):
    done = dabench("plugins", "--json")
    assert done.returncode == 0, done.stderr
    found = {p["distribution"]: p for p in json.loads(done.stdout)}
    for distribution, (_, cause) in BROKEN.items():
        assert cause in found[distribution]["error"]
        assert found[distribution]["components"] == []
    assert not found["a-good-one"]["error"]


def test_doctor_names_all_and_is_well(dabench):
    done = dabench("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    check_named(done.stdout)


def test_run_names_all_and_runs(dabench):
    sizes = [f"phantom-{n}.{s}" for n in ("human", "stem") for s in ("size=96", "train_slices=1", "test_slices=1")]
    sets = [part for s in [*sizes, "source-only.iterations=1", "source-only.batch=1"] for part in ("--set", s)]
    flags = ("--task", "human2stem", "--data", "phantom", "--preset", "tiny", "--tracker", "none", "--device", "cpu")
    done = dabench("run", "--method", "source-only", *flags, *sets, "--json")
    assert done.returncode == 0, done.stderr
    check_named(done.stderr)
    assert json.loads(done.stdout)["status"] == "ok"


def test_check_of_a_broken_plugin_says_why(dabench):
    done = dabench("plugins", "check", "misspelt-hook")
    assert done.returncode == 1
    assert "register_metods" in done.stderr


def test_strict_raises(dabench, monkeypatch):
    monkeypatch.setenv("DABENCH_STRICT_PLUGINS", "1")
    done = dabench("ls")
    assert done.returncode != 0
    assert any(name in done.stderr for name in BROKEN)


# ---------------------------------------------------------------- single files
def test_plugin_file_before_the_command(dabench, tmp_path):
    file = tmp_path / "quick.py"
    file.write_text(_GOOD.format(name="quick@1", more=""))
    done = dabench("--plugin", str(file), "ls", "protocols", "--json")
    assert done.returncode == 0, done.stderr
    found = {c["name"]: c for c in json.loads(done.stdout)}
    assert found["quick@1"]["distribution"] == "file quick.py"


def test_missing_plugin_file(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.py"):
        Registry.load([tmp_path / "nowhere.py"])


def test_broken_plugin_file_is_named(tmp_path):
    file = tmp_path / "quick.py"
    file.write_text("1 / 0")
    failed = {s.name: s for s in Registry.load([file]).failures()}
    assert "ZeroDivisionError" in failed["quick"].error


# ---------------------------------------------------------------- look-ups
class Config(Settings):
    decay: float = 0.9
    steps: int = 1


def plugin(*components, hook="register_methods"):
    @hookimpl
    def function(register):
        for component in components:
            register(component)

    return SimpleNamespace(**{hook: function})


@pytest.fixture
def registry():
    made = Registry()
    presets = {"tiny": {"steps": 2}, "broken": {"stps": 3}}
    component = Component("mean-teacher", object, Config, presets=presets)
    made.add(plugin(component, hook="register_self_training"), PluginStatus("first", "dist-one"))
    return made


def test_unknown_name_has_near_misses(registry):
    with pytest.raises(UnknownNameError, match="Did you mean 'mean-teacher'") as caught:
        registry.get("self_training", "mean-techer")
    assert "unknown self training" in str(caught.value)
    assert "Available: mean-teacher" in str(caught.value)


def test_duplicate_names_both_distributions(registry):
    registry.add(
        plugin(Component("mean-teacher", object), hook="register_self_training"), PluginStatus("second", "dist-two")
    )
    (failed,) = registry.failures()
    assert "dist-one" in failed.error
    assert "dist-two" in failed.error
    assert registry.get("self_training", "mean-teacher").distribution == "dist-one"


def test_plugin_of_a_taken_name_is_kept_apart(registry):
    registry.add(plugin(Component("other", object)), PluginStatus("first", "dist-two"))
    (failed,) = registry.failures()
    assert failed.distribution == "dist-two"
    assert registry.names("method") == []


def test_one_name_in_two_kinds_is_legal(registry):
    registry.add(plugin(Component("mean-teacher", object)), PluginStatus("second", "dist-two"))
    assert registry.kinds_of("mean-teacher") == ["method", "self_training"]
    assert not registry.failures()


def test_strict_mode(registry, monkeypatch):
    monkeypatch.setenv("DABENCH_STRICT_PLUGINS", "1")
    with pytest.raises(PluginError, match="dist-two"):
        registry.add(plugin(), PluginStatus("second", "dist-two"))


@pytest.mark.parametrize(
    ("preset", "values", "words"),
    [
        ("", {"dcay": 1}, ["mean-teacher.dcay", "Did you mean 'mean-teacher.decay'"]),
        ("", {"steps": "many"}, ["mean-teacher.steps", "'many'"]),
        ("broken", {}, ["mean-teacher.stps"]),
        ("", {"steps": "many", "dcay": 1}, ["mean-teacher.steps", "mean-teacher.dcay"]),
    ],
)
def test_settings_errors(registry, preset, values, words):
    with pytest.raises(ConfigError) as caught:
        registry.settings("self_training", "mean-teacher", preset, values)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_settings_are_defaults_then_preset_then_user(registry):
    settings = registry.settings("self_training", "mean-teacher", "tiny", {"decay": 0.5})
    assert settings == Config(decay=0.5, steps=2)
    assert registry.settings("self_training", "mean-teacher", "unheard-of", {}) == Config()


def test_first_party_names_are_unique_and_load():
    registry = Registry.load()
    assert [s.error for s in registry.failures() if s.distribution == "dabench"] == []
    pairs = [(i.kind, i.name) for i in registry]
    assert len(set(pairs)) == len(pairs)
    assert pairs == sorted(pairs)
