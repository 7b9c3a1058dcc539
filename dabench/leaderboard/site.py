"""A leaderboard as a folder of pages that any static host serves: suites, boards, methods, domains, openness."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from dabench.components.listing import Listed, Listing
from dabench.files.atomic import write_text
from dabench.files.html import content_policy
from dabench.files.tables import Table
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
class _Result:
    """A line of a method's card."""

    suite: str
    board: Board
    standing: Standing
    points: Openness


def write_site(folder: Path, suites: Mapping[str, Leaderboard], source: Source) -> list[Path]:
    """Write the pages; those of an earlier site with the same names are replaced.

    Args:
        folder: the site's folder; it is made.
        suites: leaderboards by the title of their page.
        source: what methods and domains are described by.

    Returns:
        The files, `index.html` first.
    """
    pages: dict[str, str] = {"index.html": _page("Leaderboard", _index(suites), source, "")}
    results: list[_Result] = []
    for name, found in suites.items():
        boards = found.boards(by_all=True, with_figures=True)
        results += _results(name, found, source)
        pages[f"suites/{_file(name)}.html"] = _page(name, _suite(name, found, source), source)
        pages[f"boards/{_file(name)}.html"] = render_html(boards, title=name)
        pages[f"boards/{_file(name)}.json"] = to_json(found.boards(), source.root, found.damaged)
    pages |= _cards(suites, results, source)
    for name, text in pages.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    return [folder / name for name in pages]


# --------------------------------------------------------------------------------------------------------------- pages
def _index(suites: Mapping[str, Leaderboard]) -> str:
    rows = [
        (
            _link(name, f"suites/{_file(name)}.html"),
            escape(title_of(board)),
            len(board.tasks),
            len(board.standings),
            _best(board),
        )
        for name, found in suites.items()
        for board in found.boards(shown=False)
    ]
    about = (
        "<p>Numbers of two boards do not compare: data, preset, protocol, inference and pixel size are fixed in each. "
        "Entries of a board that share a letter cannot be told apart.</p>"
    )
    return about + _html_table(("suite", "board", "tasks", "entries", "first in rank"), rows) + _openness_key()


def _suite(name: str, found: Leaderboard, source: Source) -> str:
    link = _link("Every metric, filters, intervals and figures", f"../boards/{_file(name)}.html")
    data = _link("the same as JSON", f"../boards/{_file(name)}.json")
    parts = [f"<p>{link}; {data}.</p>"]
    for board in found.boards(shown=False):
        points = _points(found, board, source)
        table = text_table(board)
        parts.append(f"<h2>{escape(table.title)}</h2>{_board_table(table, board, points)}")
        parts.append(f'<ul class="notes">{"".join(f"<li>{escape(note)}</li>" for note in table.notes)}</ul>')
    return "".join(parts) + _openness_key()


def _cards(suites: Mapping[str, Leaderboard], results: Sequence[_Result], source: Source) -> dict[str, str]:
    """Cards of the methods and domains that the boards have, and their lists."""
    pages = {}
    methods = {r.standing.tags.get("method", "") for r in results}
    listed = [item for item in source.listing.of_kind("method") if item.name in methods]
    for item in listed:
        own = [r for r in results if r.standing.tags.get("method") == item.name]
        pages[f"methods/{_file(item.name)}.html"] = _page(item.name, _method(item, own, source.listing), source)
    names = sorted(
        {d for found in suites.values() for row in found.rows for d in domains_of(row) if d in source.domains}
    )
    for name in names:
        pages[f"domains/{_file(name)}.html"] = _page(name, _described(source.domains[name]), source)
    method_rows = [(_link(i.name, f"{_file(i.name)}.html"), escape(i.summary), escape(i.paper)) for i in listed]
    domain_rows = [
        (
            _link(n, f"{_file(n)}.html"),
            escape(str(source.domains[n]["description"])),
            "yes" if n in source.public else "no",
        )
        for n in names
    ]
    lists = {
        "methods/index.html": ("Methods", _html_table(("method", "what it does", "paper"), method_rows)),
        "domains/index.html": ("Domains", _html_table(("domain", "what it is", "public"), domain_rows)),
    }
    return {**pages, **{name: _page(title, body, source) for name, (title, body) in lists.items()}}


