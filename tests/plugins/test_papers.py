"""The papers' tables: the published numbers, and that every row can be planned."""

from __future__ import annotations

import pytest

from dabench.components.registry import Registry
from dabench.runs.plan import make_plan
from dabench.suites.spec import expand, load_suite

REGISTRY = Registry.load()
NAMES = [n for n in REGISTRY.names("suite") if REGISTRY.get("suite", n).plugin == "papers"]
SUITES = {name: load_suite(name, REGISTRY) for name in NAMES}


def number(name, row, task, metric="dice"):
    return SUITES[name].published.values[row][task][metric]


def numbers():
    """Every published number with its place."""
    for name, suite in SUITES.items():
        for row, tasks in suite.published.values.items():
            for task, metrics in tasks.items():
                for metric, value in metrics.items():
                    yield name, row, task, metric, value


def test_all_tables_and_figures_are_there():
    prefer = [f"prefer-das/table-{n}" for n in range(1, 6)] + ["prefer-das/figure-5", "prefer-das/figure-6"]
    prompt = [f"prompt-das/table-{n}" for n in range(1, 4)]
    ipl = [f"ipl/table-{n}" for n in range(1, 8)] + ["ipl/figure-5"]
    assert sorted(NAMES) == sorted(prefer + prompt + ipl)


@pytest.mark.parametrize("name", NAMES)
def test_a_suite_is_the_published_setting_and_says_what_it_is(name):
    suite, component = SUITES[name], REGISTRY.get("suite", name).component
    assert suite.name == name
    assert component.summary == suite.title
    assert component.paper == suite.published.source
    cells = expand(suite)
    assert {(c.config.data, c.config.preset, c.config.protocol) for c in cells} == {("real", "paper", "das-2d@1")}
    whole = {c.config.method for c in cells if c.config.inference == "tiles"}
    assert whole <= {"sam", "sam-med2d", "med-sa", "wesam"}
    assert {c.config.inference for c in cells if c.config.method not in whole} == {"paper"}
    assert suite.axes["seed"] == [0, 1, 2]


@pytest.mark.parametrize("name", NAMES)
def test_published_numbers_belong_to_rows_and_tasks(name):
    suite = SUITES[name]
    printed = suite.published.values
    assert set(printed) <= set(suite.rows)
    assert {task for tasks in printed.values() for task in tasks} <= set(suite.axes["task"])
    assert set(suite.unavailable) <= set(printed), "a row that cannot run is there for its numbers alone"
    if "table" in name:
        assert set(printed) == set(suite.rows) - {"SAM (large masks left out)"}


def test_numbers_are_per_cent():
    found = list(numbers())
    assert len(found) > 800
    assert not [one for one in found if not 0 <= one[-1] <= 100]


def test_dice_is_above_aji():
    """Over any slice AJI is at most the Jaccard index, which is at most Dice; a swapped column would show here."""
    checked = 0
    for name, row, task, metric, value in numbers():
        if metric.endswith("aji"):
            checked += 1
            assert value < number(name, row, task, metric.replace("aji", "dice")), (name, row, task)
    assert checked > 100


