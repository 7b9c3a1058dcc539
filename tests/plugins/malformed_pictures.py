"""Malformed NIfTI, TIFF and folders of pictures."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
import tifffile
from PIL import Image

from tests.plugins.malformed_files import STACK, case, halved


# -------------------------------------------------------------------------------------------------------------- NIfTI
def nifti(folder: Path, array: np.ndarray, name: str = "a.nii", unit: str = "micron") -> Path:
    image = nibabel.Nifti1Image(array, np.diag([0.008, 0.008, 0.03, 1]))
    image.header.set_xyzt_units(unit)
    nibabel.save(image, folder / name)
    return folder / name


@case("a.nii: truncated: its voxels end at byte 3232, the file has 2908")
def nifti_truncated(folder):
    return halved(nifti(folder, STACK), 0.9)


@case("a.nii.gz: slices 0 to 23 cannot be decoded")
def nifti_gzipped_truncated(folder):
    return halved(nifti(folder, STACK, "a.nii.gz"), 0.7)


@case("a.nii.gz: not a readable NIfTI")
def nifti_not_gzipped(folder):
    (folder / "a.nii.gz").write_bytes(nifti(folder, STACK).read_bytes())
    return folder / "a.nii.gz"


@case("a.nii: not a readable NIfTI")
def nifti_of_zeros(folder):
    (folder / "a.nii").write_bytes(bytes(400))
    return folder / "a.nii"


@case(r"a.nii: holds 2 along 'time' \(x, y, z, time = \(6, 20, 24, 2\)\)")
def nifti_of_two_volumes(folder):
    return nifti(folder, np.stack([STACK, STACK], -1))


@case(r"a.nii: holds \[\('R', 'u1'\), \('G', 'u1'\), \('B', 'u1'\)\], not grey values")
def nifti_colour(folder):
    return nifti(folder, np.zeros((4, 5, 6), [("R", "u1"), ("G", "u1"), ("B", "u1")]))


@case("the header says that a voxel is .* meter: that is 3e.07 nm a voxel")
def nifti_in_metres(folder):
    return nifti(folder, STACK, unit="meter")


@case("a.nii.gz: not a readable NIfTI: Empty file")
def nifti_empty(folder):
    (folder / "a.nii.gz").touch()
    return folder / "a.nii.gz"


@case("a.nii.gz: not a readable NIfTI")
def nifti_gzipped_text(folder):
    (folder / "a.nii.gz").write_bytes(gzip.compress(b"hello" * 100))
    return folder / "a.nii.gz"


# ---------------------------------------------------------------------------------------------------- TIFF and folders
@case("a.tif: truncated")
def tiff_tiled_truncated(folder):
    tifffile.imwrite(folder / "a.tif", STACK, tile=(16, 16), photometric="minisblack")
    return halved(folder / "a.tif", 0.9)


@case("a.tif: slice 2 cannot be decoded")
def tiff_damaged_tile(folder):
    tifffile.imwrite(folder / "a.tif", STACK, tile=(16, 16), photometric="minisblack", compression="zlib")
    with tifffile.TiffFile(folder / "a.tif") as tif:
        at, size = tif.pages[2].dataoffsets[1], tif.pages[2].databytecounts[1]
    content = bytearray((folder / "a.tif").read_bytes())
    content[at : at + size] = bytes(size)
    (folder / "a.tif").write_bytes(content)
    return folder / "a.tif"


@case(r"a.tif: holds 2 along 'channel' \(z, channel, y, x = \(3, 2, 20, 24\)\)")
def tiff_hyperstack(folder):
    array = STACK.reshape(3, 2, 20, 24)
    tifffile.imwrite(folder / "a.tif", array, imagej=True, metadata={"axes": "ZCYX"})
    return folder / "a.tif"


@case("its ImageJ metadata says that a voxel is .* parsec: the unit 'parsec'")
def tiff_unknown_unit(folder):
    about = {"spacing": 30, "unit": "parsec", "axes": "ZYX"}
    tifffile.imwrite(folder / "a.tif", STACK, imagej=True, resolution=(1, 1), metadata=about)
    return folder / "a.tif"


@case("a.tif: holds complex64, not grey values")
def tiff_complex(folder):
    tifffile.imwrite(folder / "a.tif", STACK.astype(np.complex64), photometric="minisblack")
    return folder / "a.tif"


@case("JPEG and PNG slices lie mixed")
def folder_of_two_formats(folder):
    Image.fromarray(STACK[0]).save(folder / "0.png")
    Image.fromarray(STACK[1]).save(folder / "1.jpg")
    return folder


@case("1.jpg: slice 1 cannot be decoded")
def folder_with_a_damaged_jpeg(folder):
    for z in range(2):
        Image.fromarray(STACK[z]).save(folder / f"{z}.jpg")
    halved(folder / "1.jpg")
    return folder


@case("0.jpg: slice 0 is not a grey picture")
def folder_of_colours(folder):
    ramp = np.linspace(0, 255, 64 * 64 * 3).reshape(3, 64, 64).transpose(1, 2, 0)
    Image.fromarray(ramp.astype(np.uint8)).save(folder / "0.jpg")
    return folder


@case(r"1.png: slice 1 has \(10, 24\) pixels, the first slice has \(20, 24\)")
def folder_of_two_sizes(folder):
    Image.fromarray(STACK[0]).save(folder / "0.png")
    Image.fromarray(STACK[0, :10]).save(folder / "1.png")
    return folder


@case(r"a.raw: no reader opens this .raw file \(asked: Hdf5Reader, NiftiReader")
def unknown_suffix(folder):
    (folder / "a.raw").write_bytes(STACK.tobytes())
    return folder / "a.raw"


@case("nowhere.zarr: no such file or folder")
def nothing_there(folder):
    return folder / "nowhere.zarr"
