"""Every reader against its community library: values, metadata, boxes, threads, other processes."""

import itertools
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dabench_readers
import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dabench.components.registry import PluginStatus, Registry
from dabench.data.blocks import chunks_of, read_block, voxel_of
from dabench.data.digests import DigestCache, container
from dabench.data.volumes import CachedVolume, open_volume, read_all
from dabench.errors import DataError
from dabench.interfaces import BlockVolume
from dabench.types import Block

STACK = np.random.default_rng(0).integers(0, 2**12, (7, 37, 50)).astype(np.uint16)
MICROMETRES = {"z": 0.03, "y": 0.008, "x": 0.008}


@pytest.fixture(scope="module")
def readers():
    registry = Registry()
    registry.add(dabench_readers, PluginStatus("readers", "dabench"))
    return [item.component.factory(item.component.config()) for item in registry.of_kind("reader")]


# ---------------------------------------------------------------------------------------------------------- writing
def write_hdf5(folder: Path, array: np.ndarray) -> Path:
    with h5py.File(folder / "a.h5", "w") as file:
        data = file.create_dataset("volumes/raw", data=array, chunks=(4, 16, 16), compression="gzip")
        data.attrs["resolution"] = [30.0, 8.0, 8.0]
    return folder / "a.h5"


def write_zarr(folder: Path, array: np.ndarray, version: int = 3) -> Path:
    path = folder / f"a{version}.zarr"
    made = zarr.create_array(str(path), data=array, chunks=(4, 16, 16), zarr_format=version)
    made.attrs["resolution"] = [30, 8, 8]
    return path


def write_sharded(folder: Path, array: np.ndarray) -> Path:
    zarr.create_array(str(folder / "s.zarr"), data=array, chunks=(2, 8, 8), shards=(4, 16, 16))
    return folder / "s.zarr"


def write_ome(folder: Path, array: np.ndarray, version: str = "0.5", unit: str = "micrometer") -> Path:
    """As the ome-zarr library writes it: two levels, voxel 30 x 8 x 8 nm."""
    from ome_zarr.format import format_from_version
    from ome_zarr.writer import write_multiscale

    path = folder / f"ome{version}.zarr"
    fmt = format_from_version(version)
    group = zarr.open_group(str(path), mode="w", zarr_format=fmt.zarr_format)
    levels = [array, np.ascontiguousarray(array[:, ::2, ::2])]
    write_multiscale(levels, group, fmt=fmt, axes="zyx", scale=MICROMETRES, axes_units=dict.fromkeys("zyx", unit))
    return path


def write_nifti(folder: Path, array: np.ndarray, name: str = "a.nii.gz") -> Path:
    image = nibabel.Nifti1Image(np.ascontiguousarray(array.transpose(2, 1, 0)), np.diag([0.008, 0.008, 0.03, 1]))
    image.header.set_xyzt_units("micron")
    nibabel.save(image, folder / name)
    return folder / name


def write_tiff(folder: Path, array: np.ndarray, name: str, **options: object) -> Path:
    opening = {key: options.pop(key) for key in ("bigtiff", "byteorder", "imagej", "ome") if key in options}
    with tifffile.TiffWriter(folder / name, **opening) as writer:
        writer.write(array, photometric="minisblack", **options)
    return folder / name


def write_imagej(folder: Path, array: np.ndarray) -> Path:
    about = {"spacing": 0.03, "unit": "um", "axes": "ZYX"}
    return write_tiff(folder, array, "ij.tif", imagej=True, resolution=(125, 125), metadata=about)


def write_ome_tiff(folder: Path, array: np.ndarray) -> Path:
    sizes = {f"PhysicalSize{axis}": size for axis, size in zip("ZYX", (30, 8, 8), strict=True)}
    units = {f"PhysicalSize{axis}Unit": "nm" for axis in "ZYX"}
    return write_tiff(folder, array, "o.ome.tif", ome=True, tile=(16, 32), metadata={"axes": "ZYX", **sizes, **units})


