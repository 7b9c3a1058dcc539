"""Malformed files: each is refused with an error that names the file and says what is wrong, before or at the read."""

from pathlib import Path

import dabench_readers
import numpy as np
import pytest

from dabench.components.registry import PluginStatus, Registry
from dabench.data.blocks import voxel_of
from dabench.data.intensity import UnitVolume
from dabench.data.volumes import open_volume, read_all
from dabench.errors import DataError, MissingDataError
from tests.plugins.malformed_files import CASES, STACK
from tests.plugins.malformed_pictures import nifti
from tests.plugins.malformed_stores import hdf5_unknown_unit, ome, zarr_of


@pytest.fixture(scope="module")
def readers():
    registry = Registry()
    registry.add(dabench_readers, PluginStatus("readers", "dabench"))
    return [item.component.factory(item.component.config()) for item in registry.of_kind("reader")]


def use(path: Path, readers: list) -> None:
    """Open a file, ask for its voxel size and read all of it."""
    volume = open_volume(path, readers)
    voxel_of(volume)
    read_all(UnitVolume(volume, "volume", str(path)))


@pytest.mark.parametrize("name", CASES)
def test_a_malformed_file_has_a_clear_error(tmp_path, readers, name):
    make, words = CASES[name]
    path = make(tmp_path)
    with pytest.raises(DataError, match=words) as caught:
        use(path, readers)
    assert caught.value.exit_code == 3
    assert caught.value.mend
    assert str(tmp_path) in caught.value.message


def test_there_are_at_least_thirty():
    assert len(CASES) >= 30


def test_a_missing_chunk_holds_the_fill_value(tmp_path, readers):
    path = zarr_of(tmp_path, fill_value=9)
    (path / "1.0.0").unlink()
    expected = STACK.copy()
    expected[2:4, :10, :12] = 9
    np.testing.assert_array_equal(read_all(open_volume(path, readers)), expected)


def test_an_unknown_unit_hinders_nothing_but_the_voxel_size(tmp_path, readers):
    volume = open_volume(hdf5_unknown_unit(tmp_path), readers)
    np.testing.assert_array_equal(read_all(volume), STACK)
    with pytest.raises(DataError, match="--voxel 30,8,8"):
        voxel_of(volume)


def test_a_file_that_says_nothing_of_its_unit_says_nothing(tmp_path, readers):
    assert voxel_of(open_volume(nifti(tmp_path, STACK, unit="unknown"), readers)) is None
    (tmp_path / "z").mkdir()
    axes = [{"name": a, "type": "space"} for a in "zyx"]
    assert voxel_of(open_volume(ome(tmp_path / "z", axes=axes), readers)) is None


def test_nothing_is_missing_data(tmp_path, readers):
    with pytest.raises(MissingDataError):
        open_volume(tmp_path / "a.h5" / "raw", readers)
