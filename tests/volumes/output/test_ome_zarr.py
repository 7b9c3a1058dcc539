"""What is written is OME-Zarr 0.5 that others read, and pyramids are what they say."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dabench.data.blocks import block_grid
from dabench.errors import DataError
from dabench.interfaces import BlockVolume
from dabench.types import Block
from dabench.volumes.output import OmeZarr, build_pyramid
from dabench.volumes.output.layout import Layout, layout, pyramid
from dabench.volumes.output.pyramid import coarser_mean, coarser_mode

VOXEL = (30.0, 8.0, 8.0)


def written(path, shape=(6, 300, 520), block=(2, 300, 520), voxel=VOXEL, first=0):
    """A complete output with random voxels, and those voxels."""
    output = OmeZarr(path, shape, block, voxel, ("mask", "instances"), first, {"model": "m"})
    output.create()
    rng = np.random.default_rng(0)
    volumes = {
        "probability": rng.integers(0, 256, shape, np.uint8),
        "mask": rng.integers(0, 2, shape, np.uint8),
        "instances": rng.integers(0, 2**32, shape, np.uint32) // 3,
    }
    for name, values in volumes.items():
        blocks = output.blocks(name)
        for one in block_grid(shape, block):
            blocks.write_block(one, values[one.slices])
            blocks.flush(one)
        told = list(build_pyramid(output, name))
        assert told == [(n, len(told)) for n in range(1, len(told) + 1)]
    return output, volumes


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return written(tmp_path_factory.mktemp("ome") / "out.zarr", first=4)


def test_the_metadata_are_valid(made):
    import zarr
    from ome_zarr_models.v05 import Image
    from ome_zarr_models.v05.image_label import ImageLabel
    from ome_zarr_models.v05.labels import Labels

    output, _ = made
    root = zarr.open_group(output.path, mode="r")
    image = Image.from_zarr(root).ome_attributes.multiscales[0]
    assert [(a.name, a.type, a.unit) for a in image.axes] == [(n, "space", "nanometer") for n in "zyx"]
    scales = [d.coordinateTransformations[0].scale for d in image.datasets]
    assert scales == [[30, 8, 8], [30, 16, 16], [30, 32, 32]]
    # The centre of the first coarse voxel is the middle of those it covers; slice 0 here is slice 4 of the scan.
    assert [d.coordinateTransformations[1].translation for d in image.datasets] == [
        [120, 0, 0],
        [120, 4, 4],
        [120, 12, 12],
    ]
    assert Labels.from_zarr(root["labels"]).ome_attributes.labels == ["mask", "instances"]
    for name in ("mask", "instances"):
        label = ImageLabel.from_zarr(root[f"labels/{name}"]).ome_attributes
        assert label.image_label.source.image == "../../"
    assert root.attrs["dabench"]["model"] == "m"


def test_others_read_it_back(made):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    output, volumes = made
    nodes = list(Reader(parse_url(output.path))())
    image = next(n for n in nodes if n.metadata.get("name") == "probability")
    assert [d.shape for d in image.data] == [(6, 300, 520), (6, 150, 260), (6, 75, 130)]
    np.testing.assert_array_equal(np.asarray(image.data[0]), volumes["probability"])
    labels = [n for n in nodes if "labels" in str(n.zarr)]
    assert len(labels) >= 2


def test_our_own_reader_opens_it_with_voxel_size(made, registry):
    from dabench.data.blocks import voxel_of
    from dabench.data.volumes import open_volume

    output, volumes = made
    readers = [item.component.factory(item.component.config()) for item in registry.of_kind("reader")]
    for path, name in ((output.path, "probability"), (output.path / "labels" / "instances", "instances")):
        volume = open_volume(path, readers)
        assert voxel_of(volume) == VOXEL
        np.testing.assert_array_equal(volume.read(3), volumes[name][3])


def test_blocks_are_volumes(made):
    output, volumes = made
    blocks = output.blocks("instances")
    assert isinstance(blocks, BlockVolume)
    assert (blocks.shape, blocks.dtype, blocks.voxel) == ((6, 300, 520), np.uint32, VOXEL)
    block = Block(1, 7, 200, 3, 11, 300)
    np.testing.assert_array_equal(blocks.read_block(block), volumes["instances"][block.slices])
    np.testing.assert_array_equal(blocks.read(5), volumes["instances"][5])
    assert output.blocks("mask", 2).voxel == (30.0, 32.0, 32.0)


def test_pyramids_are_means_and_modes_of_what_lies_below(made):
    output, volumes = made
    fine = volumes["probability"].astype(float)
    mean = fine.reshape(6, 150, 2, 260, 2).mean(axis=(2, 4))
    np.testing.assert_array_equal(output.blocks("probability", 1).array[:], np.floor(mean + 0.5))
    mask = volumes["mask"].reshape(6, 150, 2, 260, 2).sum(axis=(2, 4))
    np.testing.assert_array_equal(output.blocks("mask", 1).array[:], mask >= 2)


def test_a_flush_waits_for_files_and_for_their_names(tmp_path, monkeypatch):
    output = OmeZarr(tmp_path / "o.zarr", (2, 64, 64), (1, 64, 64), VOXEL)
    output.create()
    blocks, first = output.blocks("mask"), Block(0, 0, 0, 1, 64, 64)
    blocks.write_block(first, np.ones((1, 64, 64), np.uint8))
    opened, plain = [], os.open
    monkeypatch.setattr(os, "open", lambda path, *flags: opened.append(path) or plain(path, *flags))
    blocks.flush(first)
    array = tmp_path / "o.zarr" / "labels" / "mask" / "0"
    assert set(opened) == {array, *(array / name for name in ("c", "c/0", "c/0/0", "c/0/0/0"))}


def test_blank_boxes_make_no_files_and_flushing_them_is_fine(tmp_path):
    output = OmeZarr(tmp_path / "o.zarr", (2, 64, 64), (1, 64, 64), None)
    output.create()
    blocks = output.blocks("mask")
    blocks.write_block(Block(0, 0, 0, 1, 64, 64), np.zeros((1, 64, 64), bool))
    blocks.flush(Block.whole((2, 64, 64)))
    assert not list((output.path / "labels" / "mask" / "0").rglob("c/*/*"))
    assert "unit" not in json.dumps(json.loads((output.path / "zarr.json").read_text())["attributes"]["ome"])


def test_a_damaged_file_is_named(tmp_path):
    output, _ = written(tmp_path / "o.zarr", (2, 40, 40), (1, 40, 40))
    file = output.path / "0" / "c" / "1" / "0" / "0"
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(DataError, match=r"o\.zarr"):
        output.blocks("probability").read(1)


# ---------------------------------------------------------------- layout
@settings(max_examples=100, deadline=None)
@given(
    st.tuples(st.integers(1, 60), st.integers(1, 9000), st.integers(1, 9000)),
    st.sampled_from([(1, 4096, 4096), (4, 4096, 4096), (16, 1024, 1024), (32, 2048, 512), (3, 100, 300)]),
)
def test_files_are_whole_chunks_and_no_two_blocks_share_one(shape, block):
    block = tuple(min(b, n) for b, n in zip(block, shape, strict=True))
    found = layout(shape, block)
    for chunk, shard, own, length in zip(found.chunks, found.shards, block, shape, strict=True):
        assert shard % chunk == 0
        if own < length and own % chunk == 0:
            assert own % shard == 0


def test_coarse_voxels_become_cubes_and_slices_small():
    def factors(shape, voxel):
        return [level.factors for level in pyramid(Layout(shape, (4, 256, 256), (4, 2048, 2048)), voxel)]

    assert factors((100, 2048, 2048), (30.0, 8.0, 8.0)) == [(1, 1, 1), (1, 2, 2), (1, 4, 4), (2, 8, 8)]
    assert factors((100, 1024, 900), None) == [(1, 1, 1), (2, 2, 2), (4, 4, 4)]
    assert factors((1, 600, 100), (8.0, 8.0, 8.0)) == [(1, 1, 1), (1, 2, 2), (1, 4, 4)]


@settings(max_examples=50, deadline=None)
@given(st.tuples(*[st.integers(1, 5)] * 3), st.sampled_from([(1, 2, 2), (2, 2, 2)]), st.integers(0, 2**16))
def test_one_box_at_a_time_as_the_definition_says(shape, steps, seed):
    values = np.random.default_rng(seed).integers(0, 4, shape).astype(np.uint8)
    mean, mode = coarser_mean(values, list(steps)), coarser_mode(values, list(steps))
    assert mean.shape == mode.shape == tuple(-(-n // s) for n, s in zip(shape, steps, strict=True))
    whole = np.pad(values, [(0, -n % s) for n, s in zip(shape, steps, strict=True)], mode="edge")
    for index in np.ndindex(mean.shape):
        box = whole[tuple(slice(i * s, i * s + s) for i, s in zip(index, steps, strict=True))]
        counts = np.bincount(box.ravel(), minlength=4)
        assert mode[index] == np.flatnonzero(counts == counts.max())[-1]
        assert mean[index] == int(np.floor(box.mean() + 0.5))


@pytest.mark.parametrize(
    ("dtype", "values", "mean"),
    [
        ("uint16", [65535, 65535], 65535),
        ("uint32", [2**32 - 1, 2**32 - 3], 2**32 - 2),
        ("int16", [-300, -100], -200),
        ("float32", [0.25, 0.5], 0.375),
    ],
)
def test_the_mean_of_any_type_neither_wraps_nor_rounds_fractions(dtype, values, mean):
    made = coarser_mean(np.array(values, dtype)[None, None], [1, 1, 2])
    assert made.dtype == dtype
    assert made.ravel().tolist() == [mean]


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_boxes_of_any_place_and_size_replace_what_was_there(data):
    """Also with nothing: a blank box makes no file, and empties one that is there."""
    shape = (5, 40, 50)
    with tempfile.TemporaryDirectory() as folder:
        output = OmeZarr(Path(folder) / "o.zarr", shape, (2, 16, 20), None)
        output.create()
        blocks, expected = output.blocks("mask"), np.zeros(shape, np.uint8)
        for number in range(4):
            starts = [data.draw(st.integers(0, n - 1)) for n in shape]
            sizes = [data.draw(st.integers(1, n - at)) for n, at in zip(shape, starts, strict=True)]
            block = Block(*starts, *sizes)
            values = np.full(block.shape, number % 2 * 7, np.uint8)
            blocks.write_block(block, values)
            expected[block.slices] = values
            np.testing.assert_array_equal(output.blocks("mask").array[:], expected)
