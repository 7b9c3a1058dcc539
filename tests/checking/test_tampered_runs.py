"""Edited, cut and forged run directories: each is found, and the message names what was done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dabench.checking.report import RunReport
from dabench.runs.config import validate_config
from dabench.tracking.scores import SCORES, ScoreRow, read_scores, write_scores
from tests.checking.conftest import Made
from tests.checking.forging import (
    JOURNAL,
    PREDICTION,
    RECEIPT,
    edit_journal,
    edit_json,
    lift_rows,
    paint,
    rename,
    reseal,
    score,
    write_journal,
)

HEADLINE = "per_slice/prompt-das-das-2d@1-points0.csv"

Forge = Callable[[Path], Any]


def events(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / JOURNAL).read_text().splitlines()]


def sealed(*steps: Forge) -> Forge:
    """A cheat who also writes a receipt that fits."""

    def forge(run: Path) -> None:
        for step in (*steps, reseal):
            step(run)

    return forge


def filled(masks: np.ndarray) -> np.ndarray:
    masks[:, 40:120, 40:120] = 255
    return masks


def better(run: Path) -> None:
    score(run, "prompt-das", "dice", 0.97)


def table(change: Callable[[list[ScoreRow]], list[ScoreRow]]) -> Forge:
    """Another table of scores."""
    return lambda run: write_scores(run / SCORES, change(list(read_scores(run / SCORES))))


def raised(whole: bool) -> Forge:
    """A Dice of 0.97 after the last stage without test points: of the split, or of its first slice."""
    place = ("prompt-das", 0.0, None if whole else 0, "dice")

    def lift(row: ScoreRow) -> ScoreRow:
        return row._replace(value=0.97) if (row.stage, row.test_points, row.slice, row.metric) == place else row

    return table(lambda rows: [lift(row) for row in rows])


def tags(**changes: str) -> Forge:
    return lambda run: edit_journal(run, "cell_started", lambda event: event["tags"].update(changes))


def receipt(change: Callable[[dict[str, Any]], Any]) -> Forge:
    return lambda run: edit_json(run / RECEIPT, change)


def charge_less(run: Path) -> None:
    edit_journal(run, "cost", lambda event: event.update(points=3, annotation_seconds=7.2))


def other_inputs(run: Path) -> None:
    def change(event: dict[str, Any]) -> None:
        event["inputs"][-1]["digest"] = "0" * 64
        if "tags" in event:
            event["tags"]["data_digest"] = "+".join(entry["digest"][:8] for entry in event["inputs"])

    edit_journal(run, "cell_started", change)
    edit_json(run / RECEIPT, change)


def no_test_input(run: Path) -> None:
    edit_journal(run, "cell_started", lambda event: event["inputs"].pop())
    edit_json(run / RECEIPT, lambda receipt: receipt["inputs"].pop())


def unlink(name: str) -> Forge:
    return lambda run: (run / name).unlink()


def text(name: str, content: str) -> Forge:
    return lambda run: (run / name).write_text(content)


def append(*added: dict[str, Any], before_end: bool = False) -> Forge:
    def forge(run: Path) -> None:
        found = events(run)
        place = len(found) - 1 if before_end else len(found)
        write_journal(run, [*found[:place], *added, *found[place:]])

    return forge


def score_again(run: Path) -> None:
    last = next(e for e in events(run) if e["event"] == "scored" and e["stage"] == "prompt-das")
    append({**last, "metrics": {**last["metrics"], "dice": 0.97}}, before_end=True)(run)


def cut(count: int) -> Forge:
    return lambda run: (run / JOURNAL).write_bytes((run / JOURNAL).read_bytes()[:-count])


def cut_lines(run: Path) -> None:
    write_journal(run, events(run)[:-4])


def damage(run: Path) -> None:
    lines = (run / JOURNAL).read_text().splitlines()
    lines[2] = lines[2][: len(lines[2]) // 2]
    (run / JOURNAL).write_text("\n".join(lines) + "\n")


def link(run: Path) -> None:
    (run / PREDICTION).rename(run.parent / "real.tif")
    (run / PREDICTION).symlink_to(run.parent / "real.tif")


def another_seed(run: Path) -> None:
    """The settings, the folder and the journal's cell, but not its tags."""
    edit_json(run / "config.json", lambda config: config.update(seed=1))
    name = validate_config(json.loads((run / "config.json").read_text())).cell_id

    def change(event: dict[str, Any]) -> None:
        event["cell_id"] = name
        event["params"]["seed"] = 1

    edit_journal(run, "cell_started", change)
    edit_json(run / RECEIPT, lambda receipt: receipt.update(cell_id=name))


