"""What a workspace remembers of a suite: its file as it ran, and which cell is which row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dabench.errors import DataError, UnknownNameError
from dabench.files.atomic import write_json
from dabench.files.digests import digest_of
from dabench.files.printable import printable_values
from dabench.files.private import without_paths
from dabench.files.workspace import Workspace
from dabench.runs.config import RunConfig
from dabench.suites.spec import Suite, SuiteCell, row_name

#: Name of the file of a suite record; a bundle's manifest has the same.
RECORD = "manifest.json"
#: Defaults that a record did not write down, which are others now: its cells keep their names.
_EARLIER = {"inference": "fast"}


def write_suite_record(workspace: Workspace, suite: Suite, cells: Sequence[SuiteCell], threads: int = 1) -> Path:
    """Write the record: the suite, and each cell's row, id and place on the axes.

    Cells that ran before stay listed: of the same rows with another label, preset, task or seed, and of rows of the
    suite that are not among the chosen ones.
    """
    path = workspace.suite(suite.name) / RECORD
    earlier = read_suite_record(workspace, suite.name)["cells"] if path.is_file() else []
    present = [_listed(cell) for cell in cells]
    rows = {_unlabelled(one) for one in present}
    rows |= {row_name(row, cell.place) for row in suite.rows for cell in cells}
    listed = {_spot(one): one for one in [*(e for e in earlier if _unlabelled(e) in rows), *present]}
    asked = without_paths(suite.model_dump(mode="json"))
    asked["settings"] = {"inference": RunConfig.model_fields["inference"].default, **asked["settings"]}
    content = {"name": suite.name, "threads": threads, "title": suite.title, "suite": asked}
    write_json(path, {**content, "cells": list(listed.values())})
    return path


def _listed(cell: SuiteCell) -> dict[str, Any]:
    config = cell.config
    setting = [config.data, config.preset, config.protocol, config.inference]
    setting += [] if config.pixel_size == "auto" else [config.pixel_size]
    return {
        "row": cell.row,
        "cell_id": config.cell_id,
        "place": {"task": config.task, "seed": config.seed, **cell.place},
        "setting": setting,
        "excluded": cell.excluded,
        **({"label": config.label} if config.label else {}),
    }


def _unlabelled(listed: dict[str, Any]) -> str:
    """The name of a cell's row, whichever version of the method it is."""
    return str(listed["row"]).removesuffix(f" {listed.get('label', '')}")


def _spot(listed: dict[str, Any]) -> str:
    """What one cell can be: a row of a setting at one place."""
    return digest_of([listed["row"], listed["setting"], listed["place"]])


def read_suite_record(workspace: Workspace, name: str) -> dict[str, Any]:
    """The record of a suite that was started here. Raises UnknownNameError, or DataError for a damaged file."""
    path = workspace.suite(name) / RECORD
    if not path.is_file():
        raise UnknownNameError("suite of this workspace", name, started_suites(workspace))
    try:
        found: dict[str, Any] = printable_values(json.loads(path.read_text()))
    except ValueError as error:
        raise DataError(f"{path.parent.name}/{RECORD} is damaged: {error}", "Run the suite again.") from None
    if isinstance(found.get("suite"), dict):
        found["suite"] = {**found["suite"], "settings": {**_EARLIER, **(found["suite"].get("settings") or {})}}
    return found


def threads_of(workspace: Workspace, name: str) -> int:
    """Threads of each job when a suite was last started here; 1 where it was not."""
    if name not in started_suites(workspace):
        return 1
    return int(read_suite_record(workspace, name).get("threads", 1))


def started_suites(workspace: Workspace) -> list[str]:
    """Names of the suites that were started in a workspace."""
    return sorted(p.parent.name.replace("__", "/") for p in (workspace.root / "suites").glob(f"*/{RECORD}"))


def cell_rows(workspace: Workspace, name: str) -> dict[str, str]:
    """The row of each cell of a suite that was started here; those that it leaves out are not in it."""
    return {
        cell["cell_id"]: cell["row"] for cell in read_suite_record(workspace, name)["cells"] if not cell["excluded"]
    }


def all_rows(workspace: Workspace) -> dict[str, dict[str, str]]:
    """`cell_rows` of every suite that was started in a workspace."""
    return {name: cell_rows(workspace, name) for name in started_suites(workspace)}
