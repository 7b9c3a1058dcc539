"""Styles of the terminal: which there are, that nothing else is used, and that they can be read anywhere."""

from __future__ import annotations

import ast
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.color import ColorType
from rich.style import Style

from dabench.api.terminal import STYLES, styled_console

ROOT = Path(__file__).parents[2]
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
#: Arguments that name a style, and markup that would set one.
_NAMES = {"style", "header_style", "border_style", "row_styles", "title_style"}
_MARKUP = re.compile(r"\[/?(bold|dim|italic|underline|reverse|black|red|green|yellow|blue|magenta|cyan|white)\b")


def luminance(rgb: tuple[int, int, int]) -> float:
    """Of WCAG 2."""
    parts = [c / 255 for c in rgb]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: tuple[int, int, int], second: tuple[int, int, int]) -> float:
    """From 1 to 21, as WCAG 2 defines it."""
    low, high = sorted(map(luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast(WHITE, BLACK) == pytest.approx(21)
    assert contrast((118, 118, 118), WHITE) == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("name", STYLES)
def test_a_style_can_be_read_on_white_and_on_black(name: str) -> None:
    style = Style.parse(STYLES[name])
    assert (style.dim, style.reverse, style.bgcolor) == (None, None, None)
    if style.color is not None:
        assert style.color.type == ColorType.EIGHT_BIT, "the 16 colours are other ones in every terminal"
        rgb = style.color.get_truecolor()
        assert min(contrast(rgb, WHITE), contrast(rgb, BLACK)) >= 3.8


def styles_in(tree: ast.AST) -> Iterator[str]:
    """Styles that a module names: those of ``style=`` and of the pairs of ``Text.assemble``."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        given = [word.value for word in node.keywords if word.arg in _NAMES]
        if isinstance(node.func, ast.Attribute) and node.func.attr == "assemble":
            given += [pair.elts[1] for pair in node.args if isinstance(pair, ast.Tuple)]
        for value in given:
            yield from (n.value for n in ast.walk(value) if isinstance(n, ast.Constant) and isinstance(n.value, str))


def test_nothing_else_is_used() -> None:
    files = [file for folder in ("dabench", "plugins") for file in (ROOT / folder).rglob("*.py")]
    speaking = [file for file in files if "rich" in (text := file.read_text()) or "console" in text]
    used = {style for file in speaking for style in styles_in(ast.parse(file.read_text()))}
    assert {"title", "quiet", "doubtful"} <= used <= {*STYLES, "", "link "}
    assert [file.name for file in speaking if _MARKUP.search(file.read_text())] == []
    assert [file.name for file in speaking if "Console(" in file.read_text()] == ["terminal.py"]


def shown(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    """What a terminal of 256 colours gets."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm-256color", **environment}.items():
        monkeypatch.setenv(name, value)
    console = styled_console(width=40)
    console.file = io.StringIO()
    console.print("3 runs", style="bad")
    return console.file.getvalue()


def test_colours_are_left_out_where_no_color_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch) == "\x1b[1;38;5;160m3 runs\x1b[0m\n"
    assert shown(monkeypatch, NO_COLOR="1") == "\x1b[1m3 runs\x1b[0m\n"
