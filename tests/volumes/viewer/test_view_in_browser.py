"""The page in a real browser: slices move, layers change pixels, keys, zoom and address work, nothing is requested."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_data import ATTACK, HEIGHT, WIDTH, arrays, view_data, write

Open = Callable[..., Any]


@pytest.fixture
def show(visit: Open, tmp_path: Path) -> Open:
    """Open a scene."""

    def open_scene(shown: Any = None, address: str = "", **cut: Any) -> Any:
        page = visit(write(tmp_path / "view.html", shown, **cut), address)
        page.wait_for_selector("#stage[data-shown]")
        return page

    return open_scene


def wait(page: Any, z: int) -> None:
    page.wait_for_selector(f'#stage[data-shown="{z}"]')


def pixels(page: Any, places: list[tuple[float, float]]) -> np.ndarray:
    """What the overlay has at places of the slice, ``(x, y)`` in pixels from its corner: ``(N, 4)``."""
    flat = page.evaluate(
        """places => {
            const { scale, left, top } = placement();
            const { width, height } = overlayCanvas;
            const pen = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
            pen.drawImage(overlayCanvas, 0, 0);
            const { data } = pen.getImageData(0, 0, width, height);
            const first = ([x, y]) => 4 * (Math.floor(top + y * scale) * width + Math.floor(left + x * scale));
            return places.map((place) => [...data.subarray(first(place), first(place) + 4)]);
        }""",
        places,
    )
    return np.asarray(flat, np.uint8)


def overlay(page: Any) -> np.ndarray:
    """What the overlay has at the middle of each slice pixel: ``(H, W, 4)``."""
    middles = [(x + 0.5, y + 0.5) for y in range(HEIGHT) for x in range(WIDTH)]
    return pixels(page, middles).reshape(HEIGHT, WIDTH, 4)


#: Where each layer of slice 1 draws something: edges, an object's middle, a point.
PLACES = [(4, 7.5), (12, 11), (8.5, 7.5)]


def hash_of(page: Any, part: str) -> None:
    page.wait_for_function("part => location.hash.includes(part)", arg=part)


# ---------------------------------------------------------------- slices
def test_slider_arrows_buttons_and_wheel_change_the_slice(show):
    page = show()
    wait(page, 0)
    slider = page.get_by_label("Slice", exact=True).and_(page.locator("input"))
    slider.fill("2")
    wait(page, 2)
    page.keyboard.press("ArrowRight")
    wait(page, 3)
    page.get_by_role("button", name="Previous slice").click()
    wait(page, 2)
    page.locator("#stage").hover()
    page.mouse.wheel(0, -120)
    wait(page, 1)
    assert slider.input_value() == "1"
    assert "Slice z = 1 · 2 of 4 · 2 objects · 1 in the truth · Dice 70.6 %" in page.locator("#about").inner_text()
    page.keyboard.press("End")
    wait(page, 3)
    assert page.get_by_role("button", name="Next slice").is_disabled()
    assert "both empty" in page.locator("#about").inner_text()


def test_slices_keep_their_numbers_when_thinned(show):
    page = show(slices=range(1, 4), every=2)
    page.keyboard.press("ArrowRight")
    wait(page, 3)
    assert "2 of 2" in page.locator("#about").inner_text()
    assert "2 of 3 slices are shown" in page.locator("#notes").inner_text()


# ---------------------------------------------------------------- layers
def test_errors_have_the_colours_of_the_legend_at_the_right_pixels(show):
    page = show(address="#z=1&on=e&strength=1")
    found, known = overlay(page), arrays()
    truth, predicted = known["truth"][1], known["prediction"][1] > 0
    expected = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    expected[(truth == 1) & predicted] = (0, 200, 80, 255)
    expected[(truth == 1) & ~predicted] = (230, 40, 40, 255)
    expected[(truth == 0) & predicted] = (50, 90, 255, 255)
    expected[truth == 255] = (150, 150, 150, 255)
    assert (found == expected).all()


def test_contours_lie_on_the_edges_of_objects(show):
    page = show(address="#z=1&on=p")
    drawn = pixels(page, [(4, 7.5), (12, 7.5), (8.5, 4), (8.5, 10), (8.5, 7.5), (2.5, 2.5)])
    assert [pixel[3] > 80 for pixel in drawn] == [True] * 4 + [False] * 2
    assert all(pixel[0] > 200 and pixel[2] < 60 for pixel in drawn[:4]), "yellow"


def test_every_switch_and_key_changes_the_overlay(show):
    page = show(address="#z=1&on=")
    assert not overlay(page).any()
    for key, name in zip("ptehio", ("Prediction", "Truth", "Errors", "Probability", "Objects", "Points"), strict=True):
        page.keyboard.press(key)
        box = page.locator("#layers").get_by_label(name)
        assert box.is_checked()
        assert pixels(page, PLACES).any()
        box.uncheck()
        assert not overlay(page).any()
    page.keyboard.press("h")
    page.keyboard.press("a")
    assert not overlay(page).any()
    page.get_by_role("button", name="Hide all").click()
    assert overlay(page).any()


def test_only_layers_that_are_there_are_offered(show):
    gone = dict.fromkeys(("truth", "probability", "instances", "prediction"))
    page = show(view_data(**gone, points={}))
    assert page.locator("#layers input").count() == 0
    page.keyboard.press("e")
    assert not overlay(page).any()


def test_objects_differ_in_colour_and_the_cursor_names_them(show):
    page = show(address="#z=1&on=i&strength=1")
    found = overlay(page)
    assert (found[5, 5] != found[17, 22]).any()
    assert (found[4:10, 4:12] == found[5, 5]).all()
    x, y = page.evaluate(
        """() => {
            const [{ scale, left, top }, box] = [placement(), stage.getBoundingClientRect()];
            return [box.left + left + 22.5 * scale, box.top + top + 17.5 * scale];
        }"""
    )
    page.mouse.move(x, y)
    assert page.locator("#pixel").text_content() == f"x 22  y 17  z 1   p 0.90   id {2**60}"


# ---------------------------------------------------------------- view
def test_zoom_drag_and_back(show):
    page = show(address="#z=1")
    assert page.locator("#bar").inner_text() == "50 nm"
    page.keyboard.press("+")
    page.get_by_role("button", name="Zoom in").click()
    assert page.locator("#zoom").inner_text() == "2.3 ×"
    before = page.evaluate("({ ...view })")
    page.locator("#stage").hover()
    page.mouse.down()
    page.mouse.move(600, 300)
    page.mouse.up()
    assert page.evaluate("({ ...view })") != before
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    page.wait_for_function("view.zoom > 5")
    assert page.locator("#stage").get_attribute("data-shown") == "1", "that wheel zooms and leaves the slice"
    page.keyboard.press("0")
    assert page.evaluate("({ ...view })") == {"zoom": 1, "x": 0.5, "y": 0.5}


def test_the_bar_is_as_long_as_it_says(show):
    page = show()
    length = page.evaluate("parseFloat(part('bar').style.getPropertyValue('--length'))")
    nanometres = float(page.locator("#bar").inner_text().removesuffix(" nm"))
    assert length == pytest.approx(nanometres / 8 * page.evaluate("placement().scale"))


def test_without_a_voxel_size_the_bar_counts_pixels(show):
    page = show(view_data(voxel=None))
    assert page.locator("#bar").inner_text().endswith(" px")
    assert "voxel size unknown" in page.locator("#facts").inner_text()


def test_brightness_and_contrast(show):
    page = show()
    page.get_by_label("Contrast").fill("2")
    assert page.locator("#image").evaluate("one => one.style.filter") == "brightness(1) contrast(2)"
    page.get_by_label("Contrast").press("ArrowRight")
    assert page.locator("#stage").get_attribute("data-shown") == "0", "the arrow moves the contrast, not the slice"
    page.get_by_role("button", name="Reset").click()
    assert page.locator("#image").evaluate("one => one.style.filter") == "brightness(1) contrast(1)"


# ---------------------------------------------------------------- address
def test_the_address_holds_the_view_and_brings_it_back(show):
    page = show()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("e")
    page.keyboard.press("t")
    page.keyboard.press("+")
    hash_of(page, "zoom=1.5")
    address = page.evaluate("location.hash")
    assert address == "#z=1&on=peo&zoom=1.5&x=0.5&y=0.5"
    page.evaluate("location.hash = '#z=3&on='")
    wait(page, 3)
    page.evaluate("address => { location.hash = address }", address)
    wait(page, 1)
    shown = "offered.filter((name) => part(`layer-${name}`).checked)"
    assert page.evaluate(shown) == ["prediction", "errors", "points"]
    assert page.evaluate("view.zoom") == 1.5


@pytest.mark.parametrize("address", ["#z=99999&zoom=1e9&x=-3", "#z=abc&on=%3Cimg%3E&contrast=NaN", "#", "#%E0%A4%A"])
def test_any_address_opens(show, address):
    page = show(address=address)
    assert page.locator("#stage").get_attribute("data-shown") in ("0", "3")


# ---------------------------------------------------------------- sizes, strangers
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_no_wider_than_the_window(show, width, scheme):
    page = show(view_data(title="a" * 300, notes=("b" * 300,)))
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(247, 247, 245)"
    assert light == (scheme == "light")
    assert page.locator("#stage").bounding_box()["width"] > 0.6 * width


def test_names_of_strangers_stay_text(show):
    page = show(view_data(title=ATTACK, notes=(ATTACK,)))
    assert page.locator("h1").inner_text() == ATTACK
    assert page.locator("#notes li").first.inner_text() == ATTACK
    assert page.title() == ATTACK


def test_every_control_has_a_name(show):
    page = show()
    unnamed = """all => all.filter((one) => !(one.textContent.trim() || one.ariaLabel || one.labels?.length)).length"""
    assert page.locator("button, input").evaluate_all(unnamed) == 0
