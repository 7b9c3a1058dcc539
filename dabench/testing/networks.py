"""Checks of backbones (image → feature maps) and of networks on a backbone (image and points → logits)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dabench.components.registry import Registered
from dabench.ops.prompts import Features, Prompts, pad_points
from dabench.testing.fixtures import Fixtures, PlainBackbone, noise
from dabench.testing.outcomes import Check, expect, expect_tensor

_SIZES = ((64, 64), (64, 96))


# ---------------------------------------------------------------------------------------------------------- backbones
def _backbone(fixtures: Fixtures, item: Registered) -> Any:
    key = f"backbone {item.name}"
    if key not in fixtures.memory:
        torch.manual_seed(0)
        fixtures.memory[key] = fixtures.assembly.backbone(item.name)
    return fixtures.memory[key]


def declared_maps(fixtures: Fixtures, item: Registered) -> None:
    """``channels`` and ``strides`` say what ``forward`` gives, for a square and an oblong image."""
    backbone = _backbone(fixtures, item).eval()
    for name in ("channels", "strides"):
        value = getattr(backbone, name, None)
        expect(isinstance(value, tuple) and value, f"{type(backbone).__name__}.{name} is {value!r}, expected a tuple")
    expect(len(backbone.channels) == len(backbone.strides), "channels and strides differ in length")
    for height, width in _SIZES:
        with torch.no_grad():
            maps = backbone(noise((1, 1, height, width)))
        expect(len(maps) == len(backbone.channels), f"{len(maps)} maps, {len(backbone.channels)} are declared")
        for i, (channels, stride) in enumerate(zip(backbone.channels, backbone.strides, strict=True)):
            shape = (1, channels, height // stride, width // stride)
            expect_tensor(f"map {i} of a {height} x {width} image", maps[i], shape)


def gradient_flows(fixtures: Fixtures, item: Registered) -> None:
    """Every parameter that takes part gets a finite gradient, and one at least is not zero."""
    backbone = _backbone(fixtures, item).train()
    backbone.zero_grad()
    maps = backbone(noise((2, 1, 64, 64)))
    sum((m * noise(m.shape, 1)).sum() for m in maps).backward()
    gradients = {n: p.grad for n, p in backbone.named_parameters() if p.grad is not None}
    broken = [n for n, g in gradients.items() if not torch.isfinite(g).all()]
    expect(not broken, f"gradient of {broken[:3]} is not finite")
    expect(any(g.abs().max() > 0 for g in gradients.values()), "no parameter gets a gradient")


def constant_image(fixtures: Fixtures, item: Registered) -> None:
    """Black and white images give no NaN, in training and in evaluation."""
    backbone = _backbone(fixtures, item)
    for training in (True, False):
        backbone.train(training)
        for value in (0.0, 1.0):
            with torch.no_grad():
                maps = backbone(torch.full((2, 1, 64, 64), value))
            finite = all(torch.isfinite(m).all() for m in maps)
            expect(finite, f"NaN or infinity for an image that is {value:g} everywhere (training={training})")


# ----------------------------------------------------------------------------------------------------------- networks
def _network(fixtures: Fixtures, item: Registered) -> nn.Module:
    key = f"network {item.name}"
    if key not in fixtures.memory:
        torch.manual_seed(0)
        fixtures.memory[key] = item.component.factory(fixtures.settings(item), backbone=PlainBackbone()).eval()
    network: nn.Module = fixtures.memory[key]
    return network


def _images(network: nn.Module, *shape: int) -> Tensor:
    """Noise ``(B, C, H, W)``: two channels for a network of pairs of sections (its attribute ``sections``)."""
    return noise((shape[0], getattr(network, "sections", 1), *shape[1:]))


def _points() -> list[Tensor]:
    return [torch.tensor([[3.0, 4.0], [50.0, 20.0]]), torch.zeros(0, 2), torch.tensor([[30.5, 60.0]])]


def any_number_of_points(fixtures: Fixtures, item: Registered) -> None:
    """No prompts, a batch of empty ones, and a different number an image: logits ``(B, 1, H, W)`` each time."""
    network = _network(fixtures, item)
    images = _images(network, 3, 64, 96)
    asked: dict[str, Prompts | None] = {
        "no prompts": None,
        "zero points": pad_points([torch.zeros(0, 2)] * 3),
        "some points": pad_points(_points()),
    }
    for what, prompts in asked.items():
        with torch.no_grad():
            output = network(images, prompts)
        expect_tensor(f"logits with {what}", output.logits, (3, 1, 64, 96))


def density_when_asked(fixtures: Fixtures, item: Registered) -> None:
    """``with_density`` gives a map (or None by a network without one); without it there is none."""
    network = _network(fixtures, item)
    images = _images(network, 2, 64, 64)
    with torch.no_grad():
        without, asked = network(images, None), network(images, None, with_density=True)
    expect(without.density is None, "density was computed though with_density is False; it costs time")
    if asked.density is not None:
        expect_tensor("density", asked.density, (2, 64, 64))
    expect(torch.equal(without.logits, asked.logits), "asking for density changes the logits")


def features_when_asked(fixtures: Fixtures, item: Registered) -> None:
    """``with_features`` gives the finest decoder map and the encoder's, batch first; without it there are none."""
    network = _network(fixtures, item)
    images = _images(network, 2, 64, 64)
    with torch.no_grad():
        without, asked = network(images, None), network(images, None, with_features=True)
    expect(without.features is None, "features were handed out though with_features is False")
    expect(isinstance(asked.features, Features), f"features are a {type(asked.features).__name__}, expected Features")
    declared: Any = network
    found = [("decoder", asked.features.decoder, declared.decoder_channels)]
    pairs = zip(asked.features.encoder, declared.encoder_channels, strict=True)
    found += [(f"encoder {i}", maps, channels) for i, (maps, channels) in enumerate(pairs)]
    for name, maps, channels in found:
        expect_tensor(f"{name} features", maps, (2, channels, *maps.shape[2:]))
    expect(torch.equal(without.logits, asked.logits), "asking for features changes the logits")


