"""The first example of the tutorial: a whole method in one short file, checked and trained."""

from __future__ import annotations

import re
from pathlib import Path

from typer.testing import CliRunner

from dabench.cli.main import app
from dabench.tracking.run_reader import read_runs

PAGE = Path(__file__).parents[2] / "docs" / "write-a-plugin.md"


def test_it_keeps_the_contracts_and_trains(tmp_path, monkeypatch):
    (code,) = re.findall(r"Save this as `quick\.py`.*?```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(code.splitlines()) < 30
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DABENCH_WORKSPACE", str(tmp_path / "workspace"))
    Path("quick.py").write_text(code)
    checked = CliRunner().invoke(app, ["--plugin", "quick.py", "plugins", "check", "minent"])
    assert checked.exit_code == 0, checked.output
    assert "FAIL" not in checked.output
    small = ["--set=phantom-human.size=96", "--set=phantom-stem.size=96", "--set=phantom-stem.train_slices=2"]
    few = [f"--set={name}.iterations=2" for name in ("source-only", "minent")]
    command = "run --method minent --task human2stem --data phantom --preset tiny --tracker none".split()
    ran = CliRunner().invoke(app, ["--plugin", "quick.py", *command, *small, *few])
    assert ran.exit_code == 0, ran.output
    (run,) = read_runs(Path("workspace/runs"))
    assert run.tags["method"] == "minent"
