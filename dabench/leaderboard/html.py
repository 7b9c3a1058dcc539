"""The leaderboard as one HTML file that needs nothing else: no network, no server, no other file."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import fields
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from dabench.files.html import END, inline_json, own_head, start
from dabench.leaderboard.board import Board
from dabench.leaderboard.exports import plain
from dabench.leaderboard.pictures import MOST_BYTES, make_album

_PAGE = files("dabench.leaderboard") / "page"
#: In the order in which they are read: each may use what stands before it.
_SCRIPTS = ("dom.js", "scores.js", "table.js", "columns.js", "filters.js", "gallery.js", "details.js", "page.js")
#: Fields that the page does not show: whole paths of the machine that made it.
_UNSEEN = frozenset({"panels", "path", "size"})


def render_html(boards: Sequence[Board], *, title: str = "dabench leaderboard") -> str:
    """The page for some boards.

    Boards of one setting and suite that differ by metric become one tab, in which the reader switches the metric with
    its ranks, ties and gaps. Where only one metric's board is given, the other metrics show scores without ranks.

    The data lie in the page as JSON; its script writes names, reasons and origins as text, never as HTML, and a
    content security policy lets no other script run and nothing be fetched.

    Args:
        boards: what to show, in the order of the tabs.
        title: heading and window title.

    Returns:
        A whole HTML document.
    """
    css = (_PAGE / "page.css").read_text("utf-8")
    js = "\n".join((_PAGE / name).read_text("utf-8") for name in _SCRIPTS)
    body = Template((_PAGE / "page.html").read_text("utf-8"))
    data = inline_json(plain(_tabs(boards), _UNSEEN, digits=6))
    return start(title, own_head(css, js)) + body.substitute(title=escape(title), data=data, js=js) + END


def _tabs(boards: Sequence[Board]) -> list[dict[str, Any]]:
    groups: dict[tuple[Any, ...], list[Board]] = {}
    for board in boards:
        groups.setdefault((board.setting, board.suite), []).append(board)
    room, tabs = MOST_BYTES, []
    for group in groups.values():
        album = make_album(group[0].standings, room)
        room -= album.size
        tabs.append(
            {
                "setting": group[0].setting,
                "suite": group[0].suite,
                "boards": [_board(board) for board in group],
                "cells": {standing.entry: standing.cells for board in group for standing in board.standings},
                "album": album,
            }
        )
    return tabs


def _board(board: Board) -> dict[str, Any]:
    """A board without what its tab holds once; figures as pictures, in which no script runs."""
    kept = _fields(board, but=("setting", "suite"))
    kept["titles"] = {metric: metric.title for metric in (board.metric, *board.metrics)}
    kept["standings"] = [_fields(standing, but=("cells",)) for standing in board.standings]
    kept["figures"] = [
        {"title": title, "src": "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()}
        for title, svg in board.figures.items()
    ]
    return kept


def _fields(record: Any, but: Iterable[str] = ()) -> dict[str, Any]:
    return {f.name: getattr(record, f.name) for f in fields(record) if f.name not in but}
