"""Errors travel between processes whole."""

import pickle

import pytest

from dabench.errors import DataError, MissingDataError, UnknownNameError


@pytest.mark.parametrize(
    "error",
    [
        DataError("scan.tif: slice 3 is torn.", "Copy it again."),
        MissingDataError("no such file."),
        UnknownNameError("method", "prefer-dsa", ["prefer-das", "oracle"]),
    ],
)
def test_errors_survive_pickling(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), again.__dict__) == (str(error), error.__dict__)