def _method(item: Listed, results: Sequence[_Result], listing: Listing) -> str:
    rows = [
        (
            _link(result.suite, f"../suites/{_file(result.suite)}.html"),
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
            _list({name: getattr(item, name, "") for name in _SHOWN}),
            "<h2>Results</h2>",
            _html_table(("suite", "board", "entry", "score", "group", _OPEN), rows),
            "<h2>Settings</h2>" + _html_table(("setting", "meaning"), settings) if settings else "",
        ]
    )


def _described(domain: Mapping[str, Any]) -> str:
    told = {name: value for name, value in domain.items() if name not in ("name", "missing", "folder")}
    return _list({name: _words(value) for name, value in told.items()})


# ------------------------------------------------------------------------------------------------------------ openness
def _results(name: str, found: Leaderboard, source: Source) -> Iterator[_Result]:
    for board in found.boards(shown=False):
        points = _points(found, board, source)
        yield from (_Result(name, board, standing, points[standing.entry]) for standing in board.standings)


def _points(found: Leaderboard, board: Board, source: Source) -> dict[str, Openness]:
    entries = next(e.entries for e in found.board_entries if e.setting == board.setting)
    return {e.label: openness(e, board.tasks, source.public, source.weighted) for e in entries}


def _openness_key() -> str:
    rows = {name: f"{said}." for name, said in CRITERIA.items()}
    return f"<h2>Openness</h2><p>One point for each that holds for all runs of an entry:</p>{_list(rows)}"


def _shown(points: Openness) -> str:
    lacking = f"lacks {', '.join(points.lacking)}" if points.lacking else "nothing is lacking"
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
            cells = [_cell(text, column.kind) for text, column in zip(line, table.columns, strict=True)]
            if standing is not None and (method := standing.tags.get("method")):
                cells[entry] = f"<td>{_link(line[entry], f'../methods/{_file(method)}.html')}</td>"
            cells.append(f"<td>{_shown(points[standing.entry]) if standing is not None else ''}</td>")
            rows.append(f"<tr>{''.join(cells)}</tr>")
    heads = [_head(column.name, column.kind) for column in table.columns] + [_head(_OPEN, "text")]
    return (
        f'<div class="wide"><table><thead><tr>{"".join(heads)}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _html_table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of cells that are HTML."""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    head = "".join(_head(name, "text") for name in heads)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _head(name: str, kind: str) -> str:
    return f'<th scope="col"{" class=number" if kind == "number" else ""}>{escape(name)}</th>'


def _cell(text: str, kind: str) -> str:
    return f"<td{' class=number' if kind == 'number' else ''}>{escape(text)}</td>"


def _list(told: Mapping[str, str]) -> str:
    rows = (f"<dt>{escape(name)}</dt><dd>{escape(said)}</dd>" for name, said in told.items() if said)
    return f"<dl>{''.join(rows)}</dl>"


def _link(text: str, to: str) -> str:
    return f'<a href="{escape(to, quote=True)}">{escape(text)}</a>'


def _page(title: str, body: str, source: Source, root: str = "../") -> str:
    css = (_PAGE / "site.css").read_text("utf-8")
    template = Template((_PAGE / "site.html").read_text("utf-8"))
    policy = escape(content_policy(css, ""), quote=True)
    return template.substitute(
        title=escape(title), body=body, css=css, policy=policy, root=root, version=escape(source.version)
    )


def _file(name: str) -> str:
    """A name as that of a file: nothing but letters, digits, dot, dash, plus and underscore."""
    return "".join(c if c.isascii() and (c.isalnum() or c in ".-+_") else "-" for c in name).lstrip(".") or "all"


def _score(standing: Standing) -> str:
    return f"{100 * standing.overall.mean:.1f}" if standing.overall else "-"


def _best(board: Board) -> str:
    best = next((s for s in board.standings if s.rank is not None), None)
    return f"{escape(best.entry)} ({_score(best)})" if best else "-"


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
