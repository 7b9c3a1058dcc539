"""The docs site's own parts in a browser; `make docs` builds the whole site strictly."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pages built with the settings of mkdocs.yml, without the API reference."""
    mkdocs = pytest.importorskip("mkdocs.commands.build", reason="mkdocs (the docs extra) builds the site")
    from mkdocs.config import load_config

    pages, target = tmp_path_factory.mktemp("pages"), tmp_path_factory.mktemp("site")
    (pages / "index.md").write_text("# First\n\n[next](other.md)\n")
    (pages / "other.md").write_text("# Second\n\nA cristae sentence.\n\n    dabench run\n")
    for name in ("site.css", "iframe-worker.js"):
        (pages / name).write_text((ROOT / "docs" / name).read_text())
    plugins = ["search", "offline"]
    config = load_config(str(ROOT / "mkdocs.yml"), docs_dir=str(pages), site_dir=str(target), plugins=plugins)
    config.nav = None
    config.plugins.run_event("startup", command="build", dirty=False)
    mkdocs.build(config)
    return target


def test_search_works_from_a_folder_and_asks_no_other_host(site, visit_site):
    page = visit_site(site)  # the fixture fails on any request that leaves the folder
    page.keyboard.press("/")
    page.keyboard.type("cristae")
    found = page.locator(".md-search-result__item")
    found.first.wait_for()
    assert "Second" in found.first.inner_text()
    found.locator("a").first.click()
    page.wait_for_url("**/other.html*")
    assert "sentence" in page.locator("article").inner_text()


@pytest.mark.parametrize("width", [400, 1440])
def test_pages_are_not_wider_than_the_window(site, visit_site, width):
    page = visit_site(site, "other.html")
    page.set_viewport_size({"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
