"""Files and prices of the weak labels ``points`` and ``preferences``."""

from __future__ import annotations

import json
import os
from pathlib import Path

import dabench_weak_labels
import numpy as np
import pytest
from dabench_weak_labels import Points, PointSettings, Preferences, PreferenceSettings
from dabench_weak_labels.points import number_of_points, off_centre

from dabench.annotation.desk import plain as plain_of
from dabench.ops.resampling import Resampling
from dabench.plugin import DataError, PointAnswer, PointRequest, PreferenceAnswer, Region, Window

DATA = Path(os.environ.get("DABENCH_DATA") or Path(__file__).parents[3] / "shared" / "data")
DIGEST = "a" * 64
ABOUT = {"domain": "toy", "split": "train", "seed": "0", "fraction": "0.15"}


@pytest.fixture
def points():
    return Points(PointSettings())


@pytest.fixture
def preferences():
    return Preferences(PreferenceSettings())


def answer(z=3, chosen=(1,), digests=(DIGEST, "b" * 64), seconds=4.25):
    return PreferenceAnswer(z, Window(16, 32, 128, 130), chosen, seconds, "anna", "2026-03-01T10:00:00Z", digests)


#: As dabench wrote them before there were data sets.
LINE = {
    "who": "anna",
    "when": "2026-03-01T10:00:00Z",
    "patch": [3, 16, 32, 128, 130],
    "candidates": [DIGEST, "b" * 64],
    "choice": 1,
    "seconds": 4.25,
}


def write_lines(path, *lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("fraction", "components", "expected"),
    [(0.0, 9, 0), (0.15, 0, 0), (0.15, 1, 1), (0.15, 20, 3), (0.15, 21, 4), (0.1, 30, 3), (1.0, 7, 7), (0.5, 3, 2)],
)
def test_ceil_rule(fraction, components, expected):
    assert number_of_points(fraction, components) == expected


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_points_survive_a_round_trip(points, tmp_path, suffix):
    given = [
        PointAnswer(7, np.array([[1.25, 2.5], [1 / 3, 1000.125]], dtype=np.float32), 4.8, "simulated:0"),
        PointAnswer(2, np.array([[0, 5]], dtype=np.float32), 2.4, "anna"),
        PointAnswer(4, np.zeros((0, 2), dtype=np.float32), 0.0, "anna"),
    ]
    file = tmp_path / f"points{suffix}"
    points.write(given, file, ABOUT)
    read = points.read(file)
    assert [(a.z, a.rater) for a in read] == [(2, "anna"), (7, "simulated:0")]
    assert np.array_equal(read[1].points, given[0].points)
    assert "toy" in file.read_text()


