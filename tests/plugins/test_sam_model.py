"""The foundation model: its answers are the library's, its prompts land where they were given, embeddings are kept."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from dabench_sam_model.cache import EmbeddingCache
from dabench_sam_model.network import SamNetwork
from dabench_sam_model.predictor import Canvas, Grid, PromptPredictor, Whole, stability
from dabench_sam_model.sizes import SIZES
from transformers.models.sam.image_processing_sam_fast import SamImageProcessorFast

from dabench.inference import Tiling, profile_named
from dabench.inference.predictor import FlippedPredictor
from dabench.inference.volume import predict_slice
from dabench.ops.components import label_components
from dabench.ops.prompts import pad_points
from tests.plugins.sam_networks import Discs, loud

SIDE = SIZES["tiny"].side


@pytest.fixture(scope="module")
def network() -> SamNetwork:
    return loud()


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------- the library's own forward pass
@pytest.mark.parametrize("count", [1, 40])
@torch.no_grad()
def test_prompts_get_the_librarys_masks(network: SamNetwork, count: int) -> None:
    images = noise(2, 1, SIDE, SIDE)
    points = noise(count, 1, 2, seed=1) * SIDE
    theirs = network.sam(pixel_values=network.pixels(images[1:]), input_points=points[None])
    ours = network.decode(network.encode(images), points, torch.ones(count, dtype=torch.long), (SIDE, SIDE))
    assert ours.logits.abs().mean() > 0.1
    torch.testing.assert_close(ours.logits, theirs.pred_masks[0], rtol=1e-5, atol=2e-5)  # 1.2e-5 with torch 2.10
    torch.testing.assert_close(ours.quality, theirs.iou_scores[0], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_without_a_prompt_it_is_the_librarys_single_mask(network: SamNetwork) -> None:
    images = noise(2, 1, SIDE, SIDE)
    theirs = network.sam(pixel_values=network.pixels(images), multimask_output=False)
    ours = network.whole(network.encode(images))
    torch.testing.assert_close(ours.logits, theirs.pred_masks[:, 0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.quality, theirs.iou_scores[:, 0], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_several_points_of_one_prompt(network: SamNetwork) -> None:
    images, points = noise(1, 1, SIDE, SIDE), noise(3, 2, 2, seed=2) * SIDE
    theirs = network.sam(pixel_values=network.pixels(images), input_points=points[None])
    ours = network.decode(network.encode(images), points, torch.zeros(3, dtype=torch.long), (SIDE, SIDE))
    torch.testing.assert_close(ours.logits, theirs.pred_masks[0], rtol=1e-5, atol=1e-5)


def test_no_prompts_at_all(network: SamNetwork) -> None:
    empty = network.decode(noise(1, 32, 12, 12), torch.zeros(0, 1, 2), torch.zeros(0, dtype=torch.long), (SIDE, SIDE))
    assert empty.logits.shape == (0, 3, 48, 48)
    assert empty.best()[0].shape == (0, 48, 48)
    assert network.enlarge(empty.logits, (SIDE, SIDE)).shape == (0, 3, SIDE, SIDE)


@pytest.mark.parametrize("overlap", [0.7, 1.1])
@torch.no_grad()
def test_automatic_masks_are_those_of_the_librarys_filters(network: SamNetwork, overlap: float) -> None:
    """The same points, the library filters, thins out, and so do we."""
    image = noise(1, 1, SIDE, SIDE)
    grid = Grid(side=5)
    of = torch.zeros(25, dtype=torch.long)
    masks = network.decode(network.encode(image), grid.points((SIDE, SIDE))[:, None], of, (SIDE, SIDE))
    large = network.enlarge(masks.logits, (SIDE, SIDE))
    # Masks of noise reach over the whole tile: where boxes may overlap altogether, more than one is left.
    grid = Grid(5, 0.05, float(stability(large.flatten(0, 1)).median()), overlap)
    library = SamImageProcessorFast()
    kept = library.filter_masks(
        large, masks.quality, (SIDE, SIDE), [0, 0, SIDE, SIDE], grid.quality, grid.stability, 0, 1
    )
    theirs, scores, _, _ = library.post_process_for_mask_generation(*kept, grid.overlap)
    something = [row for row, mask in enumerate(theirs) if mask.any()]
    theirs, scores = [theirs[row] for row in something], scores[something]
    ours, quality = grid.masks(network, network.encode(image), (SIDE, SIDE))
    assert len(theirs) > (2 if overlap > 1 else 0)
    assert torch.equal(ours, torch.stack(theirs))
    torch.testing.assert_close(quality, scores)


# ---------------------------------------------------------------- pixels and points
def test_grey_levels_reach_the_encoder_as_it_was_trained() -> None:
    """White is 255 in red, green and blue: (255 - 123.675) / 58.395 in red; what lies outside is 0."""
    seen = SamNetwork(SIZES["tiny"]).pixels(torch.ones(1, 1, SIDE // 2, SIDE))
    assert seen.shape == (1, 3, SIDE, SIDE)
    assert seen[0, :, 0, 0].tolist() == pytest.approx([2.24891, 2.42857, 2.64], abs=1e-4)
    assert not seen[:, :, SIDE // 2 :].any()


@pytest.mark.parametrize("size", [(48, 48), (24, 48), (96, 96), (96, 40)])
def test_a_point_stays_on_its_pixel(network: SamNetwork, size: tuple[int, int]) -> None:
    """The brightest spot of what the encoder sees lies where the point of the bright pixel is placed: (x, y)."""
    x, y = 30, 17
    image = torch.zeros(1, 1, *size)
    image[0, 0, y, x] = 1
    seen = network.pixels(image)[0, 0, : round(size[0] * SIDE / max(size)), : round(size[1] * SIDE / max(size))]
    rows, columns = torch.nonzero(torch.isclose(seen, seen.max(), atol=1e-3), as_tuple=True)
    placed = network._placed(torch.tensor([[x, y]]), size)[0]
    assert placed.tolist() == pytest.approx([float(columns.float().mean()), float(rows.float().mean())], abs=1e-4)


def test_masks_come_back_on_the_pixels_of_the_image(network: SamNetwork) -> None:
    """A mask of one quadrant of the part that was seen is one quadrant of the image."""
    logits = torch.full((1, 1, 48, 48), -10.0)
    logits[..., :12, :24] = 10.0
    found = network.enlarge(logits, (40, 80))[0, 0] > 0
    assert found[:20, :40].all()
    assert not found[20:].any()
    assert not found[:, 40:].any()


# ---------------------------------------------------------------- clicks
def clicked(points: list[list[float]], size: tuple[int, int] = (40, 60)) -> tuple[np.ndarray, np.ndarray]:
    predictor = PromptPredictor(Discs(), Whole())
    found = predictor.predict(torch.ones(1, 1, *size), [torch.tensor(points).reshape(-1, 2)])
    assert found.instances is not None
    return found.instances[0].numpy(), found.probability[0].numpy()


def test_one_object_a_click_on_its_place() -> None:
    ids, probability = clicked([[50, 10], [20, 30]])
    assert (ids[10, 50], ids[30, 20], ids[10, 20]) == (1, 2, 0)
    assert np.array_equal(ids > 0, probability > 0.5)
    assert (ids == 1).sum() == 29, "pixels within 3 px of a pixel"


def test_a_later_object_takes_no_pixel_of_an_earlier_one() -> None:
    ids, _ = clicked([[20, 20], [22, 20]])
    assert (ids == 1).sum() == 29
    assert 0 < (ids == 2).sum() < 29


def test_two_clicks_on_one_pixel_are_one_object() -> None:
    ids, _ = clicked([[20, 20], [20, 20]])
    assert np.unique(ids).tolist() == [0, 1]


def test_a_click_on_the_border() -> None:
    ids, _ = clicked([[59, 39], [0, 0]])
    assert (ids[39, 59], ids[0, 0]) == (1, 2)
    assert (ids == 2).sum() == 11, "a quarter of the disc"


def test_no_click_is_background_and_nothing_else() -> None:
    ids, probability = clicked([])
    assert not ids.any()
    assert not probability.any()


def test_five_hundred_clicks() -> None:
    points = [[10 * x, 10 * y] for y in range(20) for x in range(25)]
    ids, _ = clicked(points, (200, 250))
    assert ids.max() == 500
    assert all(ids[y, x] == number for number, (x, y) in enumerate(points, 1))


def test_clicks_through_tiles_and_flips() -> None:
    """A point of a slice is found in its tile, through a flip of it and back, as one object on its place."""
    image = np.ones((70, 110), np.float32)
    image[:2, :2] = 0  # a tile of one grey is not asked about without points
    points = np.array([[3, 5], [100, 66], [55, 20]], np.float32)
    for predictor in (PromptPredictor(Discs(), Whole()), FlippedPredictor(PromptPredictor(Discs(), Whole()))):
        found = predict_slice(predictor, image, Tiling(48, profile_named("tiles"), 4), points)
        assert found.instances is not None
        assert len(np.unique(found.instances)) == 4
        assert all(found.probability[int(y), int(x)] > 0.5 for x, y in points)
        assert len({found.instances[int(y), int(x)] for x, y in points}) == 3


def test_the_same_with_the_real_network_flipped(network: SamNetwork) -> None:
    """Asked about a mirrored tile with mirrored points, the flipped predictor asks about the tile itself."""
    image, points = noise(1, 1, SIDE, SIDE), torch.tensor([[20.0, 70.0], [80.0, 10.0]])
    predictor = network.predictor("whole")
    mirrored = torch.stack([SIDE - 1 - points[:, 0], points[:, 1]], dim=1)
    own = predictor.predict(image, [points]).probability
    both = FlippedPredictor(predictor)._flipped(image.flip(-1), [mirrored], (-1,), False).probability
    torch.testing.assert_close(both.flip(-1), own, rtol=1e-5, atol=1e-5)


# ---------------------------------------------------------------- without clicks
def test_asked_once_the_components_are_the_objects() -> None:
    image = torch.ones(1, 1, 20, 30)
    image[0, 0, 2:5, 2:5] = image[0, 0, 10:14, 20:25] = 0
    found = PromptPredictor(Discs(), Whole()).predict(image)
    assert found.instances is not None
    assert np.array_equal(found.instances[0].numpy(), label_components(image[0, 0].numpy() == 0))


def test_a_grid_finds_no_object_twice_and_leaves_large_ones_out() -> None:
    """4 x 4 clicks on 40 x 40 px: discs that do not meet; each covers 29 of 1600 pixels."""
    image = torch.ones(1, 1, 40, 40)
    every = PromptPredictor(Discs(), Grid(side=4, quality=0.5, stability=0.5)).predict(image)
    none = PromptPredictor(Discs(), Grid(side=4, quality=0.5, stability=0.5, largest=0.01)).predict(image)
    sure = PromptPredictor(Discs(), Grid(side=4, quality=0.95, stability=0.5)).predict(image)
    assert every.instances is not None
    assert every.instances.max() == 16
    assert set(every.probability.unique().tolist()) == {0.0, 1.0}
    assert not none.probability.any()
    assert not sure.probability.any()


def test_the_grid_is_the_middles_of_equal_cells() -> None:
    assert Grid(side=2).points((8, 16)).tolist() == [[4, 2], [12, 2], [4, 6], [12, 6]]


def test_stability_by_hand() -> None:
    logits = torch.tensor([[[2.0, 0.5, -0.5, -2.0]], [[-5.0, -5.0, -5.0, -5.0]]])
    assert stability(logits).tolist() == [pytest.approx(1 / 3), 0]


def test_the_probability_is_the_highest_of_a_pixels_objects() -> None:
    canvas = Canvas((1, 2), torch.device("cpu"))
    canvas.add(torch.tensor([[[1.0, -1.0]], [[2.0, -3.0]]]))
    assert canvas.probability[0].tolist() == pytest.approx(torch.tensor([2.0, -1.0]).sigmoid().tolist())


# ---------------------------------------------------------------- as any network
@torch.no_grad()
def test_a_networks_logits_are_the_union_of_its_points(network: SamNetwork) -> None:
    images, points = noise(2, 1, SIDE, SIDE), [noise(3, 2, seed=3) * SIDE, torch.zeros(0, 2)]
    logits = network(images, pad_points(points)).logits
    of, size = torch.zeros(3, dtype=torch.long), (SIDE, SIDE)
    best, _ = network.decode(network.encode(images), points[0][:, None], of, size).best()
    torch.testing.assert_close(logits[0], network.enlarge(best[:, None], size).amax(dim=0))
    torch.testing.assert_close(logits[1], network.enlarge(network.whole(network.encode(images)).logits, size)[1])


# ---------------------------------------------------------------- embeddings that are kept
def test_a_tile_is_encoded_once_for_any_number_of_prompts(network: SamNetwork) -> None:
    own, calls = deepcopy(network), []
    own.sam.vision_encoder.register_forward_hook(lambda *_: calls.append(1))
    predictor, tiles = own.predictor("whole"), noise(2, 1, SIDE, SIDE)
    for points in (None, [torch.zeros(0, 2)] * 2, [torch.tensor([[5.0, 6.0]])] * 2):
        predictor.predict(tiles, points)
    predictor.predict(tiles[:1])
    assert len(calls) == 1
    predictor.predict(noise(1, 1, SIDE, SIDE, seed=9))
    assert len(calls) == 2
    with torch.no_grad():
        own.sam.vision_encoder.pos_embed.add_(1)
    predictor.predict(tiles)
    assert len(calls) == 3, "other weights, other embeddings"
    own(tiles).logits.sum().backward()
    assert len(calls) == 4, "where a gradient is wanted nothing is kept"


def test_the_cache_forgets_what_was_asked_for_longest_ago() -> None:
    asked: list[int] = []

    def encode(images: torch.Tensor) -> torch.Tensor:
        asked.append(len(images))
        return images.clone()

    cache, tiles = EmbeddingCache(most=2 * 4 * 16), noise(3, 1, 4, 4)
    nothing = torch.nn.Identity()
    for wanted in ([0, 1], [0], [2], [0], [1], [1, 1]):
        assert torch.equal(cache.get(tiles[wanted], nothing, encode), tiles[wanted])
    assert asked == [2, 1, 1], "tile 1 was asked for longest ago when the third came"
    assert not deepcopy(cache)._kept
