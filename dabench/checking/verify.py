"""Verifies runs: every check by name, none of which stops another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from dabench.checking import annotation_checks, external_checks, internal_checks, plan_checks
from dabench.checking.references import References
from dabench.checking.report import Check, Findings, RunReport
from dabench.checking.run_files import RunFiles, UnreadableError
from dabench.components.registry import Registry
from dabench.errors import ConfigError, DabenchError
from dabench.files.workspace import Workspace
from dabench.tracking.journal import JOURNAL
from dabench.tracking.record import HERE, ORIGIN

#: Checks of the run directory alone: name, what checks, and the files whose damage is this check's to report.
ALONE: tuple[tuple[str, Callable[[RunFiles, Findings], None], tuple[str, ...]], ...] = (
    ("config", internal_checks.check_config, ("config.json", ORIGIN)),
    ("journal", internal_checks.check_journal, (JOURNAL,)),
    ("receipt", internal_checks.check_receipt, ("receipt.json",)),
    ("files", internal_checks.check_files, ()),
    ("environment", internal_checks.check_environment, ("environment.json",)),
    ("times", internal_checks.check_times, ()),
)
#: Checks against this machine; the last two need data only where they compute scores.
AGAINST: tuple[tuple[str, Callable[[RunFiles, References, Findings], None], bool], ...] = (
    ("costs", annotation_checks.check_costs, False),
    ("slices", external_checks.check_slices, False),
    ("inputs", external_checks.check_inputs, True),
    ("stages", plan_checks.check_stages, True),
    ("annotation", annotation_checks.check_annotation, True),
    ("scores", external_checks.check_scores, True),
)
#: These hold for a run however it ended; only one that ended well has a receipt and what it names.
_ALWAYS = ("config", "journal")


class Verifier:
    """Verifies run directories against the data, labels and code of this machine."""

    def __init__(self, registry: Registry, workspace: Workspace) -> None:
        """Runs of one task share its opened data."""
        self.workspace, self.registry = workspace, registry
        self._here = References(registry, workspace)

    def verify(self, run_dir: Path, *, quick: bool = False) -> RunReport:
        """Make every check of one run directory. Never raises for what is in it.

        Args:
            run_dir: ``runs/<cell_id>``, or a copy of it.
            quick: leave out what opens data or computes scores.
        """
        run = RunFiles(run_dir)
        checks = [_made(name, partial(check, run), run, files) for name, check, files in ALONE]
        for name, against_this, heavy in AGAINST:
            if quick and heavy:
                checks.append(Check(name, "not checked", ("--quick",)))
            else:
                checks.append(_made(name, partial(against_this, run, self._here), run, ()))
        return RunReport(run.path, *_about(run), tuple(checks))


def _made(name: str, check: Callable[[Findings], None], run: RunFiles, files: tuple[str, ...]) -> Check:
    """One check, made. Whatever breaks on a stranger's file is a finding, never a crash."""
    found = Findings()
    try:
        if name not in _ALWAYS and run.record.status != "ok":
            found.skip(f"the run ended as {run.record.status}: only one that ended well has a receipt")
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


def _about(run: RunFiles) -> tuple[str, str, str]:
    """Cell, status and origin, as far as they can be read."""
    cell_id, status, origin = run.path.name.partition("@")[0], "damaged", HERE
    with suppress(DabenchError):
        cell_id, status = run.record.cell_id, run.record.status
    with suppress(DabenchError):
        origin = run.origin
    return str(cell_id), status, origin


def find_run(workspace: Workspace, name: str) -> Path:
    """The run directory that a path, a cell's name or the beginning of one means.

    Raises ConfigError with the nearest names, or with those that begin like that where there are several.
    """
    path = Path(name)
    if (path / JOURNAL).is_file() or (path / "config.json").is_file():
        return path
    names = sorted(p.name for p in run_dirs(workspace))
    if name in names:
        return workspace.runs / name
    found = [n for n in names if n.startswith(name)]
    if not found:
        near = get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}? " if near else ""
        raise ConfigError(f"no run begins with {name!r}.", f"{hint}dabench results ls lists them.")
    if len(found) > 1:
        raise ConfigError(f"several runs begin with {name!r}:\n  " + "\n  ".join(found[:12]), "Write more of the name.")
    return workspace.runs / found[0]


def run_dirs(workspace: Workspace) -> Iterable[Path]:
    """All run directories of a workspace, by name."""
    return sorted(p for p in workspace.runs.glob("*") if p.is_dir() and not p.name.startswith("."))
