"""The shape of the code as tests: floors, single importers, sizes, and what importing costs (docs/architecture.md)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Container, Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from dabench.components.registry import Registry

ROOT = Path(__file__).parents[2]
CORE, PLUGINS = ROOT / "dabench", ROOT / "plugins"
PAGE = ROOT / "docs" / "architecture.md"

#: Rooms of the core from the ground up. A room imports from lower floors and from itself, never from its own floor's
#: other rooms or from above. A room is a module or a package straight below ``dabench``.
FLOORS = (
    ("types", "errors"),
    ("files", "ops", "statistics"),
    ("interfaces",),
    ("data", "annotation", "inference", "evaluation", "training", "tracking", "components"),
    ("runs", "plugin"),
    ("execution", "models", "checking"),
    ("suites",),
    ("leaderboard", "volumes", "testing"),
    ("api",),
    ("cli",),
)
MOST_FLOORS, MOST_ROOMS = 10, 24
FLOOR_OF = {room: number for number, floor in enumerate(FLOORS) for room in floor}

#: Library -> the only modules of the core that may import it.
SINGLE_IMPORTERS = {
    "pluggy": ("dabench.components.hookspecs", "dabench.components.registry"),
    "mlflow": ("dabench.tracking",),
    "yaml": ("dabench.files.yaml",),
    "typer": ("dabench.cli",),
    "click": ("dabench.cli",),
    "rich": ("dabench.cli", "dabench.api.progress", "dabench.api.terminal"),
    "ray": ("dabench.execution",),
    "submitit": ("dabench.execution",),
    "zarr": ("dabench.volumes.output", "plugins.dabench_readers"),
    "scikit_posthocs": ("dabench.statistics",),
}
#: The first command's example in ``dabench --help`` names a method.
MAY_NAME_METHODS = ("cli",)
#: Words of a room's own that are components' names too: a group of metrics, "never ranked" (docs/tracking.md); the
#: probability from which a voxel counts.
OWN_WORDS = {("tracking", "oracle"), ("models", "threshold"), ("volumes", "threshold")}
LONGEST_FILE = 500


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def core_files() -> list[Path]:
    return sorted(CORE.rglob("*.py"))


def plugin_files() -> list[Path]:
    return sorted(p for p in PLUGINS.rglob("*.py") if p.relative_to(PLUGINS).parts[0].startswith("dabench_"))


def module_name(path: Path, root: Path = ROOT) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a file imports, inside functions and under TYPE_CHECKING too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def room_of(name: str) -> str:
    """The room that a dotted name below ``dabench`` lies in; "" for the face."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FLOOR_OF else ""


def rel(path: Path) -> str:
    return str(path.relative_to(ROOT))


# ---------------------------------------------------------------- the core
def test_every_room_has_a_floor():
    rooms = {p.relative_to(CORE).parts[0].removesuffix(".py") for p in core_files()} - {"__init__", "__main__"}
    assert rooms == set(FLOOR_OF), "a new module belongs in FLOORS, above all that it imports"
    assert len(FLOORS) <= MOST_FLOORS
    assert len(rooms) <= MOST_ROOMS


def test_the_page_says_the_same_floors():
    """The table of docs/architecture.md, from the top down."""
    rows = [line.split("|")[2] for line in PAGE.read_text().splitlines() if re.match(r"\| \d+ \|", line)]
    assert [set(re.findall(r"`(\w+)`", row)) for row in rows] == [set(floor) for floor in reversed(FLOORS)]


