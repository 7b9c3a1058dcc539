"""Values as a configuration keeps them: a number is a finite number, and each has one spelling."""

from __future__ import annotations

import math
import re
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

#: A number with an exponent, which YAML 1.1 (and so older configurations) takes for a word.
_EXPONENT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+")


class StrictModel(BaseModel):
    """Frozen, unknown keys refused; a number is finite, and never true or false.

    >>> class Size(StrictModel):
    ...     width: float
    >>> Size(width=True)
    Traceback (most recent call last):
    ...
    pydantic_core._pydantic_core.ValidationError: 1 validation error for Size
    width
      Value error, a number, not true or false [type=value_error, input_value=True, input_type=bool]
    ...
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields.get(info.field_name or "")
        kinds = set(_kinds(field.annotation)) if field else set()
        if kinds & {int, float} and not kinds & {bool, Any, object} and _holds_truth(value):
            raise ValueError("a number, not true or false")
        return value


def _kinds(annotation: Any) -> list[Any]:
    """An annotation and all that it is made of."""
    return [annotation, *(kind for part in get_args(annotation) for kind in _kinds(part))]


def _holds_truth(value: Any) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return isinstance(value, bool) or any(map(_holds_truth, inner))


def canonical(value: Any) -> Any:
    """A plain value with one spelling for each number, whatever it was written as.

    Raises:
        ValueError: a number that is not finite.

    Example:
        >>> canonical({"lr": "5e-4", "batch": 8.0, "sizes": (1.5, 2.0), "on": True, "name": "8.0"})
        {'lr': 0.0005, 'batch': 8, 'sizes': [1.5, 2], 'on': True, 'name': '8.0'}
    """
    if isinstance(value, dict):
        return {key: canonical(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(inner) for inner in value]
    if isinstance(value, str) and _EXPONENT.fullmatch(value):
        value = float(value)
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def respelled(given: Any, kept: Any) -> bool:
    """Whether validation took a value for one of another kind: a word for a number, a number for a truth value.

    >>> respelled("0.5", 0.5), respelled([1, "2"], (1, 2)), respelled(1, True), respelled(8.0, 8), respelled("a", "a")
    (True, True, True, False, False)
    """
    if isinstance(given, dict) and isinstance(kept, dict):
        return any(respelled(given[key], kept[key]) for key in given.keys() & kept.keys())
    if isinstance(given, list | tuple) and isinstance(kept, list | tuple):
        return any(map(respelled, given, kept))
    kinds = [bool if isinstance(v, bool) else float if isinstance(v, int | float) else type(v) for v in (given, kept)]
    return kinds[0] is not kinds[1] and {*kinds} <= {bool, float, str}
