"""The page of preferences, without a browser: what it is shown, and what its answers become on disk."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from made_up_choices import phantom_choices, squares
from PIL import Image

from dabench.annotation.answers import decisive
from dabench.errors import ConfigError
from dabench.volumes.annotating.preferences import Asking, Session

HOME = "/api/preferences"


def state(browser, rater="anna"):
    return browser.get(f"{HOME}/{rater}").json()


def answer(browser, kind="choose", places=(0,), rater="anna", item=None, seconds=2.5):
    item = state(browser, rater)["item"]["number"] if item is None else item
    content = {"item": item, "answer": kind, "places": list(places), "seconds": seconds}
    return browser.say(f"{HOME}/{rater}/answers", content)


def lines(choices, rater="anna"):
    return [json.loads(line) for line in (choices.path / f"{rater}.jsonl").read_text().splitlines()]


# ---------------------------------------------------------------- what is shown
def test_nothing_tells_which_candidate_is_which(ask, choices):
    item = state(ask())["item"]
    assert sorted(item) == ["after", "before", "candidates", "differ", "frame", "number", "picture", "size"]
    assert (item["size"], item["frame"], item["before"], item["after"]) == ([24, 24], [8, 8, 8, 8], 1, 1)
    assert len(set(item["candidates"])) == 3
    assert item["differ"]


def test_two_raters_see_the_same_questions_and_other_orders(ask):
    browser = ask()
    anna, ben = (state(browser, rater) for rater in ("anna", "ben"))
    assert anna["item"]["picture"] == ben["item"]["picture"]
    seen = {rater: [] for rater in ("anna", "ben")}
    for _ in range(4):
        for rater, orders in seen.items():
            orders.append(state(browser, rater)["item"]["candidates"])
            answer(browser, rater=rater)
    assert [sorted(c) for c in seen["anna"]] == [sorted(c) for c in seen["ben"]]
    assert seen["anna"] != seen["ben"]


def test_neighbouring_slices(ask):
    browser = ask()
    number = state(browser)["item"]["number"]
    pictures = {dz: browser.get(f"{HOME}/anna/slices/{number}/{dz}").json()["picture"] for dz in ("-1", "0", "1")}
    assert len(set(pictures.values())) == 3
    assert pictures["0"] == state(browser)["item"]["picture"]
    for path in (f"{number}/2", f"{number}/x", "999/0"):
        assert browser.get(f"{HOME}/anna/slices/{path}").status_code == 400


def test_progress(ask):
    browser = ask(repeats=0.25)
    begun = state(browser)
    assert (begun["done"], begun["total"], begun["left"], begun["seconds"], begun["undo"]) == (0, 15, 15, 5, False)
    assert begun["budget"] == "budget 0/12"
    for kind, seconds in (("choose", 1.0), ("bad", 9.0), ("skip", 3.0)):
        later = answer(browser, kind, [0] if kind == "choose" else [], seconds=seconds).json()
    assert (later["done"], later["seconds"], later["recent"], later["undo"]) == (3, 3, [1, 9, 3], True)
    assert later["budget"] == "budget 2/12", "what was left out is not paid"


def test_the_picture_behind_is_there_before_it_is_due(ask):
    browser = ask()
    upcoming = browser.get(f"{HOME}/anna/upcoming").json()["picture"]
    assert upcoming != state(browser)["item"]["picture"]
    assert answer(browser).json()["item"]["picture"] == upcoming
    while state(browser)["left"] > 1:
        answer(browser)
    assert browser.get(f"{HOME}/anna/upcoming").json() == {"picture": None}


def test_contrast_is_stretched_by_the_slice_in_question(tmp_path):
    choices = phantom_choices(tmp_path / "choices", 2)
    session, question = Session(choices), choices.questions[0]
    for dz in (0, 1):
        with Image.open(io.BytesIO(session._png(question, dz))) as shown:
            low, high = np.percentile(choices.image(question, 0), (0.5, 99.5))
            expected = np.rint(255 * ((choices.image(question, dz) - low) / (high - low)).clip(0, 1))
            assert np.abs(np.asarray(shown) - expected).max() <= 1


# ---------------------------------------------------------------- what is written
def test_answers_are_written_as_stored_with_what_was_shown(ask, choices):
    browser, shown = ask(seed=4), []
    for kind, places in (("choose", [1]), ("tie", [2, 0]), ("bad", []), ("skip", [])):
        shown.append(state(browser)["item"])
        assert answer(browser, kind, places).status_code == 200
    written = lines(choices)
    assert [line["answer"] for line in written] == ["choose", "tie", "bad", "skip"]
    assert [line["n"] for line in written] == [1, 2, 3, 4]
    assert {(line["seconds"], line["seed"], line["draw"], line["repeat"]) for line in written} == {
        (2.5, 4, "random", False)
    }
    first, tie = written[0], written[1]
    assert first["chosen"] == [first["shown"][1]]
    assert tie["chosen"] == sorted([tie["shown"][2], tie["shown"][0]])
    for line, item in zip(written, shown, strict=True):
        assert sorted(line["shown"]) == [0, 1, 2]
        sizes = choices.masks(choices.question(line["question"])).sum(axis=(1, 2))
        assert [area(path) for path in item["candidates"]] == pytest.approx(sizes[line["shown"]], abs=1)
    assert [a.question for a in choices.answers("anna")] == [line["question"] for line in written]


def area(path):
    """Of a polygon, by the shoelace formula."""
    corners = [tuple(map(float, c.split(","))) for c in path.removeprefix("M").removesuffix("Z").split("L")]
    pairs = zip(corners, corners[1:] + corners[:1], strict=True)
    return abs(sum(x * v - u * y for (x, y), (u, v) in pairs)) / 2


def test_undo_goes_back_many_steps_and_rewrites_nothing(ask, choices):
    browser = ask()
    first = state(browser)["item"]
    for _ in range(3):
        answer(browser)
    before = (choices.path / "anna.jsonl").read_bytes()
    for _ in range(3):
        back = browser.say(f"{HOME}/anna/undo")
    assert back.json()["item"] == first
    assert (choices.path / "anna.jsonl").read_bytes().startswith(before)
    assert [line.get("undo") for line in lines(choices)] == [None, None, None, 3, 2, 1]
    assert choices.answers("anna") == []
    refused = browser.say(f"{HOME}/anna/undo")
    assert (refused.status_code, refused.json()["error"]) == (409, "There is nothing to undo.")


def test_some_questions_come_again_and_only_the_first_answer_counts(ask, choices):
    browser, asked = ask(repeats=0.25), []
    while (item := state(browser)["item"]) is not None:
        asked.append(item)
        answer(browser, places=[len(asked) % 3])
    written = lines(choices)
    again = [line for line in written if line["repeat"]]
    assert (len(written), len(again)) == (15, 3)
    for line in again:
        (first,) = [o for o in written if o["question"] == line["question"] and not o["repeat"]]
        assert first["n"] < line["n"]
        assert first["shown"] != line["shown"]
        assert decisive(choices.answers("anna"))[line["question"]].n == first["n"]
    assert state(browser)["left"] == 0


def test_a_question_that_was_left_out_does_not_come_again(ask, choices):
    browser = ask(repeats=0.5)
    while state(browser)["item"] is not None:
        answer(browser, "skip", [])
    assert len(lines(choices)) == 12


def test_an_answer_twice_is_taken_once(ask, choices):
    browser = ask()
    item = state(browser)["item"]["number"]
    assert answer(browser, item=item).status_code == 200
    again = answer(browser, item=item)
    assert again.status_code == 409
    assert "in another window" in again.json()["error"]
    assert len(lines(choices)) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"places": [3]}, "shows 3 candidates"),
        ({"places": [-1]}, "shows 3 candidates"),
        ({"places": [0, 1]}, "one is chosen"),
        ({"answer": "tie", "places": [1]}, "two or more tie"),
        ({"answer": "tie", "places": [1, 1]}, "each once"),
        ({"answer": "bad", "places": [1]}, "none where all are bad"),
        ({"answer": "best"}, "answer = 'best'"),
        ({"seconds": -1}, "seconds = -1"),
        ({"seconds": 1e9}, "seconds"),
        ({"chosen": [0]}, "chosen = [0]"),
        ({"item": "first"}, "item = 'first'"),
    ],
)
def test_answers_that_are_none_are_refused(ask, choices, content, said):
    browser = ask()
    sent = {"item": state(browser)["item"]["number"], "answer": "choose", "places": [0], "seconds": 1, **content}
    refused = browser.say(f"{HOME}/anna/answers", sent)
    assert refused.status_code == 400
    assert said in refused.json()["error"]
    assert choices.answers("anna") == []


@pytest.mark.parametrize("name", ["questions", "Anna", "..", "a b", "-", "x" * 65, "%2e%2e%2fanna"])
def test_names_that_are_no_file_names_are_refused(ask, name):
    assert ask().get(f"{HOME}/{name}").status_code in (400, 404)


def test_two_raters_at_once_lose_nothing(ask, choices):
    """Six threads, three a rater, until all is answered: every question once, whoever was first."""
    browser = ask(repeats=0.0)

    def work(rater):
        while (item := state(browser, rater)["item"]) is not None:
            assert answer(browser, rater=rater, item=item["number"]).status_code in (200, 409)

    threads = [threading.Thread(target=work, args=(rater,)) for rater in ("anna", "ben") * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for rater in ("anna", "ben"):
        written = lines(choices, rater)
        assert sorted(line["question"] for line in written) == sorted(q.id for q in choices.questions)
        assert [line["n"] for line in written] == list(range(1, 13))


# ---------------------------------------------------------------- orders and refusals
def test_informative_first(ask, choices):
    """The candidates of q1, q3, ... begin one row lower and are smaller by it, so they differ more."""
    browser = ask(order="informative", random_share=0.0)
    for _ in range(6):
        answer(browser)
    assert all(int(line["question"][1:]) % 2 == 1 for line in lines(choices))
    assert {line["draw"] for line in lines(choices)} == {"informative"}


def test_a_set_that_nobody_can_see_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no images to show"):
        Session(squares(tmp_path / "blind", images=False))
    with pytest.raises(ConfigError, match="Unpack"):
        Session(squares(tmp_path / "packed.zip"))
    with pytest.raises(ConfigError, match="share of repeats"):
        Session(squares(tmp_path / "choices"), Asking(repeats=2))


def test_a_damaged_file_is_said_and_left_as_it_is(ask, choices):
    file = Path(choices.path / "anna.jsonl")
    file.write_text('{"n": 1}\n{"n": 2}\n')
    refused = ask().get(f"{HOME}/anna")
    assert refused.status_code == 400
    assert "anna.jsonl, line 1" in refused.json()["error"]
    assert file.read_text() == '{"n": 1}\n{"n": 2}\n'


def test_answers_of_another_process_are_seen(ask, choices):
    browser = ask(repeats=0.0)
    answer(browser)
    other = type(choices).open(choices.path)
    for question in [q.id for q in choices.questions if q.id != lines(choices)[0]["question"]][:4]:
        other.append("anna", {"question": question, "shown": [0, 1, 2], "answer": "bad", "seconds": 1})
    assert state(browser)["done"] == 5
    answer(browser)
    other.append("anna", {"undo": 6})
    assert state(browser)["done"] == 5
    assert browser.say(f"{HOME}/anna/undo").json()["done"] == 4
    assert [line["n"] for line in lines(choices)] == list(range(1, 9))
