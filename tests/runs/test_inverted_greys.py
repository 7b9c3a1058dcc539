"""Objects that are dark in the source and bright in the target: said before training, where clicks show it."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from dabench.ops.centres import component_centres
from dabench.runs.contrast import brighter
from dabench.runs.plan import make_plan
from tests.conftest import few


def test_the_share_of_points_brighter_than_the_median():
    images = np.full((3, 20, 20), 0.5, np.float32)
    images[:, 4:9, 4:9] = 0.9
    images[:, 14:19, 14:19] = 0.1
    both = np.array([[6, 6], [16, 16]], np.float32)

    class Stack:
        shape = images.shape

        def read(self, z):
            return images[z]

    assert brighter(Stack(), {0: both, 1: both, 2: both[:1]}) == pytest.approx(3 / 5)
    assert brighter(Stack(), {0: both, 2: both}) is None, "too few to say"
    assert brighter(Stack(), {0: np.array([[0, 0], [19, 19], [0, 19], [19, 0], [6, 6]])}) == pytest.approx(1 / 5)


@pytest.mark.parametrize("inverted", [True, False])
def test_an_inverted_scan_is_noticed_by_its_clicks(registry, workspace, tmp_path, inverted):
    plan = make_plan(few("prompt-das", task="human2stem"), registry, workspace)
    scanned = plan.task.source_train
    images = np.stack([scanned.images.read(z) for z in range(3)])
    tifffile.imwrite(tmp_path / "scan.tif", 255 - images if inverted else images, photometric="minisblack")
    card = workspace.root / "cards" / "mine.yaml"
    card.parent.mkdir(parents=True)
    card.write_text(
        f"name: mine\ndescription: A scan.\nvoxel: [30, 8, 8]\nsplits: {{train: {{images: {tmp_path / 'scan.tif'}}}}}\n"
    )
    lines = ["z,y,x"]
    for z in range(3):
        lines += [f"{z},{y:.0f},{x:.0f}" for x, y in component_centres(scanned.labels.read(z) == 1)]
    (tmp_path / "clicks.csv").write_text("\n".join(lines))
    budget = {"rater": "recorded", "points_file": str(tmp_path / "clicks.csv")}
    mine = few("prompt-das", data="real", task="phantom-human2mine", budget=budget)
    said = [text for text in make_plan(mine, registry, workspace).answers if "inverted" in text]
    assert len(said) == int(inverted)
    if said:
        assert "of the points in clicks.csv are brighter than the median" in said[0]
        assert "0% of the objects in 'phantom-human'" in said[0]
