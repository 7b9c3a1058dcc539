"""What is wrong with values that do not fit a pydantic model, in one line a problem."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from reprlib import Repr
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from dabench.errors import UnknownNameError

if TYPE_CHECKING:
    from pydantic import ValidationError

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 60


def problems(error: ValidationError, model: type[BaseModel], prefix: str = "", key: str = "setting") -> list[str]:
    """Each problem of a validation in one line: where, the value seen, what would fit, and the nearest known key.

    Args:
        error: what validating ``model`` raised.
        model: describes missing keys, and knows the keys beside an unknown one, however deep it lies.
        prefix: put before every key (``mean-teacher.``).
        key: what the model's keys are called.

    Example:
        >>> class Budget(BaseModel, extra="forbid"):
        ...     points: float = 0.15
        >>> try:
        ...     Budget.model_validate({"pionts": 1, "points": "few"})
        ... except ValidationError as error:
        ...     for line in problems(error, Budget, "budget."):
        ...         print(line)
        budget.points = 'few': Input should be a valid number, unable to parse string as a number
        unknown setting 'budget.pionts'. Did you mean 'budget.points'? Available: points
    """
    found = [dict(problem) for problem in error.errors(include_url=False)]
    # A default that follows from other settings is not made where one of those is wrong.
    return [_line(one, model, prefix, key) for one in found if one["type"] != "default_factory_not_called"]


def _line(problem: dict[str, Any], model: type[BaseModel], prefix: str, key: str) -> str:
    where: Sequence[str | int] = problem["loc"]
    name, message = prefix + ".".join(map(str, where)), problem["msg"].removeprefix("Value error, ")
    if not where:
        return f"{prefix.rstrip('.')}: {message}" if prefix else message
    if problem["type"] == "extra_forbidden":
        unknown = UnknownNameError(
            key, str(where[-1]), _model_at(model, where[:-1]).model_fields, name.removesuffix(str(where[-1]))
        )
        return f"{unknown.message} {unknown.mend}"
    if problem["type"] == "missing":
        field = _model_at(model, where[:-1]).model_fields.get(str(where[-1]))
        return f"{name} is missing" + (f": {field.description}" if field and field.description else ".")
    return f"{name} = {_SHORT.repr(problem['input'])}: {message}{_as_share(problem)}"


def _as_share(problem: dict[str, Any]) -> str:
    """What was perhaps meant where a share is given as per cent; ""."""
    value = problem["input"]
    percent = problem["type"] == "less_than_equal" and problem["ctx"]["le"] == 1 and isinstance(value, int | float)
    return f". Did you mean {value / 100:g}?" if percent and value <= 100 else ""


def _model_at(model: type[BaseModel], where: Sequence[str | int]) -> type[BaseModel]:
    """The model that lies at a place; indices and keys of collections stay within the one that they hold."""
    for part in where:
        field = model.model_fields.get(str(part))
        model = next(_models(field.annotation), model) if field else model
    return model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation mentions: ``dict[str, SplitCard] | None`` gives SplitCard."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
