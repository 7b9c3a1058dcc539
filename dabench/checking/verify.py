"""Verifies runs: every check by name, none of which stops another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from difflib import get_close_matches
from functools import partial
from pathlib import Path

from dabench.checking import annotation_checks, external_checks, plan_checks
from dabench.checking.alone import ALONE, made
from dabench.checking.references import References
from dabench.checking.report import Check, Findings, RunReport
from dabench.checking.run_files import RunFiles
from dabench.components.registry import Registry
from dabench.errors import ConfigError, DabenchError
from dabench.files.workspace import Workspace
from dabench.tracking.journal import JOURNAL
from dabench.tracking.record import HERE

#: Checks against this machine; the last two need data only where they compute scores.
AGAINST: tuple[tuple[str, Callable[[RunFiles, References, Findings], None], bool], ...] = (
    ("costs", annotation_checks.check_costs, False),
    ("slices", external_checks.check_slices, False),
    ("inputs", external_checks.check_inputs, True),
    ("stages", plan_checks.check_stages, True),
    ("annotation", annotation_checks.check_annotation, True),
    ("scores", external_checks.check_scores, True),
)


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
        checks = [made(name, partial(check, run), run, files) for name, check, files in ALONE]
        for name, against_this, heavy in AGAINST:
            if quick and heavy:
                checks.append(Check(name, "not checked", ("--quick",)))
            else:
                checks.append(made(name, partial(against_this, run, self._here), run, ()))
        return RunReport(run.path, *_about(run), tuple(checks))


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
        raise ConfigError(f"several runs begin with {name!r}:\n  " + "\n  ".join(found[:12]), "Give more of the name.")
    return workspace.runs / found[0]


def run_dirs(workspace: Workspace) -> Iterable[Path]:
    """All run directories of a workspace, by name."""
    return sorted(p for p in workspace.runs.glob("*") if p.is_dir() and not p.name.startswith("."))
