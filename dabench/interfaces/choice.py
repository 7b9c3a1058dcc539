"""Which volume of a file is meant, said at the end of its path: ``scan.tif/channel=1``, ``scan.h5/raw/time=0``.

So a choice goes wherever a path goes: options, cards, records of a prediction, other machines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_AXES = "axes"
_END = re.compile(r"(?:(axes)=([A-Za-z]+)|([A-Za-z]\w*)=(\d+))")


@dataclass(frozen=True)
class Choice:
    """What the end of a path says.

    Attributes:
        axes: a letter for each axis of the array, in its order, in place of what the file says; "": as the file says.
        at: name of an axis (or ``series``) and the index that is meant, counted from 0.
    """

    axes: str = ""
    at: tuple[tuple[str, int], ...] = ()

    def __bool__(self) -> bool:
        """Whether anything is said."""
        return bool(self.axes or self.at)

    def __str__(self) -> str:
        """As the end of a path."""
        axes = [f"{_AXES}={self.axes}"] if self.axes else []
        return "/".join(axes + [f"{name}={index}" for name, index in self.at])


def split_choice(path: Path) -> tuple[Path, Choice]:
    """The path of a file, folder or place in one, and the choice that stood behind it.

    What lies on the disk under such a name is a file like any other.

    Example:
        >>> split_choice(Path("scan.h5/raw/axes=czyx/channel=1"))
        (PosixPath('scan.h5/raw'), Choice(axes='czyx', at=(('channel', 1),)))
    """
    axes, at = "", []
    while (said := _END.fullmatch(path.name)) and not path.exists():
        letters, name, index = said.group(2), said.group(3), said.group(4)
        if letters:
            axes = letters
        else:
            at.append((name, int(index)))
        path = path.parent
    return path, Choice(axes, tuple(reversed(at)))


def name_of(path: Path) -> str:
    """What a title calls a path: ``scan.tif (channel=1)``."""
    plain, choice = split_choice(path)
    return f"{plain.name} ({choice})" if choice else plain.name


def with_choice(path: Path, *, channel: int | None = None, series: int | None = None, axes: str | None = None) -> Path:
    """A path with what options say behind it.

    Example:
        >>> str(with_choice(Path("scan.tif"), channel=1))
        'scan.tif/channel=1'
    """
    for name, value in ((_AXES, axes), ("series", series), ("channel", channel)):
        if value is not None:
            path /= f"{name}={value}"
    return path
