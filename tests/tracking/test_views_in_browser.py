"""MLflow's own pages open the views that dabench saves, and `dabench ui` says where."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys

import pytest
from made_up_suite import write_suite

from dabench.files.atomic import write_json
from dabench.files.workspace import Workspace

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright (the dev extra) drives the browser")
CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (Debian: apt install chromium)"),
]
PATIENCE = 180_000  # milliseconds: the server starts, on a busy core


@pytest.fixture(scope="module")
def charts(tmp_path_factory):
    """The address of a suite's charts, as `dabench ui` prints it."""
    workspace = Workspace(tmp_path_factory.mktemp("workspace"))
    cells = [{"cell_id": c, "row": row, "excluded": ""} for c, row in write_suite(workspace.runs, seeds=2).items()]
    write_json(workspace.root / "suites" / "made-up" / "manifest.json", {"name": "made-up", "cells": cells})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from dabench.cli.main import main; main()", "ui", "--port", str(port)]
    environment = {**os.environ, "DABENCH_WORKSPACE": str(workspace.root), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        lines = iter(server.stdout.readline, "")
        yield next(line.split(": ", 1)[1].strip() for line in lines if line.startswith("made-up: "))
        server.send_signal(signal.SIGTERM)


@pytest.fixture(scope="module")
def page(charts):
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE)
        for _ in range(60):
            try:
                page.goto(charts)
                break
            except sync_api.Error:
                page.wait_for_timeout(2000)
        yield page
        browser.close()


def names(page) -> list[str]:
    """Runs in the list, top to bottom."""
    script = "rows => rows.map(row => [Number(row.getAttribute('row-index')), row.querySelector('a')?.innerText])"
    return [name for _, name in sorted(page.locator(".ag-row:has(a)").evaluate_all(script))]


def test_the_address_opens_charts_with_one_run_a_row_best_first(page):
    area = page.get_by_test_id("experiment-view-compare-runs-chart-area")
    area.get_by_text("target_test/aji").wait_for()
    assert page.get_by_test_id("saved-views-trigger").inner_text() == "dabench: means with intervals"
    assert names(page) == ["all labels", "points + preferences", "points", "source only"]
    shown = area.inner_text().split("\n")
    assert shown[:2] == ["Comparison", "(5)"]
    assert "target_test/dice" in shown
    assert "cost/annotation_seconds vs. target_test/dice" in shown
    assert "target_test/dice_low vs target_test/dice vs target_test/dice_high" in shown


def test_the_list_of_views_opens_the_leaves(page):
    page.get_by_test_id("saved-views-trigger").click()
    page.get_by_text("dabench: seeds by row").click()
    page.get_by_text("Group: points + preferences").wait_for()
    assert page.get_by_text("16 matching runs").is_visible(), "4 rows x 2 tasks x 2 seeds, no summary among them"
    assert page.get_by_test_id("saved-views-trigger").inner_text() == "dabench: seeds by row"