@pytest.mark.parametrize(
    "text",
    [
        "0,20,10\n2,5,6.5\n",
        "# my clicks\nz,y,x\n0,20,10\n\n2,5,6.5\n",
        "x,y,z,who\n10,20,0,ben\n6.5,5,2,ben\n",
        "index,axis-0,axis-1,axis-2\n0,0.0,20.0,10.0\n1,2.0,5.0,6.5\n",
        "\ufeffz,y,x\n0,20,10\n2,5,6.5\n",
        "z;y;x\n0;20;10\n2;5;6,5\n",
        "0;20;10\n2;5;6,5\n",
        "z\ty\tx\n0\t20\t10\n2\t5\t6.5\n",
        # napari with a time axis of one value, axes in any order; Fiji counts slices from 1: Results, ROI Manager.
        "index,axis-0,axis-1,axis-2,axis-3\n0,4,0.0,20.0,10.0\n1,4,2.0,5.0,6.5\n",
        "axis-3,axis-2,axis-1,axis-0\n10,20,0,7\n6.5,5,2,7\n",
        " ,Area,Mean,Min,Max,X,Y,Slice\n1,0,9,9,9,10,20,1\n2,0,9,9,9,6.5,5,3\n",
        "\tLabel\tX\tY\tCh\tSlice\tFrame\n1\ta\t10\t20\t1\t1\t1\n2\ta\t6.5\t5\t1\t3\t1\n",
        "Index,Name,Type,Group,X,Y,Width,Height,Points,Color,Fill,LWidth,Pos,C,Z,T\n"
        "0,a,Point,none,10,20,0,0,1,yellow,none,0,1,1,1,1\n1,b,Oval,none,4.5,3,4,4,0,yellow,none,0,3,0,0,0\n",
    ],
)
def test_clicks_of_a_person_are_read(points, tmp_path, text):
    file = tmp_path / "clicks.csv"
    file.write_text(text, encoding="utf-8")
    read = points.read(file)
    assert [(a.z, a.points.tolist()) for a in read] == [(0, [[10, 20]]), (2, [[6.5, 5]])]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.csv", "z,y,x\n0,1,2\n0,one,2\n", r"a\.csv, line 3: y = 'one' is not a number"),
        ("a.csv", "0,1,2\n0,1\n", r"line 2: 2 values, expected 3 \(z, y, x\): '0,1'"),
        ("a.csv", "0,1,nan\n", "line 1: x = 'nan' is not a position"),
        ("a.csv", "0,-7,2\n", "line 1: y = '-7' is not a position"),
        ("a.csv", "0.5,7,2\n", "line 1: z = '0.5' is not a whole slice number"),
        ("a.csv", "z,row\n1,2\n", "line 1: no column y, x in 'z,row'"),
        ("a.json", '{"points": [{"z_nm": 1, "y_nm": 2, "x_nm": 3}]}', "These are nm"),
        ("a.csv", "axis-0,axis-1,axis-2,axis-3\n0,1,2,3\n1,1,2,3\n", "4 axes, and axis-0 has the values 0, 1"),
        ("a.csv", "axis-0,axis-1\n1,2\n", "line 1: no column z in 'axis-0,axis-1'"),
        ("a.csv", "X,Y,Slice\n1,2,0\n", "line 2: slice '0': Fiji counts slices from 1"),
        ("a.csv", "X,Y,Slice,Frame\n1,2,1,1\n1,2,1,2\n", "on several frames"),
        ("a.csv", "Type,X,Y,Width,Height,Points,Pos,Z,T\nPoint,1,2,9,9,3,1,1,1\n", "3 points in one region"),
        ("a.csv", "Type,X,Y,Width,Height,Points,Pos,Z,T\nPoint,1,2,0,0,1,0,0,0\n", "slice '0'"),
        ("a.csv", "slice,y,x\n1,2,3\n", "a column 'slice' may count from 0 or, as Fiji does, from 1"),
        ("a.csv", "z_nm,y_nm,x_nm\n1,2,3\n", "These are nm"),
        ("a.json", '{"points": [\n{"z": 0, "y": 1}]}', "point 0: x = None is not a number"),
        ("a.json", '{"points": [3]}', "point 0: 3 is not an object"),
        ("a.json", "{\n]", "line 2: not JSON"),
        ("a.json", "[]", "not a points manifest"),
    ],
)
def test_bad_point_files_are_named(points, tmp_path, name, text, problem):
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(DataError, match=problem):
        points.read(file)


CLICKS = """# region z=1
# region z=3:5 y=0:20 x=10:40
z,y,x,kind
1,5,6,
1,7,30,negative
3,10,10,object
3,19.4,39.4,object
3,30,12,Object
"""


def test_negative_clicks_and_regions_are_read(points, tmp_path):
    (tmp_path / "clicks.csv").write_text(CLICKS)
    one, three, four = points.read(tmp_path / "clicks.csv")
    assert (one.z, one.points.tolist(), one.negative.tolist()) == (1, [[6, 5]], [[30, 7]])
    assert one.regions == (Region(None, 1),)
    box = Window(0, 10, 20, 30)
    assert (three.negative, three.regions) == (None, (Region(box, 2),)), "the third click lies below the box"
    assert (four.z, len(four.points), four.regions) == (4, 0, (Region(box, 0),)), "looked at, and nothing was there"
    assert points.units([one, three, four]) == 5
    (priced,) = points.match(PointRequest(1.0, (1,)), [one])
    assert priced.seconds == 2 * points.config.seconds_per_point, "a negative click takes a person as long"
    assert points.match(PointRequest(1.0, (8,)), [])[0].regions == (), "nobody said that slice 8 was looked at"


