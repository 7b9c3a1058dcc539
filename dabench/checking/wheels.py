"""The wheel of an installed plugin, for a bundle: of its installed files, or built from the source that they link to.

dabench never opens nor installs a wheel that came with a bundle.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from dabench.errors import ConfigError, DataError

#: Bytes of the largest wheel that a bundle may carry.
LIMIT = 32 << 20
#: Bytes of source that are copied to build one.
_SOURCE_LIMIT = 256 << 20
#: What a folder of source holds that is not source.
_NOT_SOURCE = {".git", ".venv", "venv", "build", "dist", "node_modules", "__pycache__"}
#: What an installer writes; another installer writes its own.
_INSTALLERS = {"INSTALLER", "REQUESTED", "direct_url.json", "RECORD", "RECORD.jws", "RECORD.p7s"}
_NAME = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9_.]*)-[A-Za-z0-9_.!+]+(-\d[A-Za-z0-9_.]*)?(-[A-Za-z0-9_.]+){3}\.whl")
#: ZIP's earliest time, by which equal files give equal wheels.
_TIME, _EPOCH = (1980, 1, 1, 0, 0, 0), "315532800"
_SECONDS = 180


def is_wheel_name(text: str) -> bool:
    """Whether a file may be called so: one plain name, as the wheel format has it."""
    return len(text) <= 200 and bool(_NAME.fullmatch(text))


def is_wheel_of(name: str, distribution: str) -> bool:
    """Whether a file of this name is a wheel of a distribution.

    >>> is_wheel_of("My_method-0.1-py3-none-any.whl", "my-method")
    True
    """
    found = _NAME.fullmatch(name)
    return found is not None and _canonical(found["name"]) == _canonical(distribution)


def make_wheels(distributions: Iterable[str]) -> dict[str, bytes]:
    """Wheels of installed distributions by file name; dabench's own needs none.

    Raises:
        ConfigError: one is a single file (``--plugin``), or not installed.
        DataError: its wheel cannot be made of what is installed, or is too large.
    """
    wanted = sorted({name for name in distributions if _canonical(name) != "dabench"})
    wheels = dict(_wheel_of(name) for name in wanted)
    for name, data in wheels.items():
        if len(data) > LIMIT:
            raise DataError(f"{name} has {len(data) / 1e6:.1f} MB; the limit for a bundle is {LIMIT / 1e6:.1f} MB.")
    return wheels


def _wheel_of(name: str) -> tuple[str, bytes]:
    try:
        found = distribution(name)
    except (PackageNotFoundError, ValueError):
        raise ConfigError(
            f"no distribution {name!r} is installed here, so its wheel cannot be built.",
            "Turn a single file into a package first (dabench new-plugin), or leave out --with-plugins.",
        ) from None
    source = _editable_source(found)
    return _repacked(found) if source is None else _built(found, source)


def _editable_source(found: Distribution) -> Path | None:
    """The folder that an editable install links to."""
    about = json.loads(found.read_text("direct_url.json") or "{}")
    url = urlsplit(about.get("url", ""))
    return Path(unquote(url.path)) if about.get("dir_info", {}).get("editable") and url.scheme == "file" else None


# ---------------------------------------------------------------------------------------------------- installed files
def _repacked(found: Distribution) -> tuple[str, bytes]:
    """The wheel that installs what is installed, with a new list of files."""
    tags = re.findall(r"^Tag: *(\S+)$", found.read_text("WHEEL") or "", re.MULTILINE)
    if not tags:
        raise DataError(f"{found.name} was not installed from a wheel, so none can be built.", "Install it with pip.")
    files = dict(_packed_files(found))
    record = next(name for name in files if name.endswith(".dist-info/METADATA")).replace("METADATA", "RECORD")
    files[record] = _record(files, record)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, _TIME)
            info.compress_type, info.create_system, info.external_attr = zipfile.ZIP_DEFLATED, 3, 0o100644 << 16
            wheel.writestr(info, data)
    tag = "-".join(".".join(sorted(set(part))) for part in zip(*(tag.split("-") for tag in tags), strict=True))
    version = found.version.replace("-", "_")
    return f"{_canonical(found.name).replace('-', '_')}-{version}-{tag}.whl", buffer.getvalue()


def _packed_files(found: Distribution) -> Iterator[tuple[str, bytes]]:
    """Installed files by their name in a wheel; commands are left out, for an installer makes them."""
    commands = {entry.name for entry in found.entry_points if entry.group in ("console_scripts", "gui_scripts")}
    for path in sorted(found.files or (), key=str):
        if path.suffix == ".pyc" or (path.parent.suffix == ".dist-info" and path.name in _INSTALLERS):
            continue
        if path.parts[0] != ".." and not path.is_absolute():
            yield path.as_posix(), Path(str(path.locate())).read_bytes()
        elif path.parent.name not in ("bin", "Scripts") or path.stem not in commands:
            raise DataError(f"{found.name} installed {path} outside its packages, so its wheel cannot be built.")


def _record(files: dict[str, bytes], record: str) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.writerow((name, f"sha256={digest}", len(data)))
    rows.writerow((record, "", ""))
    return text.getvalue().encode()


# ------------------------------------------------------------------------------------------------------------- source
def _built(found: Distribution, source: Path) -> tuple[str, bytes]:
    """The wheel that the plugin's own build makes of a copy of its source, without a network."""
    with TemporaryDirectory(prefix="dabench-wheel-") as folder:
        copy, target = Path(folder, "source"), Path(folder, "wheel")
        _copy(source, copy)
        # Isolation would download the build's requirements; the plugin was built here before, so they are here.
        options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
        command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(target), str(copy)]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": _EPOCH}
        try:
            told = _told(command, environment)
        except subprocess.TimeoutExpired:
            told = f"the build took more than {_SECONDS} s"
        wheels = list(target.glob("*.whl"))
        if len(wheels) != 1:
            lines = "\n  ".join(told.strip().splitlines()[-4:])
            raise DataError(
                f"no wheel of {found.name} can be built from its source:\n  {lines}",
                "Install it without --editable (pip install FOLDER); the installed files are used then.",
            )
        return wheels[0].name, wheels[0].read_bytes()


def _told(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False)
    return done.stderr


def _copy(source: Path, target: Path) -> None:
    """Copy what may be source; a build of before would get into the wheel, and this one writes where it builds."""
    left = _SOURCE_LIMIT

    def ignore(folder: str, names: list[str]) -> list[str]:
        nonlocal left
        skipped = [name for name in names if name in _NOT_SOURCE or name.endswith(".egg-info")]
        left -= sum(Path(folder, name).lstat().st_size for name in names if name not in skipped)
        if left < 0:
            raise DataError(
                f"the plugin's source has more than {_SOURCE_LIMIT / 1e6:.0f} MB.", "Move data out of its folder."
            )
        return skipped

    try:
        shutil.copytree(source, target, ignore=ignore, symlinks=True)
    except OSError as error:
        raise DataError(f"the plugin's source cannot be read: {error}") from None


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
