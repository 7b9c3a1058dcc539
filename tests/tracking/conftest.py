"""Fixtures of the tracking tests."""

from __future__ import annotations

import pytest
from made_up_run import write_run


@pytest.fixture
def make_run():
    """Writes a finished run below a folder and returns its directory."""
    return write_run