def padding_is_invisible(fixtures: Fixtures, item: Registered) -> None:
    """A padded batch gives what its images give one by one (1e-5)."""
    network, points = _network(fixtures, item), _points()
    images = _images(network, 3, 64, 64)
    with torch.no_grad():
        together = network(images, pad_points(points)).probability
        alone = [network(images[i : i + 1], pad_points([p])).probability for i, p in enumerate(points)]
    gap = float((together - torch.cat(alone)).abs().max())
    expect(
        gap <= 1e-5, f"probability differs by {gap:g} between a padded batch and its images one by one (at most 1e-5)"
    )


def network_gradient(fixtures: Fixtures, item: Registered) -> None:
    """The logits have a finite gradient, for a constant image too."""
    network = _network(fixtures, item)
    for images in (_images(network, 2, 64, 64), torch.zeros_like(_images(network, 2, 64, 64))):
        network.zero_grad()
        network(images, pad_points(_points()[:2])).logits.sum().backward()
        broken = [n for n, p in network.named_parameters() if p.grad is not None and not torch.isfinite(p.grad).all()]
        expect(not broken, f"gradient of {broken[:3]} is not finite")


def float32_under_autocast(fixtures: Fixtures, item: Registered) -> None:
    """Under bfloat16 autocast logits and density are float32: losses see what bfloat16 rounds off."""
    network = _network(fixtures, item)
    images = _images(network, 2, 64, 64)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        output = network(images, None, with_density=True)
    for name, tensor in (("logits", output.logits), ("density", output.density)):
        kind = torch.float32 if tensor is None else tensor.dtype
        expect(kind == torch.float32, f"{name} under bfloat16 autocast are {kind}, expected torch.float32")


BACKBONE = (
    Check("declared maps", declared_maps),
    Check("gradient flows", gradient_flows),
    Check("constant image", constant_image),
)
NETWORK = (
    Check("any number of points", any_number_of_points),
    Check("density when asked", density_when_asked),
    Check("features when asked", features_when_asked),
    Check("padding is invisible", padding_is_invisible),
    Check("finite gradient", network_gradient),
    Check("float32 under autocast", float32_under_autocast),
)
