"""What makes one phantom domain differ from another: tissue, mitochondria, microscope and annotator.

Lengths are pixels of a slice. Values follow the way the real domains differ, not their exact statistics.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Profile:
    """Parameters of one procedural domain.

    Args:
        summary: one line for listings.
        voxel: nm (z, y, x); their ratio is the anisotropy of the volume.
        cell: typical radius of a cell cross-section.
        mito_radius: smallest and largest radius of a mitochondrion.
        mito_length: shortest and longest tube in radii.
        mito_count: mitochondria in 256 x 256 x 48 pixels.
        matrix: grey of the mitochondrial matrix (cytoplasm is about 0.62 before contrast).
        cristae: darkness of cristae, and ``cristae_period`` their distance.
        membrane: half width of membranes; ``darkness`` their depth.
        vesicles: clusters of vesicles; ``bodies``: look-alikes (dense bodies, vacuoles). Both in that volume too.
        texture: amplitude of cytoplasmic texture.
        contrast, brightness, gamma: the microscope's grey curve.
        blur: sigma of the optics in a slice; ``noise``: sd of detector noise; ``grain``: its correlation length.
        flicker: sd of brightness from slice to slice; ``shading``: amplitude of uneven brightness in a slice.
        boundary: where annotators drew the contour, as distance from the outer face of the outer membrane (negative
            is inside): about -4 is the inner membrane (MitoEM), 0.5 the outer one (Lucchi++).
        gap: room between the outer faces of two organelles; None: one and a half membranes. With less than twice
            ``boundary`` mitochondria touch.
        binning: side of the square of pixels that become one: all other lengths are those of the finer pixels.
    """

    summary: str
    voxel: tuple[float, float, float]
    cell: float
    mito_radius: tuple[float, float]
    mito_length: tuple[float, float]
    mito_count: float
    matrix: float
    cristae: float
    cristae_period: float
    membrane: float
    darkness: float
    vesicles: float
    bodies: float
    texture: float
    contrast: float
    brightness: float
    gamma: float
    blur: float
    noise: float
    grain: float
    flicker: float
    shading: float
    boundary: float
    gap: float | None = None
    binning: int = 1


PROFILES: dict[str, Profile] = {
    "phantom-human": Profile(
        summary="Phantom of MitoEM-H: many small mitochondria, crisp membranes, contour on the inner membrane",
        voxel=(30, 8, 8),
        cell=32,
        mito_radius=(9, 16),
        mito_length=(1.5, 4.5),
        mito_count=48,
        matrix=0.40,
        cristae=0.16,
        cristae_period=6.5,
        membrane=1.3,
        darkness=0.36,
        vesicles=10,
        bodies=7,
        texture=0.035,
        contrast=1.15,
        brightness=0.0,
        gamma=1.0,
        blur=0.7,
        noise=0.045,
        grain=0.5,
        flicker=0.012,
        shading=0.02,
        boundary=-3.5,
    ),
    "phantom-rat": Profile(
        summary="Phantom of MitoEM-R: larger, longer and tangled mitochondria, contour on the inner membrane",
        voxel=(30, 8, 8),
        cell=40,
        mito_radius=(12, 21),
        mito_length=(3, 8),
        mito_count=28,
        matrix=0.43,
        cristae=0.13,
        cristae_period=7.5,
        membrane=1.4,
        darkness=0.34,
        vesicles=9,
        bodies=6,
        texture=0.04,
        contrast=1.0,
        brightness=0.03,
        gamma=1.0,
        blur=0.8,
        noise=0.05,
        grain=0.5,
        flicker=0.015,
        shading=0.025,
        boundary=-3.5,
    ),
    "phantom-lucchi++": Profile(
        summary="Phantom of Lucchi++: isotropic, big mitochondria, soft contrast, contour on the outer membrane",
        voxel=(5, 5, 5),
        cell=42,
        mito_radius=(17, 28),
        mito_length=(2, 6),
        mito_count=14,
        matrix=0.44,
        cristae=0.12,
        cristae_period=8.5,
        membrane=1.7,
        darkness=0.33,
        vesicles=14,
        bodies=4,
        texture=0.04,
        contrast=1.15,
        brightness=-0.02,
        gamma=1.05,
        blur=1.1,
        noise=0.055,
        grain=0.8,
        flicker=0.004,
        shading=0.02,
        boundary=0.5,
    ),
    "phantom-stem": Profile(
        summary="Phantom of ME2-Stem: sparse mitochondria, low contrast, blur and noise, contour between the membranes",
        voxel=(30, 8, 8),
        cell=66,
        mito_radius=(9, 18),
        mito_length=(3, 10),
        mito_count=22,
        matrix=0.43,
        cristae=0.1,
        cristae_period=8,
        membrane=1.6,
        darkness=0.32,
        vesicles=7,
        bodies=9,
        texture=0.045,
        contrast=0.75,
        brightness=-0.10,
        gamma=1.2,
        blur=1.2,
        noise=0.04,
        grain=0.9,
        flicker=0.02,
        shading=0.03,
        boundary=-1.5,
    ),
    "phantom-lucchi": Profile(
        summary="Phantom of the EPFL hippocampus, every 5th slice: big mitochondria, contour on the outer membrane",
        voxel=(25, 5, 5),
        cell=42,
        mito_radius=(17, 28),
        mito_length=(2, 6),
        mito_count=9,
        matrix=0.44,
        cristae=0.12,
        cristae_period=8.5,
        membrane=1.7,
        darkness=0.33,
        vesicles=14,
        bodies=4,
        texture=0.04,
        contrast=1.15,
        brightness=-0.02,
        gamma=1.05,
        blur=1.1,
        noise=0.055,
        grain=0.8,
        flicker=0.004,
        shading=0.02,
        boundary=0.0,
    ),
    "phantom-muscle": Profile(
        summary="Phantom of muscle, made up: a third of the tissue are mitochondria, and most touch; outer contour",
        voxel=(30, 8, 8),
        cell=110,
        mito_radius=(11, 20),
        mito_length=(2, 5),
        mito_count=46,
        matrix=0.42,
        cristae=0.15,
        cristae_period=6.5,
        membrane=1.3,
        darkness=0.34,
        vesicles=2,
        bodies=2,
        texture=0.05,
        contrast=1.0,
        brightness=0.02,
        gamma=1.0,
        blur=0.9,
        noise=0.05,
        grain=0.6,
        flicker=0.012,
        shading=0.03,
        boundary=1.0,
        gap=0.0,
    ),
}

# The same tissue as phantom-human at three times the pixel size; noise is drawn on the finer pixels, before binning.
PROFILES["phantom-fine"] = replace(
    PROFILES["phantom-human"],
    summary="Phantom of MitoEM-H at 24 nm per pixel: mitochondria a third of the size in pixels",
    voxel=(30, 24, 24),
    noise=0.135,
    binning=3,
)