def write_folder(folder: Path, array: np.ndarray) -> Path:
    (folder / "im").mkdir()
    for z, image in enumerate(array):
        Image.fromarray(image).save(folder / "im" / f"im{z}.png")
    return folder / "im"


WRITERS = {
    "hdf5": write_hdf5,
    "zarr2": lambda folder, array: write_zarr(folder, array, 2),
    "zarr3": write_zarr,
    "sharded": write_sharded,
    "ome0.4": lambda folder, array: write_ome(folder, array, "0.4"),
    "ome0.5": write_ome,
    "nii": lambda folder, array: write_nifti(folder, array, "a.nii"),
    "nii.gz": write_nifti,
    "tiff": lambda folder, array: write_tiff(folder, array, "a.tif"),
    "big": lambda folder, array: write_tiff(folder, array, "b.tif", bigtiff=True, byteorder=">"),
    "tiled": lambda folder, array: write_tiff(folder, array, "t.tif", tile=(16, 32), compression="zlib"),
    "strips": lambda folder, array: write_tiff(
        folder, array, "s.tif", rowsperstrip=5, compression="lzw", predictor=True
    ),
    "imagej": write_imagej,
    "ome-tiff": write_ome_tiff,
    "folder": write_folder,
}
SAYS_VOXEL = {"hdf5", "zarr2", "zarr3", "ome0.4", "ome0.5", "nii", "nii.gz", "imagej", "ome-tiff"}


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    return {name: write(folder, STACK) for name, write in WRITERS.items()}


# ------------------------------------------------------------------------------------------------------- round trips
@pytest.mark.parametrize("name", WRITERS)
def test_round_trip_with_voxel(files, readers, name):
    volume = open_volume(files[name], readers)
    assert (volume.shape, volume.dtype) == (STACK.shape, STACK.dtype)
    assert voxel_of(volume) == ((30, 8, 8) if name in SAYS_VOXEL else None)
    np.testing.assert_array_equal(read_all(volume), STACK)
    inner = volume.volume
    assert isinstance(inner, BlockVolume) or name == "folder"
    with ThreadPoolExecutor(4) as pool:
        slices = list(pool.map(pickle.loads(pickle.dumps(inner)).read, [*range(7)] * 3))
    assert all((image == STACK[z % 7]).all() for z, image in enumerate(slices))


def test_chunks_are_those_of_the_file(files, readers):
    chunks = {name: chunks_of(open_volume(path, readers)) for name, path in files.items()}
    assert {chunks[name] for name in ("hdf5", "zarr2", "zarr3")} == {(4, 16, 16)}
    assert chunks["sharded"] == (2, 8, 8)
    assert chunks["tiled"] == chunks["ome-tiff"] == (1, 16, 32)
    assert chunks["folder"] == (1, 37, 50)
    assert chunks["nii.gz"] == (7, 37, 50)


spans = st.tuples(*(st.tuples(st.integers(0, n - 1), st.integers(1, n)) for n in STACK.shape))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spans=spans)
@pytest.mark.parametrize("name", WRITERS)
def test_a_box_is_the_same_cut_from_slices(files, readers, name, spans):
    sizes = [min(size, n - at) for (at, size), n in zip(spans, STACK.shape, strict=True)]
    block = Block(*(at for at, _ in spans), *sizes)
    volume = open_volume(files[name], readers)
    np.testing.assert_array_equal(read_block(volume.volume, block), STACK[block.slices])
    np.testing.assert_array_equal(volume.read_block(block), STACK[block.slices])


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "f4", "f8", "i8"])
@pytest.mark.parametrize("name", ["hdf5", "zarr2", "zarr3", "nii", "tiled"])
def test_every_number_type(tmp_path, readers, name, dtype):
    if name == "nii" and dtype == "i8":
        pytest.skip("NIfTI libraries do not write 64-bit integers")
    array = (STACK % 100).astype(dtype)
    np.testing.assert_array_equal(read_all(open_volume(WRITERS[name](tmp_path, array), readers)), array)


