"""Executors from settings, as a user says them."""

from __future__ import annotations

import pytest

from dabench.errors import ConfigError, UnknownNameError
from dabench.execution.jobs import Job, Resources
from dabench.execution.settings import ExecutorSettings


def test_a_local_executor_of_so_many_jobs_and_bytes(tmp_path):
    half = Job("cell-a", "os:getcwd", resources=Resources(memory=2**29))
    with ExecutorSettings(jobs=2, threads=3, memory=1).make(tmp_path, tmp_path / "logs") as executor:
        assert executor.site.root == tmp_path
        assert executor.room(half)
        assert executor._memory == 2**30


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"executor": "cloud"}, UnknownNameError, "unknown executor 'cloud'"),
        ({"executor": "ray", "share": "all"}, UnknownNameError, "--share 'all'"),
        ({"per_gpu": 0}, ConfigError, "at least one job"),
        ({"executor": "slurm", "time": "4h"}, ConfigError, "--time '4h'"),
        ({"executor": "slurm", "slurm": ("account",)}, ConfigError, "--slurm 'account'"),
    ],
)
def test_what_there_is_not(tmp_path, wrong, error, says):
    with pytest.raises(error, match=says):
        ExecutorSettings(**wrong).make(tmp_path, tmp_path / "logs")
