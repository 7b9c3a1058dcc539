"""Files as bytes, for machines that share no file system: what a job reads, and what it made."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from dabench.files.atomic import atomic

#: Parts of a stage that stay where they are: half-trained state, and predictions, which a cell makes itself.
_STAYS = {"predictions", "checkpoint.pt", "kept"}


def pack(root: Path, names: Iterable[str]) -> bytes:
    """Files and folders below ``root`` as an uncompressed tar; what is not there is left out."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for top in (root / name for name in names):
            stays = _STAYS if top.parent == root / "stages" else set()
            for path in [top] if top.is_file() else sorted(p for p in top.rglob("*") if p.is_file()):
                if not set(path.relative_to(top).parts) & stays and not path.name.startswith("."):
                    archive.add(path, path.relative_to(root).as_posix())
    return buffer.getvalue()


def unpack(root: Path, data: bytes) -> None:
    """Write such a tar below ``root``: records last, so that no half-written stage or run is taken for a whole one."""
    root.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in sorted(archive.getmembers(), key=lambda m: Path(m.name).name in ("stage.json", "journal.jsonl")):
            content = archive.extractfile(member)
            if content is not None:
                with atomic(root / member.name) as part:
                    part.write_bytes(content.read())
