"""Writes docs/images/methods and the picture at the end of each method's page, from the runs of one small suite.

dabench --workspace DIR suite run benchmarks/suites/gallery.yaml   # minutes on two cores
python docs/generate_pictures.py DIR
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from dabench.files.workspace import Workspace
from dabench.suites.suite_record import read_suite_record

PAGES = Path(__file__).parent / "methods"
PICTURES = Path(__file__).parent / "images" / "methods"
#: A row whose picture stands on another component's page too.
ALSO = {"prefer-das": ("prefer-das", "slpo")}
START, END = "<!-- picture by docs/generate_pictures.py -->", "<!-- end of the picture -->"
BLOCK = re.compile(rf"\n## Picture\n\n{re.escape(START)}.*?{re.escape(END)}\n", re.DOTALL)
GAP = 6


def middle(folder: Path, kind: str) -> Path:
    """The middle one of a run's pictures of a kind, ``slice`` or ``truth``; the same slice for every run."""
    found = sorted((folder / "panels" / "last").glob(f"{kind}-*.jpg"))
    return found[len(found) // 2]


def side_by_side(paths: list[Path]) -> Image.Image:
    """Pictures of one height, left to right, with a white gap."""
    images = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    gap = np.full((images[0].shape[0], GAP, 3), 255, np.uint8)
    return Image.fromarray(np.concatenate([part for image in images for part in (image, gap)][:-1], axis=1))


def caption(name: str, shown: dict[str, Path]) -> str:
    """What is seen, with the Dice that the pictures carry."""
    named = [f"{one} ({Image.open(path).info['comment'].decode()})" for one, path in shown.items()]
    return (
        f"![Truth, {' and '.join(shown)} on one slice](../images/methods/{name}.jpg)\n\n"
        f"*Left to right: truth, {', '.join(named)}.\n"
        "Green: true positive, red: false negative, blue: false positive.\n"
        "One slice of the phantom task `human2stem`, preset `tiny`, seed 0. The picture shows what errors\n"
        "look like, not how good the method is ([results](results.md)).*"
    )


def write_picture(name: str, truth: Path, shown: dict[str, Path]) -> None:
    """The picture of a component and the end of its page."""
    side_by_side([truth, *shown.values()]).save(PICTURES / f"{name}.jpg", quality=82, optimize=True)
    page = PAGES / f"{name}.md"
    text = BLOCK.sub("", page.read_text()).rstrip("\n")
    page.write_text(f"{text}\n\n## Picture\n\n{START}\n{caption(name, shown)}\n{END}\n")


def main() -> None:
    """Write pictures and pages from the workspace that is given."""
    workspace = Workspace(Path(sys.argv[1]))
    runs = {cell["row"]: workspace.runs / cell["cell_id"] for cell in read_suite_record(workspace, "gallery")["cells"]}
    PICTURES.mkdir(exist_ok=True)
    floor = middle(runs["source-only"], "slice")
    for row, run in runs.items():
        for name in ALSO.get(row, (row,)):
            write_picture(name, middle(run, "truth"), {"source-only": floor, name: middle(run, "slice")})


if __name__ == "__main__":
    main()