def other_weights(receipt: dict[str, Any]) -> None:
    receipt["stages"]["prompt-das"]["weights"] = "1" * 64


def other_key(receipt: dict[str, Any]) -> None:
    receipt["stages"]["prompt-das"]["key"] = "1" * 24


CASES: list[tuple[str, Forge, str, str]] = [
    # ------------------------------------------------------------------------------------------------- predictions
    ("pixels", lambda run: paint(run, filled), "files", "predictions/target_test.tif was edited"),
    ("pixels recomputed", lambda run: paint(run, filled), "scores", "computed from the prediction it is"),
    ("pixels, sealed", sealed(lambda run: paint(run, filled)), "scores", "dice is 0.0"),
    ("prediction gone", unlink(PREDICTION), "files", "predictions/target_test.tif is missing"),
    ("prediction gone, sealed", sealed(unlink(PREDICTION)), "scores", "runs have both or neither"),
    ("slice gone, sealed", sealed(lambda run: paint(run, lambda m: m[:-1])), "scores", "has 7 slices, but the test"),
    ("cropped, sealed", sealed(lambda run: paint(run, lambda m: m[:, :-8])), "scores", "slice 0 is (248, 256)"),
    ("prediction junk, sealed", sealed(text(PREDICTION, "no picture")), "scores", "cannot be read"),
    ("prediction a link", link, "files", "predictions/target_test.tif is not a regular file"),
    # ----------------------------------------------------------------------------------------------------- numbers
    ("score in the journal", better, "receipt", "journal.jsonl was edited"),
    ("score, sealed", sealed(better), "scores", "dice is 0.970000 in the journal; computed from the prediction"),
    ("score and rows, sealed", sealed(better, lambda run: lift_rows(run / HEADLINE, "dice", 0.97)), "scores", "0.97"),
    ("rows alone, sealed", sealed(lambda run: lift_rows(run / HEADLINE, "aji", 0.9)), "scores", "slice 0: aji is 0.9"),
    ("rows", lambda run: lift_rows(run / HEADLINE, "aji", 0.9), "files", f"{HEADLINE} was edited"),
    ("not a number, sealed", sealed(lambda run: score(run, "prompt-das", "pq", float("nan"))), "scores", "pq is nan"),
    ("another metric", sealed(lambda run: score(run, "prompt-das", "iou", 0.9)), "scores", "iou is 0.9"),
    ("earlier stage", sealed(lambda run: score(run, "supervised", "dice", 0.8)), "slices", "supervised: dice is 0.8"),
    ("with points", sealed(lambda run: score(run, "prompt-das", "dice", 0.9, 1.0)), "slices", "points100.csv is 0."),
    ("scored twice", sealed(score_again), "journal", "has 2 scores of stage 'prompt-das' at 0% of test points"),
    ("rows gone, sealed", sealed(unlink(HEADLINE)), "slices", f"{HEADLINE} is missing"),
    ("rows planted", sealed(text("per_slice/x-das-2d@1-points0.csv", "slice\n")), "slices", "no score for this file"),
    ("rows damaged", sealed(text(HEADLINE, "slice,dice,left_out\n0,high,\n")), "slices", "line 2 is damaged"),
    # ---------------------------------------------------------------------------------------------- table of scores
    ("table", raised(True), "files", "scores.parquet was edited"),
    (
        "table, sealed",
        sealed(raised(True)),
        "slices",
        "scores.parquet, prompt-das, 0 of test points: dice is 0.970000; journal and CSVs say 0.",
    ),
    ("slice in the table, sealed", sealed(raised(False)), "slices", "0 of test points, slice 0: dice is 0.970000"),
    ("row of the table gone, sealed", sealed(table(lambda rows: rows[1:])), "slices", "is missing; journal and CSVs"),
    ("row of the table twice, sealed", sealed(table(lambda rows: [*rows, rows[0]])), "slices", "has 1 duplicate rows"),
    (
        "table of another run, sealed",
        sealed(table(lambda rows: [row._replace(run="x") for row in rows])),
        "slices",
        "more values differ",
    ),
    ("table gone", unlink(SCORES), "slices", "scores.parquet is missing"),
    ("table junk, sealed", sealed(text(SCORES, "no table")), "slices", "scores.parquet is damaged"),
    # ----------------------------------------------------------------------------------------------------- journal
    ("journal torn", cut(9), "journal", "ends in the middle of a line"),
    ("journal cut", cut_lines, "receipt", "not checked"),
    ("journal cut at a line", cut_lines, "journal", "the journal was cut off"),
    ("journal damaged", damage, "journal", "line 3 is damaged"),
    ("journal gone", unlink(JOURNAL), "journal", "journal.jsonl is missing"),
    ("after the end", append({"event": "phase", "name": "x", "seconds": 1}), "journal", "1 more events after the end"),
    ("tag of a setting", sealed(tags(preset="paper")), "journal", "tag 'preset' is 'paper'; config.json says 'tiny'"),
    ("tag of the budget", sealed(tags(points="0.01")), "journal", "tag 'points' is 0.01; config.json says 0.15"),
    ("tag of the method", sealed(tags(rater="none")), "stages", "tag 'rater' is 'none'; the settings give 'simulated"),
    ("cheap annotation", sealed(charge_less), "costs", "annotation/ has 34 points, the journal charges 3"),
    (
        "fast training",
        lambda run: edit_journal(run, "cell_finished", lambda event: event.update(train_seconds=0.1)),
        "times",
        "train_seconds is 0.1 at the end of the journal",
    ),
    # ---------------------------------------------------------------------------------------------------- settings
    (
        "setting that names the cell",
        lambda run: edit_json(run / "config.json", lambda config: config["budget"].update(points=0.01)),
        "config",
        "budget.points is 0.01 in config.json and 0.15 in the journal",
    ),
    (
        "setting that does not",
        lambda run: edit_json(run / "config.json", lambda config: config.update(device="cuda")),
        "config",
        "device is 'cuda' in config.json and 'auto' in the journal",
    ),
    ("another seed, sealed", sealed(another_seed), "journal", "tag 'seed' is '0'; config.json says '1'"),
    ("unknown setting", text("config.json", '{"methd": "x"}'), "config", "methd"),
    ("settings gone", unlink("config.json"), "config", "config.json is missing"),
    ("environment", sealed(text("environment.json", '{"python": "4"}')), "environment", "tag 'env_digest' differs"),
    # ----------------------------------------------------------------------------------------------------- receipt
    ("receipt gone", unlink(RECEIPT), "receipt", "receipt.json is missing"),
    ("receipt no JSON", text(RECEIPT, "{"), "receipt", "receipt.json is not valid JSON"),
    ("receipt of nothing", text(RECEIPT, "{}"), "receipt", "receipt.json: cell_id is missing"),
    ("receipt of another", receipt(lambda r: r.update(cell_id="x-0")), "receipt", "the receipt belongs to cell x-0"),
    ("file outside", receipt(lambda r: r["outputs"].update({"../x": "0"})), "files", "'../x', which leads out of"),
    (
        "file not named",
        receipt(lambda r: r["outputs"].pop("config.json")),
        "files",
        "config.json is not in the receipt",
    ),
    ("file added", text("panels/extra.png", "x"), "files", "panels/extra.png is not in the receipt: it was added"),
    ("panel", text("panels/last/slice-0001.jpg", "x"), "files", "panels/last/slice-0001.jpg was edited"),
    ("weights", receipt(other_weights), "stages", "stage 'prompt-das': the weights in the cache differ from"),
    ("stage key", receipt(other_key), "receipt", "stage 'prompt-das' has the key"),
    ("no test data", sealed(no_test_input), "receipt", "its inputs do not include a test split of the target"),
    ("origin", text("origin.json", '{"origin": "../lab"}'), "config", "'../lab' is not a valid origin"),
]


