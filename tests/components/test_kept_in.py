"""Plugins that end the process, press Ctrl-C themselves or print: named, and every other command goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dabench.components import time_limit
from dabench.components.kept_in import kept_in, no_exit
from dabench.components.registry import Registry
from dabench.errors import PluginError
from dabench.runs.faults import told_by_cause

LEAVES = {
    "sys": ("import sys; sys.exit(0)", "SystemExit: 0"),
    "os": ("import os; os._exit(0)", "SystemExit: os._exit(0)"),
    "ctrl_c": ("raise KeyboardInterrupt", "raised KeyboardInterrupt without a Ctrl-C"),
    "generator": ("raise GeneratorExit", "GeneratorExit"),
}


@pytest.mark.parametrize("name", LEAVES)
def test_a_plugin_that_leaves_at_its_import_is_named(name: str, tmp_path: Path) -> None:
    code, cause = LEAVES[name]
    file = tmp_path / f"leaves_{name}.py"
    file.write_text(code)
    registry = Registry()
    registry._load_file(file)
    (status,) = registry.failures()
    assert (status.name, cause in status.error) == (f"leaves_{name}", True)


def test_what_a_plugin_prints_is_no_part_of_json_and_other_commands_go_on(tmp_path: Path) -> None:
    file = tmp_path / "talks.py"
    file.write_text("import os\nprint('hello')\nos._exit(0)")
    command = [sys.executable, "-m", "dabench.cli.main", "--plugin", str(file), "plugins", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, "hello" in done.stderr) == (0, True)
    failed = [p for p in json.loads(done.stdout) if p["error"]]
    assert [p["name"] for p in failed] == ["talks"]


def test_a_user_s_ctrl_c_ends_the_loading_and_names_what_was_loaded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts without one
    try:
        with pytest.raises(KeyboardInterrupt), kept_in("plugin 'slow' of lab"):
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert "interrupted while plugin 'slow' of lab was being loaded" in capsys.readouterr().err


def test_a_plugin_that_hangs_is_left_out_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it catches, and where it sleeps."""
    file = tmp_path / "hangs.py"
    file.write_text("import time\ntry:\n    time.sleep(600)\nexcept Exception:\n    time.sleep(600)\n")
    monkeypatch.setenv("DABENCH_PLUGIN_SECONDS", "0.2")
    registry = Registry()
    registry._load_file(file)
    (status,) = registry.failures()
    assert status.error == "import failed: PluginError: it was not loaded within 0.2 s (DABENCH_PLUGIN_SECONDS)"
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_plugin_that_is_slow_is_named_meanwhile(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(time_limit, "NOTICE", 0.05)
    with kept_in("plugin 'slow' of lab"):
        time.sleep(0.3)
    said = capsys.readouterr().err
    assert "plugin 'slow' of lab is still being loaded after 0.05 s: it is left out after 300 s" in said
    with kept_in("plugin 'quick' of lab"):
        pass
    time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_a_child_process_may_leave() -> None:
    with no_exit():
        child = os.fork()
        if not child:
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@pytest.mark.parametrize("leave", [lambda: sys.exit(0), lambda: os._exit(0)])
def test_a_stage_that_leaves_is_an_error_that_names_its_plugin(registry: Registry, leave: Callable[[], None]) -> None:
    named = pytest.raises(PluginError, match="plugin 'source-only' of dabench raised SystemExit")
    with named, told_by_cause(registry, "source-only"):
        leave()
