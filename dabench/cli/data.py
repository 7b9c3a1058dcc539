"""``dabench data``: which data sets there are, whether they are sound, how they look, and adding your own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from dabench.cli import data_add, data_export, data_sets
from dabench.cli.json_output import print_json
from dabench.errors import DataError, MissingDataError
from dabench.files.workspace import Workspace

app = typer.Typer(help="List, add, verify and show data sets.", no_args_is_help=True, rich_markup_mode=None)
_Json = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
_Name = Annotated[str, typer.Argument(help="A domain (dabench data ls).")]


@app.command("ls")
def ls(as_json: _Json = False) -> None:
    """List all domains with their splits, a description, and whether their files are on this machine.

    Example:  dabench data ls
    """
    from dabench.components.registry import Registry
    from dabench.data.description import listed
    from dabench.runs.domains import known_domains

    workspace = Workspace.find()
    rows = [listed(name, domain) for name, domain in sorted(known_domains(Registry.load(), workspace).items())]
    if as_json:
        print_json(rows)
        return
    for row in rows:
        state = "ready" if not row["missing"] else f"{len(row['missing'])} missing"
        typer.echo(f"{row['name']:<17} {state:<10} {','.join(row['splits']):<22} {row['description'][:90]}")
    if any(row["missing"] for row in rows):
        typer.echo(f"\nData root: {workspace.data} (DABENCH_DATA). Where to get missing files:  dabench data show NAME")


app.command()(data_add.add)


@app.command("verify")
def verify(
    name: Annotated[str, typer.Argument(help="A domain (dabench data ls), or a preference data set: folder or zip.")],
    as_json: _Json = False,
) -> None:
    """Read all files of a domain or a preference data set and check them: digests, slices, labels, masks, answers.

    Example:  dabench data verify lucchi
    """
    from dabench.annotation.preference_set import PreferenceSet
    from dabench.api.progress import make_display
    from dabench.components.registry import Registry
    from dabench.data.verify import verify as verify_domain
    from dabench.runs.domains import known_domain, known_domains, opener

    registry, workspace, path = Registry.load(), Workspace.find(), Path(name)
    if PreferenceSet.is_set(path) or (path.is_dir() and name not in known_domains(registry, workspace)):
        data_sets.verify(path, as_json=as_json)
        return
    with make_display(quiet=as_json, stderr=True) as display:
        reports = verify_domain(known_domain(registry, workspace, name), opener(registry), display)
    if as_json:
        print_json([asdict(report) for report in reports])
    else:
        for report in reports:
            share = "no labels" if report.foreground is None else f"{report.foreground:.2%} foreground"
            share += f" of the labelled pixels ({1 - report.ignored:.0%})" if report.ignored else ""
            state = "ok" if not report.problems else "BAD"
            typer.echo(
                f"{name} {report.split:<11} {state:<4} {report.shape} {report.dtype}  {share}  {report.digest[:12]}"
            )
            if report.blank:
                typer.echo(f"  note: {report.blank} of {report.shape[0] if report.shape else 0} slices are blank")
            for note in report.notes:
                typer.echo(f"  note: {note}")
    problems = [f"{report.split}: {problem}" for report in reports for problem in report.problems]
    if problems:
        raise DataError(f"{name}: {len(problems)} problem(s).\n" + "\n".join(problems))


app.command()(data_export.export)


@app.command("show")
def show(
    name: _Name,
    split: Annotated[str | None, typer.Option(help="Split to draw [default: the first].")] = None,
    slice_: Annotated[
        list[int] | None, typer.Option("--slice", help="Slice to draw; repeat for more [default: three].")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="PNG to write [default: WORKSPACE/pictures/NAME-SPLIT.png].")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Describe a domain, and draw some of its slices with the contours of the labels.

    Example:  dabench data show phantom-human --split test --slice 3 --output human.png
    """
    from dabench.components.registry import Registry
    from dabench.data.description import described
    from dabench.data.look import look, words
    from dabench.data.picture import chosen_slices, draw
    from dabench.runs.domains import known_domain, opener

    registry, workspace = Registry.load(), Workspace.find()
    domain = known_domain(registry, workspace, name)
    about = described(name, domain)
    if not as_json:
        for key, value in about.items():
            typer.echo(f"{key:<12} {', '.join(map(str, value)) if isinstance(value, list | tuple) else value}")
    if domain.missing():
        if as_json:
            print_json(about)
        raise MissingDataError(f"domain {name!r}: missing {', '.join(domain.missing())}.", about.get("source", ""))
    opened = domain.open(split or domain.splits()[0], opener(registry))
    found = look(domain, opened, opener(registry))
    if not as_json:
        for part, facts in found.items():
            typer.echo(f"{part:<12} {words(facts)}")
    picture = output or workspace.root / "pictures" / f"{name}-{opened.name}.png"
    try:
        draw(opened, chosen_slices(opened, slice_), picture)
        drawn = str(picture)
    except OSError as error:  # the facts are worth more than the picture
        if output is not None:
            raise
        typer.echo(
            f"warning: no picture: {error.strerror or error}: {picture}; choose a file:  --output FILE", err=True
        )
        drawn = "none"
    shown = about | found | {"picture": drawn}
    print_json(shown) if as_json else typer.echo(f"{'picture':<12} {drawn}")
