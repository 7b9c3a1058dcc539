"""A person's points of which some judge: no stage is given those, and a simulated person's are all given."""

from __future__ import annotations

import numpy as np
import pytest

ROWS = [(z, y, x) for z in (1, 2) for y in (5, 20, 35) for x in (8, 26, 44, 62, 80)]
TEXT = "# region z=2\nz,y,x,kind\n" + "".join(f"{z},{y},{x},\n" for z, y, x in ROWS) + "1,60,90,negative\n"


@pytest.fixture
def recorded(make_desk, tmp_path):
    """Desks over 30 clicks on two slices, and a negative one."""
    (tmp_path / "clicks.csv").write_text(TEXT)

    def make(**options):
        return make_desk(truth=None, rater="recorded", recorded={"points": tmp_path / "clicks.csv"}, **options)

    return make


def rows(answers):
    return {(answer.z, *xy) for answer in answers for xy in answer.points.tolist()}


def test_a_fifth_judges_and_the_rest_trains(recorded, tmp_path):
    whole, desk = recorded(), recorded(held_out=0.2)
    assert (whole.held_out, desk.held_out) == (0, 6)  # 0.2 * 30
    stage, clicks = desk.for_stage(["points"]), desk.clicks(["points"])
    given = rows(stage.points().values())
    judging = {(z, *xy) for z, c in clicks.items() for xy in c.points[c.judged].tolist()}
    assert len(judging) == 6
    assert given | judging == rows(whole.points().values())
    assert not given & judging
    assert rows(stage.ask("points")) == given, "by whichever door"
    assert stage.points()[2].regions[0].objects == 15, "what a region says of the count stays"
    assert clicks[1].negative.tolist() == [[90, 60]]
    assert all(c.judged.all() for c in desk.clicks(["points"], held_out=False).values())
    (path,) = desk.write(tmp_path / "out")
    assert path.read_text().count("\n") == 33, "the run keeps all: a region, a header, 31 clicks"


def test_the_draw_is_the_same_every_time_and_in_the_key(recorded):
    one, other = (rows(recorded(held_out=0.2).points().values()) for _ in range(2))
    assert one == other != rows(recorded(held_out=0.2, seed=1).points().values())
    keys = [recorded(held_out=share).digest(["points"]) for share in (0.0, 0.2, 0.3)]
    assert len(set(keys)) == 3
    assert recorded().digest(["points"]) == keys[0]


def test_too_few_are_all_given_and_all_judge(recorded):
    desk = recorded(held_out=0.15)  # four: they would choose nothing
    assert (desk.held_out, recorded(held_out=0.17).held_out) == (0, 5)
    assert sum(int(c.judged.sum()) for c in desk.clicks(["points"]).values()) == 30
    assert len(rows(desk.points().values())) == 30


def test_nothing_is_said_to_whom_nobody_asked_and_simulated_points_are_all_given(make_desk, recorded):
    assert recorded(held_out=0.2).clicks([]) == {}
    assert recorded(held_out=0.2, points=0.0).clicks(["points"]) == {}
    plain, simulated = make_desk(), make_desk(held_out=0.2)
    assert (simulated.held_out, simulated.digest(["points"])) == (0, plain.digest(["points"]))
    for z, clicks in simulated.clicks(["points"]).items():
        np.testing.assert_array_equal(clicks.points, plain.points()[z].points)
        assert (clicks.regions, clicks.share, bool(clicks.judged.all())) == (None, 0.15, True)
