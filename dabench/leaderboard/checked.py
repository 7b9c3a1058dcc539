"""What is known of each row: what its files say of one another, what `verify` and `rerun` came to here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from dabench.checking.alone import quick_verdict
from dabench.checking.report import FAILED, MARKS, OK, TEST_OPENED, TOO_GOOD
from dabench.checking.rerun_records import read_reruns
from dabench.checking.verdicts import CHECKED, UNVERIFIED, VERIFIED, read_verdicts, record_digest
from dabench.files.workspace import Workspace
from dabench.leaderboard.rows import Row

#: Trained again here: with the same result, and with another.
RERUN, DIFFERS = "rerun here", "rerun differs"
#: All words, what is least sure first.
WORDS = (FAILED, DIFFERS, TOO_GOOD, TEST_OPENED, UNVERIFIED, CHECKED, *MARKS[2:], VERIFIED, RERUN)


def quickly_checked(row: Row, run_dir: Path) -> Row:
    """The row with what its files say of one another, and what names them; a run without receipt cannot be checked."""
    if row.status != "ok" or not (run_dir / "receipt.json").is_file():
        return row
    word, doubt = quick_verdict(run_dir)
    return replace(row, checked=CHECKED if word == OK else word, doubt=doubt, record=record_digest(run_dir))


def with_checks(rows: Iterable[Row], home: Workspace) -> list[Row]:
    """Finished rows with the tag ``checked``, one of `WORDS`; those that were run again here with the tag ``rerun``."""
    verdicts, reruns = read_verdicts(home), read_reruns(home)
    return [_with_check(row, home, verdicts, reruns) for row in rows]


def _with_check(row: Row, home: Workspace, verdicts: dict[str, tuple[str, str]], reruns: dict[str, str]) -> Row:
    folder = Path(row.path)
    name = folder.name if row.path and folder.parent == home.runs else ""
    outcome = reruns.get(name, "")
    record, verdict = verdicts.get(name, ("", ""))
    word = row.checked
    if word in (UNVERIFIED, CHECKED):
        word = verdict if record and record == row.record and verdict in WORDS else word
        word = {"same": RERUN, "different": DIFFERS}.get(outcome, word) if word != FAILED else word
    doubt = row.doubt or ("dabench verify says why" if word == FAILED else "")
    tags = {**row.tags, **({"rerun": outcome} if outcome else {}), **({"checked": word} if row.status == "ok" else {})}
    return replace(row, tags=tags, checked=word, doubt=doubt)


def weakest(words: Sequence[str]) -> str:
    """What is known of all of several rows; "" of none."""
    return min(words, key=WORDS.index, default="")
