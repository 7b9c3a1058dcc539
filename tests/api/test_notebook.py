"""docs/front-door.ipynb runs from top to bottom, and has every line of the front door."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import dabench

NOTEBOOK = Path(__file__).parents[2] / "docs" / "front-door.ipynb"
CELLS = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
LINES = (
    'dabench.evaluate(prediction, labels, protocol="das-2d@1")',
    "dabench.run(",
    "run.scores",
    "dabench.load_model(run)",
    "model.predict(volume, points=None)",
    "dabench.results().query(\"task == 'human2stem'\")",
    'dabench.board(suite="smoke").to_frame()',
)


def execute(source: str, names: dict[str, object]) -> object:
    """Run a cell as a notebook does; the value of its last expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)


@pytest.mark.parametrize("line", LINES)
def test_it_has_every_line(line: str) -> None:
    assert any(line in "".join(cell["source"]) for cell in CELLS)


def test_it_is_kept_without_outputs() -> None:
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CELLS)


@pytest.mark.slow
def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DABENCH_WORKSPACE", raising=False)
    names: dict[str, object] = {"__name__": "__main__"}
    shown = [execute("".join(cell["source"]), names) for cell in CELLS]
    run, report, board = names["run"], names["report"], shown[-2]
    assert isinstance(run, dabench.Run)
    assert run.status == "ok"
    assert isinstance(report, dabench.Evaluation)
    assert report.metrics["dice"] == pytest.approx((1 + 1 + 2 / 3) / 3)
    assert board["entry"].tolist() == ["source-only"]  # type: ignore[index]
    assert shown[-1] == "unknown method 'prefer-dsa'."
