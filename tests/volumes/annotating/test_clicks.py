"""Clicks on disk: a log that is only appended to, the CSV that runs read, and the page's requests."""

from __future__ import annotations

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dabench.data.volumes import ArrayVolume
from dabench.errors import ConfigError, DataError
from dabench.types import Prediction
from dabench.volumes.annotating.click_files import Clicks, merged
from dabench.volumes.annotating.clicks import Click, Row
from dabench.volumes.annotating.points import Clicking, point_routes
from dabench.volumes.annotating.segmenter import Segmenter
from dabench.volumes.annotating.server import StaleError

SHAPE = (3, 20, 30)


@pytest.fixture
def clicks(tmp_path):
    made = Clicks(tmp_path / "clicks.csv", SHAPE, {"domain": "mine", "split": "train"})
    yield made
    made.close()


@pytest.fixture
def anna(clicks):
    return clicks.of("anna")


def log(own):
    return [json.loads(line) for line in own.log.read_text().splitlines()]


def rows(path):
    return list(csv.DictReader(path.open()))


def again(clicks, shape=SHAPE):
    clicks.close()
    return Clicks(clicks.path, shape, clicks.about)


# ---------------------------------------------------------------- on disk
def test_steps_are_appended_and_the_csv_says_what_stands(clicks, anna):
    anna.add(Click(z=1, y=2.5, x=3.25), 1.5)
    anna.add(Click(z=0, y=4, x=5, kind="negative"), 2.0)
    anna.add(Click(z=1, y=7, x=8), 0.5)
    assert anna.remove(1, 0.25) == 1
    assert anna.counts() == {"objects": 1, "slices": 1, "negative": 1}
    assert anna.seconds() == 4.25
    assert [list(line)[1] for line in log(anna)] == ["add", "add", "add", "remove"]
    place = {"domain": "mine", "split": "train", "who": "anna"}
    clicks.save()
    assert rows(clicks.path) == rows(clicks.folder / "anna.csv")
    assert rows(clicks.path) == [
        place | {"z": "0", "y": "4.00", "x": "5.00", "kind": "negative", "seconds": "2.00"},
        place | {"z": "1", "y": "7.00", "x": "8.00", "kind": "object", "seconds": "0.50"},
    ]


def test_undo_goes_back_step_by_step(anna):
    for x in range(3):
        anna.add(Click(z=x, y=1, x=x), 0)
    anna.remove(1, 0)
    assert sorted(anna.standing()) == [2, 3]
    assert anna.undo(0) == 0, "the slice of the click that is back"
    assert sorted(anna.standing()) == [1, 2, 3]
    assert [anna.undo(0) for _ in range(3)] == [2, 1, 0]
    assert anna.standing() == {}
    with pytest.raises(StaleError, match="nothing to undo"):
        anna.undo(0)


def test_a_log_is_continued_and_makes_the_csv_again(clicks, anna):
    anna.add(Click(z=1, y=2, x=3), 1)
    anna.add(Click(z=1, y=4, x=5), 1)
    clicks.save()
    before = clicks.path.read_text()
    clicks.path.unlink()
    continued = again(clicks)
    assert continued.path.read_text() == before
    assert list(continued.raters) == ["anna"]
    continued.of("anna").undo(0)
    assert [line.get("undo") for line in log(anna)] == [None, None, 2]
    continued.close()


def test_a_line_that_a_crash_cut_off_is_dropped(clicks, anna):
    anna.add(Click(z=1, y=2, x=3), 1)
    with anna.log.open("a") as file:
        file.write('{"n": 2, "add": {"z": 0, "y')
    continued = again(clicks)
    continued.of("anna").add(Click(z=0, y=0, x=0), 1)
    assert [line["n"] for line in log(anna)] == [1, 2]
    continued.close()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"n": 1, "who": "a", "add": {"z": 0, "y": 0, "x": 0, "kind": "cell"}}', "line 1"),
        ("no json", "line 1"),
        ('{"n": 1, "who": "a", "add": {"z": 3, "y": 0, "x": 0}}', "other images"),
    ],
)
def test_a_damaged_log_and_one_of_other_images_are_refused(clicks, anna, line, said):
    anna.log.write_text(line + "\n")
    with pytest.raises(DataError, match=said):
        again(clicks)
    assert anna.log.read_text() == line + "\n"