# ---------------------------------------------------------------- read from the papers' pages by hand
@pytest.mark.parametrize(
    ("name", "row", "task", "values"),
    [
        ("prefer-das/table-1", "Prefer-DAS (LPO)", "human2stem", [85.6, 67.9, 62.0, 86.3, 68.6, 62.0]),
        ("prefer-das/table-1", "Prefer-DAS (UPO) 0 %", "human2lucchi++", [92.1, 84.7, 79.6]),
        ("prefer-das/table-1", "WeSAM 15 %", "human2stem", [44.9, 7.3, 17.7]),
        ("prefer-das/table-2", "Model II", "rat2human", [87.4, 68.4]),
        ("prefer-das/table-2", "Prefer-DAS (GPO)", "human2rat", [94.3, 78.7]),
        ("prefer-das/table-3", "LPO single", "human2rat", [94.2, 78.0]),
        ("prefer-das/table-4", "points 100 % preferences 15 %", "human2lucchi++", [94.0, 82.9]),
        ("prefer-das/table-5", "Prefer-DAS (UPO)", "rat2human", [90.1, 71.2, 90.6, 70.6, 90.8, 70.9, 90.9, 71.6]),
        ("prompt-das/table-1", "WeSAM 15 %", "human2rat", [7.5, 0.1, 2.2, 89.9, 79.6, 73.9]),
        ("prompt-das/table-2", "V", "human2rat", [89.8, 71.7]),
        ("prompt-das/table-3", "Prompt-DAS", "rat2human", [89.2, 69.1, 90.0, 69.8, 90.4, 70.9, 90.8, 72.3]),
        ("ipl/table-1", "SAC", "rat2human", [77.9, 60.7, 37.6]),
        ("ipl/table-2", "Full", "lucchi2rat", [92.6, 88.8]),
        ("ipl/table-3", "Entropy-based", "lucchi2rat", [91.6, 73.6]),
        ("ipl/table-4", "Source + target background", "lucchi2rat", [91.9]),
        ("ipl/table-5", "IPL 5 %", "lucchi2rat", [91.8]),
        ("ipl/table-6", "Sample 3", "lucchi2rat", [92.4, 75.5]),
        ("ipl/table-7", "tau 0.1", "lucchi2rat", [92.8, 76.5]),
    ],
)
def test_numbers_as_printed(name, row, task, values):
    assert list(SUITES[name].published.values[row][task].values()) == values


#: Differences that the papers' texts quote and their tables have.
QUOTED = [
    ("prefer-das/table-1", "Prefer-DAS (UPO) 15 %", "WDA-Net 15 %", "aji", [3.7, 2.5, 10.0, 3.1]),
    ("prefer-das/table-1", "Prefer-DAS (SLPO)", "Prefer-DAS (UPO) 15 %", "aji", [1.1, 2.7, 1.2, 11.8]),
    ("prefer-das/table-1", "Prefer-DAS (LPO)", "WDA-Net 15 %", "aji", [5.2, 6.0, 12.7, 19.1]),
    ("prefer-das/table-2", "Model IV", "Model I", "dice", [1.8, 10.4]),
    ("prompt-das/table-2", "VI", "IV", "dice", [2.3]),
    ("ipl/table-1", "Supervised model", "IPL 15 %", "dice", [1.0, 3.3, 0.4]),
    ("ipl/table-1", "IPL 15 %", "IPL 0 %", "dice", [2.4, 2.2, 1.1]),
    ("ipl/table-3", "Instance-aware", "Threshold-based", "pq", [2.1]),
]


@pytest.mark.parametrize(("name", "row", "other", "metric", "differences"), QUOTED)
def test_differences_that_the_texts_quote(name, row, other, metric, differences):
    tasks = SUITES[name].axes["task"]
    found = [number(name, row, task, metric) - number(name, other, task, metric) for task in tasks]
    assert found == pytest.approx(differences, abs=1e-6)


