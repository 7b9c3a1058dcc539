"""Measures against numbers by hand, scikit-image on the whole volume, and themselves in other boxes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import perimeter_crofton, regionprops

from dabench.data.volumes import ArrayVolume
from dabench.errors import ConfigError, DataError
from dabench.volumes.measuring import measure
from dabench.volumes.measuring.measure import _check_range
from dabench.volumes.measuring.surface import cell_sizes

VOXEL = (30.0, 8.0, 6.0)


def blobs(shape, seed, share=0.3):
    """Objects of all shapes that touch each other and the border, with ids that are neither 1..N nor in order."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.standard_normal(shape), 0.8)
    ids = ndimage.label(smooth > np.quantile(smooth, 1 - share))[0]
    names = rng.permutation(np.arange(1, ids.max() + 2)) * 3
    return np.where(ids, names[ids] + 1000 * (np.arange(shape[2]) > shape[2] // 2), 0).astype(np.int32)


def surface_by_pairs(inside, voxel):
    """The pairs of neighbours that a surface parts, counted on the whole array direction by direction."""
    inside, sizes, total = np.pad(inside, 1), cell_sizes(voxel), 0.0
    for step in np.ndindex(3, 3, 3):
        shift = np.array(step) - 1
        if tuple(shift) > (0, 0, 0):
            parted = np.count_nonzero(inside != np.roll(inside, shift, (0, 1, 2)))
            total += parted * 2 ** np.count_nonzero(shift == 0) * pair_size(sizes, np.abs(shift))
    return total


def pair_size(sizes, step):
    """What a parted pair counts within a cell, from cells of one or two voxels: both, less the pair's own twice."""
    other = int(step @ (4, 2, 1))
    return (sizes[1] + sizes[1 << other] - sizes[1 | 1 << other]) / 2


def test_a_box_by_hand():
    ids = np.zeros((6, 12, 20), np.uint8)
    ids[1:4, 2:7, 3:13] = 5
    found = measure(ArrayVolume(ids), (10, 4, 2)).objects
    sides = np.array([3 * 10, 5 * 4, 10 * 2])
    assert found["id"].tolist() == [5]
    assert found["voxels"][0] == 150
    assert found["volume_nm3"][0] == sides.prod()
    assert found["length_nm"][0] == pytest.approx(2 * math.sqrt(5 * 30**2 / 12)), "the moments of a box are exact"
    assert found["middle_nm"][0] == pytest.approx(2 * math.sqrt(5 * 20**2 / 12))
    assert found["width_nm"][0] == pytest.approx(2 * math.sqrt(5 * 20**2 / 12))
    assert found["elongation"][0] == pytest.approx(1.5)
    assert found["flatness"][0] == pytest.approx(1)
    assert [found[f"centroid_{a}_nm"][0] for a in "zyx"] == [2 * 10, 4 * 4, 7.5 * 2]
    assert [found[f"bbox_{a}_{end}_nm"][0] for a in "zyx" for end in ("min", "max")] == [5, 35, 6, 26, 5, 25]
    assert [found[f"{end}_{a}"][0] for a in "zyx" for end in ("first", "last")] == [1, 3, 2, 6, 3, 12]
    assert found["slices"][0] == 3
    assert not found["touches_border"][0]


def ellipsoid(semi_axes, voxel, turn=0.0):
    """An ellipsoid (semi-axes z, y, x in nm), turned by an angle in the plane of z and x."""
    reach = [int(max(semi_axes) / side) + 2 for side in voxel]
    z, y, x = (np.arange(-n, n + 1) * side for n, side in zip(reach, voxel, strict=True))
    z, x = z[:, None, None], x[None, None, :]
    along, across = math.cos(turn) * z + math.sin(turn) * x, math.cos(turn) * x - math.sin(turn) * z
    inside = (along / semi_axes[0]) ** 2 + (y[:, None] / semi_axes[1]) ** 2 + (across / semi_axes[2]) ** 2 <= 1
    return ArrayVolume(inside.astype(np.uint8))


@pytest.mark.parametrize("voxel", [(5, 5, 5), (30, 8, 8), (50, 5, 5)])
def test_a_ball_has_the_surface_of_a_ball(voxel):
    size = 12.3 * voxel[0]
    found = measure(ellipsoid((size, size, size), voxel), voxel).objects
    assert found["volume_nm3"][0] == pytest.approx(4 / 3 * math.pi * size**3, rel=0.01)
    assert found["surface_nm2"][0] == pytest.approx(4 * math.pi * size**2, rel=0.01)
    assert found["sphericity"][0] == pytest.approx(1, abs=0.01)
    assert found["length_nm"][0] == pytest.approx(2 * size, rel=0.01)


@pytest.mark.parametrize("turn", [0, 0.5, 1, math.pi / 2])
@pytest.mark.parametrize("voxel", [(5, 5, 5), (30, 8, 8)])
def test_a_spindle_has_its_surface_however_it_lies(voxel, turn):
    """A prolate spheroid three times as long as wide: 2 pi w (w + l / e arcsin e)."""
    length, width = 20 * voxel[0], 20 * voxel[0] / 3
    eccentricity = math.sqrt(1 - (width / length) ** 2)
    expected = 2 * math.pi * width * (width + length / eccentricity * math.asin(eccentricity))
    found = measure(ellipsoid((length, width, width), voxel, turn), voxel).objects
    assert found["surface_nm2"][0] == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("turn", [0, 0.3, 0.7])
def test_a_disc_has_the_outline_of_a_disc(turn):
    y, x = np.ogrid[-25:26, -25:26]
    ids = ((y - turn) ** 2 + (x + turn) ** 2 <= 20.3**2).astype(np.uint8)
    found = measure(ArrayVolume(ids[None]), (30, 4, 4), dims=2).objects
    assert found["perimeter_nm"][0] == pytest.approx(2 * math.pi * 81.2, rel=0.01)
    assert found["perimeter_nm"][0] == pytest.approx(perimeter_crofton(ids, 4) * 4, rel=1e-4), "scikit-image's"
    assert found["circularity"][0] == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("voxel", [(1.0, 1.0), (1.0, 1.0, 1.0), VOXEL])
def test_planes_have_their_size_on_average(voxel):
    """Corners of cells are parted by random planes; the share of cells cut so times their size is 1 a unit of plane."""
    rng = np.random.default_rng(0)
    sizes, dims = cell_sizes(voxel), len(voxel)
    corners = np.array(list(np.ndindex(*(2,) * dims))) * voxel
    normals = rng.standard_normal((20_000, dims))
    depth = normals / np.linalg.norm(normals, axis=1, keepdims=True) @ corners.T
    # Along the normal of a plane, cells start evenly; what lies at a corner's depth or less is inside.
    order = np.argsort(depth, axis=1)
    codes = np.cumsum(1 << order, axis=1)[:, :-1]
    shares = np.diff(np.take_along_axis(depth, order, axis=1), axis=1) / math.prod(voxel)
    assert (sizes[codes] * shares).sum(axis=1).mean() == pytest.approx(1, abs=0.005)


@pytest.mark.parametrize("voxel", [(1.0, 1.0, 1.0), VOXEL])
def test_equal_to_scikit_image(voxel):
    ids = blobs((9, 14, 15), 3)
    found = measure(ArrayVolume(ids), voxel, (4, 5, 6)).objects
    sides = np.array(voxel)
    regions = regionprops(ids, spacing=voxel)
    assert found["id"].tolist() == [region.label for region in regions]
    assert len(regions) > 10
    for row, region in enumerate(regions):
        assert found["surface_nm2"][row] == pytest.approx(surface_by_pairs(ids == region.label, voxel), rel=1e-6)
        assert found["volume_nm3"][row] == pytest.approx(region.area)
        assert [found[f"centroid_{a}_nm"][row] for a in "zyx"] == pytest.approx(region.centroid)
        # scikit-image takes voxels for points; theirs and ours differ by the moments of one voxel.
        inertia = region.inertia_tensor
        moments = np.trace(inertia) / 2 * np.eye(3) - inertia + np.diag(sides**2) / 12
        axes = 2 * np.sqrt(5 * np.linalg.eigvalsh(moments)[::-1])
        assert [found[f"{n}_nm"][row] for n in ("length", "middle", "width")] == pytest.approx(axes)
        if voxel == (1, 1, 1):
            without = found["length_nm"][row] ** 2 - 20 / 12
            assert math.sqrt(max(without, 0)) == pytest.approx(region.axis_major_length, abs=1e-4)
        low, high = region.bbox[:3], region.bbox[3:]
        assert [found[f"first_{a}"][row] for a in "zyx"] == list(low)
        assert [found[f"last_{a}"][row] + 1 for a in "zyx"] == list(high)
        assert found["touches_border"][row] == (min(low) == 0 or any(np.equal(high, ids.shape)))


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 8), st.integers(1, 10), st.integers(1, 10)),
    chunk=st.tuples(st.integers(1, 9), st.integers(1, 11), st.integers(1, 11)),
    dims=st.sampled_from([2, 3]),
    seed=st.integers(0, 2**16),
)
def test_the_boxes_do_not_matter(shape, chunk, dims, seed):
    volume = ArrayVolume(blobs(shape, seed, 0.5))
    whole, parts = measure(volume, VOXEL, shape, dims), measure(volume, VOXEL, chunk, dims)
    for one, other in ((whole.objects, parts.objects), (whole.slices, parts.slices)):
        assert list(one) == list(other)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_an_object_in_two_boxes_of_a_slice_counts_once():
    """Even if the box between them has nothing on that slice."""
    ids = np.zeros((2, 4, 4), np.uint8)
    ids[0, :, 0], ids[1, 0, 3] = 1, 2
    assert measure(ArrayVolume(ids), VOXEL, (2, 2, 2)).slices["objects"].tolist() == [1, 1]


