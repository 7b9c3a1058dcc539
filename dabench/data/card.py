"""Cards: one YAML file that says what a data set is, where its files lie and what its labels mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from dabench.data.origin import MOST_BLANK
from dabench.errors import ConfigError
from dabench.files.printable import printable
from dabench.files.problems import problems
from dabench.files.values import StrictModel
from dabench.files.yaml import read_yaml, write_yaml

if TYPE_CHECKING:
    from pathlib import Path

SplitName = Literal["train", "test", "unlabelled"]
#: Half-open range of slices.
Slices = tuple[int, int]


class SplitCard(StrictModel):
    """Files of one split. Paths are relative to the domain's folder, or absolute."""

    images: str = Field(description="File or folder that holds the images, or a volume inside one (scan.h5/raw).")
    labels: str | None = Field(None, description="The labels of the same slices; none for an unlabelled split.")
    instances: str | None = Field(None, description="Instance ids, where they lie in a file beside the labels.")
    slices: Slices | None = Field(None, description="First and one past the last slice of the images; all if left out.")
    label_slices: Slices | None = Field(
        None, description="The same for labels and instances; if left out `slices`, or all where `labelled` is given."
    )
    labelled: Slices | None = Field(
        None, description="Slices, as the images count them, that the labels cover; the others are unknown (255)."
    )

    in_order: bool = Field(
        False, description="Images and labels belong together in order, whatever the numbers in their files' names."
    )
    blank: float = Field(
        MOST_BLANK, ge=0, le=1, description="Share of the images that may be blank or absent from their file."
    )

    @field_validator("slices", "label_slices", "labelled")
    @classmethod
    def _ordered(cls, value: Slices | None) -> Slices | None:
        if value is not None and not 0 <= value[0] < value[1]:
            raise ValueError("must be [first, one past the last] with 0 <= first < last")
        return value

    @model_validator(mode="after")
    def _within(self) -> SplitCard:
        if self.labelled is None:
            return self
        if self.labels is None:
            raise ValueError("labelled names slices, and the split has no labels")
        if self.slices and not self.slices[0] <= self.labelled[0] < self.labelled[1] <= self.slices[1]:
            raise ValueError(f"labelled {list(self.labelled)} must lie within slices {list(self.slices)}")
        return self

    @property
    def range_of_labels(self) -> Slices | None:
        """Range of slices in the label files."""
        return self.label_slices or (None if self.labelled else self.slices)

    def files(self) -> list[str]:
        """Every path that the split names, images first."""
        return [p for p in (self.images, self.labels, self.instances) if p]


class Card(StrictModel):
    """What a data set is. Everything a reader of a result must know about the data is here."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9+._-]*$", description="Identity of the domain.")
    description: str = Field(description="Tissue, modality, origin; one or two sentences.")
    folder: str = Field("", description="Folder below the data root; the name if left out.")
    splits: dict[SplitName, SplitCard] = Field(min_length=1, description="train, test, unlabelled -> files.")
    label_kind: Literal["semantic", "instance"] = Field("semantic", description="What label values are.")
    label_values: dict[int, Literal[0, 1, 255]] = Field(
        default_factory=dict,
        description="Stored value -> 0 background, 1 mitochondrion, 255 ignore. Semantic: all values (default 0, 1). "
        "Instance: exceptions only, every other value but 0 is a mitochondrion.",
    )
    voxel: tuple[float, float, float] = Field(description="Voxel size in nm: z, y, x.")
    neighbours: bool = Field(True, description="Whether slice z+1 lies physically next to slice z.")
    intensity: tuple[float, float] | None = Field(
        None, description="Values that become 0 and 1, for images that do not fill their type's range (float, 12 bit)."
    )
    reader: str = Field("", description="Format plugin that the files need, when it is not a format of docs/data.md.")
    licence: str = Field("", description="Licence or terms of use.")
    redistribution: bool = Field(False, description="Whether the licence allows to hand the images on.")
    citation: str = Field("", description="What to cite.")
    source: str = Field("", description="Where to get the files, and how to lay them out.")
    sha256: dict[str, str] = Field(default_factory=dict, description="Path of a file -> SHA-256 of its content.")

    @field_validator("description", "licence", "citation", "source")
    @classmethod
    def _printable(cls, value: str) -> str:
        return printable(value)

    @field_validator("voxel")
    @classmethod
    def _positive(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(value) <= 0:
            raise ValueError("voxel sizes are nanometres and must be above 0")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Card:
        if self.intensity is not None and self.intensity[0] >= self.intensity[1]:
            raise ValueError("intensity must be [low, high] with low < high")
        strangers = set(self.sha256) - {file for split in self.splits.values() for file in split.files()}
        if strangers:
            raise ValueError(f"sha256 names files that no split names: {', '.join(sorted(strangers))}")
        return self

    @property
    def place(self) -> str:
        """Folder below the data root."""
        return self.folder or self.name

    def mapping(self) -> dict[int, int]:
        """Label values with the default filled in."""
        if self.label_kind == "semantic" and not self.label_values:
            return {0: 0, 1: 1}
        return dict(self.label_values)


def load_card(path: Path) -> Card:
    """Read a card.

    Raises:
        ConfigError: not YAML, an unknown key (with the nearest one), or a value that does not fit.
    """
    return parse_card(read_yaml(path), str(path))


def parse_card(values: dict[str, Any], where: str) -> Card:
    """A validated card from plain values; ``where`` names their origin in errors."""
    try:
        return Card.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{where}: {line}" for line in problems(error, Card, key="card key"))) from None


def save_card(card: Card, path: Path) -> None:
    """Write a card, atomically; values left at their defaults are not written."""
    write_yaml(path, card.model_dump(mode="json", exclude_defaults=True))
