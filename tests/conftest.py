"""Shared: a registry, configurations small enough for a test, a trained run, and a browser for pages."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch

from dabench.components.registry import PluginStatus, Registry
from dabench.files.workspace import Workspace
from dabench.interfaces.observer import Observer
from dabench.models import Model, load_model
from dabench.runs.config import RunConfig, validate_config
from dabench.runs.runner import run_cell
from dabench.tracking import RunRecord

#: A few updates a stage on small crops: seconds, not results.
FEW = {
    "source-only": {"iterations": 6, "crop": 64, "batch": 2},
    "prompt-das": {"iterations": 6, "crop": 64, "batch": 1, "recalibrate": 2},
    "prefer-das": {"iterations": 4, "batch": 2, "source_batch": 1},
}
#: A phantom of few and small slices.
SMALL = {"size": 96, "train_slices": 3, "test_slices": 3}
PHANTOMS = {"phantom-human": SMALL, "phantom-stem": SMALL}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Listings are kept apart from the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DABENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def registry() -> Registry:
    return Registry.load()


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Let the commands of a test find these plugins alone, given as ``name=module``."""

    def install(**plugins: ModuleType) -> None:
        registry = Registry()
        for name, module in plugins.items():
            registry.add(module, PluginStatus(name, "dabench"))
        monkeypatch.setattr(Registry, "load", classmethod(lambda cls: registry))
        monkeypatch.setenv("DABENCH_CACHE", str(tmp_path / "listings"))

    return install


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a window; skips where it or playwright is not installed."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright (the dev extra) drives the browser")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on this machine (Debian: apt install chromium)")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield running
        running.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page's file. Whatever a test does, nothing is requested, no line is said and no script gets in."""
    requests: list[str] = []
    said: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))

    def open_file(file: Path, address: str = "") -> Any:
        page.goto(file.as_uri() + address)
        requests.remove(file.as_uri())
        return page

    yield open_file
    attacked = page.evaluate("window.attacked")
    context.close()
    assert [url for url in requests if not url.startswith(("data:", "blob:"))] == []
    assert said == []
    assert attacked is None


@pytest.fixture
def visit_site(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page of a site in a folder. Whatever a test does, every request stays in that folder; none fails."""
    requests: list[str] = []
    said: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.on("request", lambda request: requests.append(request.url))
    page.on("requestfailed", lambda request: said.append(f"failed: {request.url}"))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    folders: list[str] = []

    def open_page(folder: Path, name: str = "index.html") -> Any:
        folders.append(folder.as_uri())
        page.goto(f"{folder.as_uri()}/{name}")
        return page

    yield open_page
    context.close()
    assert [url for url in requests if not url.startswith((*folders, "data:", "blob:"))] == []
    assert said == []


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


class Told(Observer):
    """Keeps how much of each piece of work was done: by its name, the last (done, total)."""

    def __init__(self) -> None:
        self.work: dict[str, tuple[int, int]] = {}

    def advanced(self, work: str, done: int, total: int, values: Mapping[str, float] | None = None) -> None:
        assert done >= self.work.get(work, (0, 0))[0]
        self.work[work] = done, total


def few(method: str = "prefer-das", *, small: bool = True, **changes: Any) -> RunConfig:
    """A run of a few updates on phantoms, `SMALL` ones unless otherwise said; ``options`` are merged into `FEW`."""
    stages = {"source-only": 1, "oracle": 1, "prompt-das": 2, "prefer-das": 3}[method]
    options = {name: dict(values) for name, values in list(FEW.items())[:stages]}
    if small and changes.get("data", "phantom") == "phantom":
        domains = [f"phantom-{name}" for name in changes.get("task", "human2stem").split("2")]
        options |= {name: dict(size) for name, size in PHANTOMS.items() if name in domains}
    for name, values in changes.pop("options", {}).items():
        options.setdefault(name, {}).update(values)
    values = {"method": method, "task": "human2stem", "data": "phantom", "preset": "tiny", "options": options}
    return validate_config({**values, **changes})


class Trained(NamedTuple):
    """A finished run, and its model."""

    config: RunConfig
    workspace: Workspace
    record: RunRecord
    model: Model


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Trained:
    """Two stages of a few updates: a teacher that only taught, and a network that takes points."""
    workspace = Workspace(tmp_path_factory.mktemp("trained"))
    config = few("prompt-das", small=False)
    record = run_cell(config, registry, workspace)
    return Trained(config, workspace, record, load_model(config.cell_id, registry, workspace))