def test_profiles_equal_scikit_image_slice_by_slice():
    ids = blobs((4, 14, 15), 5)
    found = measure(ArrayVolume(ids), VOXEL, (3, 5, 4), dims=2).objects
    rows = [(z, region) for z in range(4) for region in regionprops(ids[z], spacing=VOXEL[1:])]
    assert list(zip(found["slice"].tolist(), found["id"].tolist(), strict=True)) == [(z, r.label) for z, r in rows]
    for row, (z, region) in enumerate(rows):
        assert found["area_nm2"][row] == pytest.approx(region.area)
        assert found["centroid_x_nm"][row] == pytest.approx(region.centroid[1])
        assert found["touches_border"][row] == (
            min(region.bbox[:2]) == 0 or region.bbox[2] == 14 or region.bbox[3] == 15
        )
        assert found["first_z"][row] == found["last_z"][row] == z


def test_a_profile_by_hand():
    """A rectangle of 4 x 6 pixels parts two pairs in each row and column, and 2 (4 + 6 - 1) along each diagonal."""
    ids = np.zeros((1, 10, 10), np.uint8)
    ids[0, 2:6, 2:8] = 9
    found = measure(ArrayVolume(ids), (30, 3, 4), dims=2).objects
    sizes = cell_sizes((3.0, 4.0))
    across, down, diagonal = ((sizes[1] + sizes[1 << k] - sizes[1 | 1 << k]) / 2 for k in (1, 2, 3))
    assert found["perimeter_nm"][0] == pytest.approx(2 * (2 * 4 * across + 2 * 6 * down) + 2 * 18 * diagonal)
    assert found["perimeter_nm"][0] == pytest.approx(72, rel=0.1)
    assert found["area_nm2"][0] == 24 * 12
    assert found["length_nm"][0] == pytest.approx(2 * math.sqrt(4 * 24**2 / 12))
    assert "flatness" not in found


