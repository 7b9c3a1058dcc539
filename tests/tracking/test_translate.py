"""Names and values as a tracker gets them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dabench.tracking import read_run
from dabench.tracking.translate import IDENTITY, description_of, name_of, params_of, plain, tags_of, thin

DESIGN_TAGS = [
    "cell_id",
    "suite",
    "task",
    "source",
    "target",
    "data",
    "method",
    "backbone",
    "preset",
    "weak_labels",
    "points",
    "patches",
    "rater",
    "seed",
    "protocol",
    "inference",
    "status",
    "config_hash",
    "data_digest",
    "weights_digest",
    "git_commit",
    "plugin_versions",
    "env_digest",
    "device",
]


def test_identity_is_that_of_the_design_with_network_options_and_selector():
    ours = {"guard", "network", "options", "selector", "variant"}
    assert [name for name in IDENTITY if name not in ours] == DESIGN_TAGS
    assert ours < set(IDENTITY)


def test_every_run_has_every_tag_even_when_it_knows_nothing(tmp_path, make_run):
    run = read_run(make_run(tmp_path))
    object.__setattr__(run, "tags", {})
    tags = tags_of(run)
    assert {f"dabench.{name}" for name in DESIGN_TAGS} <= set(tags)
    assert tags["dabench.variant"] == "none"
    assert all(tags.values())


def test_settings_are_flat_and_long_ones_come_in_parts(tmp_path, make_run):
    params = params_of(read_run(make_run(tmp_path)))
    assert params["method.settings.beta"] == "0.1"
    assert params["method.settings.levels"] == "[0.3, 0.5, 0.7]"
    assert params["method.name"] == "prefer-das"
    parts = [params["note"], params["note.part2"], params["note.part3"]]
    assert [len(p) for p in parts] == [6000, 6000, 1000]
    assert "".join(parts) == "x" * 13_000


def test_empty_and_odd_settings(tmp_path, make_run):
    run = read_run(make_run(tmp_path))
    object.__setattr__(run, "params", {"a": "", "b": {}, "c": None, "d": True, "é@1": Path("x")})
    assert params_of(run) == {"a": "", "c": "null", "d": "true", "é.v1": '"x"'}


@pytest.mark.parametrize("count", [0, 1, 2, 49, 50, 51, 16_000])
def test_thinned_curves_keep_their_ends(count):
    kept = list(thin(count))
    assert len(kept) == min(count, 50)
    assert len(set(kept)) == len(kept)
    assert kept == sorted(kept)
    if count:
        assert (kept[0], kept[-1]) == (0, count - 1)


def test_plain_names():
    assert plain("target_test/das-2d@1/dice") == "target_test/das-2d.v1/dice"
    assert plain("a b.c:d-e_f/g") == "a b.c:d-e_f/g"
    assert plain("α+β") == "α_β"


def test_name_and_description(tmp_path, make_run):
    run = read_run(make_run(tmp_path))
    assert name_of(run) == "prefer-das+slpo s0 human2stem"
    text = description_of(run)
    assert text.startswith("**Dice 0.8000 · AJI 0.7000 · PQ 0.6000**")
    assert "- after prompt-das: Dice 0.7000" in text
    assert "- with 100 % of test points: Dice 0.9000" in text
    assert "data phantom" in text
    failed = description_of(read_run(make_run(tmp_path, "bad", status="failed")))
    assert failed.startswith("**failed**: loss became NaN at step 7")
