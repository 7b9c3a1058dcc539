"""The card of a trained model: all that is needed to rebuild it, to use it rightly and to judge it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dabench.errors import WeightsError
from dabench.files.printable import printable_values
from dabench.files.problems import problems
from dabench.runs.config import RunConfig

#: Version of the file and of the card; another one is refused.
FORMAT = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskCard(_Frozen):
    """What the method was told of the task."""

    name: str = Field(description="SOURCE2TARGET.")
    source: str = Field(description="The labelled domain.")
    target: str = Field(description="The domain that the model was adapted to.")
    neighbours: bool = Field(description="Whether slices are neighbours in the tissue in both domains.")
    has_source: bool = Field(description="Whether the source's images were available.")


class BudgetCard(_Frozen):
    """What of the target's training split could be annotated."""

    points: float = Field(description="Share of mitochondria with a centre point.")
    patches: float = Field(description="Share of patches asked about; the preference optimizer's own by default.")
    others: dict[str, float] = Field(default_factory=dict, description="Shares of other weak labels, by name.")


class PartCard(_Frozen):
    """A component that the model is built from."""

    kind: str = Field(description="method, network, backbone …")
    name: str = Field(description="Its registered name.")
    distribution: str = Field(description="Distribution to install.")
    version: str = Field("", description="Version of that distribution.")
    source: str = Field("", description="SHA-256 of the plugin's source when the model was trained; empty: unknown.")
    licence: str = Field("", description="Licence or terms of what it builds on.")

    @property
    def key(self) -> str:
        """``kind:name``."""
        return f"{self.kind}:{self.name}"

    def line(self) -> str:
        """In words, with its licence."""
        return f"{self.key} of {self.distribution} {self.version}  [{self.licence or 'no licence note'}]"


class ScoreCard(_Frozen):
    """What the model scored on the target's test split, under which rule."""

    split: Literal["test"] = Field("test", description="Always the target's test split.")
    protocol: str = Field(description="Scoring protocol with its version.")
    inference: str = Field(description="Inference profile.")
    test_points: float = Field(description="Share of true centres given as prompts.")
    slices: int = Field(description="Number of slices that were scored.")
    metrics: dict[str, float] = Field(description="Metric -> mean over slices.")

    def line(self) -> str:
        """In words: every metric, and where it comes from."""
        numbers = "  ".join(f"{metric} {value:.4f}" for metric, value in self.metrics.items())
        given = f", {self.test_points:.0%} of centres given" if self.test_points else ""
        return f"{numbers}  (target test split, {self.protocol}, {self.inference}{given})"


class Digests(_Frozen):
    """SHA-256 of what the model is."""

    weights: str = Field(description="Digest of all tensors with their names, types and shapes.")
    config: str = Field(description="Digest of the configuration below.")


