"""docs/bring-your-own-method.md, followed to the letter by somebody with an empty folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dabench.data.phantom import make_phantom
from dabench.tracking.run_reader import read_runs
from tests.tutorials.following import HastyReader, Reader, change, steps

PAGE = Path(__file__).parents[2] / "docs" / "bring-your-own-method.md"
#: So few updates of so small slices that the page takes seconds.
SIZES = ("size=96", "train_slices=2", "test_slices=1")
SMALL = [f"phantom-{name}.{size}" for name in ("human", "lucchi") for size in SIZES]
FEW = {
    "run": ["--tracker=none", "--set=source-only.iterations=2", *(f"--set={setting}" for setting in SMALL)],
    "my-method": ["--set=my-method.iterations=2"],
}


def dice(reader: Reader, method: str) -> float:
    """Of the one run of a method, on the target's test split."""
    (run,) = (r for r in read_runs(reader.home / "workspace" / "runs") if r.tags["method"] == method)
    return run.metrics["target_test/dice"]


@pytest.mark.slow
def test_commands_and_changes_work(tmp_path, monkeypatch):
    monkeypatch.setattr(HastyReader, "few", FEW)
    reader = HastyReader.arrives(tmp_path)
    printed = reader.follows(PAGE)
    assert "written: my-method/" in printed
    assert "FAIL" not in printed
    assert "confident_labels" in (reader.home / "my-method" / "my_method" / "__init__.py").read_text()
    assert "supervised: reused" in printed
    assert "<html" in (reader.home / "leaderboard.html").read_text()
    assert "2 runs from my-lab imported" in printed
    assert "my-method (my-lab)" in printed


@pytest.mark.slow
def test_numbers_are_those_of_the_page(tmp_path):
    """Two minutes of one core: before and after the change it beats the source model, which beats chance."""
    reader, seen = Reader.arrives(tmp_path), []
    for what, body in steps(PAGE):
        if what == "change":
            change(body, reader.home)
            continue
        reader.types(body)
        if "--method my-method" in body:
            seen.append(dice(reader, "my-method"))
    seen.append(dice(reader, "source-only"))
    generated, changed, source = seen
    told = [float(f"0.{digits}") for digits in re.findall(r"(?<!\S)\.(\d{3})\b", PAGE.read_text())]
    assert [source, generated, changed] == pytest.approx(told[:3], abs=0.05)  # another machine, other last bits
    assert min(changed, generated) > source
    share = float((make_phantom("phantom-lucchi", "test", 0, (8, 256, 256)).labels == 1).mean())
    assert source > 2 * share / (1 + share) + 0.2  # Dice of foreground everywhere


def test_a_change_that_does_not_fit_is_named(tmp_path):
    (tmp_path / "code.py").write_text("a = 1\na = 1\n")
    with pytest.raises(AssertionError, match=r"code.py holds this 2 times"):
        change("--- code.py\n-a = 1\n+a = 2\n", tmp_path)
    change("--- code.py\n a = 1\n-a = 1\n+b = 2\n", tmp_path)
    assert (tmp_path / "code.py").read_text() == "a = 1\nb = 2\n"
