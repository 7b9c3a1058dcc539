"""Forgeries that fit together and are sealed: each fails, is marked, or is one that only a rerun finds, and said so."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dabench.checking.references import References
from dabench.checking.report import FAILED, OK, OTHER_CODE, OTHER_MACHINE, TOO_GOOD
from dabench.checking.run_files import RunFiles
from dabench.checking.slices import rescore
from dabench.runs.runner import run_cell
from dabench.tracking.scores import SCORES, csv_name, read_scores, write_scores
from tests.checking.conftest import Made
from tests.checking.forging import (
    RECEIPT,
    edit_journal,
    edit_json,
    paint,
    rename,
    reseal,
    write_journal,
)
from tests.checking.test_tampered_runs import events, lines
from tests.conftest import few

#: Forges a copy of a run in place; the folder where it lies then, if that is another.
Forge = Callable[[Path], Path | None]
HEADLINE = "prompt-das"


def sealed(*steps: Callable[[Path], Any]) -> Forge:
    def forge(run: Path) -> None:
        for step in (*steps, reseal):
            step(run)

    return forge


def journal(kind: str, **values: Any) -> Callable[[Path], None]:
    return lambda run: edit_journal(run, kind, lambda event: event.update(values))


def tags(**values: str) -> Callable[[Path], None]:
    return lambda run: edit_journal(run, "cell_started", lambda event: event["tags"].update(values))


# -------------------------------------------------------------------------------------------------------------- score
def another_seed(run: Path) -> Path:
    return rename(run, {"seed": "7"}, seed=7)


def another_method(run: Path) -> Path:
    return rename(run, {"method": "oracle", "bracket": "upper"}, method="oracle", options={})


def another_budget(run: Path) -> Path:
    budget = {"points": 0.01}
    return rename(run, {"points": "0.01"}, budget={**RunFiles(run).settings["budget"], **budget})


def another_setting(run: Path) -> Path:
    options = RunFiles(run).settings["options"]
    options["source-only"]["iterations"] = 60
    return rename(run, {}, options=options)


# --------------------------------------------------------------------------------------------------------- annotation
def drop_annotation(run: Path) -> None:
    shutil.rmtree(run / "annotation")
    edit_journal(run, "cost", lambda event: event.update(points=0, annotation_seconds=0.0))


def fewer_points(run: Path) -> None:
    file = next((run / "annotation").glob("points*"))
    file.write_text("\n".join(file.read_text().splitlines()[:-20]) + "\n")
    edit_journal(run, "cost", lambda event: event.update(points=14, annotation_seconds=33.6))


def other_points(run: Path) -> None:
    file = next((run / "annotation").glob("points*"))
    head, last = file.read_text().rstrip("\n").rsplit("\n", 1)
    fields = last.split(",")
    place = next(i for i, field in enumerate(fields) if i and field.replace(".", "").isdigit() and float(field) > 2)
    fields[place] = str(float(fields[place]) - 2)
    file.write_text(f"{head}\n{','.join(fields)}\n")


# ------------------------------------------------------------------------------------------------------------ history
def drop_stage(run: Path) -> None:
    """The pretraining, as if there had been none."""

    def shorter(event: dict[str, Any]) -> None:
        event["stages"] = event["stages"][1:]

    kept = [e for e in events(run) if e.get("stage") != "supervised"]
    spent = next(e["seconds"] for e in events(run) if e["event"] == "stage_finished" and e["stage"] == HEADLINE)
    write_journal(run, kept)
    edit_journal(run, "cell_started", shorter)
    edit_journal(run, "cell_finished", lambda event: event.update(train_seconds=spent))
    edit_json(run / RECEIPT, lambda receipt: receipt["stages"].pop("supervised"))
    for file in [*run.glob("per_slice/supervised*"), *run.glob("curves/supervised*")]:
        file.unlink()
    write_scores(run / SCORES, [row for row in read_scores(run / SCORES) if row.stage != "supervised"])


def worse_start(run: Path) -> None:
    """Every number of the first stage halved, in journal, rows and table: so that the method gains more."""
    scored = next(e for e in RunFiles(run).record.scores if e.stage == "supervised")
    path = run / csv_name(scored, run)
    header, *rows = path.read_text().splitlines()
    column = header.split(",").index("dice")
    halved = [row.split(",") for row in rows]
    for row in halved:
        row[column] = repr(float(row[column]) / 2) if row[column] else ""
    path.write_text("\r\n".join([header, *(",".join(row) for row in halved)]) + "\r\n")

    def change(event: dict[str, Any]) -> None:
        if event["stage"] == "supervised":
            event["metrics"]["dice"] /= 2

    edit_journal(run, "scored", change)
    table = [
        row._replace(value=row.value / 2) if (row.stage, row.metric) == ("supervised", "dice") else row
        for row in read_scores(run / SCORES)
    ]
    write_scores(run / SCORES, table)


def keys(value: str, source: str = "") -> Callable[[Path], None]:
    def forge(run: Path) -> None:
        edit_journal(run, "stage_finished", lambda event: event.update(key=value))

        def change(receipt: dict[str, Any]) -> None:
            for stage in receipt["stages"].values():
                stage.update(key=value, **({"source": source} if source else {}))

        edit_json(run / RECEIPT, change)

    return forge


# ------------------------------------------------------------------------------------------------------ circumstances
def faster(run: Path) -> None:
    edit_journal(run, "stage_finished", lambda event: event.update(seconds=0.01))
    edit_journal(run, "cell_finished", lambda event: event.update(train_seconds=0.02))


def smaller(run: Path) -> None:
    edit_journal(run, "stage_finished", lambda event: event.update(peak_memory_bytes=1000))
    edit_journal(run, "cell_finished", lambda event: event.update(peak_memory_bytes=1000))


def in_the_future(run: Path) -> None:
    write_journal(run, [{**e, "time": e["time"].replace("20", "29", 1)} for e in events(run)])


def backwards(run: Path) -> None:
    *rest, last = events(run)
    write_journal(run, [*rest, {**last, "time": "2001-01-01T00:00:00.000+00:00"}])


def environment(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Another environment, with the tags that belong to it."""

    def forge(run: Path) -> None:
        from dabench.tracking import environment as env

        edit_json(run / "environment.json", change)
        said = RunFiles(run).environment
        tags(env_digest=env.digest(said), git_commit=said.get("git", {}).get("commit", "unknown"))(run)

    return forge


