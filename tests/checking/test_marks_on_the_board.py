"""The board says of each row what is known of it: quick checks of its own, and what `verify` came to here."""

from __future__ import annotations

import csv
import errno
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dabench.checking.comparison import Outcome
from dabench.checking.rerun_records import keep_rerun
from dabench.checking.run_files import RunFiles
from dabench.checking.verdicts import keep_verdict, read_verdicts
from dabench.checking.verify import Verifier
from dabench.files.tables import Table
from dabench.files.workspace import Workspace
from dabench.leaderboard.gather import load
from dabench.leaderboard.tables import text_table
from dabench.tracking.recorded import write_recorded
from dabench.tracking.run_reader import read_run
from tests.checking.conftest import Made
from tests.checking.forging import edit_journal, lift_rows
from tests.checking.test_bundles import call


@pytest.fixture
def place(made: Made, tmp_path: Path) -> Workspace:
    """A workspace with a copy of the shorter run."""
    home = Workspace(tmp_path / "place")
    shutil.copytree(made.short, home.runs / made.short.name)
    return home


def mark(home: Workspace, **options: object) -> str:
    (board,) = load(home, **options).boards()  # type: ignore[arg-type]
    (standing,) = board.standings
    assert standing.checked == standing.cells[0].checked
    return standing.checked


def test_it_is_checked_then_verified_and_less_than_that_takes_nothing_away(place: Workspace, made: Made) -> None:
    assert mark(place) == "checked only"
    code, output = call(place, "verify", "source-only")
    assert (code, "1 verified" in output) == (0, True)
    assert mark(place) == "verified here"
    assert call(place, "verify", "source-only", "--quick")[0] == 0
    assert mark(place) == "verified here"
    assert len((place.root / "verdicts.jsonl").read_text().splitlines()) == 1
    (board,) = load(place).boards()
    assert "Checks of 1 cells: 1 verified here." in board.notes


