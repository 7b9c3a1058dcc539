"""What `dabench verify` and an import came to, kept in the workspace, so that a board can say it of each row.

One line a verdict, in a file that lies beside the runs: no bundle can bring one. Each is about a run as it was then, by
the digest of its journal and receipt, and says nothing of another one in its place.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from dabench import __version__
from dabench.checking.report import FAILED, OK, RunReport
from dabench.files.digests import digest_file, digest_of
from dabench.files.workspace import Workspace
from dabench.tracking.events import now
from dabench.tracking.journal import JOURNAL

#: Scores were computed again here; records and files agree with one another; nothing is known.
VERIFIED, CHECKED, UNVERIFIED = "verified here", "checked only", "unverified"

_FILE = "verdicts.jsonl"


def record_digest(run_dir: Path) -> str:
    """Names a run as it is: its journal, and its receipt with the digests of all other files."""
    there = (run_dir / name for name in (JOURNAL, "receipt.json"))
    return digest_of([digest_file(path) if path.is_file() else "" for path in there])


def word_of(report: RunReport) -> str:
    """What a report is worth in a word: `FAILED`, a mark, `VERIFIED` where scores were computed again, or `CHECKED`."""
    if report.verdict != OK:
        return report.verdict
    recomputed = any(check.name == "scores" and check.state == OK for check in report.checks)
    return VERIFIED if recomputed else CHECKED


def keep_verdict(home: Workspace, run_dir: Path, report: RunReport) -> None:
    """Keep what a report says of a run of the workspace; nothing of runs elsewhere, or that did not end well.

    Less than is known does not replace it: quick checks of a run that was verified add nothing.
    """
    if run_dir.resolve().parent != home.runs.resolve() or report.status != OK:
        return
    word, digest = word_of(report), record_digest(run_dir)
    known = read_verdicts(home).get(run_dir.name)
    if known is not None and known[0] == digest and (known[1] == word or (word == CHECKED and known[1] != FAILED)):
        return
    line = {"run": run_dir.name, "record": digest, "word": word, "time": now(), "dabench_version": __version__}
    handle = os.open(home.root / _FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    with os.fdopen(handle, "a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")


def read_verdicts(home: Workspace) -> dict[str, tuple[str, str]]:
    """Folder of a run -> (digest of the record, word), the last of each; a line that cannot be read says nothing."""
    found: dict[str, tuple[str, str]] = {}
    try:
        lines = (home.root / _FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return found
    for line in lines:
        try:
            values = json.loads(line)
            found[str(values["run"])] = (str(values["record"]), str(values["word"]))
        except (ValueError, KeyError, TypeError):  # torn by a kill
            continue
    return found
