"""The command line as a user meets it: messages, exit codes, nothing lost."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from dabench.cli.main import main
from tests.conftest import FEW, PHANTOMS

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run ``dabench`` in this process, in a workspace of its own: (exit code, stdout, stderr)."""
    monkeypatch.setenv("DABENCH_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("DABENCH_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("DABENCH_PLUGIN_FILES", raising=False)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["dabench", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return call


def sets(method: str = "source-only") -> list[str]:
    stages = {"source-only": 1, "prompt-das": 2, "prefer-das": 3}[method]
    options = [*list(FEW.items())[:stages], *PHANTOMS.items()]
    pairs = [(f"{name}.{key}", value) for name, values in options for key, value in values.items()]
    return [part for key, value in pairs for part in ("--set", f"{key}={value}")]


PHANTOM = ("--task", "human2stem", "--data", "phantom", "--preset", "tiny", "--tracker", "none")


def test_a_run_ends_with_a_table_the_panels_and_how_to_browse(cli: Cli, tmp_path: Path) -> None:
    code, out, err = cli("run", "--method", "prefer-das", "--po", "slpo", *PHANTOM, *sets("prefer-das"))
    assert (code, err) == (0, "")
    for word in ("source-only", "prompt-das", "prefer-das (slpo)", "Dice", "AJI", "PQ", "panels", "simulated rater"):
        assert word in out
    assert len(list((tmp_path / "workspace" / "runs").glob("*/panels/*.jpg"))) == 3


def test_json_is_json_and_a_second_start_reuses_everything(cli: Cli) -> None:
    first = cli("run", "--method", "source-only", *PHANTOM, *sets(), "--json")
    code, out, _ = cli("run", "--method", "source-only", *PHANTOM, *sets(), "--json")
    assert code == 0
    one, two = json.loads(first[1]), json.loads(out)
    assert one["status"] == "ok"
    assert one["metrics"]["target_test/dice"] == two["metrics"]["target_test/dice"]
    _, plan, _ = cli("run", "--method", "source-only", *PHANTOM, *sets(), "--dry-run", "--json")
    assert [s["state"] for s in json.loads(plan)["stages"]] == ["cached"]


def test_dry_run_writes_nothing(cli: Cli, tmp_path: Path) -> None:
    code, out, _ = cli("run", "--method", "prefer-das", *PHANTOM, *sets("prefer-das"), "--dry-run")
    assert code == 0
    assert "stage 3: slpo" in out
    assert "15% of patches" in out
    assert re.search(r"training: about .*\n    supervised +\d+ s   measured: a few updates\n", out)
    assert not (tmp_path / "workspace" / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "--method", "prefer-dass", *PHANTOM], 2, "'prefer-das'"),
        (["run", "--method", "source-only", "--task", "human2stm", "--data", "phantom"], 2, "stem"),
        (["run", "--method", "source-only", *PHANTOM, "--set", "source-only.iteration=3"], 2, "source-only.iterations"),
        (["run", "--method", "source-only", *PHANTOM, "--set", "oops"], 2, "name.key=value"),
        (["run", "--method", "source-only", *PHANTOM, "--seed", "x"], 2, "--seed"),
        (["run", "--metod", "source-only"], 2, "--metod"),
        (["run", "--method", "source-only", *PHANTOM, "--test-points", "2"], 2, "less than or equal to 1"),
        (["run", "--method", "source-only", *PHANTOM, "--device", "cuda:0"], 2, "no CUDA device"),
        (["run", "--task", "human2stem"], 2, "method is missing"),
        (["run", "--method", "source-only", "--task", "lucchi2vnc"], 3, "lucchi"),
        (["run", "--method", "source-only", *PHANTOM, "--points", "nowhere.csv"], 3, "nowhere.csv"),
        (["run", "--method", "source-only", "--config", "nowhere.yaml"], 2, "nowhere.yaml"),
        (["info", "mean-teacer"], 2, "'mean-teacher'"),
        (["ls", "metods"], 2, "methods"),
        (["plugins", "check", "mean-teachr"], 2, "'mean-teacher'"),
        (["weights", "add", "x", "nowhere.pth"], 3, "nowhere.pth"),
        (["validate", "nowhere.yaml"], 2, "nowhere.yaml"),
    ],
)
def test_mistakes_have_a_message_a_mend_and_an_exit_code(
    cli: Cli, arguments: list[str], code: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch.cuda.is_available() and "cuda:0" in arguments:
        pytest.skip("this machine has the GPU that the mistake asks for")
    found, out, err = cli(*arguments)
    assert found == code, err
    assert message in err
    assert "Traceback" not in err + out


def test_debug_shows_the_traceback(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["dabench", "--debug", "info", "nothing-like-it"])
    with pytest.raises(Exception, match="nothing-like-it"):
        main()


def test_a_workspace_that_cannot_be_written_is_said_with_a_way_out(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", "cards")

    monkeypatch.setattr("dabench.data.picture.draw", read_only)
    code, _, err = cli("data", "show", "phantom-human", "--output", "p.png")
    assert code == 3
    assert "error: Read-only file system: cards" in err
    assert "dabench --workspace FOLDER" in err


def _ctrl_c() -> None:
    raise KeyboardInterrupt


def _terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(5)


@pytest.mark.parametrize("stop", [_ctrl_c, _terminate])
def test_an_interrupted_command_says_that_it_continues(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, stop: Callable[[], None]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        stop()

    monkeypatch.setattr("dabench.runs.runner.Runner.execute", interrupt)
    code, _, error = cli("run", "--method", "source-only", *PHANTOM)
    assert code == 130
    assert "start the same command again to continue" in error


def test_paper_preset_names_the_weights_it_misses(cli: Cli) -> None:
    arguments = ["--method", "source-only", "--task", "human2stem", "--data", "phantom", "--preset", "paper"]
    code, out, _ = cli("run", *arguments, "--dry-run")
    assert code == 0
    assert "weights 'dino-vits8' are not in the store" in out


def test_validate_ls_and_info(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(
        "method: prefer-das\npo: lpo\ntask: human2stem\ndata: phantom\npreset: tiny\noptions: {lpo: {beta: 2}}\n"
    )
    assert "valid" in cli("validate", str(file))[1]
    listed = json.loads(cli("ls", "preference-optimizers", "--json")[1])
    assert {item["name"] for item in listed} >= {"gpo", "lpo", "slpo", "upo"}
    code, out, _ = cli("info", "prompt-das", "--preset", "paper")
    assert code == 0
    assert "16000" in out
    assert "λ2" in out


def test_weights_add_and_ls(cli: Cli, tmp_path: Path) -> None:
    torch.save({"module.a": torch.ones(3)}, tmp_path / "w.pth")
    assert "3 parameters" in cli("weights", "add", "mine", str(tmp_path / "w.pth"))[1]
    _, out, _ = cli("weights", "ls")
    assert "mine" in out
    assert "dino-vits8" in out


def test_help_is_light() -> None:
    """`dabench --help` loads neither torch nor MLflow (its time is in benchmarks/)."""
    script = (
        "import sys; sys.argv = ['dabench', '--help']\n"
        "from dabench.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('LOADED', sorted({'torch', 'mlflow', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=os.environ, check=True)
    assert "LOADED []" in done.stdout
