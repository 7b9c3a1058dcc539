"""Folders as bytes, for machines that share no file system: the stages a job reads, and what it made."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from dabench.execution.jobs import Job
from dabench.files.atomic import atomic
from dabench.files.workspace import Workspace


def user_files(workspace: Workspace) -> bytes:
    """What a user added to the workspace: cards of domains, and weights."""
    return pack(workspace.root, [workspace.cards, workspace.weights])


def stage_files(workspace: Workspace, key: str) -> bytes:
    """A finished stage: weights, record, curve, the desk's answers, what siblings share; predictions stay."""
    return pack(workspace.root, [workspace.stages / key], without=("predictions", "checkpoint.pt", "kept"))


def outcome_files(workspace: Workspace, job: Job) -> bytes:
    """What a job made: its stage, or for a cell the run directory and the stages' predictions with their scores."""
    if job.makes:
        return stage_files(workspace, job.makes)
    predictions = [workspace.stages / key / "predictions" for key in job.keys]
    return pack(workspace.root, [workspace.runs / str(job.id.removeprefix("cell-")), *predictions])


def pack(root: Path, folders: Iterable[Path], without: tuple[str, ...] = ()) -> bytes:
    """Folders below ``root`` as an uncompressed tar; folders that are not there are left out."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in folders:
            for path in sorted(p for p in folder.rglob("*") if p.is_file()):
                name = path.relative_to(root)
                if not set(path.relative_to(folder).parts) & set(without) and not path.name.startswith("."):
                    archive.add(path, name.as_posix())
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
