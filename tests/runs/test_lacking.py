"""What a run needs and does not find: packages of an extra, published weights. It is refused, in a suite skipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dabench.components.packages import absent, told
from dabench.components.registry import PluginStatus, Registry
from dabench.errors import WeightsError
from dabench.files.workspace import Workspace
from dabench.plugin import Component, Method, PublishedWeights, Settings, StageSpec, hookimpl
from dabench.plugin import CropSpec as Crops
from dabench.runs.config import RunConfig, validate_config
from dabench.runs.plan import Plan, make_plan
from dabench.runs.runner import Runner
from dabench.runs.weights import WeightsStore, lacking, seen_of
from dabench.suites.planning import make_graph
from dabench.suites.spec import Suite

ROOT = Path(__file__).parents[2]


def config(method: str = "sam", **options: object) -> RunConfig:
    values = {"method": method, "task": "human2stem", "data": "phantom", "preset": "tiny", "options": options}
    return validate_config(values)


# ---------------------------------------------------------------- weights
def test_the_file_and_where_people_get_it_are_named(registry: Registry, workspace: Workspace) -> None:
    plan = make_plan(config(), registry, workspace)
    assert not plan.stages
    with pytest.raises(WeightsError) as caught:
        Runner(plan, registry, workspace).execute()
    for text in ("sam-vit-b", "sam_vit_b_01ec64.pth", "https://github.com/facebookresearch", "dabench weights add"):
        assert text in str(caught.value)
    assert caught.value.exit_code == 3


def test_in_a_suite_the_cell_is_skipped_and_the_rest_goes_on(registry: Registry, workspace: Workspace) -> None:
    rows = {name: {"method": name} for name in ("sam-med2d", "source-promptable")}
    settings = {"task": "human2stem", "data": "phantom", "preset": "tiny"}
    graph = make_graph(Suite.model_validate({"name": "some", "settings": settings, "rows": rows}), registry, workspace)
    assert [cell.state for cell in graph.cells] == ["skips", "new"]
    plan = make_plan(config("sam-med2d"), registry, workspace)
    record = Runner(plan, registry, workspace, suite="some").execute()
    assert record.status == "skipped"
    assert "sam-med2d_b.pth" in record.reason


def test_random_weights_have_to_be_asked_for(registry: Registry, workspace: Workspace) -> None:
    plan = make_plan(config(**{"sam-vit": {"pretrained": "none"}}), registry, workspace)
    assert [stage.state for stage in plan.stages] == ["frozen"]


# ---------------------------------------------------------------- packages
def test_what_is_absent_is_found_without_importing() -> None:
    assert absent(["json", "no_such_module"]) == ["no_such_module"]
    assert told({"json": "x"}) == ""
    assert told({"no_such": "dabench[sam]", "nor_this": "dabench[sam]"}) == (
        "needs no_such and nor_this: pip install 'dabench[sam]'"
    )


BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("transformers", "peft", "accelerate", "tokenizers"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocker())
"""


def run(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> subprocess.CompletedProcess[str]:
    monkeypatch.setenv("DABENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DABENCH_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("COLUMNS", "400")
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)


def test_without_the_extra_all_else_works_and_ls_says_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = BLOCKED + (
        "from dabench.components.registry import Registry\n"
        "from dabench.files.workspace import Workspace\n"
        "from dabench.runs.plan import make_plan\n"
        "from tests.runs.test_lacking import config\n"
        "plans = [make_plan(config(m), Registry.load(), Workspace.find()) for m in ('med-sa', 'prompt-das')]\n"
        "print(plans[0].skip, [len(plan.stages) for plan in plans], flush=True)\n"
        "sys.argv = ['dabench', 'ls', 'methods']\n"
        "from dabench.cli.main import main\n"
        "main()"
    )
    done = run(code, tmp_path, monkeypatch)
    assert (done.returncode, done.stderr) == (0, "")
    planned, *listed = done.stdout.splitlines()
    assert "method 'med-sa' needs transformers: pip install 'dabench[sam]'" in planned
    assert planned.endswith("[0, 2]")
    said = next(line for line in listed if " wesam " in line)
    assert "[needs transformers and peft: pip install 'dabench[sam]']" in said
    assert "needs" not in next(line for line in listed if " prompt-das " in line)


def test_listing_and_planning_import_nothing_of_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys\n"
        "from dabench.components.registry import Registry\n"
        "from dabench.files.workspace import Workspace\n"
        "from dabench.runs.plan import make_plan\n"
        "from tests.runs.test_lacking import config\n"
        "assert make_plan(config('wesam'), Registry.load(), Workspace.find()).stages\n"
        "sys.exit(' '.join(m for m in ('transformers', 'peft') if m in sys.modules) or 0)"
    )
    done = run(code, tmp_path, monkeypatch)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- what weights know of the target
class Known(Method):
    def __init__(self, settings: Settings, components: object, weights: Path | None = None) -> None:
        del components, weights
        self.settings = settings

    def stages(self, task: object, budget: object) -> list[StageSpec]:
        def build(parent: object) -> None:
            raise AssertionError("never built")

        return [StageSpec("known", "known", self.settings, (), Crops(64), 0, build)]  # type: ignore[arg-type]


class KnownSettings(Settings):
    pretrained: str = "em-weights"


EM = PublishedWeights("em-weights", "em.pth", "a page", "EM", {}, saw=("stem",))


@pytest.fixture
def plugins() -> Registry:
    @hookimpl
    def register_methods(register: object) -> None:
        register(Component("known", Known, KnownSettings, "x", licence="MIT", weights=(EM,)))  # type: ignore[operator]

    registry = Registry.load()
    holder = type("Holder", (), {"register_methods": staticmethod(register_methods)})
    registry.add(holder, PluginStatus("known", "x"))
    return registry


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("em-weights", "stem", "em-weights: stem"),
        ("em-weights", "lucchi", ""),
        ("other", "lucchi", "other: unknown"),
        ("none", "stem", ""),
    ],
)
def test_weights_that_saw_the_target(
    plugins: Registry, workspace: Workspace, tmp_path: Path, name: str, target: str, expected: str
) -> None:
    save_file({"x": torch.ones(1)}, tmp_path / "x.safetensors")
    WeightsStore(workspace.weights).add("other", tmp_path / "x.safetensors")
    made: Plan = make_plan(config("known", known={"pretrained": name}), plugins, workspace)
    assert seen_of(made.assembly, [("method", "known")], target) == expected
    assert bool(lacking(made.assembly, [("method", "known")])) is (name == "em-weights")


def test_added_weights_say_what_they_saw(plugins: Registry, workspace: Workspace, tmp_path: Path) -> None:
    """The record goes before what is published under the name now."""
    save_file({"x": torch.ones(1)}, tmp_path / "x.safetensors")
    known = PublishedWeights("em-weights", "em.pth", "a page", "photographs", {}, saw=())
    WeightsStore(workspace.weights).add("em-weights", tmp_path / "x.safetensors", known)
    made = make_plan(config("known"), plugins, workspace)
    assert seen_of(made.assembly, [("method", "known")], "stem") == ""
    assert not lacking(made.assembly, [("method", "known")])
