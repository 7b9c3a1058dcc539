"""``dabench annotate`` on the command line: what it refuses before a page opens."""

from __future__ import annotations

import gc
import sys
import warnings
from typing import Any

import numpy as np
import pytest
import tifffile
from made_up_choices import squares

from dabench.cli.main import main
from dabench.volumes.annotating.server import Pictures, listen, serve


@pytest.fixture
def refused(capsys, monkeypatch, tmp_path):
    """Exit code and message of a command that must not serve anything."""
    monkeypatch.setattr("uvicorn.Server.serve", lambda *_: pytest.fail("a page was served"))
    monkeypatch.setenv("DABENCH_WORKSPACE", str(tmp_path / "workspace"))

    def call(*arguments: Any) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["dabench", "annotate", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0), capsys.readouterr().err

    return call


def test_preferences_of_what_is_no_data_set(refused, tmp_path):
    code, said = refused("preferences", "--output", tmp_path / "choices")
    assert code == 3
    assert "no manifest.json" in said
    packed = squares(tmp_path / "packed.zip").path
    code, said = refused("preferences", "--output", packed)
    assert (code, "Unpack it first" in said) == (2, True)


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [("--order", "best", "--order"), ("--repeats", "2", "share of repeats"), ("--random-share", "-1", "random share")],
)
def test_settings_that_are_none(refused, tmp_path, option, value, word):
    code, said = refused("preferences", "--output", squares(tmp_path / "choices").path, option, value)
    assert code == 2
    assert word in said


def test_points_need_one_volume(refused, tmp_path):
    for given in ((), ("--domain", "vnc", "--images", tmp_path / "scan.tif")):
        code, said = refused("points", "--output", tmp_path / "clicks.csv", *given)
        assert (code, "--domain NAME or --images FILE" in said) == (2, True)
    code, said = refused("points", "--output", tmp_path / "clicks.csv", "--domain", "vcn")
    assert (code, "Did you mean 'vnc'" in said) == (2, True)
    code, said = refused("points", "--output", tmp_path / "clicks.csv", "--images", tmp_path / "none.tif")
    assert (code, "none.tif" in said) == (3, True)


def test_points_never_replace_a_file_of_others(refused, tmp_path):
    tifffile.imwrite(tmp_path / "scan.tif", np.zeros((2, 32, 32), np.uint8), photometric="minisblack")
    (tmp_path / "mine.csv").write_text("z,y,x\n0,1,2\n")
    code, said = refused("points", "--images", tmp_path / "scan.tif", "--output", tmp_path / "mine.csv")
    assert (code, "Choose another name" in said) == (2, True)
    assert (tmp_path / "mine.csv").read_text() == "z,y,x\n0,1,2\n"


def test_a_port_in_use(refused, tmp_path):
    with listen() as taken:
        port = taken.getsockname()[1]
        code, said = refused("preferences", "--output", squares(tmp_path / "choices").path, "--port", port)
    assert (code, f"port {port}" in said) == (2, True)


def test_ctrl_c_before_the_server_runs_is_quiet(monkeypatch):
    """Python warns of a coroutine that nobody awaited when it is collected."""

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    links: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        serve("points", [], Pictures(), opened=interrupted)
        monkeypatch.setattr("asyncio.run", interrupted)
        serve("points", [], Pictures(), opened=lambda address, token: links.append(address.url(token)))
        gc.collect()
    assert len(links) == 1
    assert [str(one.message) for one in caught if "never awaited" in str(one.message)] == []
