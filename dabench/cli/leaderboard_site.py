"""``dabench leaderboard --site``: the boards as a folder of pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from dabench.errors import ConfigError
from dabench.files.workspace import Workspace

if TYPE_CHECKING:
    from dabench.leaderboard.gather import Leaderboard
    from dabench.leaderboard.site import Source

#: The page of all runs of a workspace, beside those of its suites.
_ALL = "All runs"


def write(folder: Path, suite: str, stores: Sequence[str], **asked: Any) -> None:
    """Write the site of a suite, of stores and recorded results, or of all that ran here."""
    from dabench.leaderboard.site import write_site

    workspace = Workspace.find()
    suites = {name: found for name, found in _leaderboards(workspace, suite, stores, asked) if found.board_entries}
    if not suites:
        raise ConfigError("There is nothing to rank.", "Run a suite first, or name recorded results with --from.")
    for found in suites.values():
        for message in found.damaged:
            typer.echo(f"left out: {message}", err=True)
    files = write_site(folder, suites, _source(workspace))
    typer.echo(f"written: {files[0]} and {len(files) - 1} more pages")


def _leaderboards(
    workspace: Workspace, suite: str, stores: Sequence[str], asked: dict[str, Any]
) -> list[tuple[str, Leaderboard]]:
    """Leaderboards by the title of their page."""
    from dabench.leaderboard.gather import load
    from dabench.suites.suite_record import started_suites

    if stores:
        return [(Path(store).stem, load(workspace, suite=suite, uri=store, **asked)) for store in stores]
    names = [suite] if suite else list(started_suites(workspace))
    found = [(name, load(workspace, suite=name, **asked)) for name in names]
    return found if suite else [*found, (_ALL, load(workspace, **asked))]


def _source(workspace: Workspace) -> Source:
    from dabench import __version__
    from dabench.components.listing import listing_of
    from dabench.components.registry import Registry
    from dabench.data.description import described
    from dabench.leaderboard.site import Source
    from dabench.models.listing import list_models
    from dabench.runs.domains import known_domains

    registry = Registry.load()
    domains = {name: described(name, domain) for name, domain in known_domains(registry, workspace).items()}
    weighted = frozenset(str(one.path) for one in list_models(workspace) if one.kind == "run" and not one.problem)
    return Source(listing_of(registry), domains, weighted, __version__, workspace.root)