class ModelCard(_Frozen):
    """Everything but the weights."""

    format: Literal[1] = Field(1, description="Version of the card.")
    name: str = Field(description="Name of the model, by default the id of its cell.")
    cell_id: str = Field(description="The run that it comes from.")
    created: str = Field(description="When the run ended, ISO-8601.")
    config: RunConfig = Field(description="All settings of the run, with only the names of answer files.")
    task: TaskCard = Field(description="The task as the method saw it.")
    budget: BudgetCard = Field(description="The budget as the method saw it.")
    stage: str = Field(description="Stage whose model this is, the last one.")
    update: int = Field(ge=0, description="Updates after which its weights were taken.")
    tile: int = Field(ge=1, description="Side of a tile in pixels.")
    inference: str = Field(description="Inference profile of the run.")
    intensity: str = Field(description="How grey values become [0, 1].")
    threshold: float = Field(gt=0, lt=1, description="Lowest probability that counts as mitochondrion.")
    neighbour: float = Field(
        0.0, ge=0, description="Distance (nm) to the second section that the model takes; 0: it takes one section."
    )
    voxel: tuple[float, float, float] | None = Field(
        None, description="Voxel size (nm; z, y, x) of the target's training data."
    )
    pixel: tuple[float, float] | None = Field(
        None, description="Pixel size (nm, y and x) that the model was trained on."
    )
    seed: int = Field(description="Training seed.")
    rater: str = Field(description="Who annotated: none, simulated:ERROR_RATE, self or recorded.")
    modules: tuple[str, ...] = Field(description="Modules whose weights are stored; `state` holds further tensors.")
    parts: tuple[PartCard, ...] = Field(description="What it is built from.")
    scores: tuple[ScoreCard, ...] = Field((), description="Scores of the run, the headline score first.")
    digests: Digests = Field(description="SHA-256 of weights and configuration.")
    dabench_version: str = Field(description="Version that trained it.")
    torch_version: str = Field("", description="PyTorch that trained it.")
    notes: tuple[str, ...] = Field((), description="What is not known for certain.")

    @property
    def digest(self) -> str:
        """Digest of the weights: two models with the same one predict the same."""
        return self.digests.weights

    @property
    def simulated(self) -> bool:
        """Whether the annotation was answered from labels, not by a person."""
        return "simulated" in self.rater

    @property
    def pixel_size(self) -> tuple[float, float] | None:
        """Nm (y, x) of the pixels that the model knows; in cards that do not say it those of its target."""
        return self.pixel or (self.voxel[1:] if self.voxel else None)

    def part(self, kind: str) -> str:
        """The last part of a kind, ``none`` without one."""
        return next((part.name for part in reversed(self.parts) if part.kind == kind), "none")

    def page(self) -> str:
        """The card for a reader: one line a fact."""
        config = self.config
        voxel = _nm(self.voxel) + " (z, y, x)" if self.voxel else "not known"
        pixels = f" of {_nm(self.pixel_size)}" if self.pixel_size else ""
        pairs = f", pairs {self.neighbour:g} nm apart" if self.neighbour else ""
        facts = [
            ("name", self.name),
            ("method", f"{config.method}, stage {self.stage}, {self.update} updates, seed {self.seed}"),
            ("task", f"{self.task.name} ({config.data} data), target voxels {voxel}"),
            ("annotation", self._annotation()),
            ("network", f"{self.part('network')} on {self.part('backbone')}, preset {config.preset}"),
            (
                "use",
                f"tile {self.tile} px{pixels}, intensity {self.intensity}, profile {self.inference}, "
                f"threshold {self.threshold:g}{pairs}",
            ),
            ("weights", f"sha256 {self.digest[:16]}… ({', '.join(self.modules)})"),
            ("made by", f"dabench {self.dabench_version}, torch {self.torch_version}, {self.created}"),
            *(("score", score.line()) for score in self.scores),
            *(("part", part.line()) for part in self.parts),
            *(("note", note) for note in self.notes),
        ]
        return "\n".join(f"{key:<11} {value}" for key, value in facts)

    def _annotation(self) -> str:
        """Who answered what; simulated answers are called simulated."""
        if self.rater == "none":
            return "none"
        who = "simulated from labels" if self.simulated else self.rater
        return f"{who} (points {self.budget.points:g}, patches {self.budget.patches:g})"


def _nm(sides: Sequence[float]) -> str:
    return " x ".join(f"{side:g}" for side in sides) + " nm"


def read_card(text: str, where: str) -> ModelCard:
    """A card from its JSON. Raises WeightsError for another format or a damaged one, naming the keys.

    Args:
        text: as it stands in a file.
        where: named in errors, usually the file.
    """
    import json

    try:
        values = printable_values(json.loads(text))
        version = values.get("format") if isinstance(values, dict) else None
    except ValueError as error:
        raise WeightsError(f"{where}: its card is damaged ({error}).", "Export the model again.") from None
    if version != FORMAT:
        raise WeightsError(
            f"{where}: a model of format {version!r}, but this version of dabench reads {FORMAT}.",
            f"It was written by dabench {_written_by(values)}: use that version, or export the run again.",
        )
    try:
        return ModelCard.model_validate(values)
    except ValidationError as error:
        raise WeightsError(
            f"{where}: its card does not fit: {'; '.join(problems(error, ModelCard, key='key')[:5])}.",
            f"It was written by dabench {_written_by(values)}: use that version, or export the run again.",
        ) from None


def _written_by(values: Any) -> str:
    return str(values.get("dabench_version", "(unknown)")) if isinstance(values, dict) else "(unknown)"
