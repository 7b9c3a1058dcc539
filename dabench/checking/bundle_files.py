"""Opens a stranger's bundle: every name, size and digest is checked, and no byte goes anywhere but below one folder."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from dabench.checking.bundle import FORMAT, MANIFEST, VERSIONS, BundleError, FileEntry, Manifest, wheel_file
from dabench.checking.paths import belongs, is_cell_id, is_origin, outside
from dabench.checking.suite_files import is_suite_name, suite_file
from dabench.checking.wheels import LIMIT, is_wheel_name, is_wheel_of
from dabench.files.problems import problems

#: Largest manifest, in bytes: some 100,000 runs.
_MANIFEST_LIMIT = 1 << 28
_CHUNK = 1 << 20
#: Problems that an error lists.
_LISTED = 6
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@contextmanager
def opened(path: Path, limit: int) -> Iterator[tuple[zipfile.ZipFile, Manifest]]:
    """A bundle whose table of contents and manifest are in order; contents are read by `unpack`.

    Args:
        path: the file.
        limit: bytes that all of its files together may have, unpacked.

    Raises BundleError, with every kind of problem found.
    """
    if not path.is_file():
        raise BundleError(f"{path}: there is no such file.")
    with _damage(path):
        bundle = zipfile.ZipFile(path)
    with bundle:
        with _damage(path):
            _refuse(path, _bad_members(bundle.infolist()))
            _refuse(path, _too_large((info.file_size for info in bundle.infolist()), limit))
            manifest = _manifest(path, bundle)
        _refuse(path, _bad_manifest(manifest, bundle.infolist()))
        yield bundle, manifest


def unpack(path: Path, bundle: zipfile.ZipFile, inside: str, files: dict[str, FileEntry], folder: Path) -> None:
    """Write files that lie ``inside`` a folder of the bundle below another, comparing sizes and digests.

    Raises BundleError.
    """
    with _damage(path):
        problems = [_unpack(bundle, f"{inside}/{name}", entry, folder / name) for name, entry in files.items()]
    _refuse(path, [problem for problem in problems if problem])


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn whatever a damaged zip raises into one error."""
    try:
        yield
    except (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise BundleError(f"{path.name} is not a complete zip file: {error}", "Copy it again.") from None
    except (ValueError, RuntimeError, UnicodeDecodeError) as error:
        raise BundleError(f"{path.name} cannot be read as a zip file: {error}", "Copy it again.") from None


def _refuse(path: Path, problems: Iterable[str]) -> None:
    found = list(problems)
    if found:
        rest = f"\n  ... and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
        raise BundleError(f"{path.name} is refused:\n  " + "\n  ".join(found[:_LISTED]) + rest)


# --------------------------------------------------------------------------------------------------- table of contents
def _bad_members(members: list[zipfile.ZipInfo]) -> Iterator[str]:
    for info in members:
        if reason := "is a folder" if info.is_dir() else outside(info.orig_filename) or _bad_kind(info):
            yield f"{info.orig_filename[:120]!r} {reason}"
    for name, count in Counter(info.filename.casefold() for info in members).items():
        if count > 1:
            yield f"{name[:120]!r} occurs {count} times"
    if not members or members[0].filename != MANIFEST:
        yield f"its first file is not {MANIFEST}: this is not a bundle of results"


def _bad_kind(info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.flag_bits & 0x1:
        return "is encrypted"
    if stat.S_ISLNK(kind):
        return "is a link"
    if kind not in (0, stat.S_IFREG):
        return "is not a regular file"
    return "" if info.compress_type in _METHODS else f"is compressed by method {info.compress_type}, not deflate"


def _too_large(sizes: Iterable[int], limit: int) -> Iterator[str]:
    total = sum(sizes)
    if total > limit:
        yield f"its unpacked size is {_gib(total)}, more than the limit of {_gib(limit)} (--max-gib)"


def _gib(count: int) -> str:
    return f"{count / (1 << 30):.2f} GiB"


# ----------------------------------------------------------------------------------------------------------- manifest
def _manifest(path: Path, bundle: zipfile.ZipFile) -> Manifest:
    info = bundle.getinfo(MANIFEST)
    if info.file_size > _MANIFEST_LIMIT:
        raise BundleError(f"{path.name}: its {MANIFEST} is too large ({info.file_size} bytes).")
    with bundle.open(info) as handle:
        text = handle.read(_MANIFEST_LIMIT)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path.name}: {MANIFEST} is not valid JSON: {str(error)[:120]}") from None
    about = (values.get("format"), values.get("version")) if isinstance(values, dict) else (None, None)
    if about not in {(FORMAT, version) for version in VERSIONS}:
        raise BundleError(
            f"{path.name}: its format is {str(about[0])[:40]!r} version {str(about[1])[:10]}; "
            f"this dabench reads {FORMAT!r} up to version {VERSIONS[-1]}.",
            "A bundle from a newer dabench needs that dabench:  pip install --upgrade dabench",
        )
    try:
        return Manifest.model_validate(values)
    except ValidationError as error:
        first = problems(error, Manifest, key="key")[0]
        raise BundleError(f"{path.name}: {MANIFEST}: {first[:300]}") from None


def _bad_manifest(manifest: Manifest, members: list[zipfile.ZipInfo]) -> Iterator[str]:
    """Names that may not be, files on one side only, and sizes that differ."""
    if manifest.origin and not is_origin(manifest.origin):
        yield f"{manifest.origin[:60]!r} is not a valid origin"
    sizes = {info.filename: info.file_size for info in members if info.filename != MANIFEST}
    listed: dict[str, FileEntry] = {}
    for run in manifest.runs:
        if not is_cell_id(run.cell_id):
            yield f"{run.cell_id[:80]!r} is not a valid cell name"
        for name, entry in run.files.items():
            full = f"runs/{run.cell_id}/{name}"
            if not belongs(name):
                yield f"{full[:160]!r} does not belong in a bundle"
            if full in listed:
                yield f"the run {run.cell_id} occurs twice"
                break
            listed[full] = entry
    for name, entry in manifest.suites.items():
        if not is_suite_name(name):
            yield f"{name[:80]!r} is not a valid suite name"
        listed[suite_file(name)] = entry
    yield from _bad_wheels(manifest)
    listed |= {wheel_file(name): entry for name, entry in manifest.wheels.items()}
    for name in sorted(sizes.keys() - listed.keys()):
        yield f"{name[:160]!r} is not listed in {MANIFEST}"
    for name, entry in listed.items():
        if name not in sizes:
            yield f"{name[:160]!r} is listed in {MANIFEST} but missing from the bundle"
        elif sizes[name] != entry.size:
            yield f"{name[:160]!r} has {sizes[name]} bytes, {MANIFEST} says {entry.size}"


def _bad_wheels(manifest: Manifest) -> Iterator[str]:
    """Names that are none of a wheel, wheels of what no run was made with, and too large ones."""
    used = {plugin.distribution for run in manifest.runs for plugin in run.plugins}
    for name, entry in manifest.wheels.items():
        if not is_wheel_name(name):
            yield f"{name[:80]!r} is not a valid wheel name"
        elif not any(is_wheel_of(name, distribution) for distribution in used):
            yield f"{name!r} does not belong to a plugin that its runs used"
        if entry.size > LIMIT:
            yield f"{name[:80]!r} has {entry.size / 1e6:.1f} MB, more than the limit of {LIMIT / 1e6:.1f} MB"


# ----------------------------------------------------------------------------------------------------------- contents
def _unpack(bundle: zipfile.ZipFile, name: str, entry: FileEntry, target: Path) -> str:
    """Stream one file; what is wrong with it, or "".

    However much it would unpack to, zipfile hands out no more than its size in the table of contents, which is the
    manifest's, and takes a longer one for damaged.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with bundle.open(name) as source, target.open("xb") as handle:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            handle.write(chunk)
        handle.flush()
        os.fsync(handle.fileno())
    if digest.hexdigest() != entry.sha256:
        return f"{name!r} was edited: its digest differs from the one in {MANIFEST}"
    return ""