def test_big_endian_and_boolean(tmp_path, readers):
    zarr.create_array(str(tmp_path / "b.zarr"), data=STACK > 2000)
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file["x"] = STACK.astype(">u2")
    assert open_volume(tmp_path / "b.zarr", readers).read(1).dtype == bool
    volume = open_volume(tmp_path / "e.h5", readers)
    assert volume.dtype == volume.read(0).dtype == np.dtype("=u2")
    np.testing.assert_array_equal(read_all(volume), STACK)


def test_jpeg_folder(tmp_path, readers):
    smooth = np.linspace(0, 250, 37 * 50).reshape(37, 50).astype(np.uint8)
    for name in ("2.jpg", "10.JPEG"):
        Image.fromarray(smooth).save(tmp_path / name, quality=95)
    volume = open_volume(tmp_path, readers)
    assert volume.shape == (2, 37, 50)
    np.testing.assert_allclose(volume.read(1), smooth, atol=4)


# -------------------------------------------------------------------------------------------------------- inner paths
def test_inner_paths_of_hdf5(tmp_path, readers):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["volumes/raw"], file["volumes/labels/mito"], file["note"] = STACK, STACK % 3, [1, 2]
    with pytest.raises(
        DataError, match=r"(?s)holds 2 volumes: /volumes/labels/mito .* Say which.*h5/volumes/labels/mito"
    ):
        open_volume(tmp_path / "a.h5", readers)
    np.testing.assert_array_equal(open_volume(tmp_path / "a.h5/volumes/raw", readers).read(2), STACK[2])
    np.testing.assert_array_equal(open_volume(tmp_path / "a.h5/volumes/labels", readers).read(2), STACK[2] % 3)
    digests = DigestCache()
    parts = {digests.of(tmp_path / "a.h5" / inner) for inner in ("", "volumes/raw", "volumes/labels/mito")}
    assert len(parts) == 3
    assert container(tmp_path / "a.h5/volumes/raw") == tmp_path / "a.h5"
    assert container(tmp_path / "b.h5/volumes/raw") is None


def test_labels_of_an_ome_zarr(tmp_path, readers):
    from ome_zarr.format import format_from_version
    from ome_zarr.writer import write_labels

    path = write_ome(tmp_path, STACK)
    digests = DigestCache(tmp_path / "digests.json")
    before = digests.of(path)
    write_labels(
        (STACK % 5).astype(np.uint8),
        zarr.open_group(str(path), mode="a"),
        "mito",
        scaler=None,
        fmt=format_from_version("0.5"),
        axes="zyx",
        scale_factors=(2,),
        scale=MICROMETRES,
        axes_units=dict.fromkeys("zyx", "micrometer"),
    )
    labels = open_volume(path / "labels" / "mito", readers)
    np.testing.assert_array_equal(read_all(labels), STACK % 5)
    assert voxel_of(labels) == (30, 8, 8)
    np.testing.assert_array_equal(read_all(open_volume(path / "labels", readers)), STACK % 5)
    assert digests.of(path) == before
    assert digests.of(path / "labels" / "mito") != before
    np.testing.assert_array_equal(open_volume(path / "s1", readers).read(0), STACK[0, ::2, ::2])


