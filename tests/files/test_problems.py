"""What does not fit a model is told in one line a problem, wherever it lies."""

from typing import Any

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from dabench.files.problems import problems


class Split(BaseModel, extra="forbid"):
    images: str = Field(description="File of the images.")
    slices: tuple[int, int] | None = None


class Card(BaseModel, extra="forbid"):
    name: str = Field(description="What it is called.")
    voxel: float = Field(1, gt=0)
    splits: dict[str, Split] = Field(default_factory=dict)
    others: list[Split] | None = None

    @field_validator("name")
    @classmethod
    def _lower(cls, value: str) -> str:
        if not value.islower():
            raise ValueError("use lower-case letters")
        return value

    @model_validator(mode="after")
    def _one(self) -> "Card":
        if self.voxel == 13:
            raise ValueError("unlucky")
        return self


def told(values: Any, prefix: str = "", key: str = "setting") -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Card.model_validate(values)
    return problems(caught.value, Card, prefix, key)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (
            {"name": "a", "voxel": "x"},
            "voxel = 'x': Input should be a valid number, unable to parse string as a number",
        ),
        ({"name": "a", "voxel": -1}, "voxel = -1: Input should be greater than 0"),
        ({"name": "A"}, "name = 'A': use lower-case letters"),
        ({"name": "a", "voxel": 13}, "unlucky"),
        ({}, "name is missing: What it is called."),
        ({"name": "a", "splits": {"train": {}}}, "splits.train.images is missing: File of the images."),
        (
            {"name": "a", "voxle": 1},
            "unknown setting 'voxle'. Did you mean 'voxel'? Available: name, others, splits, voxel",
        ),
        (
            {"name": "a", "splits": {"train": {"images": "i", "slice": 1}}},
            "unknown setting 'splits.train.slice'. Did you mean 'splits.train.slices'? Available: images, slices",
        ),
        (
            {"name": "a", "others": [{"images": "i"}, {"images": "i", "qqq": 1}]},
            "unknown setting 'others.1.qqq'. Available: images, slices",
        ),
    ],
)
def test_one_line_a_problem(values, line):
    assert told(values) == [line]


def test_several_problems_each_have_their_line():
    lines = told({"name": "A", "voxel": None, "splits": {"test": {"images": 3}}})
    assert [line.split(" = ")[0] for line in lines] == ["name", "voxel", "splits.test.images"]


def test_prefix_and_kind_of_key():
    assert told({"name": "a", "nam": 1, "voxel": 0}, "lab.", "card key") == [
        "lab.voxel = 0: Input should be greater than 0",
        "unknown card key 'lab.nam'. Did you mean 'lab.name'? Available: name, others, splits, voxel",
    ]


def test_a_long_value_is_shortened():
    (line,) = told({"name": "a", "splits": {"train": ["x" * 1000] * 1000}})
    assert line.startswith("splits.train = ['xxx")
    assert len(line) < 500
