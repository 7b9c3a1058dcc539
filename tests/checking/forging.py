"""What somebody who cheats would do to a run directory, and to a bundle."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from dabench.files.digests import digest_file
from dabench.runs.config import validate_config
from dabench.runs.predict import read_predictions
from dabench.tracking.scores import SCORES, read_scores, write_scores

RECEIPT, JOURNAL, PREDICTION = "receipt.json", "journal.jsonl", "predictions/target_test.tif"


def edit_json(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")


def edit_journal(run: Path, kind: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change every event of a kind in place."""
    events = [json.loads(line) for line in (run / JOURNAL).read_text().splitlines()]
    for event in events:
        if event["event"] == kind:
            change(event)
    write_journal(run, events)


def write_journal(run: Path, events: list[dict[str, Any]]) -> None:
    (run / JOURNAL).write_text("".join(json.dumps(event, separators=(",", ":")) + "\n" for event in events))


def score(run: Path, stage: str, metric: str, value: float, share: float = 0.0) -> None:
    """Give a stage another score in the journal."""

    def change(event: dict[str, Any]) -> None:
        if event["stage"] == stage and event["test_points"] == share:
            event["metrics"][metric] = value

    edit_journal(run, "scored", change)


def lift_rows(path: Path, column: str, value: float) -> None:
    """Give every slice of a per-slice file the same score."""
    header, *lines = path.read_text().splitlines()
    index = header.split(",").index(column)
    rows = [line.split(",") for line in lines]
    for row in rows:
        row[index] = repr(value)
    path.write_text("\r\n".join([header, *(",".join(row) for row in rows)]) + "\r\n")


def paint(run: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change the stored prediction, written as dabench writes it."""
    path = run / PREDICTION
    masks = change(np.stack([mask * np.uint8(255) for mask in read_predictions(path)]))
    with tifffile.TiffWriter(path) as writer:
        for mask in masks:
            writer.write(mask, compression="zlib", contiguous=False)


def reseal(run: Path) -> None:
    """Write a receipt that fits what lies there, as somebody would who knows how it is made."""
    data = (run / JOURNAL).read_bytes()
    head = data[: data.rstrip(b"\n").rfind(b"\n") + 1]
    files = sorted(p for p in run.rglob("*") if p.is_file() and p.name not in (RECEIPT, JOURNAL))

    def change(receipt: dict[str, Any]) -> None:
        receipt["outputs"] = {p.relative_to(run).as_posix(): digest_file(p) for p in files}
        receipt["journal"] = {"bytes": len(head), "sha256": hashlib.sha256(head).hexdigest()}

    edit_json(run / RECEIPT, change)


def rename(run: Path, tags: dict[str, str], **settings: Any) -> Path:
    """Say that a run is of another cell, everywhere, and seal it; its folder is renamed too."""
    edit_json(run / "config.json", lambda config: config.update(settings))
    name = validate_config(json.loads((run / "config.json").read_text())).cell_id

    def change(event: dict[str, Any]) -> None:
        event["cell_id"] = name
        event["params"].update(settings)
        event["tags"].update(tags, cell_id=name, config_hash=name[-8:])

    edit_journal(run, "cell_started", change)
    edit_json(run / RECEIPT, lambda receipt: receipt.update(cell_id=name))
    write_scores(run / SCORES, [row._replace(run=name) for row in read_scores(run / SCORES)])
    run = run.rename(run.with_name(name))
    reseal(run)
    return run


# ------------------------------------------------------------------------------------------------------------ bundles
class Zip:
    """A bundle taken apart: its members in order, to be written again in any way."""

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as bundle:
            self.members = [(info, bundle.read(info)) for info in bundle.infolist()]

    def find(self, end: str) -> int:
        return next(i for i, (info, _) in enumerate(self.members) if info.filename.endswith(end))

    def add(self, name: str, data: bytes = b"x", mode: int = 0o100644) -> None:
        info = zipfile.ZipInfo("placeholder", (1980, 1, 1, 0, 0, 0))
        info.filename = info.orig_filename = name
        info.create_system, info.external_attr = 3, mode << 16
        self.members.append((info, data))

    def replace(self, end: str, data: bytes) -> None:
        i = self.find(end)
        self.members[i] = (self.members[i][0], data)

    def manifest(self, change: Callable[[dict[str, Any]], Any]) -> None:
        values = json.loads(self.members[0][1])
        change(values)
        self.replace("manifest.json", json.dumps(values).encode())

    def refit(self) -> None:
        """Write the digests and sizes of what is there into the manifest."""
        data = {info.filename: content for info, content in self.members}

        def entry(content: bytes) -> dict[str, Any]:
            return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}

        def change(manifest: dict[str, Any]) -> None:
            for name in manifest.get("suites", {}):
                manifest["suites"][name] = entry(data[f"suites/{name.replace('/', '__')}/manifest.json"])
            for run in manifest["runs"]:
                prefix = f"runs/{run['cell_id']}/"
                run["files"] = {
                    name.removeprefix(prefix): entry(content)
                    for name, content in data.items()
                    if name.startswith(prefix)
                }

        self.manifest(change)

    def write(self, path: Path, odd: str = "") -> Path:
        """Write it; the member whose name ends like ``odd`` is compressed in another way."""
        with zipfile.ZipFile(path, "w") as bundle:
            for info, data in self.members:
                lzma = bool(odd) and info.filename.endswith(odd)
                bundle.writestr(info, data, compress_type=zipfile.ZIP_LZMA if lzma else zipfile.ZIP_DEFLATED)
        return path
