"""How a volume was made, as files of each format keep it: which model of which run, from what, by which dabench."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Name of the note: of an attribute in zarr and HDF5, of a namespace of annotations in OME-TIFF, the first word of a
#: comment in NIfTI.
NAME = "dabench"


def travelling(noted: Mapping[str, Any]) -> dict[str, Any]:
    """The note as a file that is handed on has it: the name of the images, not where they lie on this machine."""
    images = noted.get("images")
    return {**noted, **({"images": Path(images).name} if isinstance(images, str) else {})}


def as_text(noted: Mapping[str, Any]) -> str:
    """For an attribute of HDF5."""
    return json.dumps(travelling(noted))


def as_annotation(noted: Mapping[str, Any]) -> dict[str, str]:
    """For OME-XML: a map annotation, each value JSON."""
    return {"Namespace": NAME, **{key: json.dumps(value) for key, value in travelling(noted).items()}}


def as_comment(noted: Mapping[str, Any]) -> bytes:
    """For an extension of a NIfTI header."""
    return f"{NAME} {as_text(noted)}".encode()
