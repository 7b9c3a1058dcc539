"""Class-balanced scheme: looks that fit together again, thresholds and weights by hand, a teacher in steps."""

from __future__ import annotations

import math
from typing import Any, cast

import pytest
import torch
from dabench_class_balanced import ClassBalanced, ClassBalancedSettings, class_thresholded, follow, running_prior
from dabench_class_balanced.looks import Look, draw_box, draw_look, mean_probability
from torch import Tensor, nn

from dabench.ops.augmentation import View
from dabench.ops.prompts import NetworkOutput
from dabench.testing.fixtures import as_logits
from dabench.types import IGNORE, CropId, TargetCrops, Window


class Fixed(nn.Module):
    """Answers with one learnable number times the image; has a running statistic."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.gain, self.norm = nn.Parameter(torch.tensor(gain)), nn.BatchNorm1d(1)

    def forward(self, images: Tensor, *_: Any, **__: Any) -> NetworkOutput:
        return NetworkOutput(as_logits(images[:, 0] * self.gain))


def crops(image: Tensor, points: Tensor | None = None) -> TargetCrops:
    given = torch.zeros(0, 2) if points is None else points
    return TargetCrops(image[None, None], [given], [CropId(0, Window(0, 0, *image.shape))])


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


# -------------------------------------------------------------------------------------------------------------- looks
def test_what_a_look_shows_comes_back_to_its_place() -> None:
    ramp = torch.linspace(0, 1, 16)
    images = (0.3 * ramp[:, None] + 0.7 * ramp[None, :])[None, None]  # linear: bilinear resizing keeps it inside
    look = Look([Window(4, 2, 8, 8)], [View((16, 16), flips=(True, False), turns=1)])
    (back,) = look.put_back(look.see(images)[:, 0])
    assert back.shape == (8, 8)
    assert torch.allclose(back[1:-1, 1:-1], images[0, 0, 4:12, 2:10][1:-1, 1:-1], atol=1e-5)


def test_a_look_enlarges_its_box() -> None:
    images = torch.zeros(1, 1, 8, 8)
    images[..., 2:6, 2:6] = 1.0
    assert torch.equal(Look([Window(2, 2, 4, 4)], [View((8, 8))]).see(images), torch.ones(1, 1, 8, 8))


def test_boxes_lie_inside_and_are_no_smaller_than_asked() -> None:
    draw = generator()
    for _ in range(200):
        box = draw_box(20, 20, 0.5, draw)
        assert 10 <= box.height == box.width <= 20
        assert 0 <= box.y <= 20 - box.height
        assert 0 <= box.x <= 20 - box.width
    assert draw_box(20, 20, 1.0, draw) == Window(0, 0, 20, 20)


def test_the_mean_of_a_pointwise_segmenter_is_its_own_answer() -> None:
    images = torch.rand(2, 1, 12, 12, generator=generator())
    without_zoom = mean_probability(lambda seen: seen[:, 0], images, 4, 1.0, generator())
    assert torch.allclose(without_zoom, images[:, 0], atol=1e-6)
    flat = torch.full((1, 1, 12, 12), 0.4)
    assert torch.allclose(mean_probability(lambda seen: seen[:, 0], flat, 4, 0.5, generator()), flat[:, 0])


def test_each_pixel_is_the_mean_over_the_looks_that_saw_it() -> None:
    images, answers = torch.zeros(1, 1, 10, 10), iter((0.2, 0.8))
    box = draw_look(images, 0.5, generator()).boxes[0]
    mean = mean_probability(lambda seen: torch.full_like(seen[:, 0], next(answers)), images, 2, 0.5, generator())
    expected = torch.full((10, 10), 0.2)
    expected[box.slices] = 0.5
    assert torch.allclose(mean[0], expected)
    assert 25 <= int((mean[0] > 0.4).sum()) < 100


# ----------------------------------------------------------------------------------------------- thresholds and weights
def test_thresholds_by_hand() -> None:
    probability = torch.tensor([[[0.9, 0.7, 0.55], [0.0, 0.3, 0.45]]])
    frequent = torch.tensor([0.5, 0.5], dtype=torch.float64)
    labels = class_thresholded(probability, frequent, ClassBalancedSettings(upper=0.75))
    # Foreground: above .75 * .9 = .675; background: confidence above .75 * 1, that is p < .25.
    assert labels.tolist() == [[[1, 1, IGNORE], [0, IGNORE, IGNORE]]]


def test_a_rare_class_has_a_lower_threshold() -> None:
    probability = torch.tensor([[[0.9, 0.6, 0.0, 0.2]]])
    rare = torch.tensor([1.0 - 1e-4, 1e-4], dtype=torch.float64)
    settings = ClassBalancedSettings(upper=1.0, beta=1e-3)
    assert 1 - math.exp(-0.1) < 0.1  # θ falls to `lower`: all that wins is kept
    assert class_thresholded(probability, rare, settings).tolist() == [[[1, 1, IGNORE, IGNORE]]]
    strict = ClassBalancedSettings(upper=1.0, beta=1e-3, lower=0.7)
    assert class_thresholded(probability, rare, strict).tolist() == [[[1, IGNORE, IGNORE, IGNORE]]]


def test_each_image_has_its_own_peak() -> None:
    probability = torch.tensor([[[0.6, 0.0]], [[0.95, 0.6]]])
    labels = class_thresholded(probability, torch.tensor([0.5, 0.5]), ClassBalancedSettings())
    assert labels[0, 0, 0] == 1
    assert labels[1, 0, 1] == IGNORE


def test_the_prior_begins_with_the_first_batch_and_moves_slowly() -> None:
    first = running_prior(torch.full((2,), -1.0, dtype=torch.float64), torch.full((1, 2, 2), 0.2), 0.9)
    assert first.tolist() == pytest.approx([0.8, 0.2])
    second = running_prior(first, torch.full((1, 2, 2), 0.7), 0.9)
    assert second.tolist() == pytest.approx([0.75, 0.25])


def test_weights_are_confidence_times_focal_weight() -> None:
    image = torch.zeros(8, 8)
    image[:4] = 0.8
    scheme = ClassBalanced(ClassBalancedSettings(looks=1, focal=3))
    scheme.start(Fixed())
    weights = scheme.targets(crops(image), generator()).weights
    # The prior of foreground is .4, of background .6.
    assert weights[0, 0, 0].item() == pytest.approx(0.8 * 0.6**3, rel=1e-5)
    assert weights[0, 7, 0].item() == pytest.approx(1.0 * 0.4**3, rel=1e-5)
    plain = ClassBalanced(ClassBalancedSettings(looks=1, focal=0, confidence=False))
    plain.start(Fixed())
    assert torch.equal(plain.targets(crops(image), generator()).weights, torch.ones(1, 8, 8))


def test_given_points_stay() -> None:
    scheme = ClassBalanced(ClassBalancedSettings())
    scheme.start(Fixed())
    points = torch.tensor([[1.0, 2.0]])
    assert torch.equal(scheme.targets(crops(torch.rand(8, 8), points), generator()).points[0], points)


# ------------------------------------------------------------------------------------------------------------- teacher
def test_the_teacher_moves_every_period() -> None:
    scheme, student = ClassBalanced(ClassBalancedSettings(decay=0.75, period=2)), Fixed(1.0)
    scheme.start(Fixed(0.0))
    gain = cast(Fixed, scheme.teacher).gain
    scheme.after_update(student, 0)
    assert gain.item() == 0.0
    scheme.after_update(student, 1)
    assert gain.item() == pytest.approx(0.25)


def test_running_statistics_are_averaged_counts_copied() -> None:
    teacher, student = Fixed(), Fixed()
    student.norm.running_mean, student.norm.num_batches_tracked = torch.tensor([1.0]), torch.tensor(7)
    follow(teacher, student, 0.9)
    assert teacher.norm.running_mean is not None
    assert teacher.norm.running_mean.item() == pytest.approx(0.1)
    assert teacher.norm.num_batches_tracked is not None
    assert teacher.norm.num_batches_tracked.item() == 7


def test_the_prior_survives_a_restart() -> None:
    first, second = (ClassBalanced(ClassBalancedSettings(looks=1)) for _ in range(2))
    for scheme in (first, second):
        scheme.start(Fixed())
    first.targets(crops(torch.full((8, 8), 0.3)), generator())
    second.load_state({name: value.clone() for name, value in first.state().items()})
    image = torch.rand(8, 8, generator=generator())
    a, b = (scheme.targets(crops(image), generator()) for scheme in (first, second))
    assert torch.equal(a.weights, b.weights)
    assert torch.equal(a.labels, b.labels)


def test_start_comes_first() -> None:
    with pytest.raises(RuntimeError, match="start"):
        _ = ClassBalanced(ClassBalancedSettings()).teacher
