"""What records, pages and bundles say of files: their names, never where they are on a machine."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath
from typing import Any

#: A path from the root or a home, of two parts at least, as messages have it; no part of an address (``http://``).
_IN_TEXT = re.compile(r"(?<![\w.~:/\\-])~?(?:/[^\s/'\":;,()<>|]+)+/([^\s/'\":;,()<>|]+)/?")
#: Characters of the digest that tells files of one name apart.
_DIGEST = 8


def named(text: str) -> str:
    """A message in which files have their names alone.

    Example:
        >>> named("/home/ann/clicks.csv: holds no points, see http://dabench.org/points and 3/4 of points/patches")
        'clicks.csv: holds no points, see http://dabench.org/points and 3/4 of points/patches'
    """
    return _IN_TEXT.sub(r"\1", text)


def without_paths(value: Any) -> Any:
    """Plain values in which a path from the root is the file's name, below a digest of the folder that it was in.

    What is without paths stays as it is, so that the result is that of a second time, too.

    Example:
        >>> without_paths({"file": "/home/ann/clicks.csv", "task": "human2stem", "shares": [0.5]})
        {'file': 'b4d9dc52/clicks.csv', 'task': 'human2stem', 'shares': [0.5]}
    """
    if isinstance(value, dict):
        return {key: without_paths(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(inner) for inner in value]
    path = PurePosixPath(value) if isinstance(value, str) and value.startswith(("/", "~/")) else None
    if path is None or "\n" in str(path):
        return value
    return f"{hashlib.sha256(str(path.parent).encode()).hexdigest()[:_DIGEST]}/{path.name}"
