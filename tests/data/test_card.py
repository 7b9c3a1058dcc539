"""Cards: what they accept, what they refuse, and that a typing error is answered with the nearest key."""

from pathlib import Path

import pytest

from dabench.data.card import Card, load_card, parse_card, save_card
from dabench.errors import ConfigError
from dabench.files.yaml import parse_yaml, read_yaml, write_yaml

MINIMAL = {"name": "liver", "description": "a liver", "splits": {"train": {"images": "a.tif"}}, "voxel": [50, 8, 8]}


def test_round_trip(tmp_path: Path):
    card = parse_card(MINIMAL | {"label_values": {255: 1, 128: 0, 0: 255}, "sha256": {"a.tif": "0" * 64}}, "here")
    save_card(card, tmp_path / "liver.yaml")
    assert load_card(tmp_path / "liver.yaml") == card
    assert card.place == "liver"
    assert parse_card(MINIMAL, "here").mapping() == {0: 0, 1: 1}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"voxels": [1, 1, 1]}, ["unknown card key 'voxels'", "Did you mean 'voxel'"]),
        (
            {"splits": {"train": {"images": "a.tif", "lables": "b.tif"}}},
            ["'splits.train.lables'", "Did you mean 'splits.train.labels'"],
        ),
        ({"splits": {"training": {"images": "a.tif"}}}, ["splits.training", "'train', 'test' or 'unlabelled'"]),
        ({"voxel": [0, 8, 8]}, ["voxel", "above 0"]),
        ({"label_values": {1: 2}}, ["label_values.1 = 2", "0, 1 or 255"]),
        ({"splits": {"train": {"images": "a.tif", "slices": [5, 5]}}}, ["slices", "first < last"]),
        ({"intensity": [1, 0]}, ["low < high"]),
        ({"sha256": {"b.tif": "0"}}, ["b.tif"]),
        ({"name": "My Liver"}, ["name = 'My Liver'"]),
    ],
)
def test_refusals_name_file_key_and_value(change, words):
    with pytest.raises(ConfigError) as caught:
        parse_card(MINIMAL | change, "liver.yaml")
    assert caught.value.exit_code == 2
    for word in ["liver.yaml", *words]:
        assert word in str(caught.value)


def test_cards_are_frozen():
    card = Card.model_validate(MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        card.name = "other"


def test_yaml_errors_say_where(tmp_path: Path):
    with pytest.raises(ConfigError, match="line 2, column"):
        parse_yaml("a: 1\nb: [1, 2", "x.yaml")
    with pytest.raises(ConfigError, match="found a list"):
        parse_yaml("[1, 2]", "x.yaml")
    with pytest.raises(ConfigError, match="No such file"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(ConfigError, match="not a text file"):
        read_yaml(tmp_path / "binary.yaml")
    write_yaml(tmp_path / "empty.yaml", {})
    assert read_yaml(tmp_path / "empty.yaml") == {}
