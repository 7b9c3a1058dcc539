"""Filters on tags, and what they say to a wrong one."""

from __future__ import annotations

import pytest
from made_up_cells import write_cell

from dabench.errors import ConfigError, UnknownNameError
from dabench.leaderboard.filters import parse_filters
from dabench.leaderboard.gather import load


@pytest.fixture
def methods(workspace):
    """Methods that a filter leaves."""
    for method in ("ipl", "sac", "ualr"):
        write_cell(workspace.runs, method, points=0.15 if method == "ipl" else 0.0, options=f"{method}.levels=[1, 2]")
    write_cell(workspace.runs, "ipl", "lucchi2vnc", status="failed", reason="x")

    def found(*conditions):
        return [f"{row.tags['method']} {row.tags['task']}" for row in load(workspace, conditions=conditions).rows]

    return found


def test_any_of_several_values_and_all_of_several_conditions(methods):
    assert methods("method=ipl,sac", "task=human2stem") == ["ipl human2stem", "sac human2stem"]
    assert methods("method=ipl,sac", "method=sac,ualr") == ["sac human2stem"]
    assert methods("status=failed") == ["ipl lucchi2vnc"]
    assert methods("dabench.method=ualr") == ["ualr human2stem"]


def test_numbers_in_any_form_and_values_with_commas(methods):
    assert methods("points=.15") == ["ipl human2stem"]
    assert methods("options=sac.levels=[1, 2]") == ["sac human2stem"]


def test_unknown_tags_and_values_name_the_nearest(methods):
    with pytest.raises(UnknownNameError, match=r"unknown tag 'metod'.*\n.*Did you mean 'method'"):
        methods("metod=ipl")
    with pytest.raises(UnknownNameError, match=r"unknown value of method 'ip'.*\n.*Did you mean 'ipl'"):
        methods("method=sac,ip")
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        methods("method")


def test_no_condition_is_no_filter():
    assert parse_filters([], []) == {}
