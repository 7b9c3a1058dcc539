"""The metrics written down literally, one full-size mask an object; slow, and nothing but what the formulae say."""

from collections.abc import Sequence
from functools import reduce

import numpy as np
from skimage.measure import label as skimage_label


class Masks(Sequence):
    """One full-size mask an object, made when asked for: 930 of them at 4096 x 4096 would need 16 GiB."""

    def __init__(self, ids, chosen):
        self.ids, self.chosen = ids, chosen

    def __len__(self):
        return len(self.chosen)

    def __getitem__(self, k):
        return self.ids == self.chosen[k]


def components(mask, larger_than=0):
    """8-connected components as masks, by their first pixel in scan order (it decides AJI where two IoUs are equal)."""
    ids = skimage_label(mask != 0, connectivity=2)
    _, first, sizes = np.unique(ids, return_index=True, return_counts=True)
    return Masks(
        ids,
        [ids.flat[at] for at, size in sorted(zip(first, sizes, strict=True)) if ids.flat[at] and size > larger_than],
    )


def finder(shape, others):
    """A function that gives, for a mask, which of the others share a pixel with it: (place, mask)."""
    ids = np.zeros(shape, int)
    for k, other in enumerate(others):
        ids[other] = k + 1
    return lambda m: [(k - 1, others[k - 1]) for k in np.unique(ids[m]) if k]


def literal_dice(true, predicted):
    g = reduce(np.logical_or, true, False)
    p = reduce(np.logical_or, predicted, False)
    return 2 * np.sum(np.logical_and(g, p)) / (np.sum(g) + np.sum(p))


def literal_aji(true, predicted):
    near = finder((true or predicted)[0].shape, predicted)
    inter, union, used = 0, 0, set()
    for g in true:
        best, best_iou, best_inter, best_union = None, 0.0, 0, g.sum()
        for k, p in near(g):
            iou = (g & p).sum() / (g | p).sum()
            if iou > best_iou:
                best, best_iou, best_inter, best_union = k, iou, (g & p).sum(), (g | p).sum()
        used.add(best)
        inter += best_inter
        union += best_union
    union += sum(p.sum() for k, p in enumerate(predicted) if k not in used)
    return inter / union


def literal_panoptic(true, predicted):
    near = finder((true or predicted)[0].shape, predicted)
    hits = [(g & p).sum() / (g | p).sum() for g in true for _, p in near(g)]
    hits = [iou for iou in hits if iou > 0.5]
    tp = len(hits)
    fp, fn = len(predicted) - tp, len(true) - tp
    dq = tp / (tp + 0.5 * fp + 0.5 * fn)
    sq = sum(hits) / (tp + 1e-6)
    return dq * sq, dq, sq
