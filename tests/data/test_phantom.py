"""Phantoms: deterministic, consistent in 3-D, different from each other, and mitochondria where the labels say."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage

from dabench.data.phantom import make_phantom
from dabench.data.phantom_domain import PhantomDomain, phantom_summaries
from dabench.data.phantom_profiles import PROFILES
from dabench.data.volumes import read_all
from dabench.errors import UnknownNameError
from dabench.ops.components import label_components

NAMES = sorted(PROFILES)
SHAPE = (6, 128, 128)
#: A fine one is made of nine times the pixels: a piece of it is enough.
PIECES = {name: (12, 256, 256) if profile.binning == 1 else (4, 128, 128) for name, profile in PROFILES.items()}


def no_files(path):
    raise AssertionError(path)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_types_and_foreground(name):
    phantom = make_phantom(name, "train", 0, PIECES[name])
    assert phantom.images.shape == phantom.labels.shape == phantom.instances.shape == PIECES[name]
    assert (phantom.images.dtype, phantom.labels.dtype, phantom.instances.dtype) == (np.uint8, np.uint8, np.int32)
    assert set(np.unique(phantom.labels)) == {0, 1}
    assert ((phantom.instances > 0) == (phantom.labels == 1)).all()
    assert 0.02 < phantom.labels.mean() < (0.45 if name == "phantom-muscle" else 0.3)
    assert (phantom.labels.mean((1, 2)) > 0).all()
    assert phantom.images.std() > 10


@pytest.mark.parametrize("name", NAMES)
def test_mitochondria_are_darker_than_their_surroundings(name):
    phantom, side = make_phantom(name, "train", 0, PIECES[name]), PROFILES[name].binning
    mito = phantom.labels == 1
    near, far = (np.ones((1, n // side | 1, n // side | 1)) for n in (11, 17))
    ring = ndimage.binary_dilation(mito, far) & ~ndimage.binary_dilation(mito, near)
    assert phantom.images[mito].mean() < phantom.images[ring].mean() - 5


def test_same_arguments_same_volume_also_in_another_process():
    here = PhantomDomain("phantom-human", size=96, slices={"train": 3}).open("train", no_files)
    code = (
        "from dabench.data.phantom_domain import PhantomDomain\n"
        "print(PhantomDomain('phantom-human', size=96, slices={'train': 3}).open('train', None).digest)"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout.strip() == here.digest
    make_phantom.cache_clear()
    assert PhantomDomain("phantom-human", size=96, slices={"train": 3}).open("train", no_files).digest == here.digest


def test_splits_seeds_and_domains_differ():
    volumes = [
        make_phantom(n, part, seed, SHAPE).images
        for n, part, seed in (
            ("phantom-human", "train", 0),
            ("phantom-human", "test", 0),
            ("phantom-human", "train", 1),
            ("phantom-rat", "train", 0),
        )
    ]
    for i, a in enumerate(volumes):
        for b in volumes[i + 1 :]:
            assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.3


def test_neighbouring_slices_belong_together():
    phantom = make_phantom("phantom-lucchi++", "train", 0, (12, 256, 256))
    near = np.mean([np.corrcoef(phantom.labels[z].ravel(), phantom.labels[z + 1].ravel())[0, 1] for z in range(11)])
    assert near > 0.95
    spaced = make_phantom("phantom-human", "train", 0, (12, 256, 256))
    overlap = np.mean([(spaced.labels[z] & spaced.labels[z + 1]).sum() / spaced.labels[z].sum() for z in range(11)])
    assert overlap > 0.5


def test_annotators_drew_inside_in_mitoem_and_outside_in_lucchi():
    """The contour of human lies inside the dark outer membrane, that of lucchi++ on it."""
    profiles = PROFILES
    assert (
        profiles["phantom-human"].boundary
        <= -3
        < profiles["phantom-stem"].boundary
        < profiles["phantom-lucchi++"].boundary
    )
    change = {}
    for name in ("phantom-human", "phantom-lucchi++"):
        phantom = make_phantom(name, "train", 0, (12, 256, 256))
        mito = phantom.labels == 1
        disc = ndimage.generate_binary_structure(2, 1)[None]
        far = ndimage.binary_dilation(mito, disc, iterations=7) & ~ndimage.binary_dilation(mito, disc, iterations=6)
        outside = ndimage.binary_dilation(mito, disc, iterations=3) & ~ndimage.binary_dilation(mito, disc, iterations=1)
        change[name] = phantom.images[outside].mean() - phantom.images[far].mean()
    assert change["phantom-human"] < change["phantom-lucchi++"] - 5


def test_muscle_is_a_third_foreground_and_most_objects_touch_another():
    shares, touching, objects, components = [], 0, 0, 0
    for part, seed in (("train", 0), ("test", 0), ("train", 1)):
        phantom = make_phantom("phantom-muscle", part, seed, (8, 256, 256))
        shares.append(phantom.labels.mean())
        for ids in phantom.instances:
            pieces = label_components(ids)
            inside = np.unique(np.stack([pieces[ids > 0], ids[ids > 0]]), axis=1)[0]
            touching += int((np.bincount(inside)[inside] > 1).sum())
            objects, components = objects + len(np.unique(ids)) - 1, components + int(pieces.max())
    assert 0.3 < np.mean(shares) < 0.4
    assert touching > 0.55 * objects
    assert components < 0.7 * objects
    human = make_phantom("phantom-human", "train", 0, (8, 256, 256))
    assert all(label_components(ids).max() >= len(np.unique(ids)) - 1 for ids in human.instances), "elsewhere none does"


def test_fine_is_human_tissue_at_a_third_of_the_size():
    voxel = {name: PROFILES[f"phantom-{name}"].voxel for name in ("human", "fine")}
    assert (voxel["human"], voxel["fine"]) == ((30, 8, 8), (30, 24, 24))
    areas, shares = {}, {}
    for name, shape in (("human", (4, 384, 384)), ("fine", (4, 128, 128))):
        phantom = make_phantom(f"phantom-{name}", "train", 0, shape)
        areas[name] = np.median([n for ids in phantom.instances for n in np.unique(ids, return_counts=True)[1][1:]])
        shares[name] = phantom.labels.mean()
    assert np.sqrt(areas["human"] / areas["fine"]) == pytest.approx(3, rel=0.15)
    assert shares["fine"] == pytest.approx(shares["human"], rel=0.3)


def test_domain_interface():
    assert set(phantom_summaries()) == set(NAMES)
    domain = PhantomDomain("phantom-stem", seed=3, size=96, slices={"train": 2, "test": 1})
    assert domain.missing() == []
    assert domain.splits() == ("train", "test")
    train = domain.open("train", no_files)
    assert train.images.shape == (2, 96, 96)
    assert train.voxel == (30, 8, 8)
    assert (read_all(train.instances) > 0).sum() == read_all(train.labels).sum()
    assert train.digest != train.label_digest != domain.open("test", no_files).label_digest
    with pytest.raises(ValueError, match="read-only"):
        train.images.read(0)[0, 0] = 1
    with pytest.raises(UnknownNameError, match="test"):
        domain.open("tests", no_files)
    with pytest.raises(UnknownNameError, match="phantom-human"):
        PhantomDomain("phantom-humn")
