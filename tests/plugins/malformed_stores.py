"""Malformed HDF5 and zarr."""

import json
from pathlib import Path

import h5py
import numpy as np
import zarr

from tests.plugins.malformed_files import STACK, case, halved


# --------------------------------------------------------------------------------------------------------------- HDF5
def hdf5(folder: Path, **arrays: np.ndarray) -> Path:
    with h5py.File(folder / "a.h5", "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return folder / "a.h5"


def hdf5_with(folder: Path, **attributes: object) -> Path:
    path = hdf5(folder, raw=STACK)
    with h5py.File(path, "a") as file:
        file["raw"].attrs.update(attributes)
    return path


@case("a.h5: not a readable HDF5 file: .*truncated file")
def hdf5_truncated(folder):
    return halved(hdf5(folder, raw=np.repeat(STACK, 20, 0)))


@case("a.h5: not a readable HDF5 file: .*signature not found")
def hdf5_of_text(folder):
    (folder / "a.h5").write_text("hello")
    return folder / "a.h5"


@case(r"a.h5: holds no dataset with three axes; it holds /line \(4,\) int64")
def hdf5_without_a_volume(folder):
    return hdf5(folder, line=np.arange(4))


@case("a.h5: holds no dataset with three axes; it holds nothing")
def hdf5_empty(folder):
    return hdf5(folder)


@case(r"(?s)a.h5: holds 2 volumes: /labels .*, /raw .*Say which, for example  .*a.h5/labels")
def hdf5_with_two_volumes(folder):
    return hdf5(folder, raw=STACK, labels=STACK)


@case(r"a.h5: holds no 'rw'; it holds /raw \(6, 20, 24\) uint8")
def hdf5_wrong_inner_path(folder):
    return hdf5(folder, raw=STACK) / "rw"


@case(r"a.h5/raw: an array of shape \(6, 20, 24, 3\); a volume has three axes")
def hdf5_colour(folder):
    return hdf5(folder, raw=np.repeat(STACK[..., None], 3, -1))


@case(r"a.h5/raw: holds complex64, not grey values")
def hdf5_complex(folder):
    return hdf5(folder, raw=STACK.astype(np.complex64)) / "raw"


@case(r"a.h5/raw: an array of shape \(0, 20, 24\) holds no voxel")
def hdf5_no_voxel(folder):
    return hdf5(folder, raw=STACK[:0])


@case(r"a.h5/raw: slice 0 cannot be decoded")
def hdf5_damaged_chunk(folder):
    with h5py.File(folder / "a.h5", "w") as file:
        data = file.create_dataset("raw", data=STACK, chunks=(1, 20, 24), compression="gzip")
        where = data.id.get_chunk_info(0)
    content = bytearray((folder / "a.h5").read_bytes())
    content[where.byte_offset : where.byte_offset + where.size] = bytes(where.size)
    (folder / "a.h5").write_bytes(content)
    return folder / "a.h5"


@case(r"(?s)element_size_um says that a voxel is \(0.0, 1.0, 1.0\) um: expected three numbers above 0.*--voxel")
def hdf5_voxel_of_zero(folder):
    return hdf5_with(folder, element_size_um=[0.0, 1.0, 1.0])


@case("resolution says that a voxel is .* furlong: the unit 'furlong' is no length")
def hdf5_unknown_unit(folder):
    return hdf5_with(folder, resolution=[30.0, 8.0, 8.0], units="furlong")


@case("resolution says that a voxel is .8.0, 8.0. nm: expected three numbers")
def hdf5_voxel_of_two(folder):
    return hdf5_with(folder, resolution=[8.0, 8.0])


@case("expected three numbers above 0")
def hdf5_voxel_nan(folder):
    return hdf5_with(folder, resolution=[np.nan, 8.0, 8.0])


# --------------------------------------------------------------------------------------------------------------- zarr
def zarr_of(folder: Path, array: np.ndarray = STACK, version: int = 2, **options: object) -> Path:
    zarr.create_array(str(folder / "a.zarr"), data=array, chunks=(2, 10, 12), zarr_format=version, **options)
    return folder / "a.zarr"


def ome(folder: Path, axes: object = "zyx", shape: tuple[int, ...] = STACK.shape, **changes: object) -> Path:
    """An OME-Zarr 0.4 with one level, and what is to be wrong with its multiscale."""
    group = zarr.open_group(str(folder / "a.zarr"), mode="w", zarr_format=2)
    group.create_array("0", data=np.zeros(shape, np.uint8))
    named = [{"name": a, "type": "space", "unit": "nanometer"} for a in axes] if isinstance(axes, str) else axes
    scale = {"type": "scale", "scale": [1.0] * (len(shape) - 3) + [30, 8, 8]}
    level = {"path": "0", "coordinateTransformations": [scale]}
    group.attrs["multiscales"] = [{"version": "0.4", "axes": named, "datasets": [level], **changes}]
    return folder / "a.zarr"


@case("a.zarr: not a readable zarr: JSONDecodeError")
def zarr_bad_metadata(folder):
    path = zarr_of(folder)
    (path / ".zarray").write_text("{")
    return path


@case("a.zarr: not a readable zarr: ")
def zarr_3_bad_metadata(folder):
    path = zarr_of(folder, version=3)
    (path / "zarr.json").write_text(json.dumps({"zarr_format": 3, "node_type": "array"}))
    return path


@case("a.zarr: holds no zarr array or group; it holds no zarr.json")
def zarr_without_metadata(folder):
    path = zarr_of(folder)
    (path / ".zarray").unlink()
    return path


@case("a.zarr: an empty group")
def zarr_empty_group(folder):
    zarr.open_group(str(folder / "a.zarr"), mode="w")
    return folder / "a.zarr"


@case(r"a.zarr: holds no 'label'; it holds labels \(6, 20, 24\) uint8")
def zarr_wrong_inner_path(folder):
    zarr.open_group(str(folder / "a.zarr"), mode="w").create_array("labels", data=STACK)
    return folder / "a.zarr" / "label"


@case("(?s)a.zarr: holds 2 volumes: one .*, two .*Say which")
def zarr_two_volumes(folder):
    group = zarr.open_group(str(folder / "a.zarr"), mode="w")
    group.create_array("one", data=STACK)
    group.create_array("two", data=STACK)
    return folder / "a.zarr"


@case(r"a.zarr: an array of shape \(20, 24\); a volume has three axes")
def zarr_of_two_axes(folder):
    zarr.create_array(str(folder / "a.zarr"), data=STACK[0])
    return folder / "a.zarr"


@case("a.zarr: slices 0 to 1 cannot be decoded")
def zarr_truncated_chunk(folder):
    path = zarr_of(folder)
    halved(path / "0.0.0", 0.3)
    return path


@case("pixels are NaN or infinite, nan at row 0, column 0")
def zarr_missing_chunk_with_a_fill_value_of_nan(folder):
    path = zarr_of(folder, STACK / np.float32(255), fill_value=np.nan)
    (path / "1.0.0").unlink()
    return path


@case(r"a.zarr: names the axis y twice \(z, y, y\)")
def zarr_3_with_one_name_twice(folder):
    zarr.create_array(str(folder / "a.zarr"), data=STACK, dimension_names=["z", "y", "y"])
    return folder / "a.zarr"


@case(r"a.zarr: holds 6 along 'time' \(time, y, x = \(6, 20, 24\)\)")
def zarr_2_of_times(folder):
    path = zarr_of(folder)
    zarr.open_array(str(path)).attrs["_ARRAY_DIMENSIONS"] = ["time", "y", "x"]
    return path


@case("a.h5/raw: its attribute axistags is not what ilastik writes")
def hdf5_with_half_an_axistags(folder):
    return hdf5_with(folder, axistags='{"axes": [{"key": "z"')


@case(r"a.h5/raw: names 2 axes \(z, y\), the array has")
def hdf5_with_too_few_axistags(folder):
    return hdf5_with(folder, axistags=json.dumps({"axes": [{"key": "z"}, {"key": "y"}]}))


@case("its `multiscales` metadata are not those of OME-Zarr: KeyError: 'datasets'")
def ome_without_datasets(folder):
    path = ome(folder)
    (path / ".zattrs").write_text(json.dumps({"multiscales": [{"version": "0.4"}]}))
    return path


@case("its `multiscales` metadata are not those of OME-Zarr: IndexError")
def ome_without_levels(folder):
    return ome(folder, datasets=[])


@case("its multiscale names the array '7', which is not there")
def ome_without_its_array(folder):
    return ome(folder, datasets=[{"path": "7"}])


@case("its axes are x, y, z, its multiscale says z, y, x")
def ome_whose_array_contradicts(folder):
    path = ome(folder)
    zarr.open_array(str(path / "0")).attrs["_ARRAY_DIMENSIONS"] = ["x", "y", "z"]
    return path


@case("holds 3 along 'channel'")
def ome_three_channels(folder):
    return ome(folder, axes="czyx", shape=(3, 4, 5, 6))


@case(r"3 axes, its multiscale names 4 \(c, z, y, x\)")
def ome_axes_that_are_not_there(folder):
    return ome(folder, axes="czyx", datasets=[{"path": "0"}])


@case("a scale of 2 numbers for 3 axes")
def ome_scale_of_two(folder):
    steps = [{"type": "scale", "scale": [8, 8]}]
    return ome(folder, datasets=[{"path": "0", "coordinateTransformations": steps}])


@case("the multiscale says that a voxel is .* cubit.*: the unit 'cubit' is no length")
def ome_unknown_unit(folder):
    return ome(folder, axes=[{"name": a, "type": "space", "unit": "cubit"} for a in "zyx"])


@case("8e.08 nm a voxel, which no electron microscope makes")
def ome_absurd_voxel(folder):
    return ome(folder, axes=[{"name": a, "type": "space", "unit": "centimeter"} for a in "zyx"], **_scaled(80))


@case("expected three numbers")
def ome_scale_of_words(folder):
    steps = [{"type": "scale", "scale": ["thirty", 8, 8]}]
    return ome(folder, datasets=[{"path": "0", "coordinateTransformations": steps}])


def _scaled(size: float) -> dict[str, object]:
    steps = [{"type": "scale", "scale": [size] * 3}]
    return {"datasets": [{"path": "0", "coordinateTransformations": steps}]}
