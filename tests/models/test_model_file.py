"""Model files: what is written is read, and whatever was done to a file is found out."""

from __future__ import annotations

import pickle

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dabench.errors import WeightsError
from dabench.models import load_model, read_model_card
from dabench.models.card import FORMAT, read_card
from dabench.models.model_file import read_model
from dabench.models.tensors import digest_tensors
from tests.models.forged_runs import forge, rewrite, settings


@pytest.fixture(scope="module")
def content(tmp_path_factory, registry):
    """A model file as bytes."""
    from dabench.files.workspace import Workspace

    place = Workspace(tmp_path_factory.mktemp("forged"))
    path = place.root / "m.safetensors"
    load_model(forge(settings(), registry, place), registry, place).save(path)
    return path.read_bytes()


@pytest.fixture
def path(content, tmp_path):
    found = tmp_path / "m.safetensors"
    found.write_bytes(content)
    return found


def test_the_card_is_in_the_header(path):
    assert read_model_card(path) == read_model(path)[0]
    assert read_model_card(path).format == FORMAT


def test_others_may_read_the_file(path, tmp_path, registry):
    other = tmp_path / "plain"
    other.write_bytes(b"")
    from dabench.models.model_file import write_model

    write_model(tmp_path / "n.safetensors", *read_model(path))
    assert (tmp_path / "n.safetensors").stat().st_mode == other.stat().st_mode


def test_another_format(path):
    rewrite(path, format=2, dabench_version="9.0")
    with pytest.raises(
        WeightsError, match=r"a model of format 2, but this version of dabench reads 1\.\n.*dabench 9\.0"
    ):
        read_model_card(path)


def test_a_key_that_nobody_knows(path):
    rewrite(path, mood="fine")
    with pytest.raises(WeightsError, match="unknown key 'mood'"):
        read_model_card(path)


def test_changed_weights(path):
    rewrite(path, tensors=lambda found: {k: v + 1 if v.is_floating_point() else v for k, v in found.items()})
    with pytest.raises(WeightsError, match="its weights were changed"):
        read_model(path)


def test_changed_configuration(path):
    config = read_model_card(path).config.model_dump(mode="json")
    rewrite(path, config={**config, "intensity": "slice"})
    with pytest.raises(WeightsError, match="its config were changed"):
        read_model(path)


def test_weights_without_a_card(path):
    rewrite(path, plain=True)
    with pytest.raises(WeightsError, match="without a card"):
        read_model(path)


@pytest.mark.parametrize("write", [lambda p: p.write_bytes(pickle.dumps({"a": 1})), lambda p: torch.save({}, p)])
def test_a_pickle(tmp_path, write):
    write(tmp_path / "m.pt")
    with pytest.raises(WeightsError, match="refused, it is a pickle"):
        read_model(tmp_path / "m.pt")


def test_a_torn_file_whose_length_begins_as_a_pickle_does_is_called_torn(tmp_path):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(b"\x80I" + bytes(6) + b'{"__metadata__"')
    with pytest.raises(WeightsError, match="truncated, or not a safetensors"):
        read_model(path)


def test_no_file(tmp_path):
    with pytest.raises(WeightsError, match="no such file"):
        read_model_card(tmp_path / "m.safetensors")


@pytest.mark.parametrize("text", ["", "[", "3", '{"format": 1}'])
def test_a_damaged_card(text):
    with pytest.raises(WeightsError, match="where: "):
        read_card(text, "where")


@hypothesis_settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_never_read(content, tmp_path, share):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(WeightsError, match="truncated, or not a safetensors"):
        read_model(path)


@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), header=st.booleans(), bit=st.integers(0, 7))
def test_a_flipped_bit_is_found(content, tmp_path, place, header, bit):
    """In the header or in the weights; what loads all the same is the same model."""
    length = 8 + int.from_bytes(content[:8], "little")
    first, last = (0, length) if header else (length, len(content))
    changed = bytearray(content)
    changed[first + int(place * (last - first))] ^= 1 << bit
    path = tmp_path / "flipped.safetensors"
    path.write_bytes(changed)
    try:
        card, tensors = read_model(path)
    except WeightsError:
        return
    (tmp_path / "right.safetensors").write_bytes(content)
    expected, right = read_model(tmp_path / "right.safetensors")
    assert card == expected
    assert digest_tensors(tensors) == digest_tensors(right)


def test_the_digest_is_of_names_types_shapes_and_values():
    one = {"a": torch.zeros(2, 3), "b": torch.tensor(1)}
    same = {"b": torch.tensor(1), "a": torch.zeros(3, 2).T}
    others = [
        {"a": torch.zeros(3, 2), "b": torch.tensor(1)},
        {"a": torch.zeros(2, 3, dtype=torch.bfloat16), "b": torch.tensor(1)},
        {"c": torch.zeros(2, 3), "b": torch.tensor(1)},
        {"a": torch.zeros(2, 3), "b": torch.tensor(2)},
    ]
    assert digest_tensors(one) == digest_tensors(same)
    assert len({digest_tensors(one), *map(digest_tensors, others)}) == 5