# ---------------------------------------------------------------- several raters
def test_each_rater_has_files_of_their_own_and_takes_back_only_their_steps(clicks, anna):
    ben = clicks.of("ben")
    anna.add(Click(z=1, y=2, x=3), 1)
    ben.add(Click(z=1, y=15, x=25), 2)
    with pytest.raises(StaleError, match="no longer exists"):
        ben.remove(2, 0)
    ben.undo(0)
    with pytest.raises(StaleError, match="nothing to undo"):
        ben.undo(0)
    clicks.save()
    assert [line["who"] for line in log(anna)] == ["anna"]
    assert [line["who"] for line in log(ben)] == ["ben", "ben"]
    assert (len(rows(clicks.folder / "anna.csv")), rows(clicks.folder / "ben.csv")) == (1, [])
    assert [row["who"] for row in rows(clicks.path)] == ["anna"]


def given(who, *places):
    return [Row(Click(z=z, y=y, x=x, kind=kind), who, 1.0) for z, y, x, kind in places]


def test_clicks_of_several_raters_on_an_object_are_one():
    """By hand: of two clicks near one of ben the nearer joins it; three raters agree on the middle of theirs."""
    anna = given("anna", (0, 10, 10, "object"), (0, 10, 17, "object"), (1, 10, 10, "object"))
    ben = given("ben", (0, 10, 12, "object"), (2, 10, 10, "object"))
    cleo = given("cleo", (0, 13, 11, "object"), (1, 10, 20, "object"))
    found = {(r.click.z, r.click.y, r.click.x, r.who, r.seconds) for r in merged([anna, ben, cleo], 9)}
    assert found == {
        (0, 11, 11, "anna+ben+cleo", 3.0), (0, 10, 17, "anna", 1.0), (1, 10, 10, "anna", 1.0), (1, 10, 20, "cleo", 1.0),
        (2, 10, 10, "ben", 1.0),
    }  # fmt: skip
    assert merged([anna], 9) == anna, "clicks of one rater are never joined"


def test_where_raters_contradict_each_other_nothing_counts():
    anna = given("anna", (0, 10, 10, "object"), (0, 50, 50, "negative"))
    ben = given("ben", (0, 11, 10, "negative"), (0, 52, 50, "negative"))
    assert [(r.click.kind, r.who) for r in merged([anna, ben], 5)] == [("negative", "anna+ben")]
    assert len(merged([anna, ben], 0.5)) == 4, "too far apart to mean the same"


@pytest.mark.parametrize("about", [{}, {"domain": "mine", "split": "test"}, {"domain": "other", "split": "train"}])
def test_clicks_stay_with_their_domain(clicks, about):
    """A file that another domain continued would name all its clicks anew."""
    clicks.of("anna").add(Click(z=1, y=2, x=3), 1)
    clicks.save()
    before = clicks.path.read_text()
    clicks.close()
    with pytest.raises(ConfigError, match="contains clicks on mine, train"):
        Clicks(clicks.path, SHAPE, about)
    assert clicks.path.read_text() == before


def test_one_server_at_a_time_and_no_file_of_others(clicks, tmp_path):
    with pytest.raises(ConfigError, match="another dabench annotate"):
        Clicks(clicks.path, SHAPE)
    (tmp_path / "mine.csv").write_text("z,y,x\n0,1,2\n")
    with pytest.raises(ConfigError, match="not written by this page"):
        Clicks(tmp_path / "mine.csv", SHAPE)
    with pytest.raises(ConfigError, match=r"must end in \.csv"):
        Clicks(tmp_path / "folder", SHAPE)
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize("place", [(3, 0, 0), (0, 19.5, 0), (0, 0, 29.5)])
def test_a_click_outside_is_refused(anna, place):
    z, y, x = place
    with pytest.raises(ConfigError, match="outside"):
        anna.add(Click(z=z, y=y, x=x), 0)
    assert not log(anna)


def test_runs_read_the_centres_and_leave_the_others_out(clicks, anna, registry):
    anna.add(Click(z=2, y=2.5, x=3.25), 1)
    anna.add(Click(z=2, y=9, x=9, kind="negative"), 1)
    anna.add(Click(z=0, y=-0.5, x=29.4), 1)
    clicks.save()
    component = registry.get("weak_label", "points").component
    read = component.factory(component.config()).read(clicks.path)
    assert [(a.z, a.points.tolist(), a.rater) for a in read] == [
        (0, [[pytest.approx(29.4), -0.5]], "anna"),
        (2, [[3.25, 2.5]], "anna"),
    ]


