"""Whole stacks: what a predictor is shown, and what comes back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dabench.data.volumes import ArrayVolume
from dabench.errors import ConfigError, DataError
from dabench.inference import predict_slices
from dabench.inference.predictor import FlippedPredictor, NetworkPredictor
from dabench.inference.training_split import plain_batches, predict_training
from dabench.interfaces import Predictor
from dabench.testing.toys import ImagePredictor, WatchedVolume
from dabench.training.stage_data import StageData
from dabench.types import Prediction


class PointPainter(Predictor):
    """Probability 1 at the pixel of each point."""

    def predict(self, images, points=None, *, density=False):
        out = torch.zeros_like(images[:, 0])
        for tile, own in zip(out, points, strict=True):
            xy = own.round().long()
            tile[xy[:, 1], xy[:, 0]] = 1
        return Prediction(out)


def stack(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


@pytest.mark.parametrize("profile", ["hann", "fast", "paper"])
@pytest.mark.parametrize("shape", [(2, 40, 56), (1, 20, 70), (1, 9, 11)])
def test_a_pixelwise_predictor_is_reproduced_exactly(profile, shape):
    def answer(tiles):
        assert torch.is_inference_mode_enabled()
        return tiles[:, 0]

    images = stack(*shape)
    for z, prediction in predict_slices(
        ImagePredictor(answer), ArrayVolume(images), 32, profile, density=True, batch_size=3
    ):
        np.testing.assert_array_equal(prediction.probability, images[z])
        np.testing.assert_array_equal(prediction.density, images[z] / 2)
        assert prediction.probability.dtype == np.float32


def test_density_is_none_unless_asked_for_and_there():
    (_, automatic), *_ = predict_slices(ImagePredictor(), stack(1, 32, 32), 16)
    assert automatic.density is None
    prompts = {0: np.zeros((0, 2), np.float32)}
    (_, without), *_ = predict_slices(PointPainter(), stack(1, 32, 32), 16, points=prompts, density=True)
    assert without.density is None
    assert not without.probability.any()


@pytest.mark.parametrize("profile", ["hann", "fast", "paper"])
@pytest.mark.parametrize("shape", [(50, 70), (20, 70), (33, 33)])
def test_points_survive_tiling_and_rotation(profile, shape):
    rng = np.random.default_rng(1)
    points = np.stack((rng.integers(0, shape[1], 12), rng.integers(0, shape[0], 12)), axis=1).astype(np.float32)
    expected = np.zeros(shape, np.float32)
    expected[points[:, 1].astype(int), points[:, 0].astype(int)] = 1
    (_, prediction), *_ = predict_slices(PointPainter(), stack(1, *shape), 32, profile, {0: points})
    np.testing.assert_array_equal(prediction.probability, expected)


def test_automatic_mode_is_none_and_no_points_are_empty_lists():
    automatic, prompted = ImagePredictor(), ImagePredictor()
    list(predict_slices(automatic, stack(1, 16, 16), 16))
    list(predict_slices(prompted, stack(1, 16, 16), 16, points={}))
    assert automatic.points == [None]
    assert [p.shape for p in prompted.points[0]] == [(0, 2)]


def test_batches_and_chosen_slices():
    predictor = ImagePredictor()
    found = [z for z, _ in predict_slices(predictor, ArrayVolume(stack(4, 64, 64)), 32, batch_size=4, slices=[3, 1])]
    assert found == [3, 1]
    assert [shape[0] for shape in predictor.shapes] == [4, 4, 1] * 2


def test_slices_are_read_one_at_a_time():
    volume = WatchedVolume(stack(5, 16, 16))
    predictions = predict_slices(ImagePredictor(), volume, 16)
    assert volume.reads == []
    next(predictions)
    assert volume.reads == [0]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((1, 8, 8), np.uint8), "slice 0: .*uint8"),
        (np.full((1, 8, 8), np.nan, np.float32), "slice 0: pixel nan at row 0, column 0"),
        (np.zeros((1, 8, 8, 3), np.float32), r"\(8, 8, 3\)"),
    ],
)
def test_images_that_are_none(image, message):
    with pytest.raises(DataError, match=message):
        list(predict_slices(ImagePredictor(), image, 8))


def test_sizes_that_cannot_be_are_refused_before_anything_is_read():
    with pytest.raises(ConfigError, match="tile 0"):
        predict_slices(ImagePredictor(), stack(1, 8, 8), 0)


# ---------------------------------------------------------------- pairs, flips, the training split
def difference():
    """The partner's pixel."""
    return ImagePredictor(lambda tiles: tiles[:, 1], neighbour=40.0)


