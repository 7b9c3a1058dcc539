"""The raters' report: by hand on a few answers, and on scripted raters whose errors are known."""

import json
import re
from itertools import count

import numpy as np
import pytest

from dabench.annotation.answers import Answer
from dabench.annotation.preference_set import Manifest, PreferenceSet, Question
from dabench.annotation.report import LEAST, LEAST_REPEATS, gather, report
from dabench.annotation.report_words import sentences, tables
from dabench.cli.main import app
from dabench.errors import ConfigError, DataError
from dabench.ops.choice import candidate_digests
from dabench.types import Window

THRESHOLDS = (0.5, 0.4, 0.6, 0.3, 0.7)
WINDOW = Window(0, 0, 6, 6)


def masks(number):
    return np.random.default_rng(number).random((len(THRESHOLDS), 6, 6)) > 0.5


def question(number, **values):
    made = {"id": f"q{number}", "z": 0, "window": WINDOW, "context": WINDOW, "tile": WINDOW, "thresholds": THRESHOLDS}
    return Question(**{**made, "digests": candidate_digests(masks(number)), **values})


def said(questions, choose, seed=0, seconds=2.0, repeats=0, numbers=None):
    """A rater's answers: ``choose(number, shown, rng)`` gives indices, [] for all bad, None to skip."""
    rng, n = np.random.default_rng(seed), count(1)
    asked = [(i, False) for i in range(len(questions))] + [(i, True) for i in range(repeats)]
    for number, repeat in asked:
        shown = tuple(int(i) for i in rng.permutation(len(THRESHOLDS)))
        chosen = choose(number, shown, rng)
        kind = "skip" if chosen is None else ("bad", "choose", "tie")[min(len(chosen), 2)]
        yield Answer(
            n=next(n), question=questions[number].id, shown=shown, answer=kind, chosen=tuple(chosen or ()),
            seconds=seconds, repeat=repeat,
        )  # fmt: skip


def rater(right, error=0.0, first=0.0):
    """Who errs at a rate, uniformly, and takes the first place unseen in a share of all answers."""

    def choose(number, shown, rng):
        best = right[number]
        wrong = [i for i in range(len(THRESHOLDS)) if i != best]
        choice = int(rng.choice(wrong)) if rng.random() < error else int(best)
        return [shown[0] if rng.random() < first else choice]

    return choose


@pytest.fixture
def truth():
    """The right candidates of 300 questions; threshold .5 is right in half of them, .3 in one of ten."""
    return np.random.default_rng(5).choice(5, 300, p=[0.5, 0.15, 0.15, 0.1, 0.1])


@pytest.fixture
def questions(truth):
    return [question(number) for number in range(len(truth))]


def test_one_rater_by_hand():
    asked = [question(0), question(1, gold=(2,)), question(2, gold=(0, 1)), question(3)]
    choices = {0: [0], 1: [2], 2: [0, 3], 3: None}
    given = list(said(asked, lambda number, *_: choices[number]))
    again = Answer(n=9, question="q0", shown=(4, 3, 2, 1, 0), answer="bad", seconds=8.0, repeat=True)
    later = Answer(n=10, question="q1", shown=(2, 3, 4, 1, 0), answer="choose", chosen=(2,), seconds=2.0, repeat=True)
    (found,) = report(asked, {"anna": [*given, again, later]}).raters
    assert (found.questions, found.skipped) == (3, 1)
    assert (found.bad.count, found.bad.of, found.tied.count) == (0, 3, 1)
    assert (found.same_again.count, found.same_again.of) == (1, 2)
    assert (found.on_gold.count, found.on_gold.of) == (1, 2)
    assert (found.median_seconds, found.mean_seconds) == (2.0, (3 * 2 + 8 + 2) / 5)
    assert found.first_place.of == 4
    assert found.first_place.expected == pytest.approx(1 / 5 + 1 / 5 + 2 / 5 + 1 / 5)


def test_the_first_answer_counts_and_a_skip_does_not():
    asked = [question(0)]
    lines = [("skip", ()), ("choose", (1,)), ("choose", (2,))]
    given = [
        Answer(n=n, question="q0", shown=(0, 1, 2, 3, 4), answer=kind, chosen=chosen, seconds=1)
        for n, (kind, chosen) in enumerate(lines, 1)
    ]
    (found,) = report(asked, {"anna": given}).raters
    assert (found.questions, found.skipped, found.same_again.count, found.same_again.of) == (1, 0, 0, 1)


