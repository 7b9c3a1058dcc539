"""The toys for plugin tests answer what their descriptions say, by hand."""

import numpy as np
import pytest
import torch

from dabench.testing import ConvToy, ImagePredictor, ImageToy, ToyLabels, WatchedVolume
from dabench.types import CropId, TargetCrops, Window

IMAGES = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def crops(images: torch.Tensor) -> TargetCrops:
    return TargetCrops(images, [torch.zeros(0, 2)] * len(images), [CropId(0, Window(0, 0, 16, 16))] * len(images))


def test_a_conv_toy_has_the_maps_that_it_names():
    network = ConvToy((4, 8), stride=2, detects=True)
    output = network(IMAGES, with_density=True, with_features=True)
    assert output.probability.shape == output.density.shape == (2, 16, 16)
    assert [m.shape[1:] for m in output.features.encoder] == [(4, 16, 16), (8, 8, 8)]
    assert network.encoder_channels == (4, 8)
    assert output.features.decoder.shape == (2, network.decoder_channels, 16, 16)
    output.probability.sum().backward()
    learnt = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert learnt == {"first", "second", "decode", "head"}


def test_what_is_not_asked_for_is_left_out():
    output = ConvToy()(IMAGES, with_density=True)
    assert output.density is None
    assert output.features is None
    assert ConvToy(detects=True)(IMAGES).density is None


def test_normalised_toys_keep_the_images_statistics():
    network = ConvToy(normalise=True)
    network(IMAGES)
    assert network.norm.running_mean.item() == pytest.approx(0.1 * IMAGES.mean().item())


def test_dropout_is_for_training():
    network = ConvToy(dropout=0.5)
    torch.manual_seed(0)
    assert not torch.equal(network(IMAGES).probability, network(IMAGES).probability)
    network.eval()
    assert torch.equal(network(IMAGES).probability, network(IMAGES).probability)


def test_an_image_toy_answers_with_the_image_times_its_gain():
    assert torch.allclose(ImageToy(0.5)(IMAGES).probability, IMAGES[:, 0] / 2, atol=1e-5)
    assert torch.allclose(ImageToy(100.0)(IMAGES + 0.1).probability, torch.ones(2, 16, 16), atol=1e-5)
    dark = ImageToy(answer=lambda image: (image < 0.4).float(), density=lambda image: image * 3)
    output = dark(IMAGES, with_density=True)
    assert torch.equal(output.probability > 0.5, IMAGES[:, 0] < 0.4)
    assert torch.equal(output.density, IMAGES[:, 0] * 3)
    assert dark(IMAGES).density is None


def test_an_image_toy_learns_its_gain():
    network = ImageToy(0.5)
    network(IMAGES).probability.mean().backward()
    assert network.gain.grad.item() == pytest.approx(IMAGES.mean().item(), rel=1e-4)


def test_toy_labels_weigh_foreground_and_background():
    student, scheme = ImageToy(), ToyLabels(foreground=0.7, background=0.2, rounds=True)
    scheme.start(student)
    found = scheme.targets(crops(IMAGES), torch.Generator())
    bright = IMAGES[:, 0] > 0.5
    assert found.labels.dtype == torch.uint8
    assert torch.equal(found.labels.bool(), bright)
    assert torch.equal(found.weights, torch.where(bright, 0.7, 0.2))
    scheme.after_update(student, 3)
    assert (scheme.student, scheme.followed, scheme.rounds) == (student, [(student, 3)], True)


def test_toy_labels_take_any_rule():
    scheme = ToyLabels(lambda images: torch.full(images.shape, 255, dtype=torch.uint8), foreground=5)
    found = scheme.targets(crops(IMAGES), torch.Generator())
    assert (found.labels == 255).all()
    assert (found.weights == 1).all()


def test_a_predictor_remembers_what_it_was_shown():
    points = [torch.tensor([[1.0, 2.0]])] * 2
    predictor = ImagePredictor(lambda tiles: tiles[:, 1], neighbour=40.0, finish=np.logical_not)
    pair = torch.cat([IMAGES, 1 - IMAGES], 1)
    found = predictor.predict(pair, points, density=True)
    assert torch.equal(found.probability, 1 - IMAGES[:, 0])
    assert torch.equal(found.density, found.probability / 2)
    assert (predictor.shapes, predictor.points, predictor.neighbour) == ([pair.shape], [points], 40.0)
    assert predictor.finish(np.zeros((2, 2), bool)).all()
    assert ImagePredictor().predict(IMAGES).density is None


def test_a_watched_volume_knows_what_was_read():
    volume = WatchedVolume(np.arange(12).reshape(3, 2, 2))
    assert volume.read(2).tolist() == [[8, 9], [10, 11]]
    volume.read(0)
    assert volume.reads == [2, 0]
