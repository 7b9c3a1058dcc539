"""The report of a suite from a record: contrasts and claims, scores without slices, rows below their start, cost."""

from __future__ import annotations

import json

import pytest

from dabench.errors import ConfigError, DataError
from dabench.leaderboard.suite_report import as_markdown, gather_suite, read_plan
from dabench.suites.spec import Suite, expand
from dabench.tracking.events import CellFinished, CellStarted, Guarded, Kept, Phase, Scored, StageFinished
from dabench.tracking.record import HERE
from dabench.tracking.recorded import read_recorded, write_recorded
from dabench.tracking.run_reader import record_of

SUITE = {
    "name": "mine",
    "title": "Two rows",
    "settings": {"data": "phantom", "preset": "tiny", "task": "human2stem"},
    "axes": {"seed": [0, 1, 2, 3]},
    "rows": {"good": {"method": "prompt-das"}, "bad": {"method": "sac"}},
    "exclude": [{"row": "bad", "seed": 3, "why": "three do"}],
    "contrasts": [["good", "bad"], ["good", "absent"]],
    "variants": {"without the first": {"tasks": ["human2stem"], "without": [0]}},
}
#: Dice by slice; the third is left out.
SLICES = {"good": [0.9, 0.7, None, 0.8], "bad": [0.3, 0.6, None, 0.6]}
START = 0.65


def run_of(cell, shift):
    """The events of a run as a record keeps them; the mean of its slices is its Dice."""
    config, row = cell.config, cell.row
    along = [None if v is None else round(v + shift, 7) for v in SLICES[row]]
    known = [v for v in along if v is not None]
    tags = {"cell_id": config.cell_id, "suite": "mine", "row": row, "method": config.method, "seed": config.seed}
    tags |= {name: getattr(config, name) for name in ("task", "data", "preset", "protocol", "inference")}
    tags |= {"source": "human", "target": "stem", "bracket": "none", "network": "n", "po": "none"}
    looks = [{"stage": "supervised", "foreground": 0.08, "agreement": 0.6, "points": 9}]
    looks += [{"stage": row, "foreground": 0.02, "agreement": 0.4, "points": 9}]
    score = {"split": "test", "protocol": config.protocol, "inference": config.inference, "test_points": 0.0}
    counts = {"n_true": [4, 4, None, 4], "n_pred": [1, 2, None, 3]}
    events = [
        CellStarted(config.cell_id, tags, {"test_points": [0.0]}, (), ("supervised", row)),
        StageFinished("supervised", f"source-{config.seed}", False, 10, 3600.0, 1),
        StageFinished(row, f"{row}-{config.seed}", False, 10, 1800.0, 1),
        Guarded(row, "behind" if row == "bad" else "good", row, "foreground went", looks),
        Scored("supervised", metrics={"dice": START}, n=3, **score),
        Scored(row, metrics={"dice": sum(known) / len(known)}, n=3, left_out=1, **score),
        Phase("predict", 360.0),
        Kept({"0": {"dice": along, **counts}}),
        CellFinished("ok", "", 5400.0, 1),
    ]
    return record_of(None, events, 1, HERE)


@pytest.fixture
def suite():
    return Suite.model_validate(SUITE)


@pytest.fixture
def record(tmp_path, suite):
    path = tmp_path / "mine.jsonl"
    cells = [cell for cell in expand(suite) if cell.config.seed < 3]
    write_recorded(path, [run_of(cell, cell.config.seed / 100) for cell in cells])
    return path


def test_everything_is_told_from_the_record_alone(record, suite, workspace, tmp_path):
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"estimated_core_hours_by_stage": {"supervised": 2.5, "good": 1.0}}))
    text = as_markdown(gather_suite(suite, workspace, record), read_plan(plan))
    assert "6 of 7 cells are recorded (seed 0: 2 of 2, seed 1: 2 of 2, seed 2: 2 of 2, seed 3: 0 of 1)." in text
    assert "| good - bad | 1 | +30.0 |" in text
    assert "corrected for the 1 of them" in text
    assert "these 2 phantoms (human, stem)" in text
    assert "Not recorded yet: good minus absent." in text
    assert "| good | 1 | 81.0 | 76.0 | -5.0 |" in text, "mean of .9 .7 .8 and of .7 .8, and .01 for the mean seed"
    assert "| supervised | 2.50 | 3.00 |" in text, "three trainings of an hour, each in two cells"
    assert "| good | 1.00 | 1.50 |" in text
    assert "| prediction, scores and pictures | - | 0.60 |" in text


def test_chosen_rows_alone_are_shown_and_contrasts_stay_corrected_for_all(record, suite, workspace):
    text = as_markdown(gather_suite(suite.with_rows(["good"]), workspace, record))
    assert "3 of 4 cells are recorded" in text
    assert "bad" not in text, "neither on the board, nor below its start, nor in a contrast"
    assert "| good | 1 | 81.0 | 76.0 | -5.0 |" in text
    three = suite.model_copy(update={"contrasts": (("good", "bad"), ("bad", "good"))})
    pair = as_markdown(gather_suite(three.with_rows(["good", "bad"]), workspace, record))
    assert "corrected for the 2 of them" in pair


def test_a_row_below_its_start_is_explained_and_no_other(record, suite, workspace):
    text = as_markdown(gather_suite(suite, workspace, record))
    (line,) = [line for line in text.splitlines() if line.startswith("- **")]
    assert line == (
        "- **bad** on human2stem: Dice 51.0; 65.0 at its start, supervised (3 seeds). It marks less foreground: "
        "2.0 % of the pixels of target training slices, 8.0 % at its start. Agreement with the given points fell from "
        "0.60 to 0.40 (F1, 3 runs). Per test slice it predicts 2.0 objects; there are 4.0. The guard warned in 3 of 3 "
        "runs."
    )


def test_slices_come_back_from_a_record_and_stay(record, tmp_path):
    runs = read_recorded(record)
    assert runs[0].along_slices()["dice"][:2].tolist() == [0.9, 0.7]
    assert runs[0].along_slices()["dice"][2] != runs[0].along_slices()["dice"][2]
    write_recorded(tmp_path / "again.jsonl", runs)
    assert (tmp_path / "again.jsonl").read_bytes() == record.read_bytes()


def test_nothing_to_report_and_no_plan_are_said(record, suite, workspace, tmp_path):
    found = gather_suite(suite, workspace, record)
    with pytest.raises(ConfigError, match="no finished cell has a score for Dice"):
        as_markdown(type(found)(suite, (), (), found.metric))
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(DataError, match=r"x\.json: not a plan of a suite"):
        read_plan(tmp_path / "x.json")
