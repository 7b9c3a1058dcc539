"""Bundles that are in order: there and back, merging, origins, equal bytes, an import that is killed."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dabench.checking.bundle import BundleError, export_runs
from dabench.checking.bundle_import import import_bundle
from dabench.checking.paths import belongs, is_cell_id, is_origin, outside
from dabench.checking.verify import Verifier, find_run
from dabench.cli.main import app
from dabench.errors import ConfigError
from dabench.files.workspace import Workspace
from dabench.runs.plan import make_plan
from dabench.suites.run_choice import is_ours_and_finished
from dabench.tracking.record import RunRecord
from dabench.tracking.run_reader import read_run, read_runs
from tests.checking.conftest import Made
from tests.checking.forging import JOURNAL, edit_journal, reseal
from tests.conftest import Told, few

Elsewhere = Callable[[], Verifier]


def files(run: Path) -> dict[str, bytes]:
    return {p.relative_to(run).as_posix(): p.read_bytes() for p in run.rglob("*") if p.is_file()}


def names(place: Workspace) -> list[str]:
    return sorted(p.name for p in place.runs.glob("*"))


# ----------------------------------------------------------------------------------------------------- there and back
def test_results_move_to_another_machine_whole(
    made: Made, single: Path, empty: Workspace, elsewhere: Elsewhere
) -> None:
    told = Told()
    done = import_bundle(single, empty, elsewhere(), mine=True, observer=told)
    assert told.work == {"unpacking runs": (1, 1), "verifying runs": (1, 1)}
    assert (done.origin, [t.is_new for t in done.runs]) == ("here", [True])
    assert names(empty) == [made.run.name]
    assert files(empty.runs / made.run.name) == files(made.run)
    report = elsewhere().verify(empty.runs / made.run.name)
    assert report.ok, report.problems()
    assert [c.name for c in report.unchecked] == []
    assert sorted(p.name for p in empty.root.iterdir()) == [".import.lock", "runs", "verdicts.jsonl"]


def test_a_bundle_holds_results_and_no_weights(made: Made, bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as opened:
        listed = opened.namelist()
        manifest = json.loads(opened.read("manifest.json"))
    assert listed[0] == "manifest.json"
    assert manifest["origin"] == "em-lab"
    assert {run["cell_id"] for run in manifest["runs"]} == {made.run.name, made.short.name}
    inside = {name.removeprefix(f"runs/{made.run.name}/") for name in listed if made.run.name in name}
    assert inside == set(files(made.run))
    assert not any(name.endswith((".safetensors", ".pt")) for name in listed)


def test_equal_runs_give_equal_bytes(made: Made, bundle: Path, tmp_path: Path) -> None:
    copies = [Path(shutil.copytree(run, tmp_path / "copies" / run.name)) for run in (made.short, made.run)]
    told = Told()
    done = export_runs(copies, tmp_path / "again.zip", made.verifier, "em-lab", observer=told)
    assert told.work == {"verifying runs": (2, 2), "writing runs": (2, 2)}
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()
    assert done.sha256 == hashlib.sha256(bundle.read_bytes()).hexdigest()


# ------------------------------------------------------------------------------------------------------------ merging
def test_twice_the_same_changes_nothing(made: Made, bundle: Path, empty: Workspace, elsewhere: Elsewhere) -> None:
    import_bundle(bundle, empty, elsewhere())
    before = {path: path.stat().st_mtime_ns for path in empty.runs.rglob("*")}
    done = import_bundle(bundle, empty, elsewhere())
    assert [t.is_new for t in done.runs] == [False, False]
    assert {path: path.stat().st_mtime_ns for path in empty.runs.rglob("*")} == before


def test_ones_own_run_that_comes_back_is_here_already(made: Made, bundle: Path) -> None:
    done = import_bundle(bundle, made.workspace, made.verifier)
    assert [(t.folder, t.is_new) for t in done.runs] == [(made.run.name, False), (made.short.name, False)]


def test_bundles_merge(made: Made, single: Path, empty: Workspace, elsewhere: Elsewhere, tmp_path: Path) -> None:
    both = tmp_path / "both.zip"
    export_runs([made.run, made.short], both, made.verifier)
    import_bundle(single, empty, elsewhere(), mine=True)
    done = import_bundle(both, empty, elsewhere(), mine=True)
    assert [(t.folder, t.is_new) for t in done.runs] == [(made.run.name, False), (made.short.name, True)]
    assert names(empty) == [made.run.name, made.short.name]


def another_result(made: Made, folder: Path) -> Path:
    """The same cell, run by somebody else: other times, so another journal."""
    run = Path(shutil.copytree(made.run, folder / made.run.name))
    edit_journal(run, "phase", lambda event: event.update(seconds=99.0))
    reseal(run)
    return run


def test_another_run_of_the_same_cell_is_kept_beside(
    made: Made, single: Path, empty: Workspace, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    import_bundle(single, empty, elsewhere(), mine=True)
    theirs = tmp_path / "theirs.zip"
    export_runs([another_result(made, tmp_path / "theirs")], theirs, made.verifier, "em-lab")
    import_bundle(theirs, empty, elsewhere())
    import_bundle(theirs, empty, elsewhere(), origin="another-lab")  # the same bytes: here already
    assert names(empty) == [made.run.name, f"{made.run.name}@em-lab"]
    runs = [run for run in read_runs(empty.runs) if isinstance(run, RunRecord)]
    assert [(run.cell_id, run.origin) for run in runs] == [(made.run.name, "here"), (made.run.name, "em-lab")]
    assert all(elsewhere().verify(empty.runs / name).ok for name in names(empty))


def test_another_run_of_ones_own_is_refused_with_what_to_do(
    made: Made, single: Path, empty: Workspace, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    import_bundle(single, empty, elsewhere(), mine=True)
    mine = tmp_path / "mine.zip"
    export_runs([another_result(made, tmp_path / "mine"), made.short], mine, made.verifier)
    with pytest.raises(BundleError, match="the workspace has another run of this cell; --origin NAME keeps both"):
        import_bundle(mine, empty, elsewhere(), mine=True)
    assert names(empty) == [made.run.name]
    import_bundle(mine, empty, elsewhere(), origin="second-machine")
    assert f"{made.run.name}@second-machine" in names(empty)


def test_a_stranger_s_result_does_not_stand_in_for_a_run_of_ones_own(
    made: Made, bundle: Path, empty: Workspace, elsewhere: Elsewhere
) -> None:
    import_bundle(bundle, empty, elsewhere())
    plan = make_plan(few("source-only", small=False), made.registry, empty)
    assert plan.config.cell_id == made.short.name
    assert [stage.state for stage in plan.stages] == ["new"]
    assert not (empty.runs / made.short.name).exists()


def test_a_bundle_that_names_nobody_is_a_stranger_s_unless_the_user_says_otherwise(
    made: Made, single: Path, empty: Workspace, elsewhere: Elsewhere
) -> None:
    origin = f"bundle-{hashlib.sha256(single.read_bytes()).hexdigest()[:8]}"
    assert is_origin(origin)
    code, output = call(empty, "results", "import", str(single), "--quick")
    assert (code, f"1 runs from {origin} imported" in output) == (0, True)
    assert names(empty) == [f"{made.run.name}@{origin}"]
    assert elsewhere().verify(empty.runs / f"{made.run.name}@{origin}").origin == origin
    assert not is_ours_and_finished(empty.runs / f"{made.run.name}@{origin}")


def test_ones_own_runs_have_no_origin(single: Path, bundle: Path, empty: Workspace, elsewhere: Elsewhere) -> None:
    code, message = call(empty, "results", "import", str(single), "--mine", "--origin", "em-lab")
    assert (code, "--mine and --origin" in message) == (2, True)
    assert import_bundle(bundle, empty, elsewhere(), mine=True, quick=True).origin == "here"
    assert not any("@" in name for name in names(empty))


# ------------------------------------------------------------------------------------------------------- interruptions
def test_an_import_that_is_killed_leaves_whole_runs_and_goes_on(
    made: Made, bundle: Path, empty: Workspace, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, moved = Path.rename, []

    def killed(self: Path, target: Path) -> Path:
        if moved:
            raise KeyboardInterrupt
        moved.append(target)
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            import_bundle(bundle, empty, elsewhere())
    assert names(empty) == [f"{made.run.name}@em-lab"]
    assert elsewhere().verify(empty.runs / f"{made.run.name}@em-lab").ok
    left = empty.root / ".import-of-a-killed-process" / "half"
    left.mkdir(parents=True)
    done = import_bundle(bundle, empty, elsewhere())
    assert [t.is_new for t in done.runs] == [False, True]
    assert not left.parent.exists()


def test_a_dry_run_checks_everything_and_keeps_nothing(bundle: Path, empty: Workspace, elsewhere: Elsewhere) -> None:
    done = import_bundle(bundle, empty, elsewhere(), dry_run=True)
    assert [t.is_new for t in done.runs] == [True, True]
    assert names(empty) == []


# --------------------------------------------------------------------------------------------------------------- names
@pytest.mark.parametrize("origin", ["", "here", "HERE", "a b", "../x", "a/b", ".x", "x.", "ü", "x" * 41, "<b>", "a@b"])
def test_names_that_are_no_origin(made: Made, tmp_path: Path, origin: str) -> None:
    assert not is_origin(origin)
    if origin:
        with pytest.raises(ConfigError, match="1 to 40 letters, digits"):
            export_runs([made.short], tmp_path / "x.zip", made.verifier, origin)


@pytest.mark.parametrize("origin", ["em-lab", "A", "x" * 40, "group_2.b"])
def test_names_of_origins(origin: str) -> None:
    assert is_origin(origin)


def test_every_file_of_a_run_belongs_in_a_bundle(made: Made) -> None:
    assert all(belongs(name) and not outside(name) for run in (made.run, made.short) for name in files(run))
    assert belongs("predictions/target_test_points.csv")  # a person's test points
    assert is_cell_id(made.run.name)
    assert is_cell_id("ipl-lucchi2lucchi++-small-s0-0123abcd")
    assert not any(belongs(name) for name in ("model.pt", "stages/a/x.json", "panels/a/b/c.png", "curves/x.py"))


def test_runs_are_found_by_path_name_and_beginning(made: Made) -> None:
    place = made.workspace
    assert find_run(place, str(made.run)) == made.run
    assert find_run(place, made.run.name) == made.run
    assert find_run(place, "prompt-das") == made.run
    with pytest.raises(ConfigError, match="several runs begin with ''"):
        find_run(place, "")
    with pytest.raises(ConfigError, match=r"no run begins with 'promt-das-human2stem-phantom-tiny'.\n.*Did you mean"):
        find_run(place, "promt-das-human2stem-phantom-tiny")


# -------------------------------------------------------------------------------------------------------- command line
def call(place: Workspace, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments), env={"DABENCH_WORKSPACE": str(place.root)})
    if result.exception and not isinstance(result.exception, SystemExit):
        return getattr(result.exception, "exit_code", 99), str(result.exception)
    return result.exit_code, result.output


def test_verify_prints_every_check_and_says_by_its_exit_code(made: Made, run: Path) -> None:
    code, output = call(made.workspace, "verify", made.run.name)
    assert code == 0
    assert "scores" in output
    assert "1 verified." in output
    (run / "predictions/target_test.tif").unlink()
    code, output = call(made.workspace, "verify", str(run))
    assert code == 1
    assert "FAILED" in output
    assert "predictions/target_test.tif is missing" in output
    code, output = call(made.workspace, "verify", str(run), "--json")
    found = json.loads(output)
    assert (code, found["ok"], found["runs"][0]["cell_id"]) == (1, False, made.run.name)


def test_verify_all_is_a_line_a_run(made: Made) -> None:
    code, output = call(made.workspace, "verify", "--all", "--quick")
    assert code == 0
    assert output.count(" ok ") == 4  # status and outcome of both
    assert "2 verified." in output
    assert call(made.workspace, "verify")[0] == 2
    assert call(made.workspace, "verify", "--all", "--suite", "x")[0] == 2


def test_verify_takes_the_runs_of_a_suite(made: Made, tmp_path: Path) -> None:
    place = Workspace(tmp_path / "place")
    shutil.copytree(made.workspace.runs, place.runs)
    folder = place.root / "suites" / "papers__one"
    folder.mkdir(parents=True)
    cells = [{"row": "x", "cell_id": made.short.name, "place": {}, "excluded": ""}]
    (folder / "manifest.json").write_text(json.dumps({"name": "papers/one", "suite": {}, "cells": cells}))
    code, output = call(place, "verify", "--suite", "papers/one", "--quick")
    assert (code, "1 verified." in output, made.short.name in output) == (0, True, True)
    code, message = call(place, "verify", "--suite", "papers/two")
    assert (code, "papers/one" in message) == (2, True)


def test_export_and_import_by_command(made: Made, empty: Workspace, tmp_path: Path) -> None:
    out = str(tmp_path / "out.dabench.zip")
    code, output = call(made.workspace, "results", "export", "--all", "--origin", "em-lab", "--output", out)
    assert (code, output.startswith("2 runs, 0 left out")) == (0, True)
    assert hashlib.sha256(Path(out).read_bytes()).hexdigest() in output
    code, output = call(empty, "results", "import", out, "--dry-run", "--quick")
    assert (code, "2 runs from em-lab would be imported" in output, names(empty)) == (0, True, [])
    code, output = call(empty, "results", "import", out, "--quick")
    assert (code, "2 runs from em-lab imported, 0 already present." in output) == (0, True)
    assert "not checked here: inputs, stages, annotation, scores" in output
    code, output = call(empty, "results", "ls")
    assert output.count("em-lab") == 2
    code, message = call(empty, "results", "export", "--all", "--output", out)
    assert (code, "no run to export" in message) == (2, True)
    code, message = call(empty, "results", "export", f"{made.run.name}@em-lab", "--output", out)
    assert (code, "came from em-lab" in message) == (2, True)
    assert read_run(empty.runs / f"{made.short.name}@em-lab").key == f"{made.short.name}@em-lab"


def test_export_of_all_leaves_out_what_is_unfinished(made: Made, tmp_path: Path) -> None:
    place = Workspace(tmp_path / "place")
    shutil.copytree(made.workspace.runs, place.runs)
    journal = place.runs / made.run.name / JOURNAL
    journal.write_text(journal.read_text().splitlines()[0] + "\n")
    (place.runs / made.run.name / "receipt.json").unlink()
    out = str(tmp_path / "out.zip")
    code, output = call(place, "results", "export", "--all", "--output", out)
    assert (code, output.startswith("1 runs, 1 left out")) == (0, True)
    code, message = call(place, "results", "export", made.run.name, "--output", out)
    assert (code, "is unfinished" in message) == (3, True)