CASES: list[tuple[str, Forge, str, str, str]] = [
    ("another seed", another_seed, "stages", FAILED, "the same code gives"),
    (
        "another method",
        another_method,
        "stages",
        FAILED,
        "has the stages supervised > prompt-das; the settings give supervised",
    ),
    ("a smaller budget", another_budget, "stages", FAILED, "the same code gives"),
    ("a smaller budget, its points", another_budget, "annotation", FAILED, "annotation/points"),
    ("a longer training", another_setting, "stages", FAILED, "stage 'supervised' has the key"),
    ("annotation removed", sealed(drop_annotation), "annotation", FAILED, "annotation/ has no points; for this budget"),
    ("fewer points than charged", sealed(fewer_points), "annotation", FAILED, "the desk gives 34"),
    ("other points", sealed(other_points), "annotation", FAILED, "34 points; for this budget and seed the desk"),
    ("seconds zeroed", sealed(journal("cost", annotation_seconds=0.0)), "costs", FAILED, "the journal charges 0.0 s"),
    ("budget misstated", sealed(tags(points="0.0")), "stages", FAILED, "tag 'points' is '0.0'; the settings give"),
    ("annotation not asked", sealed(tags(weak_labels="none")), "stages", FAILED, "tag 'weak_labels' is 'none'"),
    ("stage removed", sealed(drop_stage), "stages", FAILED, "the settings give supervised > prompt-das"),
    ("keys of zeros", sealed(keys("0" * 24)), "stages", FAILED, f"has the key {'0' * 24}; the same code gives"),
    ("keys and code of zeros", sealed(keys("0" * 24, "0" * 64)), "stages", OTHER_CODE, "trained with other code"),
    ("start made worse", sealed(worse_start), "scores", OK, "other shares of test points: no stored"),
    ("faster", sealed(faster), "stages", FAILED, "has seconds 0.01 in the journal"),
    ("smaller", sealed(smaller), "stages", FAILED, "has peak_memory_bytes 1000 in the journal"),
    ("on a GPU", sealed(tags(device="cuda:0")), "environment", FAILED, "environment.json has no GPU"),
    ("in the future", sealed(in_the_future), "times", FAILED, "an event is dated in the future"),
    ("backwards", sealed(backwards), "times", FAILED, "an event is dated earlier than the event before it"),
    ("another version", sealed(tags(dabench_version="9.9")), "environment", FAILED, "'dabench_version' is '9.9'"),
    (
        "another commit",
        sealed(environment(lambda e: e.update(git={"commit": "f" * 40, "dirty": False}))),
        "environment",
        OK,
        "versions, commit and device are as reported by the run",
    ),
    (
        "another processor",
        sealed(environment(lambda e: e.update(cpu="abacus"))),
        "environment",
        OK,
        "are as reported by the run",
    ),
]


