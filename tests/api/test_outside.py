"""Predictions of an outside tool as a row: scored as `evaluate` does, overlap shown and unranked, bad input refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tifffile
import yaml
from typer.testing import CliRunner

import dabench
from dabench.api.outside import OutsideRow, Reading, Statement, import_predictions, read_statement, seen_of_target
from dabench.cli.results import app
from dabench.errors import ConfigError, DataError, UnknownNameError
from dabench.leaderboard.gather import load
from dabench.runs.domains import known_domains
from dabench.suites.spec import Suite, expand
from dabench.suites.suite_record import write_suite_record
from dabench.tracking.recorded import write_recorded

TASKS = ["human2stem", "rat2stem"]
ROW = OutsideRow(TASKS, data="phantom", preset="tiny")


@pytest.fixture(scope="module")
def truth(registry):
    domain = registry.get("domain", "phantom-stem").component
    labels = domain.factory(domain.config()).open("test", lambda path: None).labels
    return np.stack([labels.read(z) for z in range(labels.shape[0])])


@pytest.fixture
def masks(truth, tmp_path):
    """The truth without the upper half of every slice."""
    found = np.where(truth == 1, np.uint8(255), np.uint8(0))
    found[:, : truth.shape[1] // 2] = 0
    path = tmp_path / "masks.tif"
    tifffile.imwrite(path, found, photometric="minisblack")
    return path


def said(**changes):
    return Statement.model_validate(
        {"tool": "mitofinder", "version": "2.1", "trained_on": "cells", "saw": [], **changes}
    )


def test_it_is_scored_like_any_stack_and_stands_on_the_board(masks, truth, registry, workspace):
    runs = import_predictions(masks, said(), ROW, workspace, registry)
    expected = dabench.evaluate(tifffile.imread(masks), truth.astype(np.uint8)).metrics
    assert [run.tags["task"] for run in runs] == TASKS
    for run in runs:
        assert {key.metric: value for key, value in run.cell_scores.items()} == pytest.approx(expected)
        assert (tifffile.imread(run.path / "predictions/target_test.tif") == tifffile.imread(masks)).all()
        assert any((run.path / "panels" / "last").iterdir())
    (board,) = load(workspace).boards()
    (standing,) = board.standings
    assert (standing.entry, standing.is_apart) == ("mitofinder 2.1 (mitofinder)", False)
    again = import_predictions(masks, said(), ROW, workspace, registry)
    assert [run.path for run in again] == [run.path for run in runs], "the same version is replaced"
    assert not list(workspace.runs.glob(".*"))


@pytest.mark.parametrize(
    ("saw", "told"), [(["phantom-stem"], "mitofinder: phantom-stem"), ("unknown", "mitofinder: unknown")]
)
def test_overlap_or_unknown_overlap_is_shown_and_not_ranked(masks, registry, workspace, saw, told):
    runs = import_predictions(masks, said(saw=saw), ROW, workspace, registry)
    assert {run.tags["weights_saw"] for run in runs} == {told}
    (board,) = load(workspace).boards()
    assert [standing.rank for standing in board.standings] == [None]
    assert board.standings[0].is_apart
    assert any(told in note for note in board.notes)


def test_other_names_of_one_tissue_overlap(registry, workspace):
    domains = known_domains(registry, workspace)
    assert seen_of_target(said(saw=["lucchi++"]), "lucchi", domains) == "mitofinder: lucchi++"
    assert seen_of_target(said(saw=["vnc", "human"]), "lucchi", domains) == ""
    with pytest.raises(UnknownNameError, match="unknown domain 'luchi'"):
        seen_of_target(said(saw=["luchi"]), "lucchi", domains)


def bad(kind, stack):
    match kind:
        case "shape":
            return stack[:, :-1]
        case "slices":
            return stack[:-1]
        case "nan":
            found = (stack / 255).astype(np.float32)
            found[2, 3, 4] = np.nan
            return found
        case "logits":
            return stack.astype(np.float32) - 100
    classes = 1 + np.arange(len(stack), dtype=np.uint8) % 2
    return np.where(stack > 0, classes[:, None, None], np.uint8(0))


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("shape", DataError, r"bad\.tif: slices of \d+ x \d+ pixels, but the test split of phantom-stem has"),
        ("slices", DataError, r"bad\.tif: \d+ slices, but the test split of phantom-stem has"),
        ("nan", DataError, "slice 2: the prediction is NaN at row 3, column 4"),
        ("logits", DataError, "slice 0: the prediction holds values from -100"),
        ("classes", ConfigError, r"bad\.tif: holds the values 0, 1, 2: they may be classes"),
    ],
)
def test_bad_stacks_are_refused_and_leave_nothing(masks, registry, workspace, tmp_path, kind, error, message):
    tifffile.imwrite(tmp_path / "bad.tif", bad(kind, tifffile.imread(masks)), photometric="minisblack")
    with pytest.raises(error, match=message):
        import_predictions(tmp_path / "bad.tif", said(), ROW, workspace, registry)
    assert not list(workspace.runs.glob("*"))
    assert not list(workspace.runs.glob(".*"))


def test_tasks_of_two_targets_are_refused(masks, registry, workspace):
    with pytest.raises(ConfigError, match="one prediction has one target"):
        import_predictions(masks, said(), OutsideRow(["human2stem", "human2rat"], "phantom"), workspace, registry)


def test_it_stands_in_the_table_of_a_suite_that_does_not_run_it(masks, registry, workspace, tmp_path):
    values = {
        "name": "some",
        "settings": {"data": "phantom", "preset": "tiny"},
        "rows": {"a": {"method": "source-only"}},
    }
    suite = Suite.model_validate({**values, "axes": {"task": TASKS}})
    write_suite_record(workspace, suite, expand(suite))
    runs = import_predictions(masks, said(), replace(ROW, suite="some"), workspace, registry)
    import_predictions(masks, said(version="3"), ROW, workspace, registry)
    (board,) = load(workspace, suite="some").boards()
    assert [standing.entry for standing in board.standings] == ["mitofinder 2.1 (outside) (mitofinder)", "a"]
    write_recorded(tmp_path / "some.jsonl", runs)
    (board,) = load(workspace, suite="some", uri=str(tmp_path / "some.jsonl")).boards()
    assert "mitofinder 2.1 (outside)" in [standing.entry for standing in board.standings]


def test_a_threshold_says_what_stored_probabilities_mean(masks, registry, workspace, tmp_path):
    faint = np.where(tifffile.imread(masks) > 0, np.uint8(200), np.uint8(90))
    tifffile.imwrite(tmp_path / "faint.tif", faint, photometric="minisblack")
    (one,) = import_predictions(
        tmp_path / "faint.tif", said(), OutsideRow(TASKS[:1], "phantom"), workspace, registry, Reading(threshold=128)
    )
    (other,) = import_predictions(masks, said(version="3"), OutsideRow(TASKS[:1], "phantom"), workspace, registry)
    assert one.cell_scores == other.cell_scores


def test_the_command_says_scores_and_overlap(masks, tmp_path):
    file = tmp_path / "tool.yaml"
    file.write_text(yaml.safe_dump({"tool": "mitofinder", "version": "2.1", "trained_on": "cells"}))
    arguments = [
        "import-predictions",
        str(masks),
        "--task",
        "human2stem",
        "--data",
        "phantom",
        "--statement",
        str(file),
    ]
    done = CliRunner().invoke(app, arguments, env={"DABENCH_WORKSPACE": str(tmp_path / "w")})
    assert done.exit_code == 0, done.output
    assert "human2stem  dice " in done.output
    assert (
        "shown but not ranked: the tool's training data include the target, or may (mitofinder: unknown)" in done.output
    )
    file.write_text("tool: Mito Finder\nversion: 1\n")
    with pytest.raises(ConfigError, match=r"tool\.yaml: tool"):
        read_statement(file)
