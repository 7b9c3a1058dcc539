"""A person's whole way on real data by keyboard alone: points, training, preferences, and the run that trains on both.

Chooses what a careful person would: centres of objects, and the outlines that are nearest to the labels, one of ten
wrong. Nothing but the page is spoken to. ``DABENCH_SHOTS`` names a folder for pictures of what was seen.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dabench.annotation.preference_set import PreferenceSet
from dabench.cli.main import app
from dabench.ops.centres import component_centres
from dabench.ops.choice import candidate_scores
from dabench.types import Array
from dabench.volumes.annotating.outlines import outline
from dabench.volumes.viewer.targets import Opener

POINTS, ANSWERS = 30, 40
TASK = ("--method", "prefer-das", "--po", "slpo", "--task", "lucchi2vnc", "--preset", "tiny", "--tracker", "none")
FEW = {
    "source-only": {"iterations": 150},
    "prompt-das": {"iterations": 10, "recalibrate": 1},
    "prefer-das": {"iterations": 20},
}
SETS = [f"--set={name}.{key}={value}" for name, values in FEW.items() for key, value in values.items()]


#: How good each outline of a question is; a question is known by all its outlines, as the page draws them.
Worth = dict[frozenset[str], dict[str, float]]


class Person:
    """At the keyboard of one page."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def look(self, name: str) -> None:
        if folder := os.environ.get("DABENCH_SHOTS"):
            self.page.screenshot(path=f"{folder}/{name}.png")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)


class Clicker(Person):
    """Moves the cross to centres and clicks there."""

    clicks = 0

    def goto(self, x: float, y: float) -> None:
        """By large steps, then by pixels."""
        self.press("ArrowRight", "ArrowLeft")
        step = self.page.locator("#picture").evaluate("picture => picture.viewBox.baseVal.width / 40")
        for axis, (less, more) in (("e", ("ArrowLeft", "ArrowRight")), ("f", ("ArrowUp", "ArrowDown"))):
            for size, held in ((step, ""), (1.0, "Shift+")):
                at = self.page.locator(".aim").evaluate(f"aim => aim.transform.baseVal.consolidate().matrix.{axis}")
                way = (x if axis == "e" else y) + 0.5 - at
                self.press(*[held + (more if way > 0 else less)] * round(abs(way) / size))

    def click(self, x: float, y: float) -> None:
        self.goto(x, y)
        self.press("Enter")
        self.wait(self.clicks + 1)

    def wait(self, clicks: int) -> None:
        self.clicks = clicks
        self.page.wait_for_selector(f'#stage[data-clicks="{clicks}"]')

    def following(self, z: int) -> None:
        self.press("n")
        self.page.wait_for_selector(f'#stage[data-z="{z}"][data-clicks="0"]')
        self.clicks = 0


class Chooser(Person):
    """Knows how good each outline is, and errs in one of ten."""

    def __init__(self, page: Any, worth: Worth) -> None:
        super().__init__(page)
        self.worth, self.rng, self.chosen = worth, np.random.default_rng(0), list[str]()

    @property
    def number(self) -> str:
        return str(self.page.get_attribute("#main", "data-number"))

    def seen(self) -> list[str]:
        drawn = self.page.locator(".candidate .line")
        return [str(path or "") for path in drawn.evaluate_all("all => all.map((one) => one.getAttribute('d'))")]

    def answer(self, *keys: str) -> None:
        before = self.number
        self.press(*keys)
        self.page.wait_for_function(
            "before => main.dataset.number !== before && (main.dataset.number === 'done' || main.dataset.ready)",
            arg=before,
        )

    def choose(self) -> None:
        paths = self.seen()
        scores = np.array([self.worth[frozenset(paths)][path] for path in paths])
        best = int(scores.argmax())
        if self.rng.random() < 0.1:
            best = (best + 1) % len(paths)
        self.answer(str(best + 1))
        self.chosen.append(paths[best])


def worth_of(choices: PreferenceSet, labels: Array) -> Worth:
    """By labels."""
    found = {}
    for question in choices.questions:
        masks, truth = choices.masks(question), labels[question.z][question.window.slices] == 1
        y, x = question.window.y - question.context.y, question.window.x - question.context.x
        scores = candidate_scores(masks, truth)
        paths = [outline(mask, y, x) for mask in masks]
        given = np.zeros(len(masks)) if scores is None else scores
        found[frozenset(paths)] = dict(zip(paths, given.tolist(), strict=True))
    return found