@pytest.mark.parametrize(("forge", "check", "state", "message"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_forgery_that_fits_together(
    made: Made, run: Path, forge: Forge, check: str, state: str, message: str
) -> None:
    report = made.verifier.verify(forge(run) or run)
    found = lines(report, check)
    assert found.startswith(f"{state}: "), report.problems()
    assert message in found
    assert report.verdict == state, report.problems()


def test_keys_of_another_machine_are_said_and_not_compared(made: Made, run: Path) -> None:
    sealed(keys("0" * 24), tags(trained_in="float16"))(run)
    assert made.verifier.verify(run).verdict == OTHER_MACHINE


def with_truth(made: Made, run: Path) -> None:
    """The labels as the prediction, and every number that follows from them."""
    here, files = References(made.registry, made.workspace), RunFiles(run)
    split = here.test_split(files.config)
    assert split is not None
    assert split.labels is not None
    truth = np.stack([split.labels.read(z) == 1 for z in range(split.labels.shape[0])])
    paint(run, lambda masks: truth.astype(np.uint8) * 255)
    report = rescore(run / "predictions/target_test.tif", split, here.protocol(files.config, "das-2d@1"), "das-2d@1")
    scored = next(s for s in files.record.scores if s.stage == HEADLINE and s.test_points == 0)
    rows = [score.values for score in report.slices]
    path = run / csv_name(scored, run)
    header, *old = path.read_text().splitlines()
    columns = header.split(",")
    new = [
        ",".join(
            repr(values[c]) if c in values else old_cell for c, old_cell in zip(columns, line.split(","), strict=True)
        )
        for values, line in zip(rows, old, strict=True)
    ]
    path.write_text("\r\n".join([header, *new]) + "\r\n")

    def change(event: dict[str, Any]) -> None:
        if (event["stage"], event["test_points"]) == (HEADLINE, 0.0):
            event["metrics"] = dict(report.metrics)

    edit_journal(run, "scored", change)

    def lift(row: Any) -> Any:
        if (row.stage, row.test_points) != (HEADLINE, 0.0):
            return row
        values = report.metrics if row.slice is None else rows[row.slice]
        return row._replace(value=float(values[row.metric])) if row.metric in values else row

    write_scores(run / SCORES, [lift(row) for row in read_scores(run / SCORES)])
    reseal(run)


def test_the_labels_as_a_prediction_are_called_too_good(made: Made, run: Path) -> None:
    with_truth(made, run)
    report = made.verifier.verify(run)
    assert report.verdict == TOO_GOOD, report.problems()
    assert "the prediction equals the test labels in every pixel" in lines(report, "scores")


def test_preferences_are_answered_again_and_held_against_their_budget(made: Made, tmp_path: Path) -> None:
    config = few("prefer-das", small=False, budget={"patches": 0.05})
    made_run = run_cell(config, made.registry, made.workspace).path
    run = Path(shutil.copytree(made_run, tmp_path / made_run.name))
    report = made.verifier.verify(run)
    assert report.verdict == OK, report.problems()
    assert "preferences: the desk gives the same" in lines(report, "annotation")
    less = {**RunFiles(run).settings["budget"], "patches": 0.01}
    report = made.verifier.verify(rename(run, {"patches": "0.01"}, budget=less))
    assert "annotation/preferences holds more than the budget of 0.01 allows" in lines(report, "annotation")
