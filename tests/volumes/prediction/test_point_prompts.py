"""Points as prompts: voxels and nm, CSV and JSON; a file without one is an error."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dabench.components.registry import Registry
from dabench.errors import DataError
from dabench.volumes.prediction.points import read_prompts

CSV, JSON = "z,y,x\n30,104,120\n", '{"format":"dabench-points","points":[{"z":30,"y":104,"x":120}]}'


def read(tmp_path: Path, name: str, text: str, unit: str) -> dict[int, Any]:
    path = tmp_path / name
    path.write_text(text)
    request: Any = SimpleNamespace(points=path, points_unit=unit)
    found = read_prompts(request, Registry.load(), (6, 40, 52), (30.0, 8.0, 8.0))
    return {z: xy.tolist() for z, xy in found.items()}


@pytest.mark.parametrize(
    ("name", "text", "unit"),
    [
        ("p.csv", CSV, "nm"),
        ("p.json", JSON, "nm"),
        ("p.csv", CSV.replace("z,y,x", "z_nm,y_nm,x_nm"), "voxel"),
        ("p.json", JSON.replace('":', '_nm":').replace("format_nm", "format").replace("points_nm", "points"), "voxel"),
    ],
)
def test_nanometres_by_unit_or_by_name(tmp_path: Path, name: str, text: str, unit: str) -> None:
    assert read(tmp_path, name, text, unit) == {1: [[15.0, 13.0]]}


@pytest.mark.parametrize("unit", ["voxel", "nm"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("none.csv", "z,y,x\n"),
        ("none.json", '{"format":"dabench-points","points":[]}'),
        ("refuted.csv", "z,y,x,kind\n1,2,3,negative\n"),
    ],
)
def test_a_file_without_a_prompt_is_an_error(tmp_path: Path, name: str, text: str, unit: str) -> None:
    with pytest.raises(DataError, match="no point that can be a prompt"):
        read(tmp_path, name, text, unit)
