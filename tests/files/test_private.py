"""Records name files, and say nothing of where they lie on somebody's machine."""

from __future__ import annotations

import pytest

from dabench.files.private import named, without_paths
from dabench.runs.config import validate_config
from dabench.tracking.events import CellFinished, from_line, to_line

OTHERS = "see https://example.org/a/b, points/patches, 3/4, and /tmp"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("/home/ann/clicks.csv: contains no points.", "clicks.csv: contains no points."),
        ("missing '/data/x/a.tif' and (/data/b.tif), ~/c/d.h5", "missing 'a.tif' and (b.tif), d.h5"),
        ("changed (/w/stages/0123abcd): it is trained again", "changed (0123abcd): it is trained again"),
        (OTHERS, OTHERS),
        ("data/lucchi/test.tif", "data/lucchi/test.tif"),
    ],
)
def test_messages_have_names_alone(said: str, told: str) -> None:
    assert named(said) == told
    assert named(told) == told


def test_settings_keep_a_name_and_tell_folders_apart() -> None:
    first, second = (without_paths({"a": [f"/home/{who}/clicks.csv"], "b": 1})["a"][0] for who in ("ann", "bob"))
    assert first != second
    assert {first.partition("/")[2], second.partition("/")[2]} == {"clicks.csv"}
    assert without_paths({"a": first}) == {"a": first}
    assert without_paths(["clicks.csv", "x/clicks.csv", None, 0.5]) == ["clicks.csv", "x/clicks.csv", None, 0.5]


def test_a_run_s_record_names_no_folder_and_its_cell_is_the_same_from_the_record() -> None:
    given = {"method": "prompt-das", "task": "human2stem", "budget": {"points_file": "/home/ann/lab/clicks.csv"}}
    options = {"x": {"f": "/home/ann/w.pt"}}
    config = validate_config({**given, "test_points_file": "/home/ann/lab/test.csv", "options": options})
    record = config.on_record()
    assert "/ann" not in str(record)
    assert "/ann" not in str(config.identity())
    again = validate_config(record)
    assert (again.cell_id, again.on_record()) == (config.cell_id, record)
    elsewhere = validate_config({**given, "budget": {"points_file": "/home/bob/clicks.csv"}})
    assert elsewhere.cell_id != validate_config(given).cell_id


def test_the_journal_names_no_folder() -> None:
    event = from_line(to_line(CellFinished("failed", "DataError: /home/ann/clicks.csv: contains no points.", 1.0)))
    assert isinstance(event, CellFinished)
    assert event.reason == "DataError: clicks.csv: contains no points."