def test_nothing_is_claimed_of_few_questions(questions, truth):
    def of(number):
        few = questions[:number]
        return report(few, {name: list(said(few, rater(truth), seed)) for seed, name in enumerate("ab")})

    below, enough = of(LEAST - 1), of(LEAST)
    assert (below.agreement, below.cohen, below.strengths) == (None, {}, ())
    assert sentences(below) == [
        "Two or more raters answered 29 questions, too few to measure agreement (30 are needed)."
    ]
    assert len(tables(below)) == 1
    assert enough.agreement.raw.mean == 1
    assert enough.cohen == {"a, b": 1.0}


def test_a_rater_with_errors_shows_it(questions, truth):
    """b errs in a fifth: two of (1 - .2) agree with a; c errs in two fifths."""
    rates = {"a": 0.0, "b": 0.2, "c": 0.4}
    given = {n: list(said(questions, rater(truth, e), seed, repeats=60)) for seed, (n, e) in enumerate(rates.items())}
    found = report(questions, given)
    expected = np.mean([0.8, 0.6, 0.8 * 0.6 + 0.2 * 0.4 / 4])
    assert found.agreement.raw.mean == pytest.approx(expected, abs=0.04)
    assert found.agreement.raw.low < expected < found.agreement.raw.high
    assert found.cohen["a, b"] > found.cohen["a, c"] > found.cohen["b, c"]
    consistent = [summary.same_again.value for summary in found.raters]
    assert consistent == pytest.approx([1, 0.8**2 + 0.2**2 / 4, 0.6**2 + 0.4**2 / 4], abs=0.13)
    assert found.strengths[2].option == "0.5"
    assert max(found.strengths, key=lambda s: s.strength.mean).option == "0.5"
    assert "they answer too differently" in sentences(found)[0]


def test_strengths_are_the_shares_of_right_answers(questions, truth):
    found = report(questions, {"a": list(said(questions, rater(truth)))})
    shares = {f"{t:g}": np.mean(truth == index) for index, t in enumerate(THRESHOLDS)}
    for strength in found.strengths:
        assert strength.strength.mean == pytest.approx(shares[strength.option], abs=0.01)
        assert strength.strength.low < shares[strength.option] < strength.strength.high
        assert (strength.compared, strength.chosen) == (300, shares[strength.option] * 300)


def test_tied_candidates_do_not_compete(questions):
    """.5 and .4 always tie: equally strong, and nothing is known against each other but the even prior."""
    found = report(questions[:60], {"a": list(said(questions[:60], lambda *_: [0, 1]))})
    strong = {s.option: s for s in found.strengths}
    assert strong["0.5"].strength.mean == pytest.approx(strong["0.4"].strength.mean, abs=1e-6)
    assert (strong["0.5"].chosen, strong["0.5"].compared, strong["0.6"].compared) == (30, 30, 60)
    assert strong["0.6"].strength.mean < 0.01


def test_who_takes_the_first_place_is_seen(questions, truth):
    given = {
        "fair": list(said(questions, rater(truth), 1)),
        "hasty": list(said(questions, rater(truth, first=0.3), 2)),
    }
    fair, hasty = report(questions, given).raters
    assert fair.first_place.expected == hasty.first_place.expected == pytest.approx(60)
    assert fair.first_place.chance > 0.01 > 1e-6 > hasty.first_place.chance
    assert hasty.first_place.taken / 300 == pytest.approx(0.3 + 0.7 / 5, abs=0.05)
    text = " ".join(sentences(report(questions, given)))
    assert "hasty chose the outline shown first" in text
    assert "fair took" not in text


def test_a_fair_rater_is_rarely_called_biased(questions, truth):
    some = questions[:60]
    chances = [
        report(some, {"a": list(said(some, rater(truth), seed))}).raters[0].first_place.chance for seed in range(60)
    ]
    assert np.mean(np.array(chances) < 0.1) < 0.2