def test_the_page_for_clicks_writes_negative_ones(points, tmp_path):
    (tmp_path / "p.csv").write_text("domain,split,z,y,x,who,kind,seconds\nmine,train,0,4,5,anna,negative,1.5\n")
    (answer,) = points.read(tmp_path / "p.csv")
    assert (answer.negative.tolist(), len(answer.points), answer.rater) == ([[5, 4]], 0, "anna")


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_negative_clicks_and_regions_survive_a_round_trip(points, tmp_path, suffix):
    (tmp_path / "clicks.csv").write_text(CLICKS)
    read = points.read(tmp_path / "clicks.csv")
    points.write(read, tmp_path / f"again{suffix}", {"domain": "mine"})
    for before, after in zip(read, points.read(tmp_path / f"again{suffix}"), strict=True):
        np.testing.assert_array_equal(before.points, after.points)
        np.testing.assert_array_equal(before.negative, after.negative)
        assert (before.z, before.regions) == (after.z, after.regions)


def test_files_without_them_are_as_they_were(points, tmp_path):
    plain = [PointAnswer(2, np.array([[1.5, 2]], np.float32), 0.0, "simulated:0")]
    points.write(plain, tmp_path / "p.csv", {"fraction": "0.15"})
    assert (tmp_path / "p.csv").read_text() == "domain,split,seed,fraction,z,y,x,who\n,,,0.15,2,2.0,1.5,simulated:0\n"
    (back,) = points.read(tmp_path / "p.csv")
    assert (back.negative, back.regions) == (None, None), "a simulated person drew a share of all objects"
    assert set(plain_of(plain[0])) == {"z", "points", "seconds", "rater"}, "digests of answers stay"
    points.write(plain, tmp_path / "p.json", {})
    assert set(json.loads((tmp_path / "p.json").read_text())["points"][0]) == {"z", "y", "x", "who"}
    (tmp_path / "c.csv").write_text("z,y,x\n2,2,1.5\n")
    assert points.read(tmp_path / "c.csv")[0].regions == (), "a person's clicks imply no count"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("# region", "no region"),
        ("# region y=0:5 x=0:5", "no region"),
        ("# region z=1 y=0:5", "no region"),
        ("# region z=1 y=5:5 x=0:5", "no region"),
        ("# region z=one", "line 1: '# region z=one'"),
        ("# region z=1\n# region z=0:2 y=0:5 x=0:5", "line 2: regions of slice 1 overlap"),
    ],
)
def test_regions_that_are_none_are_named(points, tmp_path, line, problem):
    (tmp_path / "c.csv").write_text(f"{line}\nz,y,x\n1,2,3\n")
    with pytest.raises(DataError, match=problem):
        points.read(tmp_path / "c.csv")


def test_a_click_of_another_kind_and_what_lies_outside_are_named(points, tmp_path):
    (tmp_path / "c.csv").write_text("z,y,x,kind\n1,2,3,maybe\n")
    with pytest.raises(DataError, match="kind = 'maybe'"):
        points.read(tmp_path / "c.csv")
    box = "# region z=1 y=0:9 x=0:4\nz,y,x\n1,2,3\n"
    for text, problem in (("z,y,x,kind\n1,9,3,negative\n", "point"), (box, "Window")):
        (tmp_path / "c.csv").write_text(text)
        with pytest.raises(DataError, match=f"{problem}.* on slice 1 lies outside 8 x 8"):
            points.check(points.read(tmp_path / "c.csv"), (2, 8, 8))
    (tmp_path / "c.json").write_text(json.dumps({"points": [], "regions": [{"z": "all"}]}))
    with pytest.raises(DataError, match="region 0"):
        points.read(tmp_path / "c.json")


def test_clicks_and_regions_follow_the_pixels(points, tmp_path):
    (tmp_path / "clicks.csv").write_text(CLICKS)
    halved = points.resampled(points.read(tmp_path / "clicks.csv"), Resampling((40, 60), (20, 30)))
    np.testing.assert_allclose(halved[0].negative, [[14.75, 3.25]])
    assert halved[0].regions == (Region(None, 1),)
    assert halved[1].regions == (Region(Window(0, 5, 10, 15), 2),)


def test_missing_or_binary_files_are_named(points, preferences, tmp_path):
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x80")
    for file in (binary, tmp_path / "absent"):
        with pytest.raises(DataError, match=file.name):
            points.read(file)
        with pytest.raises(DataError, match=file.name):
            preferences.read(file)


def test_prices(points, preferences):
    clicks = [PointAnswer(0, np.zeros((3, 2), dtype=np.float32), 0.0, "x")]
    assert points.price(clicks) == pytest.approx(7.2)
    assert Points(PointSettings(seconds_per_point=3)).price(clicks) == 9
    assert preferences.price([answer(), answer(seconds=5.75)]) == pytest.approx(10)
    assert preferences.price([]) == points.price([]) == 0


