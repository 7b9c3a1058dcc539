"""A small scene whose every pixel is known, and what a page holds of it, decoded again without the page's script."""

from __future__ import annotations

import base64
import io
import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dabench.data.volumes import ArrayVolume
from dabench.volumes.viewer.downsampling import choose_downsampling
from dabench.volumes.viewer.html import write_page
from dabench.volumes.viewer.view_data import ViewData

ATTACK = '<img src=x onerror="window.attacked=1"></script><script>window.attacked=1</script>'
DEPTH, HEIGHT, WIDTH = 4, 24, 32


def arrays() -> dict[str, np.ndarray]:
    """Images, mask, ids, probability and truth; slice 1 has a hit, a miss, an invention and an ignored corner."""
    shape = (DEPTH, HEIGHT, WIDTH)
    images = np.tile(np.arange(WIDTH, dtype=np.uint8) * 8, (DEPTH, HEIGHT, 1))
    mask, truth, ids = (np.zeros(shape, t) for t in (np.uint8, np.uint8, np.uint64))
    mask[1, 4:10, 4:12], truth[1, 4:12, 4:12] = 255, 1
    mask[1, 16:20, 20:26] = 255
    truth[1, 20:, :4] = 255
    ids[1, 4:10, 4:12], ids[1, 16:20, 20:26] = 7, 2**60
    probability = np.where(mask > 0, 0.9, 0.1).astype(np.float32)
    return {"images": images, "prediction": mask, "instances": ids, "probability": probability, "truth": truth}


def view_data(**changes: Any) -> ViewData:
    """All layers, points on slice 1, and whatever is to be different; a layer of None is left out."""
    values: dict[str, Any] = {**arrays(), **changes}
    volumes = {k: ArrayVolume(v) if isinstance(v, np.ndarray) else v for k, v in values.items()}
    points = {1: np.asarray([[8, 7], [31, 23]], np.float32)}
    return ViewData(**{"title": "made up", "points": points, "voxel": (30.0, 8.0, 8.0), **volumes})


def write(path: Path, shown: ViewData | None = None, **cut: Any) -> Path:
    """The page of a scene."""
    shown = shown or view_data()
    write_page(shown, choose_downsampling(shown.images.shape, **cut), path)
    return path


def block(page: str, name: str) -> Any:
    """A block of JSON of a page."""
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)
    assert found, name
    return json.loads(found[1])


def plane(record: dict[str, Any], width: int = WIDTH) -> np.ndarray:
    """A plane as whole numbers ``(H, W)``."""
    raw = np.frombuffer(zlib.decompress(base64.b64decode(record["data"])), np.uint8)
    rows = raw.reshape(-1, width * record["bits"] // 8)
    return np.cumsum(rows, axis=0, dtype=np.uint8).view(f"<u{record['bits'] // 8}")


def picture(record: dict[str, Any]) -> np.ndarray:
    """The image of a slice as ``(H, W)`` uint8."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(record["image"]))))