def test_slices():
    ids = np.zeros((3, 4, 10), np.int16)
    ids[0, :2, :5], ids[0, 3, 0], ids[0, 3, 9], ids[1, 0, 0] = 4, 7, 7, 4
    for chunk in ((3, 4, 10), (1, 2, 3)):
        slices = measure(ArrayVolume(ids), (50, 100, 100), chunk).slices
        assert slices["objects"].tolist() == [2, 1, 0], "an id in two pieces is one object"
        assert slices["area_fraction"].tolist() == [12 / 40, 1 / 40, 0]
        assert slices["objects_per_um2"].tolist() == pytest.approx([2 / 0.4, 1 / 0.4, 0])
        assert slices["z_nm"].tolist() == [0, 50, 100]


def test_negative_ids_are_background_and_large_ones_are_kept():
    ids = np.zeros((2, 3, 4), np.int64)
    ids[0, 0, 0], ids[1] = 2**62, -1
    found = measure(ArrayVolume(ids), VOXEL).objects
    assert found["id"].tolist() == [2**62]
    alone = measure(ArrayVolume(np.maximum(ids, 0)), VOXEL).objects
    assert found["surface_nm2"][0] == alone["surface_nm2"][0]


def test_nothing_there():
    found = measure(ArrayVolume(np.zeros((2, 3, 4), np.uint8)), VOXEL)
    assert found.count == 0
    assert found.summary()["volume_nm3"] is None
    assert found.slices["objects"].tolist() == [0, 0]


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 4)])
def test_everything_is_one_object(shape):
    found = measure(ArrayVolume(np.ones(shape, bool)), (1, 1, 1), (1, 2, 2)).objects
    assert found["voxels"].tolist() == [math.prod(shape)]
    expected = surface_by_pairs(np.ones(shape, bool), (1.0, 1.0, 1.0))
    assert found["surface_nm2"][0] == pytest.approx(expected, rel=1e-6), "closed at the border"


def test_sums_that_would_not_fit():
    _check_range(10**11, (9000, 9000, 9000))
    with pytest.raises(DataError, match="too large for exact sums"):
        _check_range(10**11, (100, 10_000, 10_000))


def test_what_cannot_be_measured():
    with pytest.raises(DataError, match="whole numbers as ids, the volume holds float32"):
        measure(ArrayVolume(np.zeros((1, 2, 2), np.float32)), VOXEL)
    with pytest.raises(DataError, match="id 9223372036854775808 is above"):
        measure(ArrayVolume(np.full((1, 2, 2), 2**63, np.uint64)), VOXEL)
    for voxel in ((0, 1, 1), (1, math.nan, 1), (1, 1)):
        with pytest.raises(ConfigError, match="voxel size"):
            measure(ArrayVolume(np.zeros((1, 2, 2), np.uint8)), voxel)
    with pytest.raises(ConfigError, match="4 dimensions"):
        measure(ArrayVolume(np.zeros((1, 2, 2), np.uint8)), VOXEL, dims=4)