def test_pairs_look_ahead_and_the_last_ones_back():
    images = stack(4, 20, 40)
    seen = {z: p.probability for z, p in predict_slices(difference(), ArrayVolume(images), 16, gap=1)}
    for z, partner in {0: 1, 1: 2, 2: 3, 3: 2}.items():
        np.testing.assert_array_equal(seen[z], images[partner])


def test_in_a_thin_volume_the_partner_is_the_farther_end():
    images = stack(5, 16, 16)
    seen = {z: p.probability for z, p in predict_slices(difference(), ArrayVolume(images), 16, gap=3)}
    for z, partner in {0: 3, 1: 4, 2: 0, 3: 0, 4: 1}.items():
        np.testing.assert_array_equal(seen[z], images[partner])


def test_pairs_of_what_has_no_partner_are_refused():
    with pytest.raises(ConfigError, match="volume"):
        predict_slices(difference(), stack(2, 16, 16), 16, gap=1)
    with pytest.raises(DataError, match="1 slices apart"):
        predict_slices(difference(), ArrayVolume(stack(1, 16, 16)), 16, gap=1)


@pytest.mark.parametrize("transposed", [False, True])
def test_flips_turn_back_with_points_and_density(transposed):
    images = torch.rand(2, 1, 12, 20)
    plain = FlippedPredictor(ImagePredictor(), transposed=transposed)
    with torch.inference_mode():
        seen = plain.predict(images, density=True)
        points = [torch.tensor([[3.0, 5.0]]), torch.tensor([[19.0, 0.0]])]
        painted = FlippedPredictor(PointPainter(), transposed=transposed).predict(images, points)
    torch.testing.assert_close(seen.probability, images[:, 0])
    torch.testing.assert_close(seen.density, images[:, 0] / 2)
    assert painted.probability[0, 5, 3] == 1
    assert painted.probability[1, 0, 19] == 1
    assert painted.probability.sum() == 2


def test_five_versions_are_the_four_flips_and_the_transposed_tile():
    class Ramp(Predictor):
        """Answers by the place in the tile alone: what it says of the first pixel shows which versions there were."""

        def predict(self, images, points=None, *, density=False):
            height, width = images.shape[-2:]
            return Prediction(torch.arange(float(height * width)).view(1, height, width))

    images = torch.rand(1, 1, 2, 3)
    assert FlippedPredictor(Ramp()).predict(images).probability[0, 0, 1] == 2.5  # mean of 1, 1, 4 and 4
    found = FlippedPredictor(Ramp(), transposed=True).predict(images).probability[0, 0, 1]
    assert found == pytest.approx((1 + 1 + 4 + 4 + 2) / 5)


def test_the_training_split_is_predicted_slice_by_slice():
    images = stack(3, 20, 40)
    data = StageData(ArrayVolume(images), None, torch.device("cpu"), 0, "stage")
    for z, prediction in predict_training(data, ImagePredictor(), 16):
        np.testing.assert_array_equal(prediction.probability, images[z])


def test_plain_batches_are_crops_and_the_same_at_every_start():
    images = ArrayVolume(stack(3, 20, 40))

    def draw():
        return list(plain_batches(StageData(images, None, torch.device("cpu"), 0, "stage"), 2, 16))

    assert [b.shape for b in draw()] == [(4, 1, 16, 16)] * 2
    assert all(torch.equal(a, b) for a, b in zip(draw(), draw(), strict=True))


def test_a_flipped_predictor_of_pairs_still_wants_pairs():
    images = torch.rand(1, 2, 12, 20)
    flipped = FlippedPredictor(difference())
    assert flipped.neighbour == 40
    assert torch.equal(flipped.predict(images).probability, images[:, 1])


def test_a_network_predictor_says_how_far_its_partner_lies():
    assert NetworkPredictor(torch.nn.Identity()).neighbour == 0
    assert NetworkPredictor(torch.nn.Identity(), 30.0).neighbour == 30
