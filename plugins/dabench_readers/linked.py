"""Files that an HDF5 dataset takes its values from: external links, virtual datasets, external storage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dabench.plugin import DataError, MissingDataError

if TYPE_CHECKING:
    import h5py

#: Folders (separated as in PATH) that links may lead to, beside the folder of the file itself.
ALLOWED = "DABENCH_LINKED_FOLDERS"
_MEND = f"Allow the folder if you trust the file:  {ALLOWED}=FOLDER"


def linked_files(file: Path, dataset: h5py.Dataset) -> tuple[Path, ...]:
    """All files that hold values of a dataset, ``file`` first, each once.

    Raises:
        MissingDataError: a virtual dataset or external storage names a file that is not there.
        DataError: values outside of HDF5 (external storage), or a link that leaves the folder of the file, and the
            folder is not allowed; a source that does not hold what is asked of it.
    """
    found = {file.absolute(): None}
    home = file.parent.resolve()
    _follow(dataset, file, home, found)
    return tuple(found)


def linked_datasets(file: Path, group: h5py.Group) -> Iterator[tuple[str, tuple[int, ...], Any]]:
    """Full name, shape and type of the datasets below a group that are external links.

    Raises:
        MissingDataError: a link's file or dataset is not there.
        DataError: a link leaves the folder of the file, and the folder is not allowed; its file is not opened.
    """
    import h5py

    groups = [group]
    group.visititems(lambda _, node: groups.append(node) if isinstance(node, h5py.Group) else None)
    for holder in groups:
        for name in holder:
            link = holder.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                target = file.parent / link.filename
                _need_allowed(target, file, file.parent.resolve())
                node = holder.get(name)
                if node is None:
                    raise MissingDataError(f"{file}: {name!r} links to {link.path!r} in {target}, which is not there.")
                if isinstance(node, h5py.Dataset) and node.shape:
                    yield f"{holder.name.rstrip('/')}/{name}", node.shape, node.dtype


def _follow(dataset: h5py.Dataset, file: Path, home: Path, found: dict[Path, None]) -> None:
    holder = Path(dataset.file.filename).absolute()
    if holder.resolve() != file.resolve():
        _need_allowed(holder, file, home)
        found[holder] = None
    for name, offset, size in dataset.external or ():
        # HDF5 looks for it in the current folder, whatever the file's own: there is no place that it belongs to.
        storage = Path(os.fsdecode(name)).absolute()
        _need_allowed(storage, file, None)
        if not storage.is_file() or storage.stat().st_size < min(offset + size, 2**62):
            raise MissingDataError(f"{file}{dataset.name}: its values lie in {storage}, which is not there as a whole.")
        found[storage] = None
    if dataset.is_virtual:
        for name, inner in sorted({(s.file_name, s.dset_name) for s in dataset.virtual_sources()}):
            _follow_source(name, inner, dataset, holder, (home, found))


def _follow_source(
    name: str, inner: str, dataset: h5py.Dataset, holder: Path, seen: tuple[Path, dict[Path, None]]
) -> None:
    import h5py

    home, found = seen
    for source in _sources(name, holder):
        if name != ".":
            _need_allowed(source, holder, home)
        if not source.is_file():
            raise MissingDataError(
                f"{holder}{dataset.name}: a virtual dataset whose source {source} is not there.",
                "Put the source where the file expects it, or write the volume as a dataset of its own.",
            )
        if source in found and name != ".":
            continue
        found[source] = None
        with h5py.File(source, "r") as opened:
            part = opened.get(inner.replace("%b", "0"))
            if not isinstance(part, h5py.Dataset):
                raise DataError(f"{holder}{dataset.name}: a virtual dataset whose source {source} holds no {inner!r}.")
            if part.name != dataset.name or source != holder:
                _follow(part, source, home, found)


def _sources(name: str, holder: Path) -> list[Path]:
    """Where HDF5 finds a source: beside the file, ``.`` in it; ``%b`` is 0, 1, 2, … while there are any."""
    if name == ".":
        return [holder]
    beside = [holder.parent / name, holder.parent / Path(name).name]
    first, *_ = [path for path in beside if _numbered(path, 0).is_file()] or beside
    there = takewhile(Path.is_file, (_numbered(first, block) for block in count())) if "%b" in name else ()
    return list(there) or [_numbered(first, 0)]


def _numbered(path: Path, block: int) -> Path:
    return Path(str(path).replace("%b", str(block)))


def _need_allowed(target: Path, file: Path, home: Path | None) -> None:
    """Raises DataError for a file outside of the folder (and of the allowed ones)."""
    allowed = [Path(folder).resolve() for folder in os.environ.get(ALLOWED, "").split(os.pathsep) if folder]
    if not any(target.resolve().is_relative_to(folder) for folder in [*([home] if home else []), *allowed]):
        what = "external storage" if home is None else "a link that leaves its folder"
        raise DataError(f"{file}: {what}: {target}.", _MEND)
