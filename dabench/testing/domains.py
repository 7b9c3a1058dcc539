"""Checks of domains, readers and their files: what is there opens, what is not there is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from dabench.components.registry import Registered
from dabench.data.volumes import open_volume
from dabench.errors import DabenchError, DataError
from dabench.interfaces import Domain, Reader, Split, Volume
from dabench.testing.fixtures import Fixtures
from dabench.testing.outcomes import Check, Violation, expect

_SPLITS = {"train", "test", "unlabelled"}
_SUFFIXES = (".tif", ".tiff", ".png", ".h5", ".hdf5", ".nii", ".nii.gz", ".npy", ".mrc", ".raw", ".jpg", ".zarr", ".n5")


# ------------------------------------------------------------------------------------------------------------- domains
def _domain(fixtures: Fixtures, item: Registered) -> Domain:
    return fixtures.assembly.domain(item.name)


def known_splits(fixtures: Fixtures, item: Registered) -> None:
    """Splits among train, test and unlabelled; ``missing`` a list of files; a description."""
    domain = _domain(fixtures, item)
    splits, missing = domain.splits(), domain.missing()
    expect(splits and set(splits) <= _SPLITS, f"splits() gave {splits!r}, expected some of {sorted(_SPLITS)}")
    expect(len(set(splits)) == len(splits), f"splits() repeats a name: {splits!r}")
    listed = isinstance(missing, list) and all(isinstance(entry, str) for entry in missing)
    expect(listed, f"missing() gave {missing!r}, expected a list of strings")
    expect(domain.description.strip(), "description is empty")


def absence_is_named(fixtures: Fixtures, item: Registered) -> None:
    """Where files are missing, opening says so with a DataError."""
    domain = _domain(fixtures, item)
    if not domain.missing():
        return
    try:
        domain.open(domain.splits()[0], _opener(fixtures))
    except DataError:
        return
    except Exception as error:
        raise Violation(
            f"open() with missing files raised {type(error).__name__}: {error}; expected a DataError"
        ) from error


def opens(fixtures: Fixtures, item: Registered) -> None:
    """Every split opens twice to the same digest; images, labels and instances have one shape and legal values."""
    domain = _domain(fixtures, item)
    if domain.missing():
        return
    for name in domain.splits():
        split, again = (domain.open(name, _opener(fixtures)) for _ in range(2))
        expect(split.digest, f"split {name!r} has no digest")
        expect(split.digest == again.digest, f"split {name!r}: another digest when opened again")
        expect(split.label_digest == again.label_digest, f"split {name!r}: another label digest when opened again")
        _check_split(split)


def _opener(fixtures: Fixtures) -> Callable[[Path], Volume]:
    readers = fixtures.assembly.readers()

    def open_path(path: Path) -> Volume:
        return open_volume(path, readers)

    return open_path


def _check_split(split: Split) -> None:
    where, shape = f"split {split.name!r}", split.images.shape
    expect(len(shape) == 3 and min(shape) >= 1, f"{where}: images have shape {shape}")
    expect(len(split.voxel) == 3 and min(split.voxel) > 0, f"{where}: voxel size {split.voxel}")
    for what, volume in (("labels", split.labels), ("instances", split.instances)):
        seen = None if volume is None else volume.shape
        expect(seen in (None, shape), f"{where}: {what} have shape {seen}, images {shape}")
    expect(bool(split.label_digest) == (split.labels is not None), f"{where}: label_digest is {split.label_digest!r}")
    for z in sorted({0, shape[0] // 2, shape[0] - 1}):
        _check_slice(where, split, z)


def _check_slice(where: str, split: Split, z: int) -> None:
    image = split.images.read(z)
    expect(image.shape == split.images.shape[1:], f"{where}, slice {z}: image of shape {image.shape}")
    expect(np.isfinite(image).all(), f"{where}, slice {z}: NaN pixels")
    if split.labels is not None:
        values = np.unique(split.labels.read(z))
        expect(np.isin(values, (0, 1, 255)).all(), f"{where}, slice {z}: labels hold {values[:6]}; legal are 0, 1, 255")


# ------------------------------------------------------------------------------------------------------------- readers
def _nonsense(folder: Path) -> list[Path]:
    """Paths that no reader should claim."""
    (folder / "notes.nonsense").write_text("not a volume")
    (folder / "no-suffix").write_bytes(b"\x00\x01\x02")
    (folder / "empty").mkdir()
    return [folder / name for name in ("notes.nonsense", "no-suffix", "empty", "not-there.nonsense", "not-there")]


def refuses_nonsense(fixtures: Fixtures, item: Registered) -> None:
    """``accepts`` is False for what is no volume, and never raises."""
    reader: Reader = fixtures.make(item)
    for path in _nonsense(fixtures.new_folder(item.name)):
        expect(reader.accepts(path) is False, f"accepts({path.name!r}) is {reader.accepts(path)!r}, expected False")


def _damaged(folder: Path) -> list[Path]:
    """Empty and garbled files under every usual suffix, and folders of such files."""
    found = []
    for suffix in _SUFFIXES:
        for kind, content in (("empty", b""), ("garbled", b"II*\x00 these are no pixels " * 9)):
            file = folder / f"{kind}{suffix}"
            file.write_bytes(content)
            inside = folder / f"{kind}-{suffix[1:]}" / f"slice000{suffix}"
            inside.parent.mkdir()
            inside.write_bytes(content)
            found += [file, inside.parent]
    return found


def damaged_file(fixtures: Fixtures, item: Registered) -> None:
    """A damaged file that it accepts is a DataError with the file's name, at the latest when a slice is read."""
    reader: Reader = fixtures.make(item)
    accepted = [path for path in _damaged(fixtures.new_folder(item.name)) if reader.accepts(path)]
    for path in accepted:
        try:
            reader.open(path).read(0)
        except DataError as error:
            expect(path.stem.split(".")[0] in str(error), f"the DataError for {path.name} does not name it: {error}")
        except Exception as error:
            raise Violation(f"{path.name}: raised {type(error).__name__}: {error}; expected a DataError") from error
        else:
            raise Violation(f"{path.name} is damaged, yet its first slice was read")


def missing_file(fixtures: Fixtures, item: Registered) -> None:
    """A file that it accepts by its name, but that is not there, is an error of dabench."""
    reader: Reader = fixtures.make(item)
    paths = [fixtures.folder / f"never-written{suffix}" for suffix in _SUFFIXES]
    for path in filter(reader.accepts, paths):
        try:
            reader.open(path)
        except DabenchError:
            continue
        except Exception as error:
            raise Violation(
                f"open({path.name!r}) raised {type(error).__name__}: {error}; expected a DataError"
            ) from error
        raise Violation(f"open({path.name!r}) gave a volume, but there is no such file")


DOMAIN = (
    Check("known splits", known_splits),
    Check("absence is named", absence_is_named),
    Check("opens", opens),
)
READER = (
    Check("refuses nonsense", refuses_nonsense),
    Check("damaged file", damaged_file),
    Check("missing file", missing_file),
)