def test_negative_clicks_alone_teach_nothing(tmp_path, registry):
    """A stage would train as if nobody had clicked, and its row would say that a person did."""
    component = registry.get("weak_label", "points").component
    weak, file = component.factory(component.config()), tmp_path / "points.csv"
    file.write_text("z,y,x,kind\n0,1,2,negative\n0,5,2,negative\n")
    with pytest.raises(DataError, match="negative clicks alone"):
        weak.check_file(file, {})
    file.write_text("z,y,x,kind\n0,1,2,negative\n0,5,2,\n")
    weak.check_file(file, {})


def test_a_kind_that_is_none_is_refused(tmp_path, registry):
    (tmp_path / "points.csv").write_text("z,y,x,kind\n0,1,2,\n0,1,2,cell\n")
    component = registry.get("weak_label", "points").component
    with pytest.raises(DataError, match="line 3: kind = 'cell'"):
        component.factory(component.config()).read(tmp_path / "points.csv")


# ---------------------------------------------------------------- the page's requests
@pytest.fixture
def page(clicks, browse):
    images = (np.arange(3 * 20 * 30) % 251).astype(np.uint8).reshape(SHAPE)
    clicking = Clicking("mine, train", ArrayVolume(images), clicks)
    return browse("points", point_routes(clicking, "anna"), clicking.pictures)


def test_the_page_and_its_volume(page):
    assert "Click the middle" in page.get("/").text
    about = page.get("/api/points").json()
    assert (about["shape"], about["title"], about["rater"], about["model"]) == (
        [3, 20, 30],
        "mine, train",
        "anna",
        False,
    )
    first, same, last = (page.get(f"/api/points/anna/slices/{z}").json() for z in (0, 0, 2))
    assert first["picture"] == same["picture"] != last["picture"]
    picture = page.get(f"/pictures/{first['picture']}")
    assert (picture.headers["content-type"], picture.content[:2]) == ("image/jpeg", b"\xff\xd8")
    assert page.get("/api/points/anna/slices/3").status_code == 400
    for path in ("outlines/0?y=1&x=1", "unclicked/0?y=1&x=1"):
        assert page.get(f"/api/points/anna/{path}").status_code == 400, "no model"


def test_clicks_of_the_page(page, clicks):
    home = "/api/points/anna"
    there = {"z": 1, "y": 2.5, "x": 3.5, "kind": "object", "seconds": 1.5}
    state = page.say(f"{home}/add", there).json()
    assert state["clicks"] == [{"number": 1, "z": 1, "y": 2.5, "x": 3.5, "kind": "object"}]
    assert (state["z"], state["objects"], state["slices"], state["clicked"]) == (1, 1, 1, [1])
    assert page.say(f"{home}/remove", {"number": 1, "seconds": 1}).json()["clicks"] == []
    assert page.say(f"{home}/remove", {"number": 1, "seconds": 1}).status_code == 409
    assert len(page.say(f"{home}/undo", {"seconds": 0}).json()["clicks"]) == 1
    assert len(rows(clicks.path)) == 1
    assert page.get("/api/points/ben/slices/1").json()["clicks"] == [], "raters see their own"


@pytest.mark.parametrize(
    "content",
    [{"y": 50}, {"z": -1}, {"kind": "cell"}, {"seconds": -1}, {"y": "NaN"}, {"path": "/etc"}, {"x": None}],
)
def test_requests_that_are_none(page, clicks, content):
    sent = {"z": 1, "y": 2.5, "x": 3.5, "kind": "object", "seconds": 1.5, **content}
    assert page.say("/api/points/anna/add", sent).status_code == 400
    assert not log(clicks.of("anna"))


def test_names_are_checked(page):
    refused = page.say("/api/points/An%20na/undo", {"seconds": 0})
    assert (refused.status_code, "name 'An na'" in refused.json()["error"]) == (400, True)


# ---------------------------------------------------------------- a model that follows the clicks
class Discs:
    """Finds a disc of four pixels around each point, and remembers the points."""

    def __init__(self):
        self.seen = []

    def predict(self, tiles, points):
        assert tiles.shape == (1, 1, 64, 64)
        assert 0 <= float(tiles.min()) <= float(tiles.max()) <= 1
        self.seen.append(points[0].tolist())
        rows, columns = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
        discs = [(columns - x) ** 2 + (rows - y) ** 2 <= 16 for x, y in self.seen[-1]]
        return Prediction(sum(discs, torch.zeros(64, 64)).clamp(max=1)[None])

    def finish(self, mask):
        return mask


