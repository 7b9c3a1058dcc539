"""The user's own cards: each is a domain, and a bad one stops its own domain alone."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from dabench_readers.tiff import TiffReader

from dabench.data.card import parse_card, save_card
from dabench.data.user_cards import UnreadableDomain, user_domains
from dabench.data.volumes import open_volume
from dabench.errors import ConfigError
from dabench.files.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace with the card of a domain ``liver``."""
    tifffile.imwrite(tmp_path / "im.tif", np.arange(24, dtype=np.uint8).reshape(2, 3, 4), photometric="minisblack")
    values = {
        "name": "liver",
        "description": "",
        "voxel": (30, 8, 8),
        "splits": {"unlabelled": {"images": str(tmp_path / "im.tif")}},
    }
    workspace = Workspace.find(tmp_path / "workspace")
    save_card(parse_card(values, "card"), workspace.cards / "liver.yaml")
    return workspace


def opener(path: Path):
    return open_volume(path, [TiffReader()])


def test_cards_become_domains(workspace, tmp_path):
    assert user_domains(Workspace.find(tmp_path / "none")) == {}
    found = user_domains(workspace)
    assert list(found) == ["liver"]
    assert found["liver"].open("unlabelled", opener).images.shape == (2, 3, 4)


@pytest.mark.parametrize(
    "content", [b"name: kidney\nsplits: {train", b"\xff\xfe\x00", b"", b"- a\n- b\n", b"name: kidney\nvoxel: [1, 2]\n"]
)
def test_a_bad_card_stops_its_own_domain(workspace, content):
    (workspace.cards / "kidney.yaml").write_bytes(content)
    found = user_domains(workspace)
    assert found["liver"].splits() == ("unlabelled",)
    bad = found["kidney"]
    assert isinstance(bad, UnreadableDomain)
    assert "kidney.yaml" in bad.missing()[0]
    with pytest.raises(ConfigError, match=r"kidney\.yaml"):
        bad.open("train", opener)


@pytest.mark.parametrize("name", ["._liver.yaml", ".liver.yaml", "Thumbs.db", ".DS_Store", "liver.yaml~"])
def test_stray_files_are_no_cards(workspace, name):
    (workspace.cards / name).write_bytes(b"\x00\x05\x16\x07")
    assert list(user_domains(workspace)) == ["liver"]


def test_two_cards_of_one_name_are_both_left_out(workspace):
    (workspace.cards / "again.yaml").write_bytes((workspace.cards / "liver.yaml").read_bytes())
    with pytest.raises(ConfigError, match="also described by"):
        user_domains(workspace)["liver"].open("unlabelled", opener)