#: A row that several tables print, by the table and the name that it has there.
SAME = [
    [
        ("prefer-das/table-1", "Prefer-DAS (LPO)"),
        ("prefer-das/table-2", "Prefer-DAS (LPO)"),
        ("prefer-das/table-3", "LPO multiple"),
        ("prefer-das/table-4", "points 15 % preferences 100 %"),
        ("prefer-das/table-5", "Prefer-DAS (LPO)"),
    ],
    [
        ("prefer-das/table-1", "Prefer-DAS (SLPO)"),
        ("prefer-das/table-2", "Prefer-DAS (SLPO)"),
        ("prefer-das/table-4", "points 15 % preferences 15 %"),
        ("prefer-das/table-5", "Prefer-DAS (SLPO)"),
    ],
    [
        ("prefer-das/table-1", "Prefer-DAS (UPO) 15 %"),
        ("prefer-das/table-2", "Prefer-DAS (UPO)"),
        ("prefer-das/table-4", "points 15 % preferences 0 %"),
        ("prefer-das/table-5", "Prefer-DAS (UPO)"),
    ],
    [
        ("prefer-das/table-1", "Prompt-DAS 15 %"),
        ("prefer-das/table-2", "Prompt-DAS"),
        ("prefer-das/table-5", "Prompt-DAS"),
        ("prompt-das/table-1", "Prompt-DAS 15 %"),
        ("prompt-das/table-2", "Full"),
        ("prompt-das/table-3", "Prompt-DAS"),
    ],
    [("prefer-das/table-1", "Prefer-DAS (Source)"), ("prompt-das/table-1", "Our Source Model")],
    [("prefer-das/table-1", "SAM"), ("prompt-das/table-1", "SAM"), ("ipl/table-1", "SAM")],
    [
        ("ipl/table-1", "IPL 15 %"),
        ("ipl/table-2", "Full"),
        ("ipl/table-3", "Instance-aware"),
        ("ipl/table-4", "Source + target foreground"),
        ("ipl/table-5", "IPL 15 %"),
        ("ipl/table-7", "tau 0.5"),
        ("ipl/figure-5", "d 0"),
    ],
]
#: What the papers print twice, differently; the suites' notes say so.
ODD = {("human2lucchi++", "pq"): {74.8, 73.7}}


@pytest.mark.parametrize("rows", SAME, ids=lambda rows: rows[0][1])
def test_tables_agree_where_they_print_the_same(rows):
    seen = {}
    for name, row in rows:
        for task, metrics in SUITES[name].published.values[row].items():
            for metric, value in metrics.items():
                seen.setdefault((task, metric), []).append(value)
    assert max(len(values) for values in seen.values()) == len(rows)
    for place, values in seen.items():
        assert len(set(values)) == 1 or set(values) == ODD.get(place), place


def test_the_mean_of_the_five_samples():
    printed = SUITES["ipl/table-6"].published.values
    samples = [printed[f"Sample {n}"]["lucchi2rat"] for n in range(1, 6)]
    assert sum(s["dice"] for s in samples) / 5 == pytest.approx(printed["Mean"]["lucchi2rat"]["dice"])
    assert sum(s["pq"] for s in samples) / 5 == pytest.approx(75.68), "printed: 75.8; the note says so"


# ---------------------------------------------------------------- rows that run
@pytest.mark.parametrize("preset", ["tiny", "paper"])
@pytest.mark.parametrize("name", NAMES)
def test_every_row_is_planned_and_no_two_train_the_same(name, preset, workspace):
    """Settings that no component takes are refused by the plan; ones without effect give two rows one last stage."""
    suite = SUITES[name].changed({"data": "phantom", "preset": preset, "inference": "fast"}, {"seed": [0]})
    task = suite.axes["task"][0]
    cells = {c.row: c for c in expand(suite) if c.config.task == task}
    assert set(cells) == set(suite.rows) - set(suite.unavailable)
    plans = {row: make_plan(c.config, REGISTRY, workspace) for row, c in cells.items()}
    assert all(plan.stages or plan.skip for plan in plans.values())
    assert not any(plan.missing for plan in plans.values())
    last = [plan.stages[-1].key for plan in plans.values() if plan.stages]
    assert len(set(last)) == len(last)


def test_every_task_has_its_domains(workspace, monkeypatch, tmp_path):
    """On a machine without data the plan names the files that are missing."""
    monkeypatch.setenv("DABENCH_DATA", str(tmp_path))
    cells = {c.config.task: c for suite in SUITES.values() for c in expand(suite)}
    assert set(cells) == {"human2rat", "rat2human", "human2lucchi++", "human2stem", "lucchi2rat"}
    for cell in cells.values():
        assert make_plan(cell.config, REGISTRY, workspace).missing
