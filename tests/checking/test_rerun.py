"""A recorded cell is trained again: equal bits, else among the recorded seeds, else no verdict."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dabench.checking.bundle import export_runs
from dabench.checking.comparison import compare
from dabench.checking.conditions import CODE, DATA, MACHINE, VERSION, Difference
from dabench.checking.rerun import prepare
from dabench.checking.rerun_records import read_reruns
from dabench.checking.run_files import RunFiles
from dabench.checking.verify import Verifier
from dabench.errors import ConfigError, DataError
from dabench.files.workspace import Workspace
from dabench.leaderboard.gather import load
from dabench.runs.plan import make_plan
from dabench.runs.runner import Runner, run_cell
from dabench.tracking import environment as env
from tests.checking.conftest import Made
from tests.checking.forging import edit_journal, edit_json, reseal, score
from tests.checking.test_bundles import call
from tests.checking.test_plugins_by_name import THEIRS
from tests.conftest import few

NEWER = Difference(VERSION, "torch", "1.0", "2.0")


# --------------------------------------------------------------------------------------------------------- end to end
def test_trained_again_it_is_the_same_bit_for_bit(made: Made, tmp_path: Path) -> None:
    """The cache of the workspace is not used: its weights are others by then, and the outcome does not see it."""
    place = Workspace(tmp_path / "place")
    shutil.copytree(made.short, place.runs / made.short.name)
    code, output = call(place, "rerun", "source-only", "--into", str(tmp_path / "again"))
    assert code == 0, output
    assert "code, versions, data and machine are as recorded" in output
    assert "same: weights, prediction and scores are equal bit for bit" in output
    assert (tmp_path / "again" / "runs" / made.short.name / "receipt.json").is_file()
    assert sorted(p.name for p in place.root.iterdir() if p.is_dir()) == ["reruns", "runs"]
    assert read_reruns(place) == {made.short.name: "same"}
    (board,) = load(place).boards()
    assert f"Rerun here with the same result: {made.short.name}." in board.notes
    edit_journal(place.runs / made.short.name, "phase", lambda event: event.update(seconds=9.0))
    assert read_reruns(place) == {}


def test_another_result_is_called_so(made: Made, single: Path, bundle: Path, empty: Workspace, tmp_path: Path) -> None:
    """A stranger's bundle whose weights are not what training gives."""
    code, message = call(empty, "rerun", str(bundle))
    assert (code, "holds 2 runs" in message, "--cell NAME" in message) == (2, True, True)
    code, output = call(empty, "rerun", str(bundle), "--cell", "source-only", "--dry-run", "--json")
    assert (code, json.loads(output)) == (0, {"differences": []})
    place = Workspace(tmp_path / "place")
    forged = Path(shutil.copytree(made.short, place.runs / made.short.name))
    edit_json(forged / "receipt.json", lambda r: r["stages"]["supervised"].update(weights="0" * 64))
    code, output = call(place, "rerun", "source-only", "--json")
    found = json.loads(output)
    assert (code, found["verdict"]) == (1, "different")
    assert found["why"] == "the same code, data and machine gave different weights"
    assert found["scores"]["dice"]["recorded"] == found["scores"]["dice"]["here"]


def test_source_stages_are_taken_where_asked(made: Made, tmp_path: Path) -> None:
    alone = prepare(made.run, made.registry, made.workspace, tmp_path / "alone")
    assert [stage.state for stage in alone.plan.stages] == ["new", "new"]
    shared = prepare(made.run, made.registry, made.workspace, tmp_path / "shared", reuse_source=True)
    assert [stage.state for stage in shared.plan.stages] == ["cached", "new"]
    assert shared.differences == ()


