"""The objects of a file measured from Python."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
import tifffile

from dabench.errors import ConfigError, DataError
from dabench.volumes.measuring import files
from dabench.volumes.measuring.files import Measuring, measure_file


def test_the_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(files)
    assert found.attempted
    assert not found.failed


def test_sizes_and_content(tmp_path):
    """Ids of 4 voxels, 1 voxel and 2 voxels: 2 to 3 voxels are kept, and as a mask ids that touch are one object."""
    path = tmp_path / "ids.tif"
    tifffile.imwrite(path, np.uint16([[[1, 1, 1, 1, 0, 2, 3, 3]], [[0] * 8]]), photometric="minisblack")
    of_size = measure_file(path, Measuring("ids", voxel=(30, 8, 8), min_size="2px", max_size="3px"))
    assert (of_size.content, of_size.measures.count, of_size.first_slice) == ("uint16 ids", 1, 0)
    assert of_size.measures.summary()["objects"] == 1
    as_mask = measure_file(path, Measuring("mask", voxel=(30, 8, 8)))
    assert (as_mask.content, as_mask.measures.count) == ("uint16 mask, labelled in 3-D", 2)
    assert not as_mask.too_full


def test_what_cannot_be_measured(tmp_path):
    with pytest.raises(ConfigError, match="--dims 4"):
        Measuring(dims=4)
    path = tmp_path / "p.tif"
    tifffile.imwrite(path, np.zeros((2, 4, 4), np.float32), photometric="minisblack")
    with pytest.raises(ConfigError, match="does not state the voxel size"):
        measure_file(path)
    with pytest.raises(DataError, match="neither a mask nor ids"):
        measure_file(path, Measuring(voxel=(1, 1, 1)))
