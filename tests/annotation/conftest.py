"""A small training split whose truth is known, and desks over it."""

from __future__ import annotations

import numpy as np
import pytest
from dabench_weak_labels import Points, PointSettings, Preferences, PreferenceSettings

from dabench.annotation import AnnotationDesk
from dabench.annotation.truth import VolumeTruth
from dabench.data.volumes import ArrayVolume
from dabench.plugin import Budget, PreferenceQuestion, Window


@pytest.fixture
def labels():
    """(4, 64, 96): 0, 1, 7 and 20 components."""
    volume = np.zeros((4, 64, 96), dtype=np.uint8)
    for z, count in enumerate([0, 1, 7, 20]):
        for index in range(count):
            row, column = divmod(index, 5)
            volume[z, row * 15 + 3 : row * 15 + 10, column * 18 + 4 : column * 18 + 12] = 1
    return volume


@pytest.fixture
def weak_labels():
    return {"points": Points(PointSettings()), "preferences": Preferences(PreferenceSettings())}


@pytest.fixture
def make_desk(labels, weak_labels):
    def make(points=0.15, patches=1.0, truth=labels, **options):
        held = None if truth is None else VolumeTruth(ArrayVolume(truth))
        return AnnotationDesk(held, labels.shape, Budget(points, patches), weak_labels, **options)

    return make


@pytest.fixture
def grid_questions(labels):
    """Every 16 x 16 patch of every slice, with five nested candidates around the truth; all equal on slice 0."""

    def make(truth=labels, side=16):
        rng = np.random.default_rng(0)
        noise = rng.random(truth.shape)
        noise[0] = 0
        questions = []
        for z in range(len(truth)):
            for y in range(0, truth.shape[1], side):
                for x in range(0, truth.shape[2], side):
                    window = Window(y, x, side, side)
                    part = truth[z][window.slices] * 0.8 + 0.4 * noise[z][window.slices] - 0.1
                    shown = np.stack([part > t for t in (0.05, 0.15, 0.25, 0.5, 0.9)])
                    questions.append(PreferenceQuestion(z, window, part.astype(np.float32), shown))
        return questions

    return make