@pytest.fixture
def clicked(made: Made, tmp_path: Path) -> Path:
    """A run that was given clicks and test points of a person, whose files are gone since."""
    files = {"points": tmp_path / "mine" / "clicks.csv", "test": tmp_path / "mine" / "test.csv"}
    files["points"].parent.mkdir()
    rows = [f"{z},{y},{x},object" for z in (0, 1) for y in (20, 40, 60, 80) for x in (20, 40, 60, 80)]
    files["points"].write_text("# region z=1\n" + "\n".join(["z,y,x,kind", *rows, "0,5,5,negative"]) + "\n")
    files["test"].write_text("z,y,x\n0,20,20\n1,60,60\n")
    options = {"source-only": {"iterations": 2}, "prompt-das": {"iterations": 2}}
    budget = {"rater": "recorded", "points_file": str(files["points"]), "patches": 0.0}
    config = few("prompt-das", budget=budget, test_points_file=str(files["test"]), options=options)
    run = run_cell(config, made.registry, Workspace(tmp_path / "theirs")).path
    shutil.rmtree(files["points"].parent)
    return run


def test_a_run_on_clicks_is_made_again_of_the_copies_that_it_keeps(
    clicked: Path, made: Made, empty: Workspace, tmp_path: Path
) -> None:
    bundle = tmp_path / "clicked.zip"
    export_runs([clicked], bundle, Verifier(made.registry, Workspace(clicked.parents[1])), "em-lab")
    code, output = call(empty, "rerun", str(bundle))
    assert code == 0, output
    assert "same: weights, prediction and scores are equal bit for bit" in output


def test_a_run_that_keeps_no_copy_says_what_is_missing(clicked: Path, made: Made, tmp_path: Path) -> None:
    (clicked / "annotation" / "points.csv").unlink()
    (clicked / "predictions" / "target_test_points.csv").unlink()
    reseal(clicked)
    home = Workspace(clicked.parents[1])
    with pytest.raises(DataError, match=r"no copy of points: clicks.csv; test points: test.csv\."):
        prepare(clicked, made.registry, home, tmp_path / "again")


# -------------------------------------------------------------------------------------------------------- what differs
def changed(run: Path, **values: Any) -> None:
    """Another recorded environment, in a run that agrees with itself."""
    environment = json.loads((run / "environment.json").read_text())
    for name, value in values.items():
        environment[name] = {**environment[name], **value} if isinstance(value, dict) else value
    (run / "environment.json").write_text(json.dumps(environment))
    edit_journal(run, "cell_started", lambda e: e["tags"].update(env_digest=env.digest(environment)))
    reseal(run)


def test_it_says_first_what_differs(made: Made, run: Path, tmp_path: Path) -> None:
    changed(run, packages={"numpy": "1.0"}, cpu="Another", torch={"threads": 2})
    edit_journal(run, "cell_started", lambda e: e["plugins"][0].update(source="ef" * 32, version="0.0.1"))
    edit_json(run / "receipt.json", lambda r: r["inputs"][1].update(digest="cd" * 32))
    edit_journal(
        run,
        "cell_started",
        lambda e: (
            e["inputs"][1].update(digest="cd" * 32),
            e["tags"].update(data_digest="+".join(i["digest"][:8] for i in e["inputs"])),
        ),
    )
    reseal(run)
    prepared = prepare(run, made.registry, made.workspace, tmp_path / "again")
    found = {(d.kind, d.what): (d.recorded, d.here) for d in prepared.differences}
    assert prepared.threads == 2
    assert found[VERSION, "numpy"][0] == "1.0"
    assert found[MACHINE, "processor"][0] == "Another"
    assert (MACHINE, "threads") not in found  # it is given as many
    assert any(kind == CODE and recorded == "efefefefefef" for (kind, _), (recorded, _) in found.items())
    assert found[DATA, "phantom-stem/train"][0] == "cdcdcdcdcdcd"
    assert "version: numpy was 1.0, here " in "\n".join(map(str, prepared.differences))


# ------------------------------------------------------------------------------------------------------------ verdicts
@pytest.fixture
def other_weights(run: Path) -> RunFiles:
    edit_json(run / "receipt.json", lambda r: r["stages"]["prompt-das"].update(weights="0" * 64))
    return RunFiles(run)


def seeds(place: Workspace, run: Path, dice: dict[int, float], **settings: Any) -> None:
    """Recorded runs of other seeds with these scores."""
    for seed, value in dice.items():
        copy = Path(shutil.copytree(run, place.runs / f"seed-{seed}-{len(settings)}"))
        (copy / "scores.parquet").unlink()
        edit_journal(copy, "cell_started", lambda e, seed=seed: e["params"].update(seed=seed, **settings))
        score(copy, "prompt-das", "dice", value)


