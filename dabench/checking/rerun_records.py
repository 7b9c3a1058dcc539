"""What reruns came to, kept in the workspace, so that a board can mark the rows that were run again here."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dabench import __version__
from dabench.checking.paths import folder_of
from dabench.errors import DabenchError
from dabench.files.atomic import write_json
from dabench.files.workspace import Workspace
from dabench.tracking.events import now
from dabench.tracking.run_reader import read_run

if TYPE_CHECKING:  # a board reads records, and needs nothing that trains
    from dabench.checking.comparison import Outcome
    from dabench.checking.run_files import RunFiles

_FOLDER = "reruns"


def keep_rerun(home: Workspace, run: RunFiles, outcome: Outcome) -> Path:
    """Write ``reruns/<run>.json``: verdict, scores, differences, and the digest of the journal that it is about."""
    record = run.record
    about = {"cell_id": record.cell_id, "origin": record.origin, "journal": record.digest}
    when = {"time": now(), "dabench_version": __version__}
    path = home.root / _FOLDER / f"{folder_of(record.cell_id, record.origin)}.json"
    write_json(path, {**about, **when, **outcome.as_json()})
    return path


def read_reruns(home: Workspace) -> dict[str, str]:
    """Verdicts by run directory, of runs that are as they were then; what cannot be read says nothing."""
    found = {}
    for path in sorted((home.root / _FOLDER).glob("*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError, DabenchError):
            values = json.loads(path.read_text(encoding="utf-8"))
            if read_run(home.runs / path.stem).digest == values["journal"]:
                found[path.stem] = str(values["verdict"])
    return found
