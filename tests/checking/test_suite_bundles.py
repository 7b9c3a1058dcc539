"""A suite's bundle is the suite: its record, the names of its rows and exactly its finished cells."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dabench.checking.bundle import BundleError, export_runs
from dabench.checking.bundle_import import import_bundle
from dabench.checking.verify import Verifier
from dabench.files.workspace import Workspace
from dabench.leaderboard.gather import load
from dabench.runs.plan import make_plan
from dabench.runs.runner import Runner
from dabench.suites.finished import suite_runs
from dabench.suites.spec import Suite, expand
from dabench.suites.suite_record import started_suites, write_suite_record
from tests.checking.conftest import Made
from tests.checking.forging import Zip
from tests.checking.test_bundles import call, names
from tests.conftest import FEW, few

Elsewhere = Callable[[], Verifier]
NAME = "papers/one"
OPTIONS: dict[str, dict[str, Any]] = {name: dict(FEW[name]) for name in ("source-only", "prompt-das")}
ROWS = {
    "with prompts": {"method": "prompt-das", "test_points": [0.0, 1.0], "options": OPTIONS},
    "start": {"method": "source-only", "options": {"source-only": OPTIONS["source-only"]}},
}


def suite(**changes: Any) -> Suite:
    settings = {"data": "phantom", "preset": "tiny"}
    axes = {"task": ["human2stem"], "seed": [0, 1]}
    return Suite.model_validate({"name": NAME, "settings": settings, "axes": axes, "rows": ROWS, **changes})


@pytest.fixture
def place(made: Made, tmp_path: Path) -> Workspace:
    """The suite with its first seed run, one cell of the second failed, and runs of no suite beside it."""
    place = Workspace(tmp_path / "place")
    for run in (made.run, made.short):
        shutil.copytree(run, place.runs / run.name)
    for config in (few("source-only", small=False, seed=1), few("oracle", small=False)):
        Runner(make_plan(config, made.registry, place), made.registry, place).give_up("failed", "diverged")
    write_suite_record(place, suite(), expand(suite()))
    return place


@pytest.fixture
def theirs(place: Workspace, made: Made, tmp_path: Path) -> Path:
    path = tmp_path / "suite.dabench.zip"
    export_runs(suite_runs(place, NAME).finished, path, Verifier(made.registry, place), "em-lab", [NAME])
    return path


def test_it_holds_the_record_and_the_finished_cells(made: Made, place: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "out.dabench.zip"
    code, output = call(place, "results", "export", "--suite", NAME, "--output", str(out))
    assert code == 0
    assert output.startswith("2 runs, 2 left out")
    assert "left out, not finished: with prompts human2stem s1 (not run), start human2stem s1 (failed)\n" in output
    with zipfile.ZipFile(out) as opened:
        manifest = json.loads(opened.read("manifest.json"))
        record = opened.read("suites/papers__one/manifest.json")
    assert {run["cell_id"] for run in manifest["runs"]} == {made.run.name, made.short.name}
    assert (manifest["version"], list(manifest["suites"])) == (2, [NAME])
    assert record == (place.suite(NAME) / "manifest.json").read_bytes()


def test_the_other_machine_shows_its_rows(theirs: Path, empty: Workspace, elsewhere: Elsewhere) -> None:
    done = import_bundle(theirs, empty, elsewhere(), quick=True)
    assert [(s.kept_as, s.is_new) for s in done.suites] == [(NAME, True)]
    (board,) = load(empty, suite=NAME).boards()
    assert {s.entry for s in board.standings} == {"with prompts (em-lab)", "start (em-lab)"}
    assert board.standings[0].missing == ("human2stem seed 1: not run",)
    again = import_bundle(theirs, empty, elsewhere(), quick=True)
    assert [(s.kept_as, s.is_new) for s in again.suites] == [(NAME, False)]


def test_another_suite_of_that_name_stays(theirs: Path, empty: Workspace, elsewhere: Elsewhere) -> None:
    own = suite(axes={"task": ["human2stem"], "seed": [7]})
    before = write_suite_record(empty, own, expand(own)).read_bytes()
    code, output = call(empty, "results", "import", str(theirs), "--quick")
    assert (code, "suite papers/one (renamed: you have a different suite of that name)" in output) == (0, True)
    assert "dabench leaderboard --suite papers/one@em-lab" in output
    assert (empty.suite(NAME) / "manifest.json").read_bytes() == before
    assert started_suites(empty) == [NAME, f"{NAME}@em-lab"]
    (board,) = load(empty, suite=f"{NAME}@em-lab").boards()
    assert board.standings[0].overall is not None
    done = import_bundle(theirs, empty, elsewhere(), quick=True)
    assert [(s.kept_as, s.is_new) for s in done.suites] == [(f"{NAME}@em-lab", False)]


def test_how_many_threads_its_jobs_had_is_no_other_content(
    theirs: Path, empty: Workspace, elsewhere: Elsewhere
) -> None:
    write_suite_record(empty, suite(), expand(suite()), threads=4)
    done = import_bundle(theirs, empty, elsewhere(), quick=True)
    assert [(s.kept_as, s.is_new) for s in done.suites] == [(NAME, False)]


def test_a_dry_run_writes_no_record(theirs: Path, empty: Workspace, elsewhere: Elsewhere) -> None:
    done = import_bundle(theirs, empty, elsewhere(), quick=True, dry_run=True)
    assert [s.is_new for s in done.suites] == [True]
    assert started_suites(empty) == []


RECORD = "suites/papers__one/manifest.json"


def edited(change: Callable[[dict[str, Any]], Any]) -> Callable[[Zip], Any]:
    """Another record, with digests that fit."""

    def edit(zipped: Zip) -> None:
        values = json.loads(zipped.members[zipped.find(RECORD)][1])
        change(values)
        zipped.replace(RECORD, json.dumps(values).encode())
        zipped.refit()

    return edit


FORGED: list[tuple[str, Callable[[Zip], Any], str]] = [
    ("another digest", lambda z: z.replace(RECORD, z.members[z.find(RECORD)][1].replace(b"start", b"START")), "edited"),
    ("no cells", edited(lambda r: r.pop("cells")), "not a record of a suite: cells is missing"),
    ("a cell as a path", edited(lambda r: r["cells"][0].update(cell_id="../x")), "'../x' is not a valid cell name"),
    ("another suite's", edited(lambda r: r.update(name="other")), "is the record of 'other'"),
    ("not there", lambda z: z.members.pop(z.find(RECORD)), "is listed in manifest.json but missing from the bundle"),
    (
        "up and out",
        lambda z: z.manifest(lambda m: m["suites"].update({"../x": m["suites"].pop(NAME)})),
        "is not a valid",
    ),
]


@pytest.mark.parametrize(("change", "message"), [pytest.param(*r[1:], id=r[0]) for r in FORGED])
def test_a_malformed_record_is_refused(
    theirs: Path, empty: Workspace, elsewhere: Elsewhere, tmp_path: Path, change: Callable[[Zip], Any], message: str
) -> None:
    zipped = Zip(theirs)
    change(zipped)
    with pytest.raises(BundleError, match=message):
        import_bundle(zipped.write(tmp_path / "forged.zip"), empty, elsewhere(), quick=True)
    assert (names(empty), started_suites(empty)) == ([], [])


def test_a_bundle_of_version_1_is_taken_as_before(
    made: Made, single: Path, empty: Workspace, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    zipped = Zip(single)

    def older(values: dict[str, Any]) -> None:
        del values["suites"]
        values["version"] = 1

    zipped.manifest(older)
    done = import_bundle(zipped.write(tmp_path / "old.zip"), empty, elsewhere(), mine=True, quick=True)
    assert ([t.folder for t in done.runs], done.suites) == ([made.run.name], ())


def test_a_failed_cell_is_not_called_verified(place: Workspace) -> None:
    code, output = call(place, "verify", "--all", "--quick")
    assert code == 0
    assert "2 verified, 2 without a result to verify." in output
    assert output.count("no result") == 2
    code, output = call(place, "verify", "--suite", NAME, "--quick")
    assert "2 verified, 1 without a result to verify." in output