def test_words_for_repeats_bad_candidates_and_a_single_rater(questions, truth):
    few, many = (
        report(questions, {"a": list(said(questions, rater(truth), repeats=n))}) for n in (LEAST_REPEATS - 1, 40)
    )
    assert "Only one rater" in sentences(few)[0]
    assert "saw 9 repeated questions, too few" in sentences(few)[1]
    assert "a answered 40 of 40 repeated questions as before (100%, 91% to 100%)" in sentences(many)[1]
    bad = report(questions, {"a": list(said(questions, lambda n, *_: [] if n % 2 else [0]))})
    assert "all candidates bad in 50% of 300 questions" in sentences(bad)[1]


def test_all_answers_of_one_kind(questions):
    found = report(questions, {name: list(said(questions, lambda *_: [0])) for name in "ab"})
    assert found.agreement.alpha is None
    assert "agreement beyond chance is undefined" in sentences(found)[0]
    assert found.cohen == {"a, b": None}
    assert all(table.to_markdown() for table in tables(found))


def test_without_thresholds_options_are_stored_places(truth):
    plain = [question(number, thresholds=()) for number in range(40)]
    found = report(plain, {"a": list(said(plain, rater(truth)))})
    assert {s.option for s in found.strengths} == {"#0", "#1", "#2", "#3", "#4"}


# ------------------------------------------------------------------------------------------------------ files, command
@pytest.fixture
def choices(tmp_path, truth):
    """A set of 40 questions that two raters answered."""
    asked = [question(number) for number in range(40)]
    manifest = Manifest(domain="toy", shape=(1, 6, 6), voxel=(50.0, 8.0, 8.0), thresholds=THRESHOLDS)
    given = {
        name: [a.model_dump(mode="json") for a in said(asked, rater(truth, error), seed, repeats=12)]
        for seed, (name, error) in enumerate({"anna": 0.0, "bert": 0.25}.items())
    }
    items = [(q, masks(number), {}) for number, q in enumerate(asked)]
    return PreferenceSet.write(tmp_path / "choices", manifest, items, given)


def test_files_sets_and_copies_give_the_same_answers(choices, tmp_path):
    whole = gather([choices.path])
    assert gather([choices.path / "anna.jsonl", choices.path / "bert.jsonl"]) == whole
    copy = choices.export(tmp_path / "copy.zip", images=False)
    _, given, _ = gather([choices.path, copy.path])
    assert list(given) == ["anna", "bert", "copy.zip/anna", "copy.zip/bert"]
    assert given["anna"] == given["copy.zip/anna"]


def test_what_cannot_be_reported_is_refused(choices, tmp_path):
    with pytest.raises(DataError, match="no such file; raters with answers: anna, bert"):
        gather([choices.path / "carl.jsonl"])
    with pytest.raises(DataError, match=r"no manifest\.json"):
        gather([tmp_path / "elsewhere" / "anna.jsonl"])
    manifest = choices.manifest.model_copy(update={"files": {}})
    other = PreferenceSet.write(tmp_path / "other", manifest, [(question(7), masks(7), {})])
    with pytest.raises(ConfigError, match="no answers yet"):
        gather([other.path])
    with pytest.raises(DataError, match="its questions differ from those of"):
        gather([choices.path, other.path])


def test_the_command_prints_tables_and_words(choices, capsys):
    app(["annotate", "report", str(choices.path)], standalone_mode=False)
    text = capsys.readouterr().out
    assert re.search(r"anna +40 +0 +0 +0 +12 of 12", text)
    for words in ("Krippendorff's alpha", "Cohen's kappa: anna, bert", "0.5", "On 40 questions"):
        assert words in text


def test_the_command_prints_json(choices, capsys):
    app(["annotate", "report", str(choices.path / "anna.jsonl"), str(choices.path / "bert.jsonl"), "--json"],
        standalone_mode=False)  # fmt: skip
    found = json.loads(capsys.readouterr().out)
    questions, given, _ = gather([choices.path])
    expected = report(questions, given)
    assert found["agreement"]["alpha"]["mean"] == expected.agreement.alpha.mean
    assert [r["rater"] for r in found["raters"]] == ["anna", "bert"]
    assert found["sentences"] == sentences(expected)