def model(**changes):
    card = {"name": "discs", "tile": 64, "neighbour": 0.0, "intensity": "range", "threshold": 0.5}
    card |= {"pixel_size": (8.0, 8.0)} | changes.pop("card", {})
    values = {"takes_points": True, "predictor": Discs(), "device": torch.device("cpu")} | changes
    return SimpleNamespace(card=SimpleNamespace(**card), **values)


def volume(*shape):
    return ArrayVolume(np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8))


def test_outlines_of_a_model_follow_the_clicks(tmp_path, browse):
    images, discs = volume(2, 90, 200), model()
    clicks = Clicks(tmp_path / "clicks.csv", images.shape)
    clicking = Clicking("mine", images, clicks, Segmenter(discs, images, (30, 8, 8)))
    page = browse("points", point_routes(clicking), clicking.pictures)

    def outlines(x):
        return page.get(f"/api/points/anna/outlines/1?y=45&x={x}").json()

    assert outlines(0) | {"seconds": 0} == {"path": "", "tile": [13, 0, 64, 64], "scale": [1, 1], "seconds": 0}
    for z, y, x, kind in ((1, 40, 190, "object"), (1, 50, 180, "negative"), (0, 41, 191, "object")):
        page.say("/api/points/anna/add", {"z": z, "y": y, "x": x, "kind": kind, "seconds": 1})
    found = outlines(199)
    assert found["tile"] == [13, 136, 64, 64]
    corners = np.array([c.split(",") for c in found["path"].strip("MZ").split("L")], float)
    middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
    assert middle.tolist() == [190.5, 40.5], "where the click was"
    outlines(0)
    assert discs.predictor.seen == [[], [[54, 27]], []], "centres of this slice and tile, in the tile's own pixels"
    clicks.close()


def test_a_slice_smaller_than_a_tile_and_other_pixels():
    """80 x 25 pixels of the model: rows are halved in size, columns doubled."""
    discs = model()
    segmenter = Segmenter(discs, volume(1, 40, 50), (30, 16, 4))
    found = segmenter.outlines(0, np.array([[10, 10]], np.float32), (20, 20))
    assert (found["scale"], found["tile"]) == ([0.5, 2], [8, 0, 64, 25])
    assert discs.predictor.seen == [[[4.75, 20.5 - 8]]]
    assert "slices are resampled to that size" in segmenter.notes[0]


def test_the_next_slice_with_an_object_that_nobody_clicked(tmp_path, browse):
    """A model that finds what is bright; bright squares on slices 1 and 3, two on the latter, and one far off on 2."""
    pixels = np.random.default_rng(0).integers(0, 60, (6, 64, 200), dtype=np.uint8)
    pixels[5] = 200  # padding is no object
    for z, y, x in ((1, 10, 10), (3, 10, 10), (3, 40, 40), (2, 10, 150)):
        pixels[z, y : y + 8, x : x + 8] = 255
    bright = model()
    bright.predictor.predict = lambda tiles, points: Prediction(tiles[:, 0])
    images, clicks = ArrayVolume(pixels), Clicks(tmp_path / "clicks.csv", pixels.shape)
    clicking = Clicking("mine", images, clicks, Segmenter(bright, images, None))
    page = browse("points", point_routes(clicking), clicking.pictures)

    def following(z):
        return page.get(f"/api/points/anna/unclicked/{z}?y=32&x=32").json()["z"]

    assert (following(0), following(1), following(3)) == (1, 3, None)
    for z, y, x in ((1, 12, 13), (3, 12, 13)):
        clicks.of("anna").add(Click(z=z, y=y, x=x), 0)
    assert following(0) == 3, "one of two is clicked"
    clicks.of("anna").add(Click(z=3, y=47.4, x=40), 0)
    assert following(0) is None
    clicks.close()


@pytest.mark.parametrize("changes", [{"takes_points": False}, {"card": {"neighbour": 50.0}}])
def test_a_model_that_cannot_follow_clicks_is_refused(changes):
    with pytest.raises(ConfigError, match="discs"):
        Segmenter(model(**changes), volume(1, 64, 64), None)
