"""Nothing is lost unsaid: commands, flags, exit codes, tags, metrics and artifacts beside those of version 0.1.0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from dabench.cli.main import app
from dabench.files.workspace import Workspace
from tests.compatibility.features import features

HERE = Path(__file__).parent
CHANGELOG = HERE.parents[1] / "CHANGELOG.md"


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The suite of the old runs, run by the present code, and all that can be seen of it."""
    folder = tmp_path_factory.mktemp("features")
    place = Workspace(folder / "workspace")
    suite = yaml.safe_load((HERE / "old" / "suite.yaml").read_text())
    suite["settings"]["options"]["source-only"]["iterations"] = 4  # names are compared, not scores
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite, sort_keys=False))
    arguments = ["suite", "run", str(folder / "suite.yaml"), "--jobs", "1"]
    done = CliRunner().invoke(app, arguments, env={"DABENCH_WORKSPACE": str(place.root)})
    assert done.exit_code == 0, done.output
    return set(features(place.runs, place.tracking_uri))


@pytest.fixture(scope="module")
def changes() -> list[dict[str, Any]]:
    return yaml.safe_load((HERE / "changes.yaml").read_text())


def test_every_difference_is_meant(now: set[str], changes: list[dict[str, Any]]) -> None:
    old = set((HERE / "old" / "features.txt").read_text().splitlines())
    gone = {line for change in changes for line in change.get("gone", [])}
    new = {line for change in changes for line in change.get("new", [])}
    assert sorted(old - now - gone) == [], "lost"
    assert sorted(now - old - new) == [], "new: say it in the changelog and in changes.yaml"
    assert sorted(gone & now) == [], "said to be gone"
    assert sorted(new - now) == [], "said to be new"


def test_every_difference_is_in_the_changelog(changes: list[dict[str, Any]]) -> None:
    text = " ".join(CHANGELOG.read_text().split())
    assert [change["changelog"] for change in changes if change["changelog"] not in text] == []