def test_without_a_difference_other_bits_are_another_result(
    made: Made, other_weights: RunFiles, empty: Workspace
) -> None:
    found = compare(other_weights, RunFiles(made.run), (), empty, on_cpu=True)
    assert (found.verdict, found.why) == ("different", "the same code, data and machine gave different weights")
    found = compare(other_weights, RunFiles(made.run), (), empty, on_cpu=False)
    assert found.verdict == "no verdict"  # a GPU need not give the same bits twice


def test_equal_bits_are_the_same_whatever_differs(made: Made, empty: Workspace) -> None:
    assert compare(RunFiles(made.run), RunFiles(made.run), (NEWER,), empty, on_cpu=True).verdict == "same"


def test_two_seeds_are_no_verdict_and_three_are_one(made: Made, other_weights: RunFiles, empty: Workspace) -> None:
    now, dice = RunFiles(made.run), made_dice(made)
    seeds(empty, other_weights.path, {1: dice + 0.01})
    found = compare(other_weights, now, (NEWER,), empty, on_cpu=True)
    assert (found.verdict, found.why) == ("no verdict", "this row has 2 recorded seeds; a prediction interval needs 3")
    assert found.scores["dice"] == (dice, dice)
    seeds(empty, other_weights.path, {2: 0.9}, guard="warn")  # another row's
    assert compare(other_weights, now, (NEWER,), empty, on_cpu=True).verdict == "no verdict"
    seeds(empty, other_weights.path, {2: dice - 0.01})
    found = compare(other_weights, now, (NEWER,), empty, on_cpu=True)
    assert found.verdict == "same"
    assert found.interval is not None
    assert found.interval.high - dice == pytest.approx(4.302653 * 0.01 * (4 / 3) ** 0.5)


def test_a_score_outside_the_interval_is_another_result(
    made: Made, other_weights: RunFiles, empty: Workspace, tmp_path: Path
) -> None:
    now, dice = Path(shutil.copytree(made.run, tmp_path / "now")), made_dice(made)
    (now / "scores.parquet").unlink()
    score(now, "prompt-das", "dice", dice + 0.2)
    seeds(empty, other_weights.path, {1: dice + 0.01, 2: dice - 0.01})
    found = compare(other_weights, RunFiles(now), (NEWER,), empty, on_cpu=True)
    assert found.verdict == "different"
    assert f"dice {dice + 0.2:.4f} is outside the 95 % prediction interval of 3 recorded seeds" in found.why


def test_other_data_are_no_verdict(made: Made, other_weights: RunFiles, empty: Workspace) -> None:
    told = (NEWER, Difference(DATA, "phantom-stem/test", "ab", "cd"))
    found = compare(other_weights, RunFiles(made.run), told, empty, on_cpu=True)
    assert (found.verdict, found.why) == (
        "no verdict",
        "this machine has other data than the run used: phantom-stem/test",
    )


def made_dice(made: Made) -> float:
    return next(iter(RunFiles(made.run).record.cell_scores.values()))


# ------------------------------------------------------------------------------------------------------------- refused
def test_without_its_plugin_it_says_what_to_install(made: Made, run: Path, empty: Workspace) -> None:
    edit_journal(run, "cell_started", lambda event: event["plugins"].append(THEIRS))
    reseal(run)
    with pytest.raises(ConfigError, match=r"method:their-method.*not installed here.\n  pip install dabench-their-met"):
        prepare(run, made.registry, empty, empty.root / "again")


def test_what_cannot_be_compared_is_refused(made: Made, run: Path, empty: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not empty"):
        prepare(made.run, made.registry, made.workspace, made.workspace.root)
    failed = Runner(make_plan(few("oracle"), made.registry, empty), made.registry, empty).give_up("failed", "diverged")
    with pytest.raises(ConfigError, match="ended with status failed: there is no result to compare with"):
        prepare(failed.path, made.registry, empty, tmp_path / "a")
    score(run, "prompt-das", "dice", 0.99)
    with pytest.raises(DataError, match="does not verify"):
        prepare(run, made.registry, empty, tmp_path / "b")
    assert call(empty, "rerun", "nothing")[0] == 2
