"""Options that hold more than one number or word, read."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

from dabench.errors import ConfigError, UnknownNameError

#: Which volume of a file is meant (`dabench.interfaces.choice`).
Channel = Annotated[
    int | None,
    typer.Option("--channel", metavar="N", help="Which channel of a file with several, counted from 0.", min=0),
]
Series = Annotated[
    int | None, typer.Option("--series", metavar="N", help="Which image of a TIFF with several, counted from 0.", min=0)
]
Axes = Annotated[
    str | None,
    typer.Option(
        "--axes", metavar="LETTERS", help="Names of the stored axes, for example zyx or tczyx [from the file]."
    ),
]
SliceWindow = Annotated[str | None, typer.Option(metavar="Y,X,H,W", help="Only this part of each slice.")]


def number(*names: str, **settings: Any) -> Any:
    """As `typer.Option`, for every option that takes a number: NaN and infinity are usage errors."""
    return typer.Option(*names, callback=_finite, **settings)


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number.")
    return value


#: What the values of labels and of a prediction mean, for the commands that score (`label_values`, `label_kind`).
LabelValues = Annotated[
    str | None,
    typer.Option(metavar="V:L,...", help="What label values mean: 0:0,1:1,2:255 (255: ignore) [asked if unclear]."),
]
LabelKind = Annotated[str, typer.Option(help="Kind of labels: auto, semantic or instance (ids).")]
Predicted = Annotated[
    str, typer.Option(metavar="auto|mask|ids", help="What the prediction holds (mask: all values except 0).")
]
PredictedValues = Annotated[str | None, typer.Option(metavar="V:L,...", help="What predicted values mean: 1:0,2:1.")]
Threshold = Annotated[
    float | None, number(help="Lowest value that counts as foreground [floating point: 0.5; else all except 0].")
]
Protocol = Annotated[str, typer.Option(help="Scoring protocol (dabench ls protocols).")]


def numbers(
    option: str, text: str | None, example: str, words: str = "", kind: type = float, least: float = -math.inf
) -> Any:
    """As many numbers as the example has, ``30,8,8``, each above ``least``; None stays None.

    Raises ConfigError: NaN and infinity are none; ``words`` say what is expected.
    """
    if text is None:
        return None
    count = example.count(",") + 1
    try:
        found = tuple(kind(part) for part in text.split(","))
    except ValueError:
        found = ()
    if len(found) != count or not all(least < value < math.inf for value in found):
        words = words or f"expected {count} finite numbers"
        raise ConfigError(f"{option} {text!r}: {words}, for example  {option} {example}")
    return found


def three_numbers(option: str, text: str | None, kind: type = float) -> Any:
    """``Z,Y,X`` as three positive numbers of a kind; None stays None. Raises ConfigError."""
    return numbers(option, text, "30,8,8", "write three positive numbers z,y,x", kind, least=0)


def slice_range(option: str, text: str | None, example: str = "0:10") -> slice | None:
    """``A:B`` as slices, of which either may be left out; None stays None. Raises ConfigError."""
    if text is None:
        return None
    try:
        first, last = (int(part) if part else None for part in text.split(":"))
    except ValueError:
        raise ConfigError(f"{option} {text!r}: write A:B, for example {option} {example}.") from None
    return slice(first, last)


def one_of(option: str, value: str, allowed: tuple[str, ...]) -> Any:
    """The value, if it is one of these. Raises UnknownNameError, or ConfigError for an empty one."""
    if value not in allowed:
        raise UnknownNameError(f"value of {option}", value, allowed) if value else ConfigError(f"{option} is empty.")
    return value


def slice_bounds(option: str, text: str | None) -> tuple[int, int] | None:
    """``FIRST:LAST`` as two whole numbers; None stays None. Raises ConfigError."""
    if text is None:
        return None
    first, colon, last = text.partition(":")
    if not (colon and first.isdigit() and last.isdigit()):
        raise ConfigError(f"{option} {text!r}: write A:B, for example  {option} 0:12")
    return int(first), int(last)


def label_values(option: str, texts: str | list[str] | None) -> dict[int, int]:
    """``0:0,255:1`` (or ``255=1``) as stored value to label; {} for none. Raises ConfigError."""
    found = {}
    parts = [texts] if isinstance(texts, str) else texts or []
    for part in (pair for text in parts for pair in text.split(",")):
        stored, colon, label = part.replace("=", ":").partition(":")
        if not colon or not stored.strip().lstrip("-").isdigit() or not label.strip().isdigit():
            raise ConfigError(f"{option} {','.join(parts)!r}: write pairs VALUE:LABEL, for example  {option} 0:0,255:1")
        if int(label) not in (0, 1, 255):
            raise ConfigError(f"{option} {','.join(parts)!r}: label {int(label)} must be 0, 1 or 255 (ignore).")
        found[int(stored)] = int(label)
    return found


def label_kind(text: str) -> Any:
    """``auto``, ``semantic`` or ``instance``. Raises UnknownNameError."""
    return one_of("--label-kind", text, ("auto", "semantic", "instance"))
