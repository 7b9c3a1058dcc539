"""What dabench noted in a file of how it made it (`dabench.volumes.output.provenance` writes it).

A damaged note, or one of another program under this name, says nothing: it decides nothing about the voxels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

#: Name of the note: of an attribute, of a namespace of annotations, the first word of a comment.
NAME = "dabench"


def from_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Of attributes of a zarr group, beside where its images lie in space."""
    noted = attributes.get(NAME)
    return {key: value for key, value in noted.items() if key != "placement"} if isinstance(noted, Mapping) else {}


def from_text(text: str) -> dict[str, Any]:
    """Of a text: JSON."""
    try:
        noted = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return noted if isinstance(noted, dict) else {}


def from_comments(comments: list[str]) -> dict[str, Any]:
    """Of the comments in a NIfTI header, each one a text."""
    noted = (comment.partition(" ")[2] for comment in comments if comment.startswith(f"{NAME} "))
    return next(map(from_text, noted), {})


def from_ome(description: str | None) -> dict[str, Any]:
    """Of the OME-XML of a TIFF: a map annotation, each value JSON."""
    if not description or f'Namespace="{NAME}"' not in description:
        return {}
    try:
        root = ElementTree.fromstring(description)
    except ElementTree.ParseError:
        return {}
    for node in root.iter():
        if node.tag.endswith("}MapAnnotation") and node.get("Namespace") == NAME:
            entries = [(str(part.get("K")), part.text or "") for part in node.iter() if part.tag.endswith("}M")]
            return from_text("{" + ",".join(f"{json.dumps(key)}:{value}" for key, value in entries) + "}")
    return {}
