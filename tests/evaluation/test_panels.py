"""Pictures: which colour means what, where contours run, and that a readable picture is written."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.io import imread

from dabench.data.volumes import ArrayVolume
from dabench.evaluation import Panel, write_comparison, write_panels, write_slices
from dabench.evaluation.panels import even_slices, pick_slices


def test_captions():
    assert Panel("slpo", np.zeros((1, 1)), 0.7234).caption == "slpo  (Dice 72.3)"
    assert Panel("slpo", np.zeros((1, 1))).caption == "slpo"


def test_png_of_several_methods(tmp_path):
    rng = np.random.default_rng(0)
    image, label = rng.random((60, 80), dtype=np.float32), (rng.random((60, 80)) > 0.5).astype(np.uint8)
    one, three = tmp_path / "one.png", tmp_path / "sub" / "three.png"
    write_panels(one, image, label, [Panel("a", label > 0, 1.0)])
    write_panels(three, image, label, [Panel(name, label > 0) for name in "abc"], "vnc, slice 3")
    assert imread(three).shape[1] == pytest.approx(2 * imread(one).shape[1], rel=0.01)
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".part")] == []


def test_a_jpeg_strip_is_small_and_close(tmp_path):
    """Noise is what strips are full of: less than half of a PNG, and no contour loses its colour."""
    rng = np.random.default_rng(0)
    image, label = rng.random((200, 200), dtype=np.float32), np.zeros((200, 200), np.uint8)
    label[50:150, 50:150] = 1
    exact, small = tmp_path / "a.png", tmp_path / "a.jpg"
    for path in (exact, small):
        write_panels(path, image, label, [Panel("a", label > 0)])
    assert small.stat().st_size < exact.stat().st_size / 2
    difference = np.abs(imread(exact)[..., :3].astype(int) - imread(small).astype(int))
    assert difference.mean() < 4


def test_slices_worth_a_look():
    rows = [{"slice": z, "dice": d, "left_out": ""} for z, d in enumerate([0.5, 0.9, 0.1, 0.6])]
    rows.append({"slice": 4, "left_out": "empty on both sides"})
    assert pick_slices(rows) == {"median": 3, "worst": 2, "best": 1}
    assert pick_slices(rows[:1]) == {"median": 0}
    assert pick_slices(rows[4:]) == {}


def test_comparison_of_predictions_on_disk(tmp_path):
    labels = np.zeros((2, 40, 40), np.uint8)
    labels[:, 10:30, 10:30] = 1
    stacks = {name: tmp_path / f"{name}.tif" for name in ("source", "slpo")}
    for shift, path in enumerate(stacks.values()):
        tifffile.imwrite(path, np.roll(labels, shift, 1) * 255)
    rows = [{"slice": z, "dice": 0.5 + z / 4, "left_out": ""} for z in range(2)]
    volumes = ArrayVolume(labels * np.float32(0.5)), ArrayVolume(labels)
    files = write_comparison(tmp_path / "panels", *volumes, stacks, dict.fromkeys(stacks, rows))
    assert [f.name for f in files] == ["slice-0001-median.jpg", "slice-0000-worst.jpg"]
    assert all(f.is_file() for f in files)
    assert write_comparison(tmp_path, volumes[0], None, stacks, {}) == []


def test_even_slices_depend_on_nothing_but_the_depth():
    assert even_slices(33) == [5, 16, 27]
    assert even_slices(8) == [1, 4, 6]
    assert even_slices(2) == [0, 1]
    assert even_slices(1) == [0]


def test_pictures_that_compare_across_runs(tmp_path):
    labels = np.zeros((3, 1000, 500), np.uint8)
    labels[:, 200:600, 100:300] = 1
    images, stack = ArrayVolume(labels * np.float32(0.5)), tmp_path / "a.tif"
    tifffile.imwrite(stack, np.zeros_like(labels), photometric="minisblack")
    rows = [{"slice": 0, "dice": 0.875, "left_out": ""}, {"slice": 1, "left_out": "empty"}]
    files = write_slices(tmp_path / "last", images, ArrayVolume(labels), stack, rows)
    assert sorted(f.name for f in files) == [f"{kind}-000{z}.jpg" for kind in ("slice", "truth") for z in range(3)]
    first, second = (Image.open(tmp_path / "last" / f"slice-000{z}.jpg") for z in (0, 1))
    assert (first.size, first.info["comment"], second.info.get("comment", b"")) == ((320, 640), b"Dice 87.5", b"")
    assert first.getpixel((125, 250))[0] > 150, "missed pixels are red"
    assert write_slices(tmp_path, images, None, stack, rows) == []
