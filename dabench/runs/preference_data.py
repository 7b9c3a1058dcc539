"""What a preference data set says of the run that it is made or used in."""

from __future__ import annotations

from typing import Any

from dabench.annotation.preference_set import PreferenceSet
from dabench.files.digests import digest_file
from dabench.runs.annotation import about_split
from dabench.runs.plan import Plan


def about_stage(plan: Plan, index: int) -> dict[str, Any]:
    """What the answers of a stage's questions are kept with: the split, the draw, and the model that was asked about.

    Args:
        plan: of the run.
        index: of the stage that asks; the one before it made what is shown.
    """
    about = {**about_split(plan.task), "patches": plan.budget.patches, "seed": plan.config.budget.seed}
    if plan.task.pixel_size == "match":  # patches lie on the pixels that the model sees
        about["pixel_size"] = "match"
    if index:
        parent = plan.stages[index - 1]
        about |= {"method": f"{parent.spec.method}/{parent.spec.name}", "stage": parent.key}
        if parent.folder.weights.is_file():
            about["model_digest"] = digest_file(parent.folder.weights)
    return about


def set_origin(plan: Plan) -> str:
    """Names a person's preference data set, and whether its masks are of this run's own reference; "" without one."""
    path = plan.config.budget.recorded().get("preferences")
    asks = [i for i, stage in enumerate(plan.stages) if "preferences" in stage.spec.asks]
    if path is None or not asks or not plan.budget.patches or not PreferenceSet.is_set(path):
        return ""
    made = PreferenceSet.open(path).manifest
    own = asks[0] > 0 and made.stage == plan.stages[asks[0] - 1].key
    return f"{made.identity[:12]}, masks of {'this' if own else 'another'} reference"
