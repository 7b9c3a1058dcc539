"""Executors from settings, as a user says them."""

from __future__ import annotations

import pytest

from dabench.errors import ConfigError, UnknownNameError
from dabench.execution.jobs import Job
from dabench.execution.settings import ExecutorSettings


def test_a_local_executor_of_so_many_jobs_and_bytes(tmp_path):
    half = Job("cell-a", "a", "suite", {}, None, (), (), 2**29)
    with ExecutorSettings(jobs=2, threads=3, memory=1).make(tmp_path, tmp_path / "logs") as executor:
        assert executor.threads == 3
        assert executor.room(half)
        assert executor._memory == 2**30


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"executor": "slurm"}, UnknownNameError, "unknown executor 'slurm'"),
        ({"executor": "ray", "share": "all"}, UnknownNameError, "--share 'all'"),
        ({"per_gpu": 0}, ConfigError, "at least one job"),
    ],
)
def test_what_there_is_not(tmp_path, wrong, error, says):
    with pytest.raises(error, match=says):
        ExecutorSettings(**wrong).make(tmp_path, tmp_path / "logs")