@pytest.fixture
def labels(registry, workspace) -> Array:
    """Of vnc's training split; skips where its files are not here."""
    component = registry.get("domain", "vnc").component
    domain = component.factory(component.config())
    if domain.missing():
        pytest.skip("vnc is not on this machine (DABENCH_DATA)")
    split = domain.open("train", Opener(registry, workspace).volume)
    return np.stack([split.labels.read(z) for z in range(split.labels.shape[0])])


@pytest.mark.slow
def test_clicks_and_choices_on_vnc_train_a_model(serve, come, labels, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DABENCH_WORKSPACE", str(tmp_path / "workspace"))
    folder = tmp_path / "annotation"
    command = (*TASK, *SETS, "--patches", "0.0037", "--output", str(folder))
    served = serve(*command)
    page = come(served.link, ready="#stage[data-z]", viewport={"width": 1280, "height": 900})
    click_points(Clicker(page), labels)
    said = stop(served, "step 3 of 4")
    assert f"anna.csv: {POINTS} points on 3 slices, 1 negative" in said

    choices = PreferenceSet.open(folder / "choices")
    worth = worth_of(choices, labels)
    assert ANSWERS <= len(choices.questions) <= 2 * ANSWERS
    chooser = Chooser(come(served.next_link(), viewport={"width": 1280, "height": 900}), worth)
    while len(chooser.chosen) < ANSWERS // 2:
        chooser.choose()
    chooser.look("preferences")
    chooser.answer("s")
    chooser.answer("u")
    chooser.answer("t", *("t", "Enter") * (len(chooser.seen()) > 2))
    chooser.answer("u")
    served.kill()
    served = serve(*command)
    assert "step 3 of 4" in served.said, "what was trained and answered is there"
    chooser.page.goto(f"{served.link}#rater=anna")
    chooser.page.wait_for_selector("#main[data-ready]")
    while len(chooser.chosen) < ANSWERS and chooser.number != "done":
        chooser.choose()
    chooser.look("preferences-end")
    said = stop(served, "run: ", to_the_end=True)

    answers = choices.answers("anna")
    assert len({answer.question for answer in answers}) >= ANSWERS - 5, "some came again"
    for answer, path in zip(answers, chooser.chosen, strict=True):
        question = choices.question(answer.question)
        y, x = question.window.y - question.context.y, question.window.x - question.context.x
        assert outline(choices.masks(question)[answer.chosen[0]], y, x) == path, "what was chosen is what was seen"
    check_run(tmp_path / "workspace", said, len({answer.question for answer in answers}))
    app(["annotate", "report", str(folder / "choices")], standalone_mode=False)
    report = capsys.readouterr().out
    assert "if every answer were correct" in report
    gained = re.search(r"By labels, what anna chose.*: (\d+)% of the gain that correct answers would give", report)
    assert int(gained[1]) > 50, "one of ten was wrong"


def click_points(clicker: Clicker, labels: Array) -> None:
    """Ten centres on each of three slices; one is undone and clicked again, one place is no mitochondrion."""
    for z in range(3):
        for x, y in component_centres(labels[z] == 1)[:10]:
            clicker.click(float(x), float(y))
        if z == 1:
            clicker.press("u")
            clicker.wait(clicker.clicks - 1)
            clicker.press("Enter")
            clicker.wait(clicker.clicks + 1)
            empty = np.argwhere(labels[z] == 0)[5000]
            clicker.press("b")
            clicker.click(float(empty[1]), float(empty[0]))
            clicker.press("c")
            clicker.look("points")
        if z < 2:
            clicker.following(z + 1)


def stop(served: Any, until: str, *, to_the_end: bool = False) -> str:
    """Ctrl-C, and what was printed up to a text, or to the end."""
    served.process.send_signal(2)
    for line in served.process.stdout:
        served.said += line
        if until in line and not to_the_end:
            break
    assert until in served.said, served.said
    return str(served.said)


def check_run(workspace: Path, said: str, questions: int) -> None:
    """The run says how many answers it was given and used, and that a person gave them."""
    (journal,) = (workspace / "runs").glob("*/journal.jsonl")
    events = [json.loads(line) for line in journal.read_text().splitlines()]
    (cost,) = [event for event in events if event["event"] == "cost"]
    started, ended = events[0], events[-1]
    assert (ended["status"], started["tags"]["rater"]) == ("ok", "recorded")
    assert cost["points"] == POINTS + 1
    assert cost["preferences"]["answered"] == cost["preferences"]["used"] == questions, said
