"""One file under two names: what MLflow shows of a run is the run's own file."""

from __future__ import annotations

import os
from pathlib import Path


def same_file(source: Path, target: Path) -> bool:
    """Give a file a second name, in place of what was there; False where the file system cannot.

    Names of one file are equal: a workspace may be moved or copied, and each outlives the other.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        os.link(source, part)
        part.replace(target)
    except OSError:
        return False
    finally:
        part.unlink(missing_ok=True)
    return True