def test_five_axes_with_one_channel_and_time(tmp_path, readers):
    from ome_zarr.writer import write_image

    for shape, name in (((1, 1, 7, 37, 50), "one"), ((1, 2, 7, 37, 50), "two")):
        group = zarr.open_group(str(tmp_path / f"{name}.zarr"), mode="w")
        data = np.broadcast_to(STACK, shape)
        write_image(np.ascontiguousarray(data), group, axes="tczyx", scale_factors=[])
    np.testing.assert_array_equal(read_all(open_volume(tmp_path / "one.zarr", readers)), STACK)
    with pytest.raises(DataError, match="holds 2 along 'channel'"):
        open_volume(tmp_path / "two.zarr", readers)
    with h5py.File(tmp_path / "ilastik.h5", "w") as file:
        file["exported_data"] = STACK[..., None]
        file["exported_data"].attrs["element_size_um"] = [0.03, 0.008, 0.008]
    volume = open_volume(tmp_path / "ilastik.h5", readers)
    assert voxel_of(volume) == (30, 8, 8)
    np.testing.assert_array_equal(read_all(volume), STACK)


# --------------------------------------------------------------------------------------------------------- metadata
def test_dimension_scales_of_hdf5(tmp_path, readers):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("raw", data=STACK)
        for axis, step in enumerate((0.03, 0.008, 0.008)):
            scale = file.create_dataset(f"axis{axis}", data=np.arange(STACK.shape[axis]) * step)
            scale.attrs["units"] = "um"
            scale.make_scale()
            data.dims[axis].attach_scale(scale)
    assert voxel_of(open_volume(tmp_path / "a.h5", readers)) == pytest.approx((30, 8, 8))


def test_scale_of_the_whole_multiscale_multiplies(tmp_path, readers):
    path = write_ome(tmp_path, STACK, "0.4", unit="nanometer")
    attributes = json.loads((path / ".zattrs").read_text())
    attributes["multiscales"][0]["coordinateTransformations"] = [{"type": "scale", "scale": [1000, 1000, 1000]}]
    (path / ".zattrs").write_text(json.dumps(attributes))
    assert voxel_of(open_volume(path, readers)) == (30, 8, 8)


def test_slope_and_intercept_of_nifti(tmp_path, readers):
    image = nibabel.Nifti1Image(STACK.transpose(2, 1, 0).astype(np.int16), np.eye(4))
    image.header.set_slope_inter(0.5, 10)
    nibabel.save(image, tmp_path / "a.nii")
    content = np.asarray(nibabel.load(tmp_path / "a.nii").dataobj).transpose(2, 1, 0)
    volume = open_volume(tmp_path / "a.nii", readers)
    assert volume.dtype == np.float32
    np.testing.assert_allclose(read_all(volume), content, rtol=1e-6)
    assert voxel_of(volume) is None


def test_a_stack_in_deep_chunks_is_decoded_once(tmp_path):
    class Counting:
        shape, dtype, chunks, voxel, boxes = STACK.shape, STACK.dtype, (4, 16, 16), None, 0

        def read(self, z):
            raise AssertionError("slice by slice")

        def read_block(self, block):
            Counting.boxes += 1
            return STACK[block.slices]

    volume = CachedVolume(Counting())
    for _, z in itertools.product(range(3), range(7)):
        np.testing.assert_array_equal(volume.read(z), STACK[z])
    assert Counting.boxes == 2


def test_digest_of_a_zarr_sees_every_chunk(tmp_path):
    path = write_zarr(tmp_path, STACK, 2)
    digests = DigestCache(tmp_path / "digests.json")
    before = digests.of(path)
    assert DigestCache().of(path, fresh=True) == before
    assert len(json.loads((tmp_path / "digests.json").read_text())) == 1
    zarr.open_array(str(path), mode="r+")[6, 36, 49] = 1
    changed = digests.of(path)
    assert changed != before
    attributes = json.loads((path / ".zattrs").read_text())
    (path / ".zattrs").write_text(json.dumps({**attributes, "resolution": [40, 8, 8]}))
    assert digests.of(path) not in (before, changed)


def test_digest_of_a_flat_folder_is_what_it_was(tmp_path):
    import hashlib

    from dabench.files.digests import digest_of

    folder = write_folder(tmp_path, STACK)
    files = sorted(folder.iterdir())
    by_hand = digest_of([(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files])
    assert DigestCache().of(folder) == by_hand
