"""The choice in the journal, among the metrics and in the words of a tracker."""

from __future__ import annotations

from pathlib import Path

import pytest

from dabench.tracking import CellFinished, CellStarted, Journal, Regret, Scored, Selected, read_journal, read_run
from dabench.tracking.events import from_line, to_line
from dabench.tracking.translate import tags_of

CHOSEN = Selected("ipl", "target-entropy", 15, 0.5, -0.2, ({"update": 15, "threshold": 0.5, "score": -0.2},))
LOST = Regret("ipl", "dice", 20, 0.3, 0.75, 0.5, ({"update": 20, "threshold": 0.3, "score": 0.75},))


def test_events_survive_the_journal() -> None:
    for event in (CHOSEN, LOST):
        again = from_line(to_line(event))
        assert type(again) is type(event)
        assert to_line(again) == to_line(event)
        assert again.candidates[0]["update"] == event.candidates[0]["update"]


def write(folder: Path, *events: object, **tags: str) -> Path:
    journal = Journal(folder)
    journal.append(CellStarted("cell", tags, {}, stages=("ipl",)))
    for event in events:
        journal.append(event)
    journal.append(CellFinished("ok"))
    return folder


def test_metrics_of_a_choice(tmp_path: Path) -> None:
    scored = Scored("ipl", "test", "das-2d@1", "fast", 0.0, {"dice": 0.5}, 8)
    run = read_run(write(tmp_path / "cell", CHOSEN, LOST, scored, selector="target-entropy"))
    assert run.metrics["selection/update"] == 15
    assert run.metrics["selection/threshold"] == 0.5
    assert run.metrics["selection/score"] == -0.2
    apart = {name: value for name, value in run.metrics.items() if name.startswith("oracle/")}
    assert apart == {"oracle/selection/best": 0.75, "oracle/selection/chosen": 0.5, "oracle/selection/regret": 0.25}
    assert run.metrics["target_test/dice"] == 0.5
    assert (run.selected.score, run.regret.best) == (-0.2, 0.75)
    assert tags_of(run)["dabench.selector"] == "target-entropy"


def test_a_run_without_a_choice_says_none(tmp_path: Path) -> None:
    run = read_run(write(tmp_path / "cell"))
    assert (run.selected, run.regret) == (None, None)
    assert not [name for name in run.metrics if "selection" in name]
    assert tags_of(run)["dabench.selector"] == "none", "a journal from before there were selectors"


def test_only_the_last_attempt_counts(tmp_path: Path) -> None:
    write(tmp_path / "cell", CHOSEN, LOST)
    run = read_run(write(tmp_path / "cell"))
    assert run.selected is None
    assert len([e for e in read_journal(tmp_path / "cell" / "journal.jsonl") if isinstance(e, Selected)]) == 1


@pytest.mark.parametrize(
    "damaged", ['"plugins": [{"nam": "x"}]', '"inputs": [{"x": 1}]', '"plugins": [3]', '"stages": 3']
)
def test_a_start_with_damaged_parts_is_a_damaged_line(damaged: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        from_line(f'{{"event": "cell_started", {damaged}}}')
