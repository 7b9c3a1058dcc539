"""``dabench annotate --method ... --task ...``: from a scan without annotation to a model trained on a person's."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from dabench.annotation.preference_set import PreferenceSet
from dabench.cli import annotate_pages
from dabench.cli.main import main
from dabench.data.phantom import make_phantom
from dabench.ops.centres import component_centres
from dabench.volumes.annotating.access import Tokens
from dabench.volumes.annotating.server import make_app

TASK = ["--method=prefer-das", "--po=slpo", "--task=human2lucchi", "--data=phantom", "--preset=tiny", "--rater=anna"]
FEW = [
    *(f"--set=phantom-{name}.{size}" for name in ("human", "lucchi")
      for size in ("size=96", "train_slices=2", "test_slices=1")),
    "--set=source-only.iterations=30", "--set=prompt-das.iterations=2", "--set=prompt-das.recalibrate=1",
    "--set=prefer-das.iterations=2",
]  # fmt: skip
ORIGIN = "http://127.0.0.1:8000"


def centres() -> list[tuple[int, float, float]]:
    """Of all objects of the target: z, x, y."""
    labels = make_phantom("phantom-lucchi", "train", 0, (2, 96, 96)).labels
    return [(z, x, y) for z in range(2) for x, y in component_centres(labels[z] == 1)]


class Person:
    """Uses the pages that a command serves, in the order in which they are served."""

    def __init__(self, clicks: int, answers: int) -> None:
        self.clicks, self.answers, self.pages = clicks, answers, list[str]()

    def __call__(self, page: str, routes: Any, pictures: Any, port: int, no_open: bool) -> None:
        self.pages.append(page)
        tokens = Tokens()
        browser = TestClient(make_app(page, routes, pictures, tokens, 8000), base_url=ORIGIN)
        browser.get(f"/?token={tokens.current}")

        def say(path: str, content: dict[str, Any]) -> dict[str, Any]:
            answer = browser.post(path, json=content, headers={"Origin": ORIGIN})
            assert answer.status_code == 200, answer.text
            return dict(answer.json())

        self.click(say) if page == "points" else self.answer(browser, say)

    def click(self, say: Callable[..., dict[str, Any]]) -> None:
        for z, x, y in centres()[: self.clicks]:
            say("/api/points/anna/add", {"z": z, "y": float(y), "x": float(x), "seconds": 1.0})

    def answer(self, browser: TestClient, say: Callable[..., dict[str, Any]]) -> None:
        for _ in range(self.answers):
            item = browser.get("/api/preferences/anna").json()["item"]
            say(
                "/api/preferences/anna/answers",
                {"item": item["number"], "answer": "choose", "places": [0], "seconds": 1.0},
            )


@pytest.fixture
def annotated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Run the command with a person at the browser; exit code and what was printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DABENCH_WORKSPACE", str(tmp_path / "workspace"))

    def call(person: Person, *more: str) -> tuple[int, str]:
        monkeypatch.setattr(annotate_pages, "_serve", person)
        monkeypatch.setattr(sys, "argv", ["dabench", "annotate", *TASK, *FEW, "--tracker=none", *more])
        with pytest.raises(SystemExit) as stop:
            main()
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out + said.err

    return call


def test_from_points_to_preferences_to_a_model(annotated: Any, tmp_path: Path) -> None:
    """A page that is left without a word stops it; the same command goes on from there."""
    nobody = Person(0, 0)
    code, said = annotated(nobody)
    assert (code, nobody.pages) == (2, ["points"])
    assert "no mitochondrion was clicked" in said

    idle = Person(4, 0)
    code, said = annotated(idle)
    assert (code, idle.pages) == (2, ["points", "preferences"]), said
    assert "no question was answered" in said
    choices = PreferenceSet.open(tmp_path / "annotation-human2lucchi" / "choices")

    code, said = annotated(Person(0, 0), "--task=lucchi2human")
    assert (code, "step 1" in said) == (2, True), "another task has a folder of its own"
    code, said = annotated(Person(0, 0), "--task=lucchi2human", "--output=annotation-human2lucchi")
    assert (code, "questions are about phantom-lucchi, not about phantom-human" in said) == (2, True)

    person = Person(0, len(choices.questions))
    code, said = annotated(person)
    assert code == 0, said
    assert person.pages == ["preferences"]
    assert f"{len(choices.questions)} used (100%)" in said
    (run,) = (tmp_path / "workspace" / "runs").glob("*/journal.jsonl")
    events = [json.loads(line) for line in run.read_text().splitlines()]
    budget = events[0]["params"]["budget"]
    names = [Path(budget[file]).name for file in ("points_file", "preferences_file")]
    assert np.all([(tmp_path / "annotation-human2lucchi" / name).exists() for name in names])


@pytest.mark.parametrize("more", [["--po=upo"], ["--patches=0"]])
def test_a_run_that_asks_nobody_is_refused_before_anyone_clicks(annotated: Any, more: list[str]) -> None:
    person = Person(0, 0)
    code, said = annotated(person, *more)
    assert (code, person.pages) == (2, [])
    assert "asks people (--po)" in said


def test_a_set_of_questions_is_made_from_a_run(annotated: Any, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    """``preferences --run``: another method's run shares its stages and settings, wherever its clicks are by now."""
    rows = [f"{z},{y},{x}" for z, x, y in centres()[:5]]
    (tmp_path / "clicks.csv").write_text("# region z=1\n" + "\n".join(["z,y,x", *rows]))
    given = ["--points=clicks.csv", "--tracker=none", "--json"]
    monkeypatch.setattr(sys, "argv", ["dabench", "run", "--method=prompt-das", *TASK[2:5], *FEW[:-1], *given])
    with pytest.raises(SystemExit):
        main()
    name = Path(json.loads(capsys.readouterr().out)["path"]).name
    (tmp_path / "clicks.csv").unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    person = Person(0, 1)
    monkeypatch.setattr(annotate_pages, "_serve", person)
    for more, code in (([], 2), (["--method=prefer-das", "--po=slpo"], 0)):
        command = ["dabench", "annotate", "preferences", "--run", name, "--output=choices", "--gold=1", *more]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as stop:
            main()
        assert (stop.value.code or 0) == code, capsys.readouterr()
    assert "training" not in capsys.readouterr().out
    choices = PreferenceSet.open(Path("choices"))
    assert (len(choices.answers("anna")), choices.manifest.domain) == (1, "phantom-lucchi")
    assert sum(question.gold is not None for question in choices.questions) == 1
