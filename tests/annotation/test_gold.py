"""Gold questions: drawn where labels leave no doubt, never trained on; and how good answers are by labels."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from dabench.annotation.ceiling import ceilings
from dabench.annotation.gold import draw_gold, gold_of, known_answers
from dabench.annotation.preference_set import Manifest, PreferenceSet, Question
from dabench.annotation.report import report
from dabench.annotation.report_words import sentences
from dabench.annotation.set_answers import set_answers, set_questions
from dabench.annotation.truth import VolumeTruth
from dabench.cli.main import app
from dabench.data.volumes import ArrayVolume
from dabench.ops.choice import candidate_digests
from dabench.types import Window

THRESHOLDS, SIDE = (0.5, 0.4, 0.6), 10
WINDOW = Window(0, 0, SIDE, SIDE)


def bars(*lengths):
    """Candidates that fill so many of ten columns."""
    return np.stack([np.arange(SIDE) < length for length in lengths])[:, None].repeat(SIDE, axis=1)


def make_set(path, shown, gold=(), manifest=None):
    """Questions of slice 0, 1, ... with these candidates."""
    items = []
    windows = dict.fromkeys(("window", "context", "tile"), WINDOW)
    for number, masks in enumerate(shown):
        right = {"gold": (0,)} if number in gold else {}
        made = {"thresholds": THRESHOLDS[: len(masks)], "digests": candidate_digests(masks), **right}
        items.append((Question(id=f"q{number}", z=number, **windows, **made), masks, {}))
    return PreferenceSet.write(path, manifest or Manifest(shape=(len(shown), SIDE, SIDE)), items)


def say(choices, rater, number, *chosen):
    kind = ("bad", "choose", "tie")[min(len(chosen), 2)]
    shown = range(len(choices.questions[number].digests))
    line = {"question": f"q{number}", "shown": [*shown], "answer": kind, "chosen": [*chosen], "seconds": 2.0}
    choices.append(rater, line)


def truth_of(*lengths):
    return VolumeTruth(ArrayVolume(bars(*lengths).astype(np.uint8)))


def test_labels_know_where_one_candidate_leads_by_far():
    """Dice to five columns: 4 gives 8/9, 6 gives 10/11 (no lead), 8 gives 10/13."""
    shown = [
        (z, WINDOW, masks) for z, masks in enumerate([bars(4, 6), bars(4, 8), bars(8, 5), bars(0, 0), bars(9, 10)])
    ]
    known = known_answers(shown, truth_of(5, 5, 5, 5, 0))
    assert known == {1: 0, 2: 1}, "none where nothing is to be found, whatever leads"
    assert draw_gold(known, 1, np.random.default_rng(0)).items() <= {(1, (0,)), (2, (1,))}
    assert draw_gold(known, 5, np.random.default_rng(0)) == {1: (0,), 2: (1,)}


def test_gold_questions_are_answered_and_train_nothing(tmp_path, weak_labels):
    choices = make_set(tmp_path / "choices", [bars(4, 6, 8)] * 3, gold=[1])
    for number in range(3):
        say(choices, "anna", number, 0)
    assert [answer.z for answer in set_answers(choices)] == [0, 1, 2]
    answers = set_answers(choices, gold=False)
    assert [question.z for question in set_questions(choices, answers, gold=False)] == [0, 2]
    weak = weak_labels["preferences"]
    assert [question.z for question in weak.recorded_request(choices.path).questions] == [0, 2]
    trained = type(weak)(weak.config.model_copy(update={"gold": True}))
    assert [question.z for question in trained.recorded_request(choices.path).questions] == [0, 1, 2]
    assert weak.digest(choices.path) != trained.digest(choices.path), "another stage"


def test_a_trusted_raters_answers_are_gold_too(tmp_path):
    """Right is what the trusted one chose, "all bad" too; what that one did not answer judges nobody."""
    choices = make_set(tmp_path / "choices", [bars(4, 6, 8)] * 12)
    for number in range(11):
        say(choices, "expert", number, *([] if number == 10 else [0, 1] if number == 9 else [0]))
        say(choices, "anna", number, *([] if number == 10 else [1] if number >= 8 else [0]))
    say(choices, "anna", 11, 2)
    questions = gold_of(choices.questions, choices.answers("expert"))
    assert [q.gold for q in questions[8:]] == [(0,), (0, 1), (), None]
    found = report(questions, {"anna": choices.answers("anna")})
    (anna,) = found.raters
    assert (anna.on_gold.count, anna.on_gold.of) == (10, 11)
    assert "anna answered 10 of 11 gold questions correctly (91%" in " ".join(sentences(found))
    few = report(questions, {"anna": choices.answers("anna")[:5]})
    assert "anna answered 5 gold questions, too few to measure accuracy" in " ".join(sentences(few))


def test_the_ceiling_by_hand(tmp_path):
    """Threshold .5 comes first: eight columns where five are right, Dice 10/13; others 8/9, 10/11 and 1."""
    shown = [bars(8, 5, 4), bars(8, 6, 5), bars(8, 6, 4)]
    choices = make_set(tmp_path / "choices", shown)
    say(choices, "anna", 0, 1)
    say(choices, "anna", 1, 1, 2)
    say(choices, "anna", 2)
    say(choices, "bert", 2, 0)
    given = {name: choices.answers(name) for name in choices.raters}
    anna, bert = ceilings(choices, given, truth_of(5, 5, 5))
    assert (anna.questions, bert.questions) == (2, 1), "all bad chooses nothing"
    assert anna.best.mean == 1
    assert anna.usual.mean == pytest.approx(10 / 13)
    assert anna.chosen.mean == pytest.approx((1 + (1 + 10 / 11) / 2) / 2)
    assert anna.reached == pytest.approx((anna.chosen.mean - 10 / 13) / (3 / 13))
    assert (bert.best.mean, bert.reached) == (pytest.approx(10 / 11), 0)
    found = report(choices.questions, given)
    said = [sentences(replace(found, least=1, ceilings=(replace(anna, reached=r),)))[-1] for r in (0.4, -1, None)]
    ends = (
        "40% of the gain that correct answers would give.",
        "worse than without any answers.",
        "no answers could have been",
    )
    assert all(end in text for end, text in zip(ends, said, strict=True))
    plain = PreferenceSet.write(
        tmp_path / "plain",
        choices.manifest,
        [(choices.questions[0].model_copy(update={"thresholds": ()}), shown[0], {})],
    )
    assert ceilings(plain, {"anna": given["anna"][:1]}, truth_of(5)) == ()


@pytest.fixture
def phantom(registry, tmp_path):
    """A set over the domain phantom-human, whose labels are here."""
    domain = registry.get("domain", "phantom-human").component
    split = domain.factory(domain.config()).open("train", lambda path: None)
    manifest = Manifest(domain="phantom-human", shape=split.images.shape, images_digest=split.digest)
    return make_set(tmp_path / "choices", [bars(0, 5, 10)] * 2, manifest=manifest), split


def test_the_command_knows_labels_and_says_where_it_does_not(phantom, tmp_path, capsys):
    choices, split = phantom
    for rater, chosen in (("expert", 2), ("anna", 1)):
        for number in range(2):
            say(choices, rater, number, chosen)
    gold = str(choices.path / "expert.jsonl")
    app(["annotate", "report", str(choices.path / "anna.jsonl"), "--gold", gold, "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    (ceiling,), (anna,) = found["ceilings"], found["raters"]
    assert (anna["on_gold"]["count"], anna["on_gold"]["of"]) == (0, 2)
    expected = ceilings(choices, {"anna": choices.answers("anna")}, VolumeTruth(split.labels))[0]
    assert ceiling["best"]["mean"] == expected.best.mean

    other = PreferenceSet.write(
        tmp_path / "other", choices.manifest.model_copy(update={"images_digest": "f" * 64, "files": {}}),
        [(choices.questions[0], choices.masks(choices.questions[0]), {})],
    )  # fmt: skip
    say(other, "anna", 0, 1)
    app(["annotate", "report", str(other.path)], standalone_mode=False)
    said = capsys.readouterr()
    assert "phantom-human has other images here" in said.err
    assert "if every answer were correct" not in said.out
