"""What a model predicts must be probabilities, on every slice and not all of one value."""

import numpy as np
import pytest
import torch

from dabench.errors import PredictionError
from dabench.inference.probabilities import need_probabilities
from dabench.inference.volume import predict_slices
from dabench.interfaces import Predictor
from dabench.types import Prediction

IMAGES = np.random.default_rng(0).random((2, 20, 24), np.float32)


@pytest.mark.parametrize("value", [0, 1, 0.3, 1.0001, -1e-6])
def test_what_lies_in_0_to_1_but_for_rounding_is_predicted(value):
    class Level(Predictor):
        """Half a slice of one half, the other of the value."""

        def predict(self, images, points=None, *, density=False):
            found = torch.full_like(images[:, 0], 0.5)
            found[..., 12:] = value
            return Prediction(found)

    predictions = [p.probability for _, p in predict_slices(Level(), IMAGES, tile=24, profile="tiles")]
    assert len(predictions) == len(IMAGES)
    assert all(np.unique(found).tolist() == pytest.approx(sorted({0.5, value}), abs=1e-3) for found in predictions)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.nan, "slice 7: .* 1 probabilities that are NaN"),
        (np.inf, "NaN or infinite"),
        (-np.inf, "NaN or infinite"),
        (-3.2, r"values from -3\.2 to 0\.5; probabilities lie in 0 to 1"),
        (255, r"values from 0\.5 to 255"),
    ],
)
def test_what_is_no_probability(value, words):
    with pytest.raises(PredictionError, match=words):
        need_probabilities(np.array([[0.5, value]], np.float32), 7)


class Logits(Predictor):
    """Forgets the sigmoid on bright slices."""

    def predict(self, images, points=None, *, density=False):
        return Prediction(torch.where(images[:, 0] > 2, images[:, 0], images[:, 0].clamp(0, 1)))


def test_the_slice_is_named():
    images = IMAGES.copy()
    images[1, 3, 4] = 8
    predicted = predict_slices(Logits(), list(images), tile=16)
    next(predicted)
    with pytest.raises(PredictionError, match="slice 1: the model gives values from"):
        next(predicted)
