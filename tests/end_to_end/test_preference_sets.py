"""Questions of a trained stage are answered by people, and a run trains on the answers: another seed, other threads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from dabench.annotation.preference_set import PreferenceSet
from dabench.annotation.set_answers import set_answers
from dabench.data.adding import NewSplit, new_card
from dabench.data.card import save_card
from dabench.data.phantom_domain import PhantomDomain
from dabench.data.volumes import open_volume, read_all
from dabench.errors import ConfigError, DataError
from dabench.files.workspace import Workspace
from dabench.ops.choice import candidate_digests
from dabench.runs.config import RunConfig, validate_config
from dabench.runs.plan import make_plan
from dabench.runs.questions import questions_of, write_questions
from dabench.runs.runner import run_cell

#: Two updates a stage: what is tested is what they learn from.
OPTIONS = {
    "source-only": {"iterations": 2, "crop": 64, "batch": 1},
    "prompt-das": {"iterations": 2, "crop": 64, "batch": 1, "recalibrate": 1},
    "prefer-das": {"iterations": 2, "batch": 2, "source_batch": 1, "candidate_views": 1},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory, registry):
    """A workspace with a domain ``mine`` of three labelled slices, and one ``other``; nothing is scored."""
    root = tmp_path_factory.mktemp("sets")
    workspace = Workspace(root / "workspace")
    readers = [item.component.factory(item.component.config()) for item in registry.of_kind("reader")]
    workspace.cards.mkdir(parents=True)
    for name, twin in (("mine", "phantom-stem"), ("other", "phantom-rat")):
        split = PhantomDomain(twin, size=128, slices={"train": 3, "test": 1}).open("train", lambda p: p)
        paths = [root / f"{name}-{part}.tif" for part in ("scan", "mito")]
        for path, volume in zip(paths, (split.images, split.labels), strict=True):
            tifffile.imwrite(path, read_all(volume), photometric="minisblack")
        card = new_card(NewSplit(name, "train", *paths), (30.0, 8.0, 8.0), lambda path: open_volume(path, readers))
        save_card(card, workspace.cards / f"{name}.yaml")
    return workspace


def config(target: str = "mine", seed: int = 0, **budget: Any) -> RunConfig:
    values = {
        "method": "prefer-das",
        "po": "slpo",
        "task": f"phantom-human2{target}",
        "preset": "tiny",
        "options": OPTIONS,
    }
    return validate_config({**values, "seed": seed, "budget": {"patches": 0.3, **budget}})


@pytest.fixture(scope="module")
def choices(place, registry):
    torch.set_num_threads(1)
    asked = questions_of(config(), registry, place)
    return write_questions(asked, place.root.parent / "choices")


@pytest.fixture(scope="module")
def answered(choices):
    """Every question answered by one person: chosen at random, two ties, one all bad."""
    rng = np.random.default_rng(0)
    for number, question in enumerate(choices.questions):
        shown = rng.permutation(len(question.digests)).tolist()
        kind, chosen = "choose", [int(rng.integers(len(shown)))]
        if number < 2:
            kind, chosen = "tie", [0, 1]
        if number == 2:
            kind, chosen = "bad", []
        record = {"question": question.id, "shown": shown, "answer": kind, "chosen": chosen, "seconds": 4.0}
        choices.append("anna", record)
    return choices.path


def curve(run: Path) -> list[float]:
    lines = (run / "curves" / "slpo.jsonl").read_text().splitlines()
    return [json.loads(line)["preference"] for line in lines]


def test_questions_have_all_that_a_person_needs(choices, place, registry):
    plan = make_plan(config(), registry, place)
    assert [stage.state for stage in plan.stages] == ["cached", "cached", "new"]  # the same reference as the run's
    made = choices.manifest
    assert (made.domain, made.shape, made.voxel) == ("mine", (3, 128, 128), (30.0, 8.0, 8.0))
    assert (made.stage, made.patches, made.images, made.redistribution) == (plan.stages[1].key, 0.3, True, False)
    images, prompts = plan.task.target_images, 0
    points = plan.desk.points()
    assert 10 < len(choices.questions) <= np.ceil(0.3 * 3 * 4 * 9)
    for question in choices.questions:
        masks, context = choices.masks(question), question.context
        assert len(masks) > 1
        assert candidate_digests(masks) == question.digests
        assert context.y <= question.window.y
        assert context.height > question.window.height
        grey = 255 * images.read(question.z)[context.slices]
        assert np.abs(choices.image(question) - grey).max() <= 0.5
        assert (choices.image(question, 1) is None) == (question.z == 2)
        given = {(float(y), float(x)) for x, y in points[question.z].points}
        assert set(question.prompts) <= given
        prompts += len(question.prompts)
    assert prompts > 0


def test_a_stage_that_asks_nobody(place, registry):
    without = config().model_copy(update={"settings": {"po": "none"}})
    for asks_nobody in (without, config(patches=0.0)):
        with pytest.raises(ConfigError, match="asks a person for no preferences"):
            questions_of(asks_nobody, registry, place)


@pytest.mark.slow
def test_answers_train_under_another_seed_and_thread_count(answered, place, registry):
    torch.set_num_threads(2)
    run = run_cell(config(seed=1, preferences_file=answered), registry, place)
    count = len(PreferenceSet.open(answered).questions)
    said = {name.removeprefix("preferences/"): run.metrics[name] for name in run.metrics if name.startswith("pref")}
    assert said == {"asked": count, "answered": count, "used": count, "ties": 2, "bad": 1} | {
        "answered_share": 1.0,
        "used_share": 1.0,
    }
    assert run.metrics["cost/patches"] == count
    assert run.tags["preference_set"].endswith("masks of another reference")
    assert run.tags["rater"] == "points simulated:0, preferences recorded"
    kept = PreferenceSet.open(run.path / "annotation" / "preferences")
    given = [(a.chosen, a.bad, a.seconds) for a in set_answers(PreferenceSet.open(answered))]
    assert [(a.chosen, a.bad, a.seconds) for a in set_answers(kept)] == given
    assert [q.prompts for q in kept.questions] == [q.prompts for q in PreferenceSet.open(answered).questions]


def test_who_chooses_what_the_truth_would_trains_as_the_simulated_run(choices, place, registry):
    """Same reference, same masks chosen: the same losses, from the simulated run's own set and from the questions'."""
    simulated = run_cell(config(), registry, place)
    own = simulated.path / "annotation" / "preferences"
    said = {(a.z, a.window): a for a in set_answers(PreferenceSet.open(own))}
    copied = choices.export(place.root.parent / "scripted.zip", images=False)
    packed = choices.export(place.root.parent / "scripted", images=True)
    assert {(q.z, q.window) for q in copied.questions} == set(said)
    for rater in packed.raters:
        (packed.path / f"{rater}.jsonl").unlink()
    for question in packed.questions:
        answer = said[question.z, question.window]
        assert answer.candidate_digests == question.digests
        shown = list(range(len(question.digests)))[::-1]
        record = {"question": question.id, "shown": shown, "answer": "choose", "chosen": list(answer.chosen)}
        packed.append(
            "scripted", {**record, "seconds": 1.0} if answer.chosen else {**record, "answer": "skip", "seconds": 1}
        )
    scripted = run_cell(config(preferences_file=packed.path), registry, place)
    assert scripted.tags["preference_set"].endswith("masks of this reference")
    assert curve(scripted.path) == pytest.approx(curve(simulated.path), rel=1e-5)
    again = run_cell(config(preferences_file=own), registry, place)
    assert curve(again.path) == curve(scripted.path)


def test_what_was_answered_and_cut_off_is_said_before_anything_trains(answered, place, registry):
    count = len(PreferenceSet.open(answered).questions)
    (answered / "ben.jsonl").write_text('{"n": 1, "question": "q000')
    said = make_plan(config(preferences_file=answered), registry, place).answers
    (answered / "ben.jsonl").unlink()
    assert f"{count} of {count} questions answered (100%) by 2 rater(s)" in said[0]
    assert "ben.jsonl, line 1: was cut off" in said[1]


def test_a_set_of_another_domain_is_refused_before_anything_trains(answered, place, registry):
    with pytest.raises(DataError, match=r"show 'mine'.*adapts to 'other'"):
        make_plan(config("other", preferences_file=answered), registry, place)
