"""The page's data, decoded again, are the arrays; nothing is fetched and no name is markup."""

from __future__ import annotations

import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as any_array
from made_up_data import ATTACK, DEPTH, HEIGHT, WIDTH, arrays, block, picture, plane, view_data, write

from dabench.data.volumes import ArrayVolume
from dabench.errors import DataError
from dabench.types import Window
from dabench.volumes.viewer import planes
from dabench.volumes.viewer.downsampling import choose_downsampling
from dabench.volumes.viewer.encode import Grey, measure_grey
from dabench.volumes.viewer.html import write_page
from dabench.volumes.viewer.view_data import ViewData


# ---------------------------------------------------------------- numbers
def test_planes_are_the_arrays(tmp_path):
    known, page = arrays(), write(tmp_path / "view.html").read_text()
    for z in range(DEPTH):
        record = block(page, f"slice-{z}")
        assert record["z"] == z
        assert (plane(record["prediction"]) == (known["prediction"][z] > 0)).all()
        truth = known["truth"][z]
        assert (plane(record["truth"]) == np.where(truth == 255, 2, truth)).all()
        assert (plane(record["probability"]) == np.floor(known["probability"][z] * 256)).all()
        ids = np.array([0, *map(int, record["instances"]["ids"])], np.uint64)
        assert (ids[plane(record["instances"])] == known["instances"][z]).all()
        assert np.abs(picture(record).astype(int) - Grey(0, 248).levels(known["images"][z])).max() <= 8


def test_numbers_of_a_slice_are_those_counted_by_hand(tmp_path):
    page = write(tmp_path / "view.html").read_text()
    # 48 pixels found, 16 missed, 24 made up: 2 * 48 / (72 + 64).
    told = {"z": 1, "objects": 2, "true_objects": 1, "dice": round(96 / 136, 6)}
    assert block(page, "overview")[1] == told
    assert block(page, "overview")[0] == {"z": 0, "objects": 0, "true_objects": 0, "dice": None}
    assert block(page, "slice-1")["points"] == [[8, 7], [31, 23]]
    assert block(page, "data")["layers"] == ["prediction", "instances", "probability", "truth", "points"]


def test_ignored_pixels_take_no_part_in_dice(tmp_path):
    truth = arrays()["truth"]
    truth[1, 16:20, 20:26] = 255
    page = write(tmp_path / "view.html", view_data(truth=truth)).read_text()
    assert block(page, "overview")[1]["dice"] == round(96 / (48 + 64), 6)


@pytest.mark.parametrize("gone", [("prediction",), ("prediction", "instances")])
def test_a_prediction_without_a_mask_is_where_ids_are_or_one_half(tmp_path, gone):
    page = write(tmp_path / "view.html", view_data(**dict.fromkeys(gone))).read_text()
    assert (plane(block(page, "slice-1")["prediction"]) == (arrays()["prediction"][1] > 0)).all()
    assert "prediction" in block(page, "data")["layers"]


def test_one_half_is_foreground_in_floating_point_and_as_written(tmp_path):
    level = np.array([[[0.4999, 0.5, 1.0, 0.0]]], np.float32)
    images = ArrayVolume(np.zeros((1, 1, 4), np.uint8))
    for stored in (level, np.array([[[127, 128, 255, 0]]], np.uint8)):
        page = write(tmp_path / "view.html", ViewData("p", images, probability=ArrayVolume(stored))).read_text()
        record = block(page, "slice-0")
        assert plane(record["prediction"], 4).tolist() == [[0, 1, 1, 0]]
        assert plane(record["probability"], 4).tolist() == [[127, 128, 255, 0]]


