"""Errors of surface areas: those of `dabench measure`, and of the mesh of marching cubes (scikit-image).

Ellipsoids of known area in random positions and orientations are measured with voxels of equal sides and with those of
serial sections. Errors are means and standard deviations over the draws.

python benchmarks/surfaces.py --draws 12 --output benchmarks/results/surfaces.json
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation
from scipy.special import elliprg
from skimage.measure import marching_cubes, mesh_surface_area

from dabench.data.volumes import ArrayVolume
from dabench.tracking.environment import capture
from dabench.volumes.measuring import measure

VOXELS = ((1.0, 1.0, 1.0), (20.0, 5.0, 5.0), (30.0, 8.0, 8.0), (50.0, 5.0, 5.0))
#: Semi-axes: in voxels of equal sides, or in half sections.
SHAPES = {
    "ball, 3": (3, 3, 3),
    "ball, 5": (5, 5, 5),
    "ball, 10": (10, 10, 10),
    "rod": (20, 6, 6),
    "disc": (20, 20, 5),
    "three axes": (20, 10, 5),
}


def ellipsoid(semi_axes: np.ndarray[Any, Any], voxel: tuple[float, ...], rng: np.random.Generator) -> Any:
    """Voxels inside an ellipsoid that lies anyhow, ``(Z, Y, X)`` uint8."""
    turn = Rotation.random(random_state=rng).as_matrix()
    reach = [int(semi_axes.max() / side) + 2 for side in voxel]
    steps = [np.arange(-n, n + 1) * side for n, side in zip(reach, voxel, strict=True)]
    places = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1) + rng.uniform(-0.5, 0.5, 3) * voxel
    return (((places @ turn / semi_axes) ** 2).sum(axis=-1) <= 1).astype(np.uint8)


def area(semi_axes: np.ndarray[Any, Any]) -> float:
    """Surface of an ellipsoid, by Carlson's elliptic integral."""
    a, b, c = semi_axes
    return float(4 * math.pi * a * b * c * elliprg(1 / a**2, 1 / b**2, 1 / c**2))


def errors(semi_axes: np.ndarray[Any, Any], voxel: tuple[float, float, float], draws: int) -> dict[str, list[float]]:
    """Percent (mean, standard deviation) by which the areas are too large."""
    rng, true = np.random.default_rng(0), area(semi_axes)
    found: dict[str, list[float]] = {"dabench": [], "marching cubes": []}
    for _ in range(draws):
        inside = ellipsoid(semi_axes, voxel, rng)
        found["dabench"].append(float(measure(ArrayVolume(inside), voxel).objects["surface_nm2"][0]))
        vertices, faces, _, _ = marching_cubes(inside.astype(np.float32), 0.5, spacing=voxel)
        found["marching cubes"].append(float(mesh_surface_area(vertices, faces)))
    percent = {name: 100 * (np.array(areas) / true - 1) for name, areas in found.items()}
    return {name: [round(float(values.mean()), 2), round(float(values.std()), 2)] for name, values in percent.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    rows = []
    for voxel in VOXELS:
        unit = max(voxel) if voxel[0] == voxel[1] else max(voxel) / 2
        for name, axes in SHAPES.items():
            found = errors(np.array(axes) * unit, voxel, options.draws)
            rows.append({"voxel": voxel, "shape": name, "semi_axes": [unit * n for n in axes], **found})
            print(rows[-1], flush=True)
    command = f"python benchmarks/surfaces.py --draws {options.draws}"
    report = {"about": {"command": command, "unit": "percent"}, "environment": capture(), "rows": rows}
    if options.output:
        options.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