def test_preferences_of_former_versions_are_read(preferences, tmp_path):
    null = {**LINE, "patch": [0, *LINE["patch"][1:]], "choice": None, "domain": "toy"}
    file = write_lines(tmp_path / "preferences.jsonl", LINE, null, {**LINE, "choice": 0})
    read = preferences.read(file)
    assert read == [answer(), answer(z=0, chosen=()), answer(chosen=(0,))]
    assert [a.answered for a in read] == [True, False, True]
    assert preferences.recorded_request(file) is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"choice": 2}, "line 2: choice = 2, but only 2 candidates"),
        ({"choice": -1}, "line 2: choice = -1"),
        ({"choice": "first"}, "line 2: choice = 'first'"),
        ({"patch": [0, 0, 0, 0, 5]}, r"line 2: patch\.3 = 0"),
        ({"patch": [0, 0]}, r"line 2: patch\.2"),
        ({"candidates": ["xyz"]}, r"line 2: candidates\.0 = 'xyz'"),
        ({"seconds": -1}, "line 2: seconds = -1"),
        ({"who": ""}, "line 2: who = ''"),
    ],
)
def test_bad_preference_lines_are_named(preferences, tmp_path, change, problem):
    file = tmp_path / "p.jsonl"
    write_lines(file, LINE, {**LINE, **change})
    with pytest.raises(DataError, match=problem):
        preferences.read(file)


def test_broken_json_is_named(preferences, tmp_path):
    file = tmp_path / "p.jsonl"
    file.write_text('\n{"who": \n')
    with pytest.raises(DataError, match=r"p\.jsonl, line 2: line = "):
        preferences.read(file)


def test_both_are_registered():
    found = []
    dabench_weak_labels.register_weak_labels(found.append)
    made = [component.factory(component.config()) for component in found]
    assert [component.name for component in found] == ["points", "preferences"]
    assert [type(weak) for weak in made] == [Points, Preferences]
    assert all(component.summary and component.paper for component in found)


class _Stack:
    def __init__(self, labels):
        self._labels = labels

    def labels(self, z):
        return self._labels[z]

    def __len__(self):
        return len(self._labels)


@pytest.mark.skipif(not (DATA / "vnc").is_dir(), reason=f"real data not at {DATA} (set DABENCH_DATA)")
def test_on_real_labels_each_point_lies_on_an_own_mitochondrion(points):
    import tifffile

    from dabench.ops.components import label_components

    labels = (tifffile.imread(DATA / "vnc" / "stack1_labels.tif")[:12] > 0).astype(np.uint8)
    request = PointRequest(0.15, tuple(range(12)))
    answers = points.simulate(request, _Stack(labels), np.random.default_rng(0), 0.0)
    for given in answers:
        components = label_components(labels[given.z])
        x, y = np.rint(given.points).astype(int).T
        assert len(given.points) == number_of_points(0.15, components.max())
        assert len(set(components[y, x]) - {0}) == len(given.points)


def test_points_off_centre_stay_in_their_object():
    objects = np.zeros((40, 60), dtype=np.int32)
    objects[10:31, 5:26] = 1  # centre (15, 20), reaches 10 to the side and 14 to a corner
    objects[5, 40:45] = 2  # centre (42, 5), reaches 2
    centres = np.array([[15, 20], [42, 5]], dtype=np.float32)
    drawn = [off_centre(centres, objects, 8.0, np.random.default_rng(seed)) for seed in range(20)]
    for points in drawn:
        (x, y), small = points
        assert objects[int(y), int(x)] == 1
        assert np.hypot(x - 15, y - 20) == pytest.approx(8, abs=1)
        assert small.tolist() in ([40, 5], [44, 5])
    assert len({tuple(points[0]) for points in drawn}) > 5


def test_an_offset_moves_the_same_points(points):
    label = np.zeros((64, 64), dtype=np.uint8)
    label[4:25, 4:25] = label[40:61, 30:51] = 1

    class Labels:
        def labels(self, z):
            return label

    def asked(weak):
        request = PointRequest(slices=(0,), fraction=0.5)
        return weak.simulate(request, Labels(), np.random.default_rng(1), 0.0)[0].points

    plain, moved = asked(points), asked(Points(PointSettings(offset=6)))
    assert plain.shape == moved.shape == (1, 2)
    assert np.hypot(*(plain - moved)[0]) == pytest.approx(6, abs=1)