@given(any_array(np.uint16, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_any_plane_comes_back(values):
    assert (plane(planes.plane(values), values.shape[1]) == values).all()


@given(any_array(np.uint64, st.tuples(st.integers(1, 6), st.integers(1, 6))))
def test_any_ids_come_back(values):
    places, ids = planes.numbered(values)
    assert (np.array([0, *map(int, ids)], np.uint64)[places] == values).all()


def test_many_ids_on_a_slice_do_not_overflow():
    places, ids = planes.numbered(np.arange(70_000, dtype=np.uint32).reshape(100, 700))
    assert (int(places.max()), len(ids)) == (65_535, 69_999)


def test_grey_values_are_the_same_for_all_slices_and_nan_is_black():
    images = np.linspace(0, 1000, 8 * 64 * 64, dtype=np.float32).reshape(8, 64, 64)
    images[0, 0, 0] = np.nan
    grey = measure_grey(ArrayVolume(images), choose_downsampling(images.shape))
    assert (grey.low, grey.high) == pytest.approx((5, 995), abs=0.5)
    assert grey.levels(images[0])[0, 0] == 0
    assert measure_grey(ArrayVolume(np.full((2, 3, 3), 7, np.uint8)), choose_downsampling((2, 3, 3))).low == 7


def test_grey_values_are_those_of_the_last_slices_too():
    images = np.zeros((15, 8, 8), np.uint8)
    images[14] = 200
    assert measure_grey(ArrayVolume(images), choose_downsampling(images.shape)).high == 200


# ---------------------------------------------------------------- parts
def test_a_reduced_window_says_so_and_counts_at_full_size(tmp_path):
    window = Window(2, 4, 20, 28)
    page = write(tmp_path / "view.html", slices=range(1, 4), most=2, window=window, side=14).read_text()
    told, record = block(page, "data"), block(page, "slice-0")
    assert (told["slices"], told["factor"], told["shown"], told["window"]) == ([1, 3], 2, [10, 14], [2, 4, 20, 28])
    assert [word in " ".join(told["notes"]) for word in ("2 of 3 slices", "window", "Shown at 1/2")] == [True] * 3
    mask = arrays()["prediction"][1][window.slices] > 0
    assert (plane(record["prediction"], 14) == mask[::2, ::2]).all(), "its edges lie on whole squares"
    assert record["dice"] == round(96 / 136, 6)
    assert record["points"] == [[4, 5], [27, 21]][:1]
    assert picture(record).shape == (10, 14)


def test_nothing_is_said_to_be_left_out_where_all_is_there(tmp_path):
    assert block(write(tmp_path / "view.html").read_text(), "data")["notes"] == []


def test_memory_does_not_grow_with_slices(tmp_path):
    class Made:
        dtype = np.dtype(np.uint8)

        def __init__(self, depth):
            self.shape = (depth, 128, 128)

        def read(self, z):
            return np.full((128, 128), z, np.uint8)

    def peak(depth):
        shown = ViewData("made", Made(depth), prediction=Made(depth))
        tracemalloc.start()
        write(tmp_path / "view.html", shown, most=depth)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(2)
    assert peak(160) < 1.3 * peak(20)


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path):
    file = write(tmp_path / "view.html")
    before = file.read_bytes()

    class Broken:
        shape, dtype = (DEPTH, HEIGHT, WIDTH), np.dtype(np.uint8)

        def read(self, z):
            if z == 3:
                raise DataError("slice 3 is damaged.")
            return arrays()["prediction"][z]

    broken = Broken()
    with pytest.raises(DataError, match="slice 3"):
        write_page(view_data(prediction=broken), choose_downsampling(broken.shape), file)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


# ---------------------------------------------------------------- refusals
def test_layers_of_another_shape_are_refused():
    with pytest.raises(DataError, match=r"the truth has 4 x 24 x 31 .* the images have 4 x 24 x 32"):
        view_data(truth=np.zeros((DEPTH, HEIGHT, WIDTH - 1), np.uint8))


@pytest.mark.parametrize(("z", "y", "x"), [(4, 0, 0), (-1, 0, 0), (0, 24, 0), (0, 0, -1), (0, float("nan"), 0)])
def test_points_outside_are_refused(z, y, x):
    with pytest.raises(DataError, match=f"point z={z}"):
        view_data(points={z: np.asarray([[x, y]], np.float32)})


def test_types_that_cannot_be_what_they_are_said_to_be_are_refused():
    with pytest.raises(DataError, match="ids must be whole numbers"):
        view_data(instances=arrays()["probability"])
    with pytest.raises(DataError, match="probability of type uint64"):
        view_data(probability=arrays()["instances"])


# ---------------------------------------------------------------- strangers
def test_the_page_fetches_nothing_and_names_are_no_markup(tmp_path):
    page = write(tmp_path / "view.html", view_data(title=ATTACK, notes=(ATTACK,))).read_text()
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|sendBeacon|innerHTML|outerHTML|insertAdj|eval\(", page)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    assert policy[1].startswith("default-src &#x27;none&#x27;")
    assert "unsafe" not in policy[1]
    assert "<img" not in page
    assert page.count("<script") == 3 + DEPTH, "data, slices, overview, the page's own"
    assert block(page, "data")["notes"] == [ATTACK]
