"""Configuration: one object from flags, file and --set; mistakes are named with the nearest right key."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from dabench.errors import ConfigError, UnknownNameError
from dabench.leaderboard.suite_plan import setting_of
from dabench.runs.config import load_config, origin_of, split_task, validate_config
from dabench.runs.plan import make_plan
from tests.conftest import few

GOOD = {"method": "source-only", "task": "human2stem"}


def test_later_wins_file_then_set_then_flags(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("method: oracle\ntask: human2rat\nseed: 1\nbudget: {points: 0.5, seed: 3}\n")
    config = load_config(
        {"seed": 3, "budget.points": None}, file, ["seed=2", "budget.points=0.25", "mean-teacher.decay=0.9"]
    )
    assert (config.method, config.seed) == ("oracle", 3)
    assert (config.budget.points, config.budget.seed) == (0.25, 3)
    assert config.options == {"mean-teacher": {"decay": 0.9}}


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({**GOOD, "presett": "tiny"}, "'preset'"),
        ({**GOOD, "budget": {"pionts": 0.1}}, "'budget.points'"),
        ({**GOOD, "seed": -1}, "seed = -1"),
        ({**GOOD, "budget": {"points": 1.5}}, "budget.points = 1.5"),
        ({"task": "human2stem"}, "method is missing"),
        ({**GOOD, "data": "fake"}, "data = 'fake'"),
        ({**GOOD, "test_points": [2.0]}, r"^test_points\.0 = 2\.0: .* to 1\. Did you mean 0\.02\?$"),
        ({**GOOD, "test_points": []}, "one or more shares between 0 and 1"),
        ({**GOOD, "budget": {"points": 15}}, r"budget\.points = 15: .* Did you mean 0\.15\?"),
        ({**GOOD, "budget": {"shares": {"scribbles": 15}}}, r"budget\.shares\.scribbles = 15: .*0\.15\?"),
        ({**GOOD, "budget": {"rater_others": [0.1, -0.1]}}, r"budget\.rater_others\.1 = -0\.1: .*than or equal to 0"),
        ({**GOOD, "budget": {"points": True}}, "budget.points = True: a number, not true or false"),
        ({**GOOD, "seed": True}, "seed = True: a number, not true or false"),
        ({**GOOD, "test_points": [True]}, "test_points = .*: a number, not true or false"),
        ({**GOOD, "budget": {"points": math.nan}}, "budget.points = nan: Input should be a finite number"),
        ({**GOOD, "budget": {"rater_confusion": math.inf}}, "rater_confusion = inf: Input should be a finite number"),
        ({**GOOD, "options": {"ipl": {"lr": [math.inf]}}}, "options = .*inf is not a finite number"),
    ],
)
def test_mistakes_are_named(values: dict[str, object], wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted) as error:
        validate_config(values)
    assert error.value.exit_code == 2


@pytest.mark.parametrize("text", ["seed", "=1", "a b=1"])
def test_malformed_set(text: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        load_config(GOOD, None, [text])


def test_unknown_top_level_set_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="'preset'"):
        load_config(GOOD, None, ["presett=tiny"])


def test_cell_id_names_what_decides_and_nothing_else() -> None:
    first, second = validate_config({**GOOD, "device": "cpu"}), validate_config({**GOOD, "checkpoint_every": 7})
    assert first.cell_id == second.cell_id
    assert first.cell_id != validate_config({**GOOD, "seed": 1}).cell_id
    assert first.cell_id.startswith("source-only-human2stem-small-s0-")


def test_a_label_is_another_cell_of_the_same_stages(registry, workspace) -> None:
    """Versions stand side by side; what is the same code is not trained twice; without a label nothing changes."""
    plain, first, second = (few("source-only", **({"label": label} if label else {})) for label in ("", "v1", "v2.b"))
    assert plain.identity().keys() == first.identity().keys() - {"label"}
    assert first.cell_id.startswith("source-only-v1-human2stem-phantom-tiny-s0-")
    assert len({plain.cell_id, first.cell_id, second.cell_id}) == 3
    keys = [[stage.key for stage in make_plan(c, registry, workspace).stages] for c in (plain, first, second)]
    assert keys[0] == keys[1] == keys[2]


@pytest.mark.parametrize("label", ["", "a b", "../x", "-x", "x" * 41, "a/b", "a@b"])
def test_a_label_is_a_plain_word(label: str) -> None:
    with pytest.raises(ConfigError, match="label"):
        few("source-only", label=label)


def test_an_unknown_precision_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"precision.*'auto', 'float32' or 'bfloat16'"):
        validate_config({**GOOD, "precision": "float16"})


def test_split_task_with_digits_in_names() -> None:
    names = ["me2-stem", "human", "stem2"]
    assert split_task("me2-stem2human", names) == ("me2-stem", "human")
    assert split_task("human2stem2", names) == ("human", "stem2")


@pytest.mark.parametrize(
    ("task", "match"), [("humn2stem", "human"), ("human2stm", "stem"), ("humanstem", "SOURCE2TARGET")]
)
def test_wrong_task_names_the_wrong_side(task: str, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        split_task(task, ["human", "stem", "rat"])


def test_file_that_is_no_mapping(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("- a\n- b\n")
    with pytest.raises(ConfigError, match="mapping"):
        load_config({}, file)


def test_a_choice_holds_for_the_chain_and_a_number_for_the_method(registry, workspace):
    """``backbone`` is that of the network that the first stage trains; ``iterations`` are those of the method alone."""
    values = {"task": "human2stem", "data": "phantom", "preset": "tiny"}
    config = validate_config({"method": "prefer-das", "po": "lpo", "backbone": "conv-small", "iterations": 7, **values})
    plan = make_plan(config, registry, workspace)
    assert ("backbone", "conv-small") in plan.stages[0].spec.components
    assert [s.spec.iterations == 7 for s in plan.stages] == [False, False, True]
    assert plan.stages[-1].spec.name == "lpo"


def test_the_papers_divide_by_the_range() -> None:
    given = {"method": "oracle", "task": "human2rat"}
    assert validate_config(given).intensity == "volume"
    assert validate_config({**given, "preset": "paper"}).intensity == "range"
    assert validate_config({**given, "preset": "paper", "intensity": "slice"}).intensity == "slice"


def test_off_is_off_though_yaml_reads_it_as_false() -> None:
    assert load_config({"method": "prompt-das", "task": "human2stem"}, sets=["guard=off"]).guard == "off"
    with pytest.raises(ConfigError, match="guard = 'on'"):
        load_config({"method": "prompt-das", "task": "human2stem"}, sets=["guard=on"])


def test_a_phantom_is_a_phantom_whatever_the_data_are_called() -> None:
    named = validate_config({**GOOD, "task": "phantom-human2phantom-stem", "preset": "tiny"})
    assert named == validate_config({**GOOD, "data": "phantom", "preset": "tiny"})
    assert origin_of("real", "mine2phantom-stem") == origin_of("real", "phantom-human2stem") == "phantom"
    assert origin_of("real", "my-phantom-x2stem") == "real"
    for task in ("phantom-human2phantom-stem", "phantom-human2stem"):
        assert setting_of({"data": "real", "task": task}).data == "phantom"
    assert setting_of({"data": "real", "task": "human2stem"}).data == "real"


def test_what_does_nothing_is_said(registry, workspace) -> None:
    phantom = {**GOOD, "data": "phantom", "preset": "tiny"}

    def notes(values: dict[str, object]) -> tuple[str, ...]:
        return make_plan(validate_config({**phantom, **values}), registry, workspace).answers

    assert notes({}) == notes({"budget": {"points": 0}}) == ()
    assert notes({"budget": {"points": 0.5, "patches": 0.1}}) == (
        "method source-only asks for no points: this budget has no effect",
        "method source-only asks for no preferences: this budget has no effect",
    )
    assert "the same domain" in notes({"task": "human2human"})[0]


@pytest.mark.parametrize(("value", "wanted"), [("5", "iterations = '5'.* kind"), (True, "iterations = True: a number")])
def test_a_value_of_another_kind_than_its_setting_is_refused(value, wanted, registry, workspace) -> None:
    options = {"source-only": {"iterations": value}}
    config = validate_config({**GOOD, "data": "phantom", "preset": "tiny", "options": options})
    with pytest.raises(ConfigError, match=wanted):
        make_plan(config, registry, workspace)


@pytest.mark.parametrize(("one", "other"), [(8, 8.0), (0.0005, "5e-4"), ([1.0, 2], (1, 2)), (-0.0, 0)])
def test_what_means_the_same_is_one_cell(one: object, other: object) -> None:
    found = [validate_config({**GOOD, "options": {"source-only": {"batch": value}}}) for value in (one, other)]
    assert found[0] == found[1]
    assert found[0].cell_id == found[1].cell_id
    assert validate_config(found[0].model_dump(mode="json")).cell_id == found[0].cell_id


def test_a_setting_on_the_command_line_and_in_a_file_is_one_cell(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("method: source-only\ntask: human2stem\noptions: {source-only: {lr: 5e-4, batch: 8}}\n")
    sets = ["source-only.lr=0.0005", "source-only.batch=8.0"]
    assert load_config({}, file).cell_id == load_config(GOOD, None, sets).cell_id
