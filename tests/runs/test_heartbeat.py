"""A stage without updates is named, one that goes on is not."""

from __future__ import annotations

import time

import pytest

from dabench.runs.heartbeat import heartbeat


def test_what_is_quiet_is_named_ever_less_often(capsys: pytest.CaptureFixture[str]) -> None:
    with heartbeat("stage 'a' of plugin 'b' (c)", quiet=0.1):
        time.sleep(0.6)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(". ")[0] for line in lines][:2] == [
        f"stage 'a' of plugin 'b' (c): no update for {seconds} s" for seconds in ("0.1", "0.2")
    ]
    assert 3 <= len(lines) <= 6  # after 0.1, 0.2 and 0.4 s, and on a busy machine later ones


def test_what_goes_on_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    with heartbeat("stage", quiet=5.0) as beat:
        for _ in range(3):
            beat()
    assert capsys.readouterr().err == ""
