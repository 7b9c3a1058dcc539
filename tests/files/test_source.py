"""Digests of code: what they follow, what changes them, and what does not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dabench.files import source
from dabench.files.source import import_closure, source_digest

CODE = '''"""A module."""
import math
from typing import TYPE_CHECKING

from .inner import helper

if TYPE_CHECKING:
    from .typed import Only


def area(radius: float, *, scale: float = 1.0) -> float:
    """Of a disc."""
    total = [math.pi * radius**2 * s for s in (scale,)]  # one term
    return helper(f"{sum(total):.3f}")
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Write the files of a package of a new name; its digest."""
    count = iter(range(100))
    monkeypatch.syspath_prepend(tmp_path)

    def write(**files: str) -> str:
        folder = tmp_path / "versions" / str(next(count))
        package = folder / "some_plugin"
        package.mkdir(parents=True)
        standard = {"__init__": CODE, "inner": "def helper(x):\n    return float(x)\n", "typed": "Only = int\n"}
        for name, text in {**standard, **files}.items():
            (package / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(folder)
        source._file_of.cache_clear()
        source._origin.cache_clear()
        return source_digest("some_plugin")

    return write


def test_comments_docstrings_and_descriptions_change_nothing(package: Callable[..., str]) -> None:
    first = package()
    assert package(__init__=CODE.replace("# one term", "# another comment")) == first
    assert package(__init__=CODE.replace("Of a disc.", "The area of a disc.")) == first
    assert package(__init__="\n\n" + CODE) == first
    field = "x = Field(1, description='{}')\n"
    assert package(inner=field.format("one")) == package(inner=field.format("two"))


@pytest.mark.parametrize(
    ("old", "new"), [("radius**2", "radius**3"), ("1.0", "1.5"), (":.3f", ":.4f"), ("(scale,)", "[scale]")]
)
def test_arithmetic_changes_it(package: Callable[..., str], old: str, new: str) -> None:
    assert package() != package(__init__=CODE.replace(old, new))


def test_what_is_imported_counts_and_what_is_only_typed_does_not(package: Callable[..., str]) -> None:
    first = package()
    assert package(inner="def helper(x):\n    return 2 * float(x)\n") != first
    assert package(typed="Only = str\n") == first


def test_a_string_that_is_computed_with_is_no_docstring(package: Callable[..., str]) -> None:
    assert package(inner="helper = 'a'\n") != package(inner="helper = 'b'\n")


def test_a_name_that_is_handed_on_leads_to_its_home() -> None:
    """The face of the plugins adds nothing of its own: an edited reader retrains no method that names no reader."""
    found = import_closure(["dabench_sac"])
    assert {"dabench_sac", "dabench.ops.losses", "dabench.interfaces.stages", "dabench.types"} <= set(found)
    assert not {"dabench.plugin", "dabench.interfaces", "dabench.data.card", "dabench.data.phantom"} & set(found)


def test_imports_inside_functions_count_and_modules_of_others_do_not() -> None:
    found = import_closure(["dabench.training.train_stage"])
    assert {"dabench.training.loop", "dabench.training.checkpoint", "dabench.ops.patches"} <= set(found)
    assert all(name.startswith("dabench.") for name in found)


#: The digest of `CODE` alone, as CPython 3.11, 3.12 and 3.13 have it.
RECORDED = "121a3dd8d3004bd9ee40c8b26fba902fcf640975f7f091c40b04af95ad3e07dc"


def test_the_digest_is_the_same_in_every_python() -> None:
    """Run by every other interpreter on this machine, and compared with a recorded one."""
    program = (
        "import ast, hashlib, runpy, sys\n"
        "tokens = runpy.run_path(sys.argv[1])['_tokens']\n"
        "print(hashlib.sha256(''.join(tokens(ast.parse(sys.stdin.read()))).encode()).hexdigest())"
    )
    found = {
        str(python): subprocess.run(
            [python, "-c", program, source.__file__], input=CODE, capture_output=True, text=True
        ).stdout.strip()
        for python in interpreters()
    }
    assert found == dict.fromkeys(found, RECORDED)
    assert sys.executable in found


def interpreters() -> Iterator[str]:
    """This Python, and others of the versions that dabench supports that start on this machine."""
    yield sys.executable
    beside = [str(path) for path in Path(sys.base_prefix).parent.glob("3.*/bin/python3")]
    for python in {*beside, *filter(None, (shutil.which(f"python3.{minor}") for minor in range(11, 16)))}:
        asked = subprocess.run([python, "-c", "import sys; print(sys.version_info >= (3, 11))"], capture_output=True)
        if asked.stdout.strip() == b"True":
            yield python
