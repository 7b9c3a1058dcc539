"""The conformance suite over everything registered: a new component is tested because it is registered."""

from __future__ import annotations

import pytest

from dabench.testing import ConformanceSuite


class TestEverything(ConformanceSuite):
    @pytest.fixture(autouse=True)
    def no_real_data(self, monkeypatch, tmp_path):
        """The same with and without data on this machine."""
        monkeypatch.setenv("DABENCH_DATA", str(tmp_path))
        monkeypatch.setenv("DABENCH_WORKSPACE", str(tmp_path / "workspace"))
