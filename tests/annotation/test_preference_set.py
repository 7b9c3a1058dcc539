"""Preference data sets: written, read, answered; what a crash, another version or another set does to them."""

import json
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dabench.annotation.answers import decisive
from dabench.annotation.preference_set import Manifest, PreferenceSet, Question
from dabench.annotation.verify_set import verify_set
from dabench.errors import ConfigError, DataError
from dabench.ops.choice import candidate_digests
from dabench.types import Window

MANIFEST = Manifest(domain="toy", shape=(3, 40, 50), voxel=(50.0, 8.0, 8.0), thresholds=(0.5, 0.3, 0.7))


def masks_of(seed: int, count: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 10, 12)) > 0.5


def question(number: int, masks: np.ndarray, **values) -> Question:
    places = {"window": Window(8, 9, 10, 12), "context": Window(4, 5, 20, 22), "tile": Window(0, 0, 32, 32)}
    thresholds = (0.5, 0.3, 0.7)[: len(masks)]
    made = {"id": f"q{number}", "z": number, "thresholds": thresholds, "digests": candidate_digests(masks)}
    return Question(**{**made, **places, **values})


@pytest.fixture
def choices(tmp_path):
    items = []
    for number in range(3):
        masks = masks_of(number)
        pictures = {dz: np.full((20, 22), 10 * number + dz + 1, np.uint8) for dz in (-1, 0, 1) if number or dz >= 0}
        items.append((question(number, masks, prompts=((9.5, 12.0),)), masks, pictures))
    return PreferenceSet.write(tmp_path / "choices", MANIFEST, items)


def answer(number: int, kind: str = "choose", chosen: tuple[int, ...] = (1,), **values) -> dict:
    made = {"question": f"q{number}", "shown": [2, 0, 1], "answer": kind, "chosen": list(chosen), "seconds": 2.5}
    return {**made, **values}


def test_a_set_is_read_as_it_was_written(choices):
    assert [q.id for q in choices.questions] == ["q0", "q1", "q2"]
    assert choices.questions[1] == question(1, masks_of(1), prompts=((9.5, 12.0),))
    for number, asked in enumerate(choices.questions):
        masks = choices.masks(asked)
        assert masks.dtype == bool
        assert np.array_equal(masks, masks_of(number))
    first, second = choices.questions[:2]
    assert choices.image(second, -1).tolist() == np.full((20, 22), 10).tolist()
    assert choices.image(second).dtype == np.uint8
    assert choices.image(first, -1) is None
    assert choices.manifest.images
    assert set(choices.manifest.files) == {"questions.jsonl", "masks.zip", "images.zip"}
    assert choices.raters == []
    assert choices.answers("rater-a") == []
    assert choices.notes() == []


def test_answers_are_appended_and_taken_back(choices):
    written = choices.append("rater-a", answer(0))
    assert written["n"] == 1
    assert written["time"].endswith("Z")
    choices.append("rater-a", answer(1, "tie", (0, 2)))
    choices.append("rater-a", {"undo": 1})
    choices.append("rater-a", answer(0, "bad", ()))
    choices.append("rater-b", answer(2, "skip", ()))
    again = PreferenceSet.open(choices.path)
    assert again.raters == ["rater-a", "rater-b"]
    assert [(a.n, a.question, a.answer, a.chosen) for a in again.answers("rater-a")] == [
        (2, "q1", "tie", (0, 2)),
        (4, "q0", "bad", ()),
    ]
    lines = (choices.path / "rater-a.jsonl").read_text().splitlines()
    assert [json.loads(line)["n"] for line in lines] == [1, 2, 3, 4]  # nothing was rewritten


def test_the_first_answer_counts(choices):
    for record in (answer(0, "skip", ()), answer(0), answer(0, chosen=(2,), repeat=True), answer(1, "bad", ())):
        choices.append("a", record)
    counted = decisive(choices.answers("a"))
    assert {name: (a.answer, a.chosen) for name, a in counted.items()} == {"q0": ("choose", (1,)), "q1": ("bad", ())}


def test_many_write_at_once(choices):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: choices.append(f"rater-{i % 2}", answer(i % 3)), range(40)))
    for rater in ("rater-0", "rater-1"):
        assert [a.n for a in choices.answers(rater)] == list(range(1, 21))


