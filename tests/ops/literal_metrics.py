"""The metrics written down literally, one full-size mask an object; slow, and nothing but what the formulae say."""

import numpy as np
from skimage.measure import label as skimage_label


def components(mask):
    """8-connected components as masks, by their first pixel in scan order (it decides AJI where two IoUs are equal)."""
    ids = skimage_label(mask != 0, connectivity=2)
    masks = [ids == i for i in range(1, ids.max() + 1)]
    return sorted(masks, key=lambda m: int(np.flatnonzero(m)[0]))


def drop_small(masks, largest=15):
    return [m for m in masks if m.sum() > largest]


def literal_dice(true, predicted):
    g = np.any(true, axis=0) if true else False
    p = np.any(predicted, axis=0) if predicted else False
    return 2 * np.sum(np.logical_and(g, p)) / (np.sum(g) + np.sum(p))


def literal_aji(true, predicted):
    inter, union, used = 0, 0, set()
    for g in true:
        best, best_iou = None, 0.0
        for k, p in enumerate(predicted):
            iou = (g & p).sum() / (g | p).sum()
            if iou > best_iou:
                best, best_iou = k, iou
        if best is None:
            union += g.sum()
            continue
        used.add(best)
        inter += (g & predicted[best]).sum()
        union += (g | predicted[best]).sum()
    union += sum(p.sum() for k, p in enumerate(predicted) if k not in used)
    return inter / union


def literal_panoptic(true, predicted):
    hits = [(g & p).sum() / (g | p).sum() for g in true for p in predicted]
    hits = [iou for iou in hits if iou > 0.5]
    tp = len(hits)
    fp, fn = len(predicted) - tp, len(true) - tp
    dq = tp / (tp + 0.5 * fp + 0.5 * fn)
    sq = sum(hits) / (tp + 1e-6)
    return dq * sq, dq, sq
