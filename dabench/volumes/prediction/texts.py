"""A prediction in words: what is planned, and what it came to."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from dabench.volumes.prediction.plan import PredictionPlan
from dabench.volumes.prediction.volume import Summary


def plan_lines(plan: PredictionPlan, processes: int) -> Iterator[str]:
    """What is to come, line by line.

    Args:
        plan: what `describe` says of it.
        processes: predict on this machine; 0: as many as a cluster has room for.
    """
    said = plan.describe()
    shape, chunk = (" x ".join(map(str, said[key])) for key in ("shape", "chunk"))
    voxel = " x ".join(f"{v:g}" for v in said["voxel_nm"]) + " nm" if said["voxel_nm"] else "voxel size unknown"
    points = "automatic, without points" if said["points"] is None else f"{said['points']} points as prompts"
    whose = ", the model's own" if said["objects_of"] == "model" else ""
    whose += ", touching ones separated" if said["split"] == "watershed" else ""
    size = f"{said['instances']} of at least {said['min_voxels']} voxels{whose}"
    objects = "none" if said["instances"] == "none" else size
    tiles = f"{said['tiles']} of {said['tile']}, profile {said['profile']}"
    again = f"{said['recomputed']:.1%} of the tiles are predicted again at borders"
    each = "" if processes == 1 else f" in each of {processes or 'the'} processes"
    yield f"model     {said['model']}, threshold {said['threshold']:g}, {points}"
    yield f"images    {said['images']}: {shape}, {voxel}, intensity {said['intensity']}"
    yield f"tiles     {tiles}, {said['precision']} on {said['device']}"
    yield f"chunks    {said['chunks']} of {chunk}; {again}"
    yield f"memory    about {_size(said['memory_bytes'])} plus the network{each}"
    yield f"output    {said['output']}, about {_size(said['output_bytes'])}; instances: {objects}"
    yield from (f"note      {note}" for note in said["notes"])


def summary_lines(summary: Summary) -> Iterator[str]:
    """How large, how fast, how much foreground, and what may be done next."""
    shape = " x ".join(map(str, summary.shape))
    speed = f", {summary.tiles / summary.predicting_seconds:.1f} tiles/s" if summary.predicting_seconds else ""
    before = f" ({summary.continued}  chunks were already finished)" if summary.continued else ""
    objects = "" if summary.objects is None else f", {summary.objects} objects"
    yield f"{summary.path}: {shape} in {summary.seconds:.0f} s{speed}{before}"
    yield f"{summary.foreground:.2%} foreground{objects}"
    if summary.path.suffix == ".zarr":
        file, table = shlex.quote(str(summary.path)), shlex.quote(summary.path.with_suffix(".csv").name)
        yield f"next: dabench view {file}"
        if summary.objects:
            yield f"      dabench measure {file} --csv {table}"


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