def test_a_zip_is_the_same_set(choices, tmp_path):
    choices.append("a", answer(0))
    packed = choices.export(tmp_path / "choices.zip", images=True)
    assert packed.questions == choices.questions
    assert packed.answers("a") == choices.answers("a")
    assert np.array_equal(packed.masks(packed.questions[2]), masks_of(2))
    assert packed.image(packed.questions[2], 1)[0, 0] == 22
    assert packed.manifest.identity == choices.manifest.identity
    with pytest.raises(ConfigError, match="zip"):
        packed.append("a", answer(1))
    shutil.make_archive(str(tmp_path / "by-hand"), "zip", tmp_path, "choices")  # in a folder of its own
    assert PreferenceSet.open(tmp_path / "by-hand.zip").answers("a") == choices.answers("a")


def test_a_set_goes_out_without_its_images(choices, tmp_path):
    choices.append("a", answer(0))
    bare = choices.export(tmp_path / "bare", images=False)
    assert not (bare.path / "images.zip").exists()
    assert not bare.manifest.images
    assert bare.image(bare.questions[0]) is None
    assert bare.answers("a") == choices.answers("a")
    assert np.array_equal(bare.masks(bare.questions[0]), masks_of(0))


def test_what_is_there_is_not_written_over(choices):
    with pytest.raises(ConfigError, match="is there already"):
        PreferenceSet.write(choices.path, MANIFEST, [])
    assert len(PreferenceSet.open(choices.path).questions) == 3


@pytest.mark.parametrize(
    ("masks", "digests", "problem"),
    [
        (masks_of(0)[:, :9], candidate_digests(masks_of(0)), "do not fit"),
        (masks_of(0), candidate_digests(masks_of(1)), "of other masks"),
        (masks_of(0)[[0, 0, 1]], candidate_digests(masks_of(0)[[0, 0, 1]]), "the same mask"),
    ],
)
def test_masks_that_do_not_fit_are_not_written(tmp_path, masks, digests, problem):
    with pytest.raises(DataError, match=problem):
        PreferenceSet.write(tmp_path / "bad", MANIFEST, [(question(0, masks_of(0), digests=digests), masks, {})])
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------------------- damage
def test_a_line_cut_off_at_the_end_is_left_out_and_said(choices):
    choices.append("a", answer(0))
    file = choices.path / "a.jsonl"
    whole = file.read_text()
    file.write_text(whole + '{"n": 2, "question": "q1", "sho')
    assert [a.n for a in choices.answers("a")] == [1]
    assert len(choices.notes()) == 1
    assert "a.jsonl, line 2" in choices.notes()[0]
    choices.append("a", answer(1))
    assert file.read_text().startswith(whole)
    assert [a.question for a in choices.answers("a")] == ["q0", "q1"]
    file.write_text(file.read_text().rstrip("\n"))  # a whole line without its end is an answer
    assert len(choices.answers("a")) == 2
    choices.append("a", answer(2))
    assert [a.n for a in choices.answers("a")] == [1, 2, 3]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"n": 1, "question": "q1", "sho', "not JSON"),
        ("[1]", "no JSON object"),
        (json.dumps({"n": 1, **answer(0, "perhaps")}), "answer = 'perhaps'"),
        (json.dumps({"n": 1, **answer(0, "choose", (0, 1))}), "one is chosen"),
        (json.dumps({"n": 1, **answer(0, "tie", (1,))}), "two or more tie"),
        (json.dumps({"n": 1, **answer(0, "bad", (1,))}), "none where all are bad"),
        (json.dumps({"n": 1, **answer(0, chosen=(3,))}), "chosen names candidates"),
        (json.dumps({"n": 1, **answer(0, shown=[0, 0, 1])}), "shown names every candidate"),
        (json.dumps({"n": 1, **answer(0, seconds=-1)}), "seconds = -1"),
        (json.dumps({"n": 0, **answer(0)}), "n = 0"),
        ('{"n": 1, "undo": 1}', "undo = 1 is no answer"),
    ],
)
def test_a_damaged_line_is_named(choices, line, problem):
    good = {"n": 2, **answer(1)}
    (choices.path / "a.jsonl").write_text(f"{line}\n{json.dumps(good)}\n")
    with pytest.raises(DataError, match=problem) as caught:
        choices.answers("a")
    assert "a.jsonl, line 1" in str(caught.value)


def test_answers_to_other_questions_are_refused(choices):
    with pytest.raises(DataError, match="'q9' is not in this set"):
        choices.append("a", answer(9))
    with pytest.raises(DataError, match="2 candidates shown, q0 has 3"):
        choices.append("a", answer(0, shown=[0, 1]))
    with pytest.raises(DataError, match="undo = 4"):
        choices.append("a", {"undo": 4})
    assert choices.answers("a") == []


