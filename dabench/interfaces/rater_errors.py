"""How a simulated rater errs."""

from __future__ import annotations

from dataclasses import dataclass, fields

from dabench.errors import ConfigError


@dataclass(frozen=True)
class RaterErrors:
    """The errors of a simulated person; without any, every answer is what the labels say.

    Attributes:
        rate: share of answers that are wrong whatever was asked; what a wrong answer is, each weak label says.
        confusion: of candidates to choose from, the difference in Dice that the person hardly sees: candidate k is
            taken with a probability in proportion to exp(Dice_k / confusion) (Luce's choice, which is Bradley and
            Terry's for two). Of two that differ by ``confusion`` the worse one is taken in 27 %, by three times that in
            5 % of all cases; equal ones are taken equally often.
        missed: share of objects that the person overlooks, on each slice apart; to them there is background.
        first: share of choices that are whatever is shown first, unseen.

    Raises:
        ConfigError: a share is not between 0 and 1, or the confusion is negative.

    Example:
        >>> RaterErrors(0.1).label, RaterErrors(confusion=0.02, missed=0.2).label
        ('simulated:0.1', 'simulated:0 confusion=0.02 missed=0.2')
    """

    rate: float = 0.0
    confusion: float = 0.0
    missed: float = 0.0
    first: float = 0.0

    def __post_init__(self) -> None:
        for name, share in {"": self.rate, "missed ": self.missed, "first ": self.first}.items():
            if not 0 <= share <= 1:
                raise ConfigError(f"rater error {name}{share}: it is a share between 0 and 1")
        if not 0 <= self.confusion < float("inf"):
            raise ConfigError(f"rater error confusion {self.confusion}: it is a difference in Dice, 0 or more")

    @property
    def others(self) -> dict[str, float]:
        """The errors beside the rate, by name, those that are not 0."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "rate" and getattr(self, f.name)}

    @property
    def label(self) -> str:
        """What rows and files call such a rater; it says that the rater is simulated."""
        return " ".join([f"simulated:{self.rate:g}", *(f"{name}={value:g}" for name, value in self.others.items())])
