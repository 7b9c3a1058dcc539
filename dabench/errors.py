"""Errors of dabench, with one base class. Messages name the place, the value seen and a command that fixes it."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class DabenchError(Exception):
    """Base of all errors that a user can fix. ``exit_code`` is the exit code of the command line."""

    exit_code = 1

    def __init__(self, message: str, mend: str = "") -> None:
        """Keep the message and, apart from it, the command or step that mends it."""
        super().__init__(f"{message}\n  {mend}" if mend else message)
        self.message = message
        self.mend = mend

    def __reduce__(self) -> tuple[object, ...]:
        """Travel between processes whole, whatever a subclass's constructor takes."""
        return _again, (type(self), self.message, self.mend), self.__dict__


def _again(kind: type[DabenchError], message: str, mend: str) -> DabenchError:
    error = kind.__new__(kind)
    DabenchError.__init__(error, message, mend)
    return error


class ConfigError(DabenchError):
    """A flag, a configuration file or a combination of settings is wrong."""

    exit_code = 2


class UnknownNameError(ConfigError):
    """A name is not registered; the message suggests similar names and lists all."""

    def __init__(self, kind: str, name: str, known: Iterable[str], prefix: str = "") -> None:
        """Build the message from what was asked for and what there is; ``prefix`` goes before every name shown."""
        names = sorted(known)
        near = get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(repr(prefix + n) for n in near)}? " if near else ""
        super().__init__(f"unknown {kind} {prefix + name!r}.", f"{hint}Available: {', '.join(names) or '(none)'}")
        self.near = near


class DataError(DabenchError):
    """Data are missing, damaged or inconsistent; the message names file, slice and value."""

    exit_code = 3


class MissingDataError(DataError):
    """Files that a domain's card names are not on this machine."""


class WeightsError(DabenchError):
    """Weights are missing, damaged, of another model, or in a format that could run code."""

    exit_code = 3


class BudgetError(DabenchError):
    """An annotation request exceeds the budget; no answers were given."""

    exit_code = 2


class PluginError(DabenchError):
    """A plugin could not be loaded, or raised an exception; the message names plugin and distribution."""


class DivergedError(DabenchError):
    """A loss became NaN or infinite; the message names step and terms. The last good checkpoint is kept."""


class PredictionError(DabenchError):
    """A model predicts NaN, values outside [0, 1], or the same value everywhere, which cannot be scored."""


class OutOfMemoryError(DabenchError):
    """The device ran out of memory; the cell's status is ``oom``."""
