"""A leaderboard as a folder of pages that any static host serves: suites, boards, methods, domains, openness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from dabench.components.listing import Listed, Listing
from dabench.files.atomic import write_text
from dabench.files.html import END, own_head, start
from dabench.files.tables import Table
from dabench.interfaces.observer import Observer
from dabench.leaderboard import site_html as html
from dabench.leaderboard.board import Board, Standing
from dabench.leaderboard.exports import to_json
from dabench.leaderboard.gather import Leaderboard
from dabench.leaderboard.html import render_html
from dabench.leaderboard.openness import CRITERIA, Openness, domains_of, openness
from dabench.leaderboard.tables import text_table, title_of

_PAGE = files("dabench.leaderboard") / "page"
_SHOWN = ("paper", "licence", "distribution")
_OPEN = "open"


@dataclass(frozen=True)
class Source:
    """What a site is made of beside its boards.

    ``domains`` are described by name (`dabench.data.description.described`), ``weighted`` are run directories whose
    weights are kept, ``root`` is the workspace, from which paths are told.
    """

    listing: Listing
    domains: Mapping[str, Mapping[str, Any]]
    weighted: frozenset[str]
    version: str
    root: Path

    @property
    def public(self) -> frozenset[str]:
        """Domains that a stranger can have: with a source and terms of use, or made by dabench."""
        return frozenset(
            name
            for name, told in self.domains.items()
            if name.startswith("phantom-") or (told.get("source") and told.get("licence"))
        )


@dataclass(frozen=True)
class _Suite:
    """A leaderboard with its boards, which are worked out once: one a setting, and one a metric."""

    name: str
    found: Leaderboard
    boards: Sequence[Board]
    by_metric: Sequence[Board]

    @classmethod
    def of(cls, name: str, found: Leaderboard, observer: Observer | None) -> _Suite:
        every = found.boards(by_all=True, with_figures=True, observer=observer)
        first = {board.setting: board for board in reversed(every)}
        return cls(name, found, [board for board in every if board is first[board.setting]], every)


@dataclass(frozen=True)
class _Result:
    """A line of a method's card."""

    suite: str
    board: Board
    standing: Standing
    points: Openness


def write_site(
    folder: Path, suites: Mapping[str, Leaderboard], source: Source, observer: Observer | None = None
) -> list[Path]:
    """Write the pages; those of an earlier site with the same names are replaced.

    Args:
        folder: the site's folder; it is made.
        suites: leaderboards by the title of their page.
        source: what methods and domains are described by.
        observer: told of boards as they are worked out.

    Returns:
        The files, `index.html` first.
    """
    shown = [_Suite.of(name, found, observer) for name, found in suites.items()]
    pages: dict[str, str] = {"index.html": _page("Leaderboard", _index(shown), source, "")}
    for suite in shown:
        name = html.file_name(suite.name)
        pages[f"suites/{name}.html"] = _page(suite.name, _suite(suite, source), source)
        pages[f"boards/{name}.html"] = render_html(_publishable(suite, source), title=suite.name)
        pages[f"boards/{name}.json"] = to_json(suite.boards, source.root, suite.found.damaged)
    pages |= _cards(shown, source)
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    return [folder / name for name in pages]


# --------------------------------------------------------------------------------------------------------------- pages
def _index(suites: Sequence[_Suite]) -> str:
    rows = [
        (
            html.link(suite.name, f"suites/{html.file_name(suite.name)}.html"),
            escape(title_of(board)),
            len(board.tasks),
            len(board.standings),
            _best(board),
        )
        for suite in suites
        for board in suite.boards
    ]
    about = (
        "<p>Numbers of different boards are not comparable: data, preset, protocol, inference "
        "and pixel size are fixed within each board. Entries of a board that share a letter cannot be told apart.</p>"
    )
    return about + html.table(("suite", "board", "tasks", "entries", "first in rank"), rows) + _openness_key()


def _suite(suite: _Suite, source: Source) -> str:
    name = html.file_name(suite.name)
    link = html.link("Every metric, filters, intervals and figures", f"../boards/{name}.html")
    data = html.link("the same as JSON", f"../boards/{name}.json")
    parts = [f"<p>{link}; {data}.</p>"]
    for board in suite.boards:
        points = _points(suite.found, board, source)
        table = text_table(board)
        parts.append(f"<h2>{escape(table.title)}</h2>{_board_table(table, board, points)}")
        parts.append(f'<ul class="notes">{"".join(f"<li>{escape(note)}</li>" for note in table.notes)}</ul>')
    return "".join(parts) + _openness_key()


def _publishable(suite: _Suite, source: Source) -> list[Board]:
    """The boards without pictures of targets whose terms do not allow to hand images on."""
    targets = {row.tags["task"]: domains_of(row)[1] for row in suite.found.rows if "task" in row.tags}
    closed = {task for task, name in targets.items() if not source.domains.get(name, {}).get("redistribution")}

    def kept(standing: Standing) -> Standing:
        cells = (replace(cell, panels=()) if cell.task in closed else cell for cell in standing.cells)
        return replace(standing, cells=tuple(cells))

    return [replace(board, standings=tuple(map(kept, board.standings))) for board in suite.by_metric]


