"""What is installed: the metadata, the version in one place, and every file of the packages in the wheel."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest

import dabench

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_version_stands_in_one_file_that_the_changelog_begins_with():
    assert dabench.__version__ == (ROOT / "dabench" / "version.txt").read_text().strip()
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"file": "dabench/version.txt"}
    heading = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading is not None
    assert dabench.__version__.removesuffix(".dev0") == heading[1]


def test_every_extra_is_described():
    page = (ROOT / "docs" / "install.md").read_text()
    missing = [name for name in PROJECT["project"]["optional-dependencies"] if f"| `{name}` |" not in page]
    assert missing == []


def test_pins_are_names_and_versions_of_every_requirement():
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines(ROOT / "constraints.txt")}
    assert all(line.count("==") == 1 and "/" not in line for line in lines(ROOT / "constraints.txt"))
    project = PROJECT["project"]
    asked = [*project["dependencies"], *(r for rows in project["optional-dependencies"].values() for r in rows)]
    names = {name_of(requirement) for requirement in asked} - {"dabench"}
    assert names - pinned == set()


def lines(path: Path) -> list[str]:
    return path.read_text().split()


def name_of(requirement: str) -> str:
    """``mkdocstrings[python]>=0.30`` as ``mkdocstrings``."""
    for sign in "[><=~ ":
        requirement = requirement.partition(sign)[0]
    return requirement.lower().replace("_", "-")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the files that git knows, built without the network."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    copy, target = tmp_path_factory.mktemp("source") / "dabench", tmp_path_factory.mktemp("wheel")
    subprocess.run(["git", "clone", "--quiet", "--no-local", "--depth=1", ROOT.as_uri(), copy], check=True)
    code = "from setuptools import build_meta; import sys; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, target], cwd=copy, check=True, capture_output=True)
    return next(target.glob("dabench-*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_packages(wheel):
    packaged = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "HEAD", "dabench", "plugins"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    files = {line.removeprefix("plugins/") for line in packaged.stdout.splitlines()}
    with ZipFile(wheel) as found:
        assert files - set(found.namelist()) == set()
        about = found.read(next(n for n in found.namelist() if n.endswith("/METADATA"))).decode()
    assert f"Version: {dabench.__version__}" in about
    assert "Author: dabench developers" in about
    assert "http" not in about.partition("\n\n")[0]  # no address before there is one
