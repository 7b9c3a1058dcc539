"""The checks that need nothing but the run directory: quick, without torch, so that a board makes them too."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from dabench.checking import internal_checks
from dabench.checking.report import FAILED, MARKS, OK, Check, Findings
from dabench.checking.run_files import RunFiles, UnreadableError
from dabench.errors import DabenchError
from dabench.tracking.journal import JOURNAL
from dabench.tracking.record import ORIGIN

#: Checks of the run directory alone: name, what checks, and the files whose damage is this check's to report.
ALONE: tuple[tuple[str, Callable[[RunFiles, Findings], None], tuple[str, ...]], ...] = (
    ("config", internal_checks.check_config, ("config.json", ORIGIN)),
    ("journal", internal_checks.check_journal, (JOURNAL,)),
    ("receipt", internal_checks.check_receipt, ("receipt.json",)),
    ("files", internal_checks.check_files, ()),
    ("environment", internal_checks.check_environment, ("environment.json",)),
    ("times", internal_checks.check_times, ()),
)
#: These hold for a run however it ended; only one that ended well has a receipt and what it names.
_ALWAYS = ("config", "journal")


def quick_verdict(run_dir: Path) -> tuple[str, str]:
    """What a run directory is worth in itself: `OK`, `FAILED` or a mark, and the first line about it."""
    run = RunFiles(run_dir)
    checks = [made(name, partial(check, run), run, files) for name, check, files in ALONE]
    for word in (FAILED, *MARKS):
        if found := next((check for check in checks if check.state == word), None):
            return word, f"{found.name}: {found.lines[0]}"
    return OK, ""


def made(name: str, check: Callable[[Findings], None], run: RunFiles, files: tuple[str, ...]) -> Check:
    """One check, made. Whatever breaks on a stranger's file is a finding, never a crash."""
    found = Findings()
    try:
        if name not in _ALWAYS and run.record.status != "ok":
            found.skip(f"the run ended with status {run.record.status}: only successful runs have a receipt")
        else:
            check(found)
    except UnreadableError as error:
        if error.file in files:
            found.problem(str(error))
        else:
            found = Findings(found.problems, found.marks, [f"{error.file} cannot be read"])
    except DabenchError as error:
        found.problem(str(error))
    except Exception as error:
        found.problem(f"{type(error).__name__}: {error}")
    return found.check(name)