def lines(report: RunReport, name: str) -> str:
    check = next(c for c in report.checks if c.name == name)
    return f"{check.state}: " + "\n".join(check.lines)


@pytest.mark.parametrize(("forge", "check", "message"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_what_was_done_is_found_and_named(made: Made, run: Path, forge: Forge, check: str, message: str) -> None:
    forge(run)
    report = made.verifier.verify(run)
    assert not report.ok
    assert message in lines(report, check)


def test_a_run_of_other_data_is_called_so_and_not_tampered(made: Made, run: Path) -> None:
    """Halves of a data set that were renamed since, say: nothing shows that the run is wrong, or that it is right."""
    sealed(other_inputs)(run)
    report = made.verifier.verify(run)
    assert (report.ok, report.verdict) == (True, "other data")
    assert lines(report, "inputs").startswith("other data: phantom-stem/test: the run recorded other data")
    assert "this machine has other test labels than the run" in lines(report, "scores")


def test_a_run_as_it_was_made_is_in_order(made: Made, run: Path) -> None:
    report = made.verifier.verify(run)
    assert report.verdict == "ok", report.problems()
    assert not report.unchecked
    assert "computed again from the prediction and the labels" in lines(report, "scores")
    assert "the settings give the same keys and tags here" in lines(report, "stages")


def test_a_receipt_of_version_1_still_verifies(made: Made, run: Path) -> None:
    edit_json(run / RECEIPT, lambda r: [r.pop(key) for key in ("version", "dabench_version", "journal")])
    report = made.verifier.verify(run)
    assert report.ok, report.problems()
    assert "a receipt of version 1 has no digest of the journal" in lines(report, "receipt")
    better(run)
    assert "dice is 0.970000" in lines(made.verifier.verify(run), "scores")


def test_a_renamed_folder_is_named(made: Made, run: Path) -> None:
    moved = run.rename(run.with_name("best-run"))
    assert "the folder is named best-run" in lines(made.verifier.verify(moved), "config")


def test_without_labels_only_digests_and_means_are_checked(made: Made, run: Path) -> None:
    """A task whose target is not on this machine: said, and no failure; a number edited clumsily is found anyway."""
    run = rename(run, {"task": "human2nowhere", "target": "nowhere"}, task="human2nowhere")
    report = made.verifier.verify(run)
    assert report.ok, report.problems()
    assert lines(report, "scores").startswith("not checked: unknown domain 'nowhere'")
    assert "only digests and per-slice means were checked" in lines(report, "scores")


def test_a_method_that_is_not_installed_here_does_not_keep_its_scores_from_being_checked(made: Made, run: Path) -> None:
    run = rename(run, {"method": "theirs"}, method="theirs", options={"theirs": {"lr": 1}})
    report = made.verifier.verify(run)
    assert report.ok, report.problems()
    assert lines(report, "scores").startswith("ok: computed again")


def test_a_run_that_failed_is_checked_for_what_it_claims(made: Made, run: Path) -> None:
    edit_journal(run, "cell_finished", lambda event: event.update(status="failed", reason="loss is NaN"))
    report = made.verifier.verify(run)
    assert report.ok
    assert {c.name for c in report.unchecked} == {c.name for c in report.checks} - {"config", "journal"}
    assert "only successful runs have a receipt" in lines(report, "receipt")


def test_a_finished_run_that_was_started_again_and_killed_is_unfinished_not_forged(made: Made, run: Path) -> None:
    append(events(run)[0])(run)
    report = made.verifier.verify(run)
    assert (report.ok, report.status) == (True, "unfinished")


def test_quick_opens_no_data(made: Made, run: Path) -> None:
    report = made.verifier.verify(run, quick=True)
    assert [c.name for c in report.unchecked] == ["inputs", "stages", "annotation", "scores"]
    shutil.rmtree(run / "panels")
    assert "panels/slice-" in lines(made.verifier.verify(run, quick=True), "files")


def test_any_byte_that_changes_is_found(made: Made, run: Path) -> None:
    """One byte at a random place of every file that a receipt covers; the journal up to its last line."""
    rng = np.random.default_rng(0)
    files = [p for p in sorted(run.rglob("*")) if p.is_file() and p.name != RECEIPT]
    for path in files:
        whole = path.read_bytes()
        end = whole.rstrip(b"\n").rfind(b"\n") if path.name == JOURNAL else len(whole)
        place = int(rng.integers(end))
        path.write_bytes(whole[:place] + bytes([whole[place] ^ int(rng.integers(1, 256))]) + whole[place + 1 :])
        report = made.verifier.verify(run, quick=True)
        assert any(path.name in problem for problem in report.problems()), f"{path.name}, byte {place}"
        path.write_bytes(whole)
    assert made.verifier.verify(run, quick=True).ok