@pytest.mark.parametrize("name", ["questions", "", "../up", "Anna", "a b", ".hidden", "x" * 65])
def test_names_of_raters(choices, name):
    with pytest.raises(ConfigError, match="rater"):
        choices.append(name, answer(0))


def test_another_version_and_no_set(choices, tmp_path):
    manifest = json.loads((choices.path / "manifest.json").read_text())
    (choices.path / "manifest.json").write_text(json.dumps(manifest | {"version": 2}))
    with pytest.raises(DataError, match=r"version 2 of the format; this dabench reads version 1"):
        PreferenceSet.open(choices.path)
    (choices.path / "manifest.json").write_text(json.dumps(manifest | {"format": "coco"}))
    with pytest.raises(DataError, match="no preference data set"):
        PreferenceSet.open(choices.path)
    with pytest.raises(DataError, match=r"no manifest\.json"):
        PreferenceSet.open(tmp_path)


def test_missing_and_changed_masks(choices):
    first, second, third = choices.questions
    with zipfile.ZipFile(choices.path / "masks.zip") as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(choices.path / "masks.zip", "w") as archive:
        archive.writestr("q0.png", kept["q1.png"])
        archive.writestr("q2.png", kept["q2.png"][:40])
    damaged = PreferenceSet.open(choices.path)
    for asked, problem in ((first, "not the masks"), (second, "cannot be read"), (third, "damaged picture")):
        with pytest.raises(DataError, match=problem) as caught:
            damaged.masks(asked)
        assert f"masks.zip, {asked.id}.png" in str(caught.value)
    (choices.path / "masks.zip").unlink()
    with pytest.raises(DataError, match=r"masks\.zip"):
        PreferenceSet.open(choices.path).masks(first)


def test_a_damaged_question_is_named(choices):
    file = choices.path / "questions.jsonl"
    lines = file.read_text().splitlines()
    values = json.loads(lines[1])
    for changed, problem in (
        ("{", "not JSON"),
        (json.dumps(values | {"window": [1, 2]}), "no question"),
        (json.dumps(values | {"digests": ["ab"]}), r"digests\.0 = 'ab'"),
        (json.dumps(values | {"thresholds": [0.5]}), "1 thresholds for 3 candidates"),
        (lines[0], "'q0' was there before"),
    ):
        file.write_text("\n".join([lines[0], changed]) + "\n")
        with pytest.raises(DataError, match=problem) as caught:
            PreferenceSet.open(choices.path)
        assert "line 2" in str(caught.value)


# --------------------------------------------------------------------------------------------------- verify and export
def test_a_sound_set_is_verified(choices):
    choices.append("a", answer(0))
    choices.append("a", answer(1, "skip", ()))
    (choices.path / "b.jsonl").write_text('{"n": 1')
    report = verify_set(choices.path)
    assert report.problems == []
    assert (report.domain, report.questions, report.images) == ("toy", 3, True)
    assert report.answered == {"a": 1, "b": 0}
    assert len(report.notes) == 1


def test_every_problem_is_reported(choices, tmp_path):
    choices.append("a", answer(0))
    (choices.path / "b.jsonl").write_text("nonsense\n")
    with zipfile.ZipFile(choices.path / "masks.zip", "a") as archive:
        archive.writestr("more.txt", "more")
    with zipfile.ZipFile(choices.path / "images.zip") as archive:
        kept = {name: archive.read(name) for name in archive.namelist() if "q2/+0" not in name}
    with zipfile.ZipFile(choices.path / "images.zip", "w") as archive:
        for name, content in kept.items():
            archive.writestr(name, content)
    report = verify_set(choices.path)
    found = "\n".join(report.problems)
    assert len(report.problems) == 4
    for problem in (
        "masks.zip: changed",
        "images.zip: changed",
        "question q2 has no image",
        "b.jsonl, line 1: not JSON",
    ):
        assert problem in found
    (choices.path / "manifest.json").unlink()
    assert "manifest.json" in verify_set(choices.path).problems[0]


@pytest.mark.parametrize(
    ("allowed", "asked", "images"), [(False, None, False), (True, None, True), (False, True, True)]
)
def test_images_go_along_where_the_card_allows_it(choices, tmp_path, allowed, asked, images):
    manifest = MANIFEST.model_copy(update={"redistribution": allowed})
    items = [(q, choices.masks(q), {0: choices.image(q)}) for q in choices.questions]
    made = PreferenceSet.write(tmp_path / "made", manifest, items)
    assert made.export(tmp_path / "out.zip", images=asked).manifest.images is images
