"""Compressed NIfTI: every bit that changed is noticed."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from all_readers import STACK, open_cached

from dabench.data.volumes import read_all
from dabench.errors import DataError


def reads_as_before(path: Path) -> bool:
    try:
        return bool((read_all(open_cached(path)) == np.sort(STACK, axis=2)).all())
    except DataError as error:
        return path.name not in str(error)


def test_every_changed_bit_of_a_gzipped_nifti_is_noticed(tmp_path):
    """A bit of the compressed voxels, or of the checksum behind them: an error at the first slice that is read."""
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.sort(STACK, axis=2).transpose(2, 1, 0), np.eye(4)), path)
    good, noticed = path.read_bytes(), 0
    places = np.random.default_rng(0).integers(10 * 8, len(good) * 8, 60)
    for number, place in enumerate(places):
        content = bytearray(good)
        content[place // 8] ^= 1 << (place % 8)
        flipped = tmp_path / f"{number}.nii.gz"
        flipped.write_bytes(content)
        noticed += not reads_as_before(flipped)
    # The gzip header has a few bits that mean nothing (time, name); they were left out above.
    assert noticed == len(places)


def test_a_changed_bit_is_noticed_before_the_first_voxel_is_handed_out(tmp_path):
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(STACK.transpose(2, 1, 0), np.eye(4)), path)
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # of the checksum: what is unpacked before it looks right
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"slices 0 to 5 cannot be decoded: CRC check failed"):
        open_cached(path).read(0)
