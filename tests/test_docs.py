"""The documentation against the code: hooks, settings, pages of methods, excerpts, commands and docstrings."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
from pathlib import Path

import pytest
import typer.main
import yaml

import dabench.plugin
from dabench import interfaces
from dabench.cli.main import app
from dabench.components import hookspecs
from dabench.components.hookspecs import KINDS
from dabench.components.registry import Registry
from dabench.runs.budget import BudgetConfig
from dabench.runs.config import RunConfig

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGED = ("method", "preference_optimizer", "self_training")
CODE = re.compile(r"^```(\w*)\n(.*?)^```|^((?:    [^\n]*\n)+)", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def registry():
    return Registry.load()


def own(registry, *kinds):
    return [i for i in registry if i.distribution == "dabench" and (not kinds or i.kind in kinds)]


# ---------------------------------------------------------------- hooks
@pytest.mark.parametrize(("kind", "hook"), KINDS.items())
def test_every_hook_is_a_heading_with_its_arguments(kind, hook):
    text = (DOCS / "hooks.md").read_text()
    arguments = ", ".join(inspect.signature(getattr(hookspecs, hook)).parameters)
    assert f"\n## {hook}({arguments})\n" in text
    section = text.split(f"\n## {hook}(")[1].split("\n## ")[0]
    assert f"`{kind}`" in section, f"the section of {hook} does not name its kind, `{kind}`"
    factory = re.search(r"``factory\((.*?)\)", getattr(hookspecs, hook).__doc__ or "")
    assert factory, f"{hook}: its docstring does not say how the factory is called"
    assert f"factory({factory.group(1)})" in section, f"{hook}: the factory's arguments are missing"


def test_every_hook_that_is_documented_exists():
    headings = re.findall(r"^## (register_\w+)\(", (DOCS / "hooks.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(KINDS.values())


@pytest.mark.parametrize("name", ["name", "factory", "config", "summary", "paper", "licence", "presets", "api_version"])
def test_every_field_of_the_record_is_documented(name):
    assert f"| `{name}` |" in (DOCS / "hooks.md").read_text()


# ---------------------------------------------------------------- settings
def generator(name):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["generate_cli", "generate_configuration", "generate_settings"])
def test_generated_pages_are_up_to_date(name):
    module = generator(name)
    assert module.TARGET.read_text() == module.text(), f"run: python docs/{name}.py"


DEVIATIONS = re.compile(r"\*\*Deviations\*\*(.*?)(?=\n\*\*|\n## |\Z)", re.DOTALL)
PUBLISHED = generator("generate_settings").published()


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_preset_paper_has_no_value_that_paper_and_release_say_nothing_of(name, registry):
    component = generator("generate_settings").item_of(registry, name).component
    assert set(PUBLISHED[name]) <= set(component.config.model_fields)
    assert set(component.presets.get("paper", {})) <= set(PUBLISHED[name])
    for setting, row in PUBLISHED[name].items():
        assert {"paper", "release", "without"} & set(row), setting
        assert set(row) <= {"paper", "release", "without", "note"}, setting


def test_every_preset_paper_has_its_published_values(registry):
    assert {i.name for i in own(registry) if i.component.presets.get("paper")} <= set(PUBLISHED)


def test_every_difference_from_the_paper_is_a_deviation_on_its_page(registry):
    missing = []
    for name, settings in generator("generate_settings").differences(registry).items():
        page = DOCS / "methods" / f"{name}.md"
        found = (
            re.search(r"\*\*Deviations\*\*(.*?)(?=\n\*\*|\n## |\Z)", page.read_text(), re.DOTALL) if settings else None
        )
        missing += [f"{name}.{s}" for s in settings if found is None or f"`{s}`" not in found[1]]
    assert not missing


@pytest.mark.parametrize(
    ("row", "value", "expected"),
    [
        ({"paper": 65.025}, 65.0, False),
        ({"paper": 5e-5}, 1e-4, True),
        ({"paper": 4, "release": 5}, 4, False),
        ({"release": [0.5, 0.95]}, (0.5, 0.95), False),
        ({"without": False}, True, True),
        ({"paper": "in stage 2"}, 0.25, True),
    ],
)
def test_what_differs_from_a_paper(row, value, expected):
    assert generator("generate_settings").differs(row, value) is expected


def test_every_setting_is_on_the_page(registry):
    text = (DOCS / "configuration.md").read_text()
    missing = [n for n in RunConfig.model_fields if f"| `{n}` |" not in text]
    missing += [f"budget.{n}" for n in BudgetConfig.model_fields if f"| `budget.{n}` |" not in text]
    for item in own(registry):
        section = next((s for s in text.split("\n### ") if f"`{item.name}`" in s.split("\n")[0]), "")
        missing += [f"{item.name}.{n}" for n in item.component.config.model_fields if f"| `{n}` |" not in section]
    assert not missing


# ---------------------------------------------------------------- pages
def test_every_method_optimizer_and_scheme_has_a_page(registry):
    missing = [i.name for i in own(registry, *PAGED) if not (DOCS / "methods" / f"{i.name}.md").is_file()]
    assert not missing, f"write docs/methods/NAME.md for {', '.join(missing)}"


def test_every_page_has_its_component(registry):
    pages = {p.stem for p in (DOCS / "methods").glob("*.md")} - {"README", "index"}
    assert pages <= {i.name for i in own(registry)} | {"results"}


def test_every_row_of_the_gallery_has_its_picture():
    rows = yaml.safe_load((ROOT / "benchmarks" / "suites" / "gallery.yaml").read_text())["rows"]
    pages = {name: (DOCS / "methods" / f"{name}.md").read_text() for name in rows}
    assert [name for name, page in pages.items() if f"](../images/methods/{name}.jpg)" not in page] == []


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda p: str(p.relative_to(DOCS)))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    broken = [link for link in links if not link.startswith("http") and not (page.parent / link).exists()]
    assert not broken


def commands():
    group = typer.main.get_command(app)
    return set(group.commands)


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda p: p.name)
def test_commands_in_code_exist(page):
    blocks = [a or b for _, a, b in CODE.findall(page.read_text())] if page.is_file() else []
    words = [m for block in blocks for m in re.findall(r"^\s*(?:\$ )?dabench +([a-z][a-z-]*)", block, re.MULTILINE)]
    assert set(words) <= commands(), f"{page.name}: unknown commands"


# ---------------------------------------------------------------- the tutorial
def excerpts():
    """Blocks of the tutorial that say from which file of the example they are."""
    text = (DOCS / "write-a-plugin.md").read_text()
    found = [(body.split("\n", 1)) for _, body, _ in CODE.findall(text) if body.startswith("# example_plugin/")]
    return [(first.removeprefix("# "), rest.strip("\n")) for first, rest in found]


def test_tutorial_quotes_the_example():
    quoted = excerpts()
    assert len(quoted) >= 6
    for name, body in quoted:
        source = (DOCS / name).read_text()
        for part in re.split(r"\n\s*\.\.\.\n", body):
            assert part.strip("\n") in source, f"{name} does not hold what the tutorial quotes:\n{part}"


# ---------------------------------------------------------------- docstrings
@pytest.mark.parametrize("name", dabench.plugin.__all__)
def test_public_names_have_docstrings(name):
    thing = getattr(dabench.plugin, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        assert (thing.__doc__ or "").strip()
        assert not thing.__doc__.startswith(f"{thing.__name__}("), "only the docstring that dataclass makes up"


CONTRACTS = sorted(
    name
    for name, thing in vars(interfaces).items()
    if inspect.isclass(thing) and thing.__module__.startswith(interfaces.__name__)
)


@pytest.mark.parametrize("name", CONTRACTS)
def test_contracts_are_documented(name):
    """Every method and property of a contract says what it must do."""
    contract = getattr(interfaces, name)
    members = {
        k: v for k, v in vars(contract).items() if not k.startswith("_") and (callable(v) or isinstance(v, property))
    }
    silent = [k for k, v in members.items() if not (v.__doc__ or "").strip()]
    assert not silent, f"{name}: {silent}"


def test_modules_and_public_classes_have_docstrings():
    silent = []
    for path in [*(ROOT / "dabench").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]:
        module = ast.parse(path.read_text())
        nodes = [module, *(n for n in module.body if isinstance(n, ast.ClassDef) and not n.name.startswith("_"))]
        silent += [
            f"{path.relative_to(ROOT)}: {getattr(n, 'name', 'module')}" for n in nodes if not ast.get_docstring(n)
        ]
    assert not silent