def _cards(suites: Sequence[_Suite], source: Source) -> dict[str, str]:
    """Cards of the methods and domains that the boards have, and their lists."""
    pages = {}
    results = [result for suite in suites for result in _results(suite, source)]
    methods = {r.standing.tags.get("method", "") for r in results}
    listed = [item for item in source.listing.of_kind("method") if item.name in methods]
    for item in listed:
        own = [r for r in results if r.standing.tags.get("method") == item.name]
        pages[f"methods/{html.file_name(item.name)}.html"] = _page(
            item.name, _method(item, own, source.listing), source
        )
    names = sorted({d for suite in suites for row in suite.found.rows for d in domains_of(row) if d in source.domains})
    for name in names:
        pages[f"domains/{html.file_name(name)}.html"] = _page(name, _described(source.domains[name]), source)
    method_rows = [
        (html.link(i.name, f"{html.file_name(i.name)}.html"), escape(i.summary), escape(i.paper)) for i in listed
    ]
    domain_rows = [
        (
            html.link(n, f"{html.file_name(n)}.html"),
            escape(str(source.domains[n]["description"])),
            "yes" if n in source.public else "no",
        )
        for n in names
    ]
    lists = {
        "methods/index.html": ("Methods", html.table(("method", "what it does", "paper"), method_rows)),
        "domains/index.html": ("Domains", html.table(("domain", "what it is", "public"), domain_rows)),
    }
    return {**pages, **{name: _page(title, body, source) for name, (title, body) in lists.items()}}


def _method(item: Listed, results: Sequence[_Result], listing: Listing) -> str:
    rows = [
        (
            html.link(result.suite, f"../suites/{html.file_name(result.suite)}.html"),
            escape(title_of(result.board)),
            escape(result.standing.entry),
            _score(result.standing),
            escape(result.standing.groups),
            _shown(result.points),
        )
        for result in results
    ]
    settings = [(f"<code>{escape(name)}</code>", escape(said)) for name, said in listing.meanings(item).items()]
    return "".join(
        [
            f"<p>{escape(item.summary)}</p>",
            html.listed({name: getattr(item, name, "") for name in _SHOWN}),
            "<h2>Results</h2>",
            html.table(("suite", "board", "entry", "score", "group", _OPEN), rows),
            "<h2>Settings</h2>" + html.table(("setting", "meaning"), settings) if settings else "",
        ]
    )


def _described(domain: Mapping[str, Any]) -> str:
    told = {name: value for name, value in domain.items() if name not in ("name", "missing", "folder")}
    return html.listed({name: _words(value) for name, value in told.items()})


# ------------------------------------------------------------------------------------------------------------ openness
def _results(suite: _Suite, source: Source) -> Iterator[_Result]:
    for board in suite.boards:
        points = _points(suite.found, board, source)
        yield from (_Result(suite.name, board, standing, points[standing.entry]) for standing in board.standings)


def _points(found: Leaderboard, board: Board, source: Source) -> dict[str, Openness]:
    entries = next(e.entries for e in found.board_entries if e.setting == board.setting)
    return {e.label: openness(e, board.tasks, source.public, source.weighted) for e in entries}


def _openness_key() -> str:
    rows = {name: f"{said}." for name, said in CRITERIA.items()}
    return (
        f"<h2>Openness</h2><p>One point for each of these that holds for all runs of an entry:</p>{html.listed(rows)}"
    )


def _shown(points: Openness) -> str:
    lacking = f"missing: {', '.join(points.lacking)}" if points.lacking else "nothing is missing"
    return f'{points} <span class="notes">({escape(lacking)})</span>'


# ---------------------------------------------------------------------------------------------------------------- html
def _board_table(table: Table, board: Board, points: Mapping[str, Openness]) -> str:
    """The table of a board, with links to methods and a column of openness."""
    entry = table.names.index("entry")
    standings = iter(board.standings)
    rows = []
    for section in table.sections:
        if section.title:
            rows.append(
                f'<tr><th colspan="{len(table.columns) + 1}" scope="colgroup">{escape(section.title)}</th></tr>'
            )
        for line in table.lines(section):
            standing = None if section.title.startswith("published") else next(standings)
            cells = [html.cell(text, column.kind) for text, column in zip(line, table.columns, strict=True)]
            if standing is not None and (method := standing.tags.get("method")):
                cells[entry] = f"<td>{html.link(line[entry], f'../methods/{html.file_name(method)}.html')}</td>"
            cells.append(f"<td>{_shown(points[standing.entry]) if standing is not None else ''}</td>")
            rows.append(f"<tr>{''.join(cells)}</tr>")
    heads = [html.head(column.name, column.kind) for column in table.columns] + [html.head(_OPEN, "text")]
    return (
        f'<div class="wide"><table><thead><tr>{"".join(heads)}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _page(title: str, body: str, source: Source, root: str = "../") -> str:
    css = (_PAGE / "site.css").read_text("utf-8")
    template = Template((_PAGE / "site.html").read_text("utf-8"))
    shown = template.substitute(title=escape(title), body=body, root=root, version=escape(source.version))
    return start(title, own_head(css)) + shown + END


def _score(standing: Standing) -> str:
    return f"{100 * standing.overall.mean:.1f}" if standing.overall else "-"


def _best(board: Board) -> str:
    best = next((s for s in board.standings if s.rank is not None), None)
    return f"{escape(best.entry)} ({_score(best)})" if best else "-"


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
