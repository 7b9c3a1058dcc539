"""Domains from cards: opening, digests, and every row of the failure table that concerns data."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from dabench_readers.folder import FolderReader
from dabench_readers.tiff import TiffReader

from dabench.data.card import parse_card
from dabench.data.card_domain import CardDomain
from dabench.data.digests import DigestCache
from dabench.data.verify import verify
from dabench.data.volumes import CachedVolume, open_volume, read_all
from dabench.errors import DataError, MissingDataError, UnknownNameError
from dabench.files.digests import digest_file
from tests.conftest import Told

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 255, (6, 16, 20), np.uint8)
LABELS = np.zeros((6, 16, 20), np.uint8)
LABELS[:, 2:9, 3:8] = 1


def opener(path: Path):
    return open_volume(path, [FolderReader(), TiffReader()])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, array in (("im.tif", IMAGES), ("lab.tif", LABELS), ("more.tif", IMAGES[:2])):
        tifffile.imwrite(tmp_path / name, array, photometric="minisblack", compression="zlib")
    return tmp_path


def domain(root: Path, **change) -> CardDomain:
    values = {
        "name": "liver",
        "description": "a liver",
        "splits": {
            "train": {"images": "im.tif", "labels": "lab.tif", "slices": [0, 4]},
            "test": {"images": "im.tif", "labels": "lab.tif", "slices": [4, 6]},
            "unlabelled": {"images": "more.tif"},
        },
        "voxel": [50, 8, 8],
        "neighbours": False,
        "source": "https://example.org/liver",
    }
    return CardDomain(parse_card(values | change, "test"), root, DigestCache())


def rewrite(path: Path, array: np.ndarray) -> None:
    tifffile.imwrite(path, array, photometric="minisblack", compression="zlib")


def test_opening_splits(folder):
    liver = domain(folder)
    assert liver.splits() == ("train", "test", "unlabelled")
    assert liver.missing() == []
    train, test = liver.open("train", opener), liver.open("test", opener)
    np.testing.assert_array_equal(read_all(train.images), IMAGES[:4])
    np.testing.assert_array_equal(read_all(test.labels), LABELS[4:])
    assert (train.voxel, train.neighbours, train.instances) == ((50, 8, 8), False, None)
    assert liver.open("unlabelled", opener).labels is None
    assert len({train.digest, test.digest, train.label_digest, test.label_digest}) == 4
    with pytest.raises(UnknownNameError, match="Did you mean 'train'"):
        liver.open("trian", opener)


@pytest.mark.parametrize("part", ["images", "labels"])
def test_only_who_opens_a_file_keeps_its_slices(folder, part):
    """No cache around another: the opener of these tests keeps them, and a run keeps those that it opened itself."""
    volume, caches = getattr(domain(folder).open("test", opener), part), 0
    while volume is not None:
        caches += isinstance(volume, CachedVolume)
        volume = getattr(volume, "volume", None)
    assert caches == 1


def test_digest_names_the_content_not_the_place(folder, tmp_path_factory):
    before = domain(folder).open("train", opener)
    other = tmp_path_factory.mktemp("elsewhere")
    for name in ("im.tif", "lab.tif", "more.tif"):
        (other / name).write_bytes((folder / name).read_bytes())
    moved = domain(other).open("train", opener)
    assert (moved.digest, moved.label_digest) == (before.digest, before.label_digest)
    changed = LABELS.copy()
    changed[0, 0, 0] = 1
    rewrite(folder / "lab.tif", changed)
    again = domain(folder).open("train", opener)
    assert again.digest == before.digest
    assert again.label_digest != before.label_digest
    meaning = domain(folder, label_values={0: 0, 1: 255, 7: 1})
    assert meaning.open("test", opener).label_digest != domain(folder).open("test", opener).label_digest


def test_instances_and_ignored_ids(folder):
    rewrite(folder / "lab.tif", np.where(LABELS > 0, 7, 0).astype(np.uint16) + np.eye(16, 20, dtype=np.uint16) * 300)
    split = domain(folder, label_kind="instance", label_values={300: 255}).open("train", opener)
    assert set(np.unique(split.labels.read(0))) == {0, 1, 255}
    assert split.instances.read(0)[2, 3] == 7
    assert split.instances.read(0)[0, 0] == -1


def test_declared_intensity(folder):
    rewrite(folder / "im.tif", IMAGES.astype(np.float32) * 10)
    image = domain(folder, intensity=[0, 2550]).open("train", opener).images.read(0)
    np.testing.assert_allclose(image, IMAGES[0] / 255, atol=1e-6)


def test_missing_files_say_where_to_get_them(folder):
    (folder / "im.tif").unlink()
    liver = domain(folder)
    assert liver.missing() == [str(folder / "im.tif")]
    with pytest.raises(MissingDataError, match=r"missing .*im\.tif") as caught:
        liver.open("train", opener)
    assert "https://example.org/liver" in caught.value.mend
    assert "DABENCH_DATA" in caught.value.mend
    assert caught.value.exit_code == 3


def test_labels_of_another_shape(folder):
    rewrite(folder / "lab.tif", LABELS[:, :, :10])
    with pytest.raises(
        DataError, match=r"lab\.tif has shape \(4, 16, 10\), the images .*im\.tif have \(4, 16, 20\)"
    ) as caught:
        domain(folder).open("train", opener)
    assert caught.value.exit_code == 3


def test_too_few_slices(folder):
    rewrite(folder / "im.tif", IMAGES[:5])
    with pytest.raises(DataError, match="asks for slices 4 to 5, the file has 5"):
        domain(folder).open("test", opener)


def test_zero_foreground_in_a_labelled_train_split(folder):
    rewrite(folder / "lab.tif", np.zeros_like(LABELS))
    with pytest.raises(DataError, match=r"lab\.tif: no foreground in any of the 4 training slices") as caught:
        domain(folder).open("train", opener)
    assert "data verify liver" in caught.value.mend
    assert domain(folder).open("test", opener).labels is not None


def test_unknown_label_value(folder):
    wrong = LABELS.copy()
    wrong[1, 5, 6] = 9
    rewrite(folder / "lab.tif", wrong)
    split = domain(folder).open("train", opener)
    with pytest.raises(DataError, match=r"lab\.tif: slice 1: label value 9 at row 5, column 6"):
        read_all(split.labels)


def test_digest_of_the_card_is_checked(folder):
    right = {"im.tif": digest_file(folder / "im.tif")}
    domain(folder, sha256=right).open("train", opener)
    with pytest.raises(DataError, match=r"im\.tif: SHA-256 is .* the card of 'liver' says 0000000000000000") as caught:
        domain(folder, sha256={"im.tif": "0" * 64}).open("train", opener)
    assert "Get it again (https://example.org/liver)" in caught.value.mend


def test_truncated_file(folder):
    content = (folder / "im.tif").read_bytes()
    (folder / "im.tif").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"im\.tif"):
        domain(folder).open("train", opener)


def test_verify_reports_every_split_and_never_raises(folder):
    told = Told()
    reports = verify(domain(folder), opener, told)
    assert set(told.work) == {"reading train", "reading test", "reading unlabelled"}
    assert all(0 < done == total for done, total in told.work.values())
    assert [r.split for r in reports] == ["train", "test", "unlabelled"]
    assert not any(r.problems for r in reports)
    assert reports[0].foreground == pytest.approx((LABELS == 1).mean())
    wrong = LABELS.copy()
    wrong[[1, 5], 5, 6] = 9
    rewrite(folder / "lab.tif", wrong)
    images = IMAGES.astype(np.float32) / 255
    images[2, 0, 0] = np.nan
    rewrite(folder / "im.tif", images)
    train, test, unlabelled = verify(domain(folder), opener)
    assert ["slice 1" in p or "slice 2" in p for p in train.problems] == [True, True]
    assert len(test.problems) == 1
    assert not unlabelled.problems


def test_verify_sees_a_change_that_the_cache_cannot(folder):
    right = {"im.tif": digest_file(folder / "im.tif")}
    cache = DigestCache(folder / "cache.json")
    card = domain(folder, sha256=right).card
    CardDomain(card, folder, cache).open("train", opener)
    status = (folder / "im.tif").stat()
    content = bytearray((folder / "im.tif").read_bytes())
    content[-1] ^= 1
    (folder / "im.tif").write_bytes(content)
    os.utime(folder / "im.tif", ns=(status.st_atime_ns, status.st_mtime_ns))
    again = CardDomain(card, folder, DigestCache(folder / "cache.json"))
    again.open("train", opener)
    assert "SHA-256" in verify(again, opener)[0].problems[0]


def test_damaged_digest_cache_is_made_again(folder):
    (folder / "cache.json").write_text("{")
    cache = DigestCache(folder / "cache.json")
    assert cache.of(folder / "im.tif") == digest_file(folder / "im.tif")
    assert DigestCache(folder / "cache.json").of(folder / "im.tif") == digest_file(folder / "im.tif")


def test_layouts_the_first_complete_one_is_used(folder):
    official = domain(folder, splits={"train": {"images": "training.tif"}}).card
    here = domain(folder).card
    assert CardDomain([official, here], folder, DigestCache()).card is here
    assert CardDomain([official], folder, DigestCache()).missing() == [str(folder / "training.tif")]
