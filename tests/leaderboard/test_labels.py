"""Names of entries: short, unique, and open about what is not usual."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dabench.leaderboard.labels import FIELDS, identity, labels, with_origins


def test_a_label_is_part_of_the_name():
    tags = [{"method": "ipl"}, {"method": "ipl", "label": "v2"}]
    assert sorted(labels(map(identity, tags)).values()) == ["ipl", "ipl v2"]


def names(*tags):
    identities = [identity({"method": "ipl", **one}) for one in tags]
    found = labels(identities)
    return [found[one] for one in identities]


def test_one_entry_needs_no_more_than_its_method():
    assert names({"points": "0.15", "network": "unet", "options": "ipl.beta=2"}) == ["ipl"]


def test_the_variant_is_named():
    assert names({"method": "prefer-das", "variant": "slpo"}) == ["prefer-das slpo"]


def test_the_fewest_fields_that_tell_apart_are_shown():
    assert names({"points": "0.0", "network": "unet"}, {"points": "0.15", "network": "unet"}) == [
        "ipl no points",
        "ipl 15% points",
    ]
    assert names({"network": "unet"}, {"network": "deeplab"}) == ["ipl unet", "ipl deeplab"]
    both = [{"points": p, "network": n} for p in ("0", "0.5") for n in ("unet", "deeplab")]
    assert names(*both) == [
        "ipl no points unet",
        "ipl no points deeplab",
        "ipl 50% points unet",
        "ipl 50% points deeplab",
    ]


def test_options_are_shown_without_what_all_have_in_common():
    shared = "source-only.iterations=1000"
    assert names(
        {"options": f"ipl.levels=[0.3, 0.5] {shared}"},
        {"options": f"ipl.levels=[0.3, 0.5] {shared} source-pairs.crop=96"},
        {"options": shared},
    ) == ["ipl levels=[0.3, 0.5]", "ipl levels=[0.3, 0.5] source-pairs.crop=96", "ipl"]


def test_what_is_not_usual_is_always_said():
    unusual = {
        "selector": "entropy",
        "snapshots": "4",
        "thresholds": "0.4,0.5",
        "source_checkpoint": "lab",
        "source_free": "true",
        "rater": "simulated:0.2",
        "intensity": "slice",
        "source_labels": "contour",
        "test_points": "0.15",
    }
    assert names(unusual) == [
        "ipl selector entropy of 4 snapshots threshold 0.4,0.5 from lab source-free 20% wrong answers intensity slice "
        "source labels contour +15% test points"
    ]
    usual = {"rater": "simulated:0", "selector": "last", "intensity": "volume", "snapshots": "1", "thresholds": "0.5"}
    assert names(usual) == names({}) == ["ipl"]


def test_other_errors_of_a_simulated_rater_are_said():
    assert names({"rater": "simulated:0.1 confusion=0.02 missed=0.2"}, {"rater": "simulated:0 missed=0.2"}) == [
        "ipl 10% wrong answers confusion=0.02 missed=0.2",
        "ipl missed=0.2",
    ]


def test_two_forms_of_a_number_are_one_entry():
    assert identity({"points": "0.0"}) == identity({"points": "0"}) == identity({})


def test_origins_are_named_unless_all_is_from_here():
    assert with_origins("ipl", ["here"]) == "ipl"
    assert with_origins("ipl", ["lab-b", "lab-b"]) == "ipl (lab-b)"
    assert with_origins("ipl", ["a-lab", "here"]) == "ipl (here + a-lab)"


tag_sets = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(["ipl", "sac"]),
        "po": st.sampled_from(["none", "slpo"]),
        "points": st.sampled_from(["0", "0.0", "0.15", "recorded"]),
        "options": st.sampled_from(["none", "ipl.a=1", "ipl.a=1 sac.b=2", "sac.b=2"]),
        "rater": st.sampled_from(["none", "simulated:0", "simulated:0.2", "self"]),
        "network": st.sampled_from(["unet", "promptable"]),
        "precision": st.sampled_from(["auto", "float32"]),
    },
)


@given(st.lists(tag_sets, max_size=12))
def test_every_entry_has_a_name_of_its_own_whatever_the_order(tags):
    identities = [identity(one) for one in tags]
    found = labels(identities)
    assert len(set(found.values())) == len(set(identities)) == len(found)
    assert labels(reversed(identities)) == found
    assert all(len(one) == len(FIELDS) for one in found)


def test_settings_that_were_kept_as_written_are_one_entry_with_those_kept_as_validated() -> None:
    older, newer = 'ipl.batch=8.0 ipl.lr="5e-4" ipl.name="a 1"', 'ipl.batch=8 ipl.lr=0.0005 ipl.name="a 1"'
    assert identity({"options": older}) == identity({"options": newer})
    assert identity({"options": newer}) != identity({"options": newer.replace("0.0005", "0.0006")})