def test_an_outcome_that_cannot_be_kept_is_printed(
    place: Workspace, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", "verdicts.jsonl")

    monkeypatch.setattr("dabench.checking.verdicts.keep_verdict", read_only)
    code, output = call(place, "verify", "source-only", "--quick")
    assert code == 0
    assert "the outcome is not kept: Read-only file system: verdicts.jsonl" in output
    assert "1 verified" in output


def test_a_verdict_is_about_the_run_as_it_was(place: Workspace, made: Made) -> None:
    run = place.runs / made.short.name
    keep_verdict(place, run, Verifier(made.registry, place).verify(run))
    assert mark(place) == "verified here"
    receipt = json.loads((run / "receipt.json").read_text())
    (run / "receipt.json").write_text(json.dumps(receipt))  # says the same in other bytes
    assert mark(place, anew=True) == "checked only"


def test_something_wrong_is_named_until_it_is_mended(place: Workspace, made: Made) -> None:
    run = place.runs / made.short.name
    keep_verdict(place, run, Verifier(made.registry, place).verify(run))
    rows = next((run / "per_slice").glob("*.csv"))
    before = rows.read_bytes()
    lift_rows(rows, "dice", 0.99)
    assert mark(place) == "failed"
    (board,) = load(place).boards()
    problem = f"files: per_slice/{rows.name} was edited: its digest differs from the receipt's"
    told = f"{made.short.name}: FAILED its checks: {problem}."
    assert told in board.notes
    assert board.standings[0].cells[0].doubt in told
    rows.write_bytes(before)
    assert mark(place) == "verified here"


def test_what_verify_finds_is_said_though_the_files_agree(place: Workspace, made: Made) -> None:
    """Found by computing again, which the board does not."""
    run = place.runs / made.short.name
    report = Verifier(made.registry, place).verify(run)
    failed = type(report)(
        report.path,
        report.cell_id,
        report.status,
        report.origin,
        (type(report.checks[0])("scores", "failed", ("dice",)),),
    )
    keep_verdict(place, run, failed)
    assert mark(place) == "failed"
    assert load(place).boards()[0].standings[0].cells[0].doubt == "dabench verify says why"
    keep_verdict(place, run, Verifier(made.registry, place).verify(run, quick=True))
    assert mark(place) == "checked only"


def test_a_rerun_counts_more_and_another_result_less(place: Workspace, made: Made) -> None:
    run = RunFiles(place.runs / made.short.name)
    keep_rerun(place, run, Outcome("same", "bits", {}))
    assert mark(place) == "rerun here"
    keep_rerun(place, run, Outcome("different", "other weights", {}))
    assert mark(place) == "rerun differs"
    keep_rerun(place, run, Outcome("no verdict", "one seed", {}))
    assert mark(place) == "checked only"


def test_a_bundle_brings_no_verdict(bundle: Path, empty: Workspace, made: Made) -> None:
    """What the import computed here counts; of a run that is moved in without, its files are checked."""
    assert call(empty, "results", "import", str(bundle))[0] == 0
    assert {word for _, word in read_verdicts(empty).values()} == {"verified here"}
    assert {row.checked for row in load(empty).rows} == {"verified here"}
    (empty.root / "verdicts.jsonl").unlink()
    brought = empty.runs / f"{made.short.name}@em-lab"
    (brought / "verdicts.jsonl").write_text(json.dumps({"run": brought.name, "record": "", "word": "verified here"}))
    found = {row.path: row for row in load(empty, anew=True).rows}
    assert found[str(brought)].checked == "failed"
    assert "verdicts.jsonl is not in the receipt: it was added" in found[str(brought)].doubt


def test_rows_without_files_are_unverified(place: Workspace, made: Made, tmp_path: Path) -> None:
    write_recorded(tmp_path / "results.jsonl", [read_run(place.runs / made.short.name)])
    assert mark(place, uri=str(tmp_path / "results.jsonl")) == "unverified"
    (place.runs / made.short.name / "receipt.json").unlink()
    assert mark(place, anew=True) == "unverified"


def test_a_torn_line_hides_no_other(place: Workspace, made: Made) -> None:
    run = place.runs / made.short.name
    keep_verdict(place, run, Verifier(made.registry, place).verify(run))
    whole = (place.root / "verdicts.jsonl").read_text()
    (place.root / "verdicts.jsonl").write_text("[]\n" + whole + whole[:20])
    assert list(read_verdicts(place)) == [run.name]
    edit_journal(run, "phase", lambda event: event.update(seconds=9.0))
    keep_verdict(place, run.parent.parent / "elsewhere", Verifier(made.registry, place).verify(run))
    assert len((place.root / "verdicts.jsonl").read_text().splitlines()) == 3


def test_all_forms_say_it(place: Workspace, made: Made) -> None:
    """Table at 80 columns, CSV, JSON, page; none of them loads torch."""
    call(place, "verify", "source-only")
    (board,) = load(place).boards()
    table, _ = text_table(board).fitted(80)
    assert isinstance(table, Table)
    assert dict(zip(table.names, table.lines(table.sections[0])[0], strict=True))["checked"] == "verified here"
    (line,) = csv.DictReader(io.StringIO(call(place, "leaderboard", "--csv")[1]))
    assert line["checked"] == "verified here"
    (standing,) = json.loads(call(place, "leaderboard", "--json")[1])["boards"][0]["standings"]
    assert (standing["checked"], standing["cells"][0]["checked"]) == ("verified here", "verified here")
    assert call(place, "leaderboard", "--html", str(place.root / "page.html"))[0] == 0
    assert '"checked":"verified here"' in (place.root / "page.html").read_text().replace(": ", ":")
    (place.root / "index.db").unlink()
    lines = (
        "import sys",
        "from dabench.files.workspace import Workspace",
        "from dabench.leaderboard.gather import load",
        f"load(Workspace.find({str(place.root)!r})).boards()",
        "sys.exit('torch' in sys.modules)",
    )
    assert subprocess.run([sys.executable, "-c", "; ".join(lines)], check=False).returncode == 0