def test_no_circles():
    """Neither between rooms nor between the modules of one, in functions and under TYPE_CHECKING too."""
    names = {module_name(p): p for p in core_files()}
    arrows = {
        name: {m for _, full in imports(path) if (m := module_of(full, names)) and m != name}
        for name, path in names.items()
    }
    try:
        list(TopologicalSorter(arrows).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def module_of(name: str, names: Container[str]) -> str:
    """The module that a dotted name lies in; "" outside the core."""
    while name and name not in names:
        name = name.rpartition(".")[0]
    return name if name != "dabench" else ""


@pytest.mark.parametrize("path", core_files(), ids=rel)
def test_imports_go_downward(path):
    own = room_of(module_name(path))
    wrong = []
    for line, name in imports(path):
        if name.split(".")[0] != "dabench" or not own:
            continue
        room = room_of(name)
        if not room and name != "dabench.__version__":
            wrong.append(f"{rel(path)}:{line}: imports the front door ({name})")
        elif room and room != own and FLOOR_OF[room] >= FLOOR_OF[own]:
            wrong.append(f"{rel(path)}:{line}: {own} imports {room}")
    assert not wrong, "\n".join(wrong)


def test_the_front_door_loads_lazily():
    lazy = [node for node in tree(CORE / "__init__.py").body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [getattr(node, "module", None) or node.names[0].name for node in lazy]
    assert all(not name.startswith("dabench") for name in names)


def test_core_imports_no_plugin():
    plugins = {p.name for p in PLUGINS.iterdir() if p.is_dir()}
    found = [f"{rel(p)}:{line}: {n}" for p in core_files() for line, n in imports(p) if n.split(".")[0] in plugins]
    assert not found, "\n".join(found)


def test_core_names_no_component():
    """No method's name in any text of the core, and no other component's name as a value on its own."""
    kinds = ("method", "network", "backbone", "self_training", "preference_optimizer")
    registry = Registry.load()
    names = {n for kind in kinds for n in registry.names(kind) if registry.get(kind, n).distribution == "dabench"}
    methods = {n for n in names if "method" in registry.kinds_of(n)}
    found = []
    for path in core_files():
        room = path.relative_to(CORE).parts[0]
        if room in MAY_NAME_METHODS:
            continue
        for line, text in texts(path):
            if (room, text) in OWN_WORDS:
                continue
            if text in names or any(method in text and "-" in method for method in methods):
                found.append(f"{rel(path)}:{line}: {text!r}")
    assert not found, "\n".join(found)


def test_core_knows_no_preference_setting():
    """`po` is a setting of the methods that have it; beside the shortcuts for people, old records may name it."""
    allowed = {"cli", "api", "__init__.py"}
    old_records = {"dabench/runs/config.py", "dabench/tracking/run_reader.py", "dabench/tracking/frames.py"}
    found = [
        f"{rel(path)}:{node.lineno}"
        for path in core_files()
        if path.relative_to(CORE).parts[0] not in allowed and rel(path) not in old_records
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.Attribute) and node.attr == "po")
        or (isinstance(node, ast.Constant) and node.value == "po")
        or (isinstance(node, ast.Name) and node.id == "po")
    ]
    assert not found, "\n".join(found)


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """String constants that are no docstrings."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


@pytest.mark.parametrize("library", SINGLE_IMPORTERS)
def test_single_importers(library):
    allowed = SINGLE_IMPORTERS[library]
    found = [
        f"{rel(path)}:{line}"
        for path in [*core_files(), *plugin_files()]
        for line, name in imports(path)
        if name.split(".")[0] == library and not any(f"{module_name(path)}.".startswith(f"{home}.") for home in allowed)
    ]
    assert not found, f"{library} belongs in {', '.join(allowed)} alone: {', '.join(found)}"


# ---------------------------------------------------------------- plugins
@pytest.mark.parametrize("path", plugin_files(), ids=rel)
def test_plugins_import_their_own_door_and_ops(path):
    own = path.relative_to(PLUGINS).parts[0]
    wrong = []
    for line, name in imports(path):
        first = name.split(".")[0]
        if first == "dabench" and room_of(name) not in ("plugin", "ops", "types"):
            wrong.append(f"{rel(path)}:{line}: {name} (a plugin imports dabench.plugin and dabench.ops)")
        elif first.startswith("dabench_") and first != own:
            wrong.append(f"{rel(path)}:{line}: {name} (ask the registry for it by name)")
    assert not wrong, "\n".join(wrong)


def test_every_plugin_folder_is_an_entry_point():
    import tomllib

    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["dabench"].values()
    folders = {p.name for p in PLUGINS.iterdir() if (p / "__init__.py").is_file()}
    assert set(declared) == folders


# ---------------------------------------------------------------- sizes and habits
@pytest.mark.parametrize("path", [*core_files(), *plugin_files()], ids=rel)
def test_size_and_prints(path):
    lines = len(path.read_text().splitlines())
    assert lines <= LONGEST_FILE, f"{rel(path)} has {lines} lines"
    if "cli" not in path.parts:
        prints = [n.lineno for n in ast.walk(tree(path)) if isinstance(n, ast.Call) and ast.unparse(n.func) == "print"]
        assert not prints, f"{rel(path)}: print in lines {prints}"


def test_functions_are_short():
    """Half of all functions under 15 lines, none over 60: flags apart, and the front door's docstrings."""
    spans = {
        f"{rel(path)}:{node.lineno} {node.name}": lines_of(node, docstring=path.parent.name != "api")
        for path in [*core_files(), *plugin_files()]
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef)
    }
    assert sorted(spans.values())[len(spans) // 2] < 15
    long = {name: span for name, span in spans.items() if span > 60 and name.split("/")[1] != "cli"}
    assert not long, long


def lines_of(node: ast.FunctionDef, *, docstring: bool) -> int:
    first = node.body[0]
    said = 0 if docstring or ast.get_docstring(node) is None else (first.end_lineno or 0) - first.lineno + 1
    return (node.end_lineno or 0) - node.lineno + 1 - said


@pytest.mark.parametrize(
    "module",
    [
        "dabench",
        "dabench.cli.main",
        "dabench.runs.config",
        "dabench.errors",
        "dabench.suites.submitting",  # a login node of a cluster submits with these two
        "dabench.api.prediction_jobs",
    ],
)
def test_light_imports(module):
    heavy = ("torch", "mlflow", "matplotlib", "pandas", "timm", "skimage", "scipy")
    code = f"import {module}, sys; sys.exit(' '.join(m for m in {heavy!r} if m in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, f"import {module} loads {done.stderr.strip()}"
