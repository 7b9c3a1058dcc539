"""What file managers leave behind is nobody's data, wherever it lies in a workspace."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dabench.files.litter import is_litter
from dabench.runs.weights import WeightsStore


@pytest.mark.parametrize(
    "name", ["Thumbs.db", "thumbs.db", ".DS_Store", "._im0.png", "desktop.ini", "__MACOSX", ".x.swp"]
)
def test_litter(name):
    assert is_litter(name)


@pytest.mark.parametrize("name", ["im0.png", ".zarray", ".zattrs", ".zgroup", ".zmetadata", "0.0.0", "zarr.json", "c"])
def test_data(name):
    assert not is_litter(name)


def test_weights_beside_litter_are_listed(tmp_path: Path):
    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors")
    store = WeightsStore(tmp_path / "weights")
    store.add("a", tmp_path / "a.safetensors")
    for name in ("._a.json", ".DS_Store", "Thumbs.db"):
        (store.root / name).write_bytes(b"\x00\x05")
    assert [record.name for record in store.records()] == ["a"]
    assert json.loads((store.root / "a.json").read_text())["tensors"] == 1
