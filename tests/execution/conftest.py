"""The suite of tests/suites, for the executors that run it."""

from tests.suites.conftest import suite

__all__ = ["suite"]
