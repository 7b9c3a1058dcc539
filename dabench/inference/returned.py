"""Predictions back on the pixels that a slice is stored with, where a model saw it at another pixel size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dabench.inference.wrapped import finishes

if TYPE_CHECKING:
    from dabench.inference.chunks import SlicePrediction
    from dabench.interfaces import Predictor
    from dabench.ops.resampling import Resampling
    from dabench.types import Array, Window


def returned_probability(prediction: SlicePrediction, back: Resampling | None, window: Window | None = None) -> Array:
    """Probability ``(h, w)`` float32 of a window of the stored slice.

    Args:
        prediction: of the pixels that ``back.needed(window)`` names.
        back: from what the model saw to what is stored; None where that is the same.
        window: of the stored slice; all of it by default.
    """
    return prediction.probability if back is None else back.apply(prediction.probability, window)


def returned_mask(
    predictor: Predictor,
    prediction: SlicePrediction,
    threshold: float,
    back: Resampling | None = None,
    window: Window | None = None,
) -> Array:
    """Mask ``(h, w)`` bool of a window of the stored slice, after the method's own last step.

    A last step (`Predictor.finish`) has sizes in pixels that the model was made for: it is taken on those, and its mask
    returned. Without one it is the returned probability that is cut.
    """
    if back is None:
        return predictor.finish(prediction.mask(threshold))
    if finishes(predictor):
        share, threshold = back.apply(predictor.finish(prediction.mask(threshold)), window), 0.5
    else:
        share = returned_probability(prediction, back, window)
    mask: Array = share >= threshold
    return mask


def returned_ids(ids: Array, back: Resampling | None, window: Window | None = None) -> Array:
    """Ids ``(h, w)`` of a window of the stored slice: a pixel has that of the seen one which its centre lies in."""
    return ids if back is None else back.nearest(ids, window)
