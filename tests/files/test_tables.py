"""Tables of typed cells: digits and signs by hand, narrow terminals, and Markdown that nothing breaks."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dabench.api.terminal import styled_console
from dabench.cli.tables import show
from dabench.files.tables import Column, Number, Section, Table, percent

COLUMNS = (Column("row", "text"), Column("score"), Column("time", spare=1), Column("extra", spare=2))
TABLE = Table(
    "Scores",
    COLUMNS,
    (
        Section("", (("first", Number(70.12, 1.16), "1.0 x", None), ("second", Number(9.95), None, 3))),
        Section("not ranked", (("third", "", "", ""),)),
    ),
    ("A note.",),
)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Number(70.12, 1.16), "70.1 ± 1.2"),
        (Number(-0.25, digits=2, sign=True), "-0.25"),
        (Number(3.0, 0.5, digits=0, sign=True), "+3 ± 0"),
        (percent(0.7012, 0.0116), "70.1 ± 1.2"),
        (percent(0.5, digits=0), "50"),
    ],
)
def test_numbers_have_their_digits_and_sign(number, text):
    assert str(number) == text


def test_a_share_that_there_is_not_is_no_number():
    assert percent(None) is None


def test_markdown_by_hand():
    assert TABLE.to_markdown(2) == (
        "## Scores\n\n"
        "| row | score | time | extra |\n"
        "| --- | ---: | ---: | ---: |\n"
        "| first | 70.1 ± 1.2 | 1.0 x | - |\n"
        "| second | 9.9 | - | 3 |\n"
        "|   | *not ranked* |   |   |\n"
        "| third |   |   |   |\n"
        "\n- A note.\n"
    )


def test_a_narrow_terminal_goes_without_what_can_be_spared():
    wide = len("second") + len("70.1 ± 1.2") + len("1.0 x") + len("extra") + 3 * 2
    assert TABLE.width() == wide
    assert TABLE.fitted(wide) == (TABLE, ())
    narrower, dropped = TABLE.fitted(wide - 1)
    assert (narrower.names, dropped) == (("row", "score", "extra"), ("time",))
    assert narrower.lines(narrower.sections[0])[1] == ("second", "9.9", "3")
    assert TABLE.fitted(1)[1] == ("time", "extra")


def test_long_texts_may_be_broken_and_count_less():
    table = Table.of([Column("row", "text"), Column("name", "name")], [("x" * 99, "y" * 99)])
    assert table.width() == 30 + 2 + 99


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1))
def test_nothing_that_a_stranger_writes_breaks_out_of_markdown(rows):
    lines = Table.of([Column("a", "text"), Column("b", "text")], rows).to_markdown().splitlines()
    assert len(lines) == 2 + len(rows)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines if "\\\\" not in line} <= {3}
    assert not any("<" in line for line in lines)


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="shorter"):
        Table.of(COLUMNS, [("a",)]).width()


def test_on_a_terminal_texts_are_no_markup_and_numbers_stand_to_the_right():
    to = styled_console(width=60)
    to.file = io.StringIO()
    show(Table.of([Column("row", "text"), Column("score")], [("[bold]a[/bold]", Number(7.0)), ("b", Number(70.0))]), to)
    lines = [line.rstrip() for line in to.file.getvalue().splitlines()]
    assert lines == ["row             score", "[bold]a[/bold]    7.0", "b                70.0"]
