"""YAML: what is read in two ways, or stands twice, is refused with its place."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dabench.errors import ConfigError
from dabench.files.yaml import dump_yaml, parse_value, parse_yaml


@pytest.mark.parametrize(
    ("word", "older", "newer"),
    [
        ("yes", "true", "'yes'"),
        ("Off", "false", "'Off'"),
        ("010", "8", "10"),
        ("08", "'08'", "8"),
        ("0o10", "'0o10'", "8"),
        ("0b11", "3", "'0b11'"),
        ("1:30", "90", "'1:30'"),
        ("1:30.5", "90.5", "'1:30.5'"),
        ("1_000", "1000", "'1_000'"),
        ("-0x10", "-16", "'-0x10'"),
        ("2020-01-02", "2020-01-02", "'2020-01-02'"),
    ],
)
def test_a_word_with_two_readings_is_refused_with_its_place_and_both(word: str, older: str, newer: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_yaml(f"name: a\nbudget:\n  points: {word}\n", "run.yaml")
    assert "run.yaml: line 3, column 11" in str(error.value)
    assert f"{word!r} is {older} to YAML 1.1 and {newer} to YAML 1.2" in str(error.value)


@pytest.mark.parametrize("key", ["yes", "010"])
def test_keys_are_no_exception(key: str) -> None:
    with pytest.raises(ConfigError, match="line 1, column 2"):
        parse_yaml(f"{{{key}: 1}}", "x.yaml")


@pytest.mark.parametrize("word", ["yes", "010", "08", "1:30", "5e-4", "2020-01-02"])
def test_in_quotes_or_with_a_tag_a_word_is_a_word(word: str) -> None:
    assert parse_yaml(f"a: '{word}'\nb: !!str {word}\nc: |-\n  {word}\n", "x.yaml") == dict.fromkeys("abc", word)


@pytest.mark.parametrize(
    ("text", "value"),
    [("5e-4", 0.0005), ("1e5", 1e5), ("1.5E3", 1500.0), (".5", 0.5), ("3.", 3.0), ("-2", -2), ("0x10", 16), ("0", 0)],
)
def test_numbers(text: str, value: float) -> None:
    found = parse_yaml(f"a: {text}", "x.yaml")["a"]
    assert found == value
    assert type(found) is type(value)


def test_words_truth_values_and_nothing_stay_what_they_were() -> None:
    found = parse_yaml("{a: true, b: FALSE, c: null, d: ~, e: , f: n, g: das-2d@1, h: 1.2.3, i: .inf, j: .nan}", "x")
    assert math.isnan(found.pop("j"))
    assert list(found.values()) == [True, False, None, None, None, "n", "das-2d@1", "1.2.3", math.inf]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1 the key 'a' stands twice, first in line 1"),
        ("a:\n  b: 1\n  'b': 2\n", "line 3, column 3 the key 'b' stands twice, first in line 2"),
        ("{1: a, 0x1: b}", "line 1, column 8 the key 1 stands twice"),
        ("- {a: 1, a: 1}", "line 1, column 10 the key 'a' stands twice"),
    ],
)
def test_a_key_that_stands_twice_is_refused_wherever_it_lies(text: str, place: str) -> None:
    with pytest.raises(ConfigError, match=place):
        parse_yaml(text, "suite.yaml")


def test_a_merged_mapping_may_be_overridden() -> None:
    found = parse_yaml("base: &b {lr: 1, crop: 2}\nrow: {<<: *b, lr: 3}\nother: {<<: *b}\n", "suite.yaml")
    assert found["row"] == {"lr": 3, "crop": 2}
    assert found["other"] == {"lr": 1, "crop": 2}


def test_one_value_of_a_command_line() -> None:
    assert [parse_value(text, "--set x") for text in ("off", " yes", "5e-4", "[1, 2]", "true")] == [
        *("off", "yes", 0.0005, [1, 2], True)
    ]
    with pytest.raises(ConfigError, match=r"--set seed '010'.*8 to YAML 1.1 and 10"):
        parse_value("010", "--set seed")


_NUMERIC = st.from_regex(r"\A[-+0-9._:eox]{1,6}\Z")
_TEXT = st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126))
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXT | _NUMERIC


@given(st.dictionaries(_TEXT | _NUMERIC, st.recursive(_LEAVES, st.lists, max_leaves=4)))
def test_what_is_written_is_read_back(value: dict[str, object]) -> None:
    assert parse_yaml(dump_yaml(value), "x.yaml") == value


def test_an_alias_bomb_is_refused_at_once() -> None:
    """Nine lists of nine aliases of the one before: 9^9 values in 500 bytes."""
    levels = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    levels += [f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)]
    started = time.perf_counter()
    with pytest.raises(ConfigError, match="its aliases stand for more than 100000 values"):
        parse_yaml("\n".join(levels), "bomb.yaml")
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: &a [*a]", "an alias stands for what it lies in"), ("a: " + "[" * 5000, "nested too deeply")],
)
def test_what_has_no_end_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_yaml(text, "x.yaml")


def test_aliases_and_long_lists_are_fine() -> None:
    assert parse_yaml("a: &a [1, 2]\nb: *a\nc: {<<: {d: *a}}", "x")["c"] == {"d": [1, 2]}
    assert len(parse_yaml(f"seeds: {list(range(5000))}", "x")["seeds"]) == 5000
