"""The terminal: every console of dabench, and styles that can be read on light and on dark backgrounds.

A terminal's own yellow, cyan and faint text are hard to read on white, its blue on black. The colours here are fixed
ones of the 256-colour palette, with a contrast (WCAG) of 3.8 or more to white and to black. With ``NO_COLOR`` set, none
is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

# By number: several of rich's names stand for two of them.
_GREY, _BLUE, _GREEN, _ORANGE, _RED = "color(243)", "color(31)", "color(28)", "color(130)", "color(160)"
#: The styles that dabench uses, by what they mean; the last ones are rich's own names of the parts of a bar.
STYLES = {
    "title": "bold",
    "section": "italic",
    "quiet": _GREY,
    "good": _GREEN,
    "doubtful": _ORANGE,
    "bad": f"bold {_RED}",
    "bar.back": _GREY,
    "bar.complete": _BLUE,
    "bar.finished": _GREEN,
    "bar.pulse": _BLUE,
    "progress.download": "none",
    "progress.remaining": _BLUE,
}


def styled_console(*, stderr: bool = False, width: int | None = None) -> Console:
    """A console that knows the styles and colours nothing else.

    Args:
        stderr: write to the error output.
        width: columns; None for those of the terminal.

    Example:
        >>> styled_console(width=40).print("3 runs", style="title")
        3 runs
    """
    from rich.console import Console
    from rich.theme import Theme

    return Console(stderr=stderr, width=width, theme=Theme(STYLES), highlight=False)
