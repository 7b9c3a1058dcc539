"""Parts of the pages of a leaderboard's site; all texts are escaped but cells that are HTML already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of cells that are HTML."""
    body = "".join(f"<tr>{''.join(f'<td>{one}</td>' for one in row)}</tr>" for row in rows)
    line = "".join(head(name, "text") for name in heads)
    return f'<div class="wide"><table><thead><tr>{line}</tr></thead><tbody>{body}</tbody></table></div>'


def head(name: str, kind: str) -> str:
    """The head of a column: ``text``, ``name`` or ``number``."""
    return f'<th scope="col"{" class=number" if kind == "number" else ""}>{escape(name)}</th>'


def cell(text: str, kind: str) -> str:
    """A cell of such a column."""
    return f"<td{' class=number' if kind == 'number' else ''}>{escape(text)}</td>"


def listed(told: Mapping[str, str]) -> str:
    """Names and what is said of them; what is empty is left out."""
    rows = (f"<dt>{escape(name)}</dt><dd>{escape(said)}</dd>" for name, said in told.items() if said)
    return f"<dl>{''.join(rows)}</dl>"


def link(text: str, to: str) -> str:
    """A link within the site."""
    return f'<a href="{escape(to, quote=True)}">{escape(text)}</a>'


def file_name(name: str) -> str:
    """A name as that of a file: nothing but letters, digits, dot, dash, plus and underscore."""
    return "".join(c if c.isascii() and (c.isalnum() or c in ".-+_") else "-" for c in name).lstrip(".") or "all"
