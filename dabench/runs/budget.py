"""Settings of the annotation budget: what may be asked of whom, and files of people's answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from dabench.files.values import StrictModel
from dabench.interfaces import RaterErrors

#: A share, as a number between 0 and 1.
Fraction = Annotated[float, Field(ge=0, le=1)]


#: Settings of `BudgetConfig` for any weak label -> those that are short for one.
_SHORT = {
    "shares": {"points": "points", "preferences": "patches"},
    "files": {"points": "points_file", "preferences": "preferences_file"},
}


class BudgetConfig(StrictModel):
    """What of the target's training split may be annotated, and who answers."""

    points: Fraction = Field(0.15, description="Share of mitochondria given a centre point (paper: 0.15).")
    patches: Fraction | None = Field(
        None,
        description="Share of patches asked about; default: as the method defines it.",
    )
    shares: dict[str, Fraction] = Field(
        default_factory=dict, description="Shares of other weak labels, by name: {scribbles: 0.1}."
    )
    rater: Literal["truth", "self", "recorded"] = Field(
        "truth",
        description="Who answers the kinds without a file: truth (simulated from labels), self (no person), or "
        "recorded (every kind needs a person's file).",
    )
    rater_error: Fraction = Field(0.0, description="Error rate of the simulated rater (paper: 0).")
    rater_confusion: float = Field(
        0.0,
        ge=0,
        description="Difference in Dice that the simulated rater hardly sees: of two candidates that differ by it, "
        "the worse is taken in 27 % of all cases.",
    )
    rater_missed: Fraction = Field(
        0.0, description="Share of objects on each slice that the simulated rater overlooks."
    )
    rater_others: tuple[Fraction, ...] = Field(
        (),
        description="Error rates of further simulated raters, who answer every preference too; `preferences.raters` "
        "says how their answers are combined.",
    )
    rater_first: Fraction = Field(
        0.0, description="Share of choices in which the simulated rater takes the first outline shown."
    )
    seed: int = Field(
        0,
        ge=0,
        description="Seed of the point and patch draw; the same for every method and training seed, or `run`: the "
        "training seed, the same for every method.",
        json_schema_extra=lambda schema: schema.update(
            anyOf=[{"type": schema.pop("type"), "minimum": schema.pop("minimum")}, {"const": "run"}]
        ),
    )
    points_file: Path | None = Field(None, description="A recorded points file.")
    preferences_file: Path | None = Field(
        None, description="A person's preference data set (folder or zip), or JSON lines of earlier versions."
    )
    held_out: Fraction | None = Field(
        None,
        lt=1,
        description="Share of recorded points that is kept out of training and used to choose; default: 0.2 if "
        "points choose.",
    )
    files: dict[str, Path] = Field(default_factory=dict, description="Recorded files of other weak labels, by name.")
    allow_unanswered: bool = Field(
        False, description="Train even if less than half of the questions in a preferences file can be used."
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, values: Any) -> Any:
        """Points and preferences have settings of their own, whichever way they are given."""
        if not isinstance(values, Mapping):
            return values
        found = dict(values)
        for general, fields in _SHORT.items():
            named = found.get(general)
            if isinstance(named, Mapping):
                found |= {fields[kind]: share for kind, share in named.items() if kind in fields}
                found[general] = {kind: share for kind, share in named.items() if kind not in fields}
        return found

    @model_serializer(mode="wrap")
    def _plain(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What came later only where it is used: cells without it keep their names."""
        later = {*_SHORT, "allow_unanswered", "rater_confusion", "rater_missed", "rater_first", "rater_others"}
        later |= {"held_out"} if self.held_out is None else set()
        return {name: value for name, value in dump(self).items() if value or name not in later}

    def errors(self) -> list[RaterErrors]:
        """The errors of each simulated rater; the first gives the points."""
        more = (self.rater_confusion, self.rater_missed, self.rater_first)
        return [RaterErrors(rate, *more) for rate in (self.rater_error, *self.rater_others)]

    def given(self) -> dict[str, float]:
        """The share of each weak label, by name, that the settings name."""
        patches = {} if self.patches is None else {"preferences": self.patches}
        return {"points": self.points, **patches, **self.shares}

    def recorded(self) -> dict[str, Path]:
        """A person's file of each weak label, by name, that the settings name."""
        short = {"points": self.points_file, "preferences": self.preferences_file}
        return {kind: path for kind, path in {**short, **self.files}.items() if path is not None}
