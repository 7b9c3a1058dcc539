"""What the end of a path says of the volume that is meant."""

from pathlib import Path

import pytest

from dabench.data.digests import DigestCache, container
from dabench.interfaces.choice import Choice, name_of, split_choice, with_choice


@pytest.mark.parametrize(
    ("text", "path", "choice"),
    [
        ("scan.tif", "scan.tif", Choice()),
        ("scan.tif/channel=1", "scan.tif", Choice(at=(("channel", 1),))),
        ("a.h5/raw/axes=czyx/time=0/channel=2", "a.h5/raw", Choice("czyx", (("time", 0), ("channel", 2)))),
        ("a.h5/raw/channel=x", "a.h5/raw/channel=x", Choice()),
        ("a.h5/channel=1/raw", "a.h5/channel=1/raw", Choice()),
        ("scan=1.tif", "scan=1.tif", Choice()),
    ],
)
def test_the_end_of_a_path(text, path, choice):
    assert split_choice(Path(text)) == (Path(path), choice)
    assert Path(path) / str(choice) == Path(text)


def test_options_become_the_end_of_a_path():
    assert with_choice(Path("a.tif")) == Path("a.tif")
    assert with_choice(Path("a.tif"), channel=0, series=2, axes="zyx") == Path("a.tif/axes=zyx/series=2/channel=0")


def test_a_title_names_the_file_and_the_choice():
    assert name_of(Path("x/scan.tif/series=0/channel=1")) == "scan.tif (series=0/channel=1)"
    assert name_of(Path("x/scan.tif")) == "scan.tif"


def test_what_lies_on_the_disk_is_no_choice(tmp_path):
    (tmp_path / "run=3").mkdir()
    assert split_choice(tmp_path / "run=3" / "channel=1") == (tmp_path / "run=3", Choice(at=(("channel", 1),)))
    assert container(tmp_path / "run=3" / "channel=1") == tmp_path / "run=3"


def test_each_choice_has_a_digest_of_its_own(tmp_path):
    """Else stages that were trained on one channel would serve another."""
    (tmp_path / "a.tif").write_bytes(b"pixels")
    (tmp_path / "im").mkdir()
    (tmp_path / "im" / "0.png").write_bytes(b"pixels")
    digests = DigestCache()
    ends = ("", "channel=0", "channel=1", "axes=zyx")
    assert len({digests.of(tmp_path / name / end) for name in ("a.tif", "im") for end in ends}) == 8
