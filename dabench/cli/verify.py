"""``dabench verify``: are these results what they say?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from dabench.cli.json_output import print_json
from dabench.cli.tables import console as make_console
from dabench.cli.tables import show
from dabench.files.tables import Column, Table
from dabench.files.workspace import Workspace

if TYPE_CHECKING:
    from rich.console import Console

    from dabench.checking.report import Check, RunReport
#: What a state is called where it is called otherwise, and how it looks.
_MARKS = {"failed": "FAILED", "not checked": "-"}
_STYLES = {"ok": "good", "FAILED": "bad", **dict.fromkeys(("too good", "test opened", "other data"), "doubtful")}

Runs = Annotated[
    list[str] | None, typer.Argument(metavar="RUN", help="Names of runs, beginnings of names, or run folders.")
]
All = Annotated[bool, typer.Option("--all", help="Every run of the workspace.")]
OfSuite = Annotated[str | None, typer.Option("--suite", help="Every run of a suite that was started here.")]
Quick = Annotated[
    bool, typer.Option("--quick", help="Only compare digests and records; open no data and compute no scores.")
]


def verify(
    runs: Runs = None,
    everything: All = False,
    suite: OfSuite = None,
    quick: Quick = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print every check of every run as JSON.")] = False,
) -> None:
    """Check runs: compare the digests of all files, compare all records, and compute the scores again.

    The exit code is 1 if anything is wrong. Runs with other data, other code or from another machine are marked, which
    is not a failure; dabench rerun shows whether this machine gets the same result. If something cannot be checked,
    the output says why. The outcome is stored in the workspace and shown on the leaderboard.

    Example:  dabench verify prefer-das-slpo-human2stem --quick
    """
    from dabench.api.progress import counted
    from dabench.checking.verdicts import keep_verdict
    from dabench.checking.verify import Verifier
    from dabench.components.registry import Registry
    from dabench.suites.run_choice import choose_runs

    place = Workspace.find()
    chosen = choose_runs(place, runs or (), everything=everything, suite=suite)
    verifier = Verifier(Registry.load(), place)
    reports = [verifier.verify(path, quick=quick) for path in counted(chosen, "verify", quiet=as_json)]
    try:
        for path, report in zip(chosen, reports, strict=True):
            keep_verdict(place, path, report)
    except OSError as error:
        typer.echo(f"warning: the outcome is not kept: {error.strerror or error}: {error.filename}", err=True)
    if as_json:
        found = {"ok": all(r.ok for r in reports), "runs": [r.as_json() for r in reports]}
        print_json(found)
    else:
        _show(reports)
    if not all(report.ok for report in reports):
        raise typer.Exit(1)


def _show(reports: list[RunReport]) -> None:
    """One run with every check; many runs a line each, with what is wrong."""
    console = make_console(160)
    if len(reports) == 1:
        _show_checks(console, reports[0], reports[0].checks)
    else:
        _show_runs(console, reports)
        for report in (r for r in reports if r.verdict not in ("ok", "no result")):
            _show_checks(console, report, [c for c in report.checks if c.state == report.verdict])
    counts = Counter(report.verdict for report in reports)
    parts = {
        "failed": "failed",
        "too good": "whose prediction equals the labels",
        "test opened": "that opened test files while training",
        "other data": "with other data than this machine has",
        "other code": "with other code than is installed here",
        "other machine": "from another machine",
        "no result": "without a result to verify",
    }
    rest = [f"{counts[verdict]} {words}" for verdict, words in parts.items() if counts[verdict]]
    console.print(", ".join([f"{counts['ok']} verified", *rest]) + ".")


def _show_runs(console: Console, reports: Iterable[RunReport]) -> None:
    rows = []
    for report in reports:
        unchecked = ", ".join(check.name for check in report.unchecked) if report.status == "ok" else ""
        rows.append((report.path.name, report.status, _mark(report.verdict), unchecked or None))
    columns = [Column(name, "text") for name in ("run", "status", "", "not checked here")]
    show(Table.of(columns, rows), console, styles=_STYLES)


def _show_checks(console: Console, report: RunReport, checks: Iterable[Check]) -> None:
    from rich.text import Text

    whose = "" if report.origin == "here" else f", from {report.origin}"
    title = Text.assemble("\n", (report.path.name, "title"), f" ({report.status}{whose})")
    console.print(title, soft_wrap=True)
    rows = [(_mark(check.state), check.name, "\n".join(check.lines)) for check in checks]
    columns = [Column("", "name"), Column("", "name"), Column("", "text")]
    show(Table.of(columns, rows), console, header=False, styles=_STYLES)


def _mark(state: str) -> str:
    return _MARKS.get(state, state)
