"""Small parts for the tests of a plugin: networks, a self-training scheme, a predictor and a volume.

A method needs a network, a network's inference needs a predictor. With these a test gives it one whose answer follows
from the image by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from dabench.data.volumes import ArrayVolume
from dabench.inference.predictor import NetworkPredictor
from dabench.interfaces import OptimizerStep, Predictor, PseudoTargets, SelfTraining, Stage
from dabench.ops.prompts import Features, NetworkOutput, Prompts
from dabench.testing.fixtures import as_logits
from dabench.types import Array, Batch, Prediction, TargetCrops


class ConvToy(nn.Module):
    """A convolution for each map that a method may ask for: two of the encoder, one of the decoder, one or two heads.

    Args:
        widths: channels of the encoder's maps.
        stride: of the second map.
        normalise: BatchNorm on the image itself, so that its statistics are the image's.
        dropout: share of the decoder's maps that are dropped in training.
        detects: whether there is a density head.

    Example:
        >>> network = ConvToy(widths=(4, 8), stride=2)
        >>> [map.shape[1:] for map in network(torch.rand(2, 1, 32, 32), with_features=True).features.encoder]
        [torch.Size([4, 32, 32]), torch.Size([8, 16, 16])]
    """

    decoder_channels = 3

    def __init__(
        self,
        widths: tuple[int, int] = (3, 4),
        *,
        stride: int = 1,
        normalise: bool = False,
        dropout: float = 0.0,
        detects: bool = False,
    ) -> None:
        """Weights are drawn from torch's own generator: seed it."""
        super().__init__()
        self.encoder_channels = widths
        self.norm = nn.BatchNorm2d(1) if normalise else nn.Identity()
        self.first = nn.Conv2d(1, widths[0], 3, padding=1)
        self.second = nn.Conv2d(widths[0], widths[1], 3, stride=stride, padding=1)
        self.decode = nn.Conv2d(widths[0], self.decoder_channels, 1)
        self.drop = nn.Dropout2d(dropout)
        self.head = nn.Conv2d(self.decoder_channels, 1, 1)
        self.detect = nn.Conv2d(self.decoder_channels, 1, 1) if detects else None

    def forward(
        self,
        images: Tensor,
        prompts: Prompts | None = None,
        *,
        with_density: bool = False,
        with_features: bool = False,
    ) -> NetworkOutput:
        """``(B, 1, H, W)`` in [0, 1] → output; prompts are ignored."""
        del prompts
        first = self.first(self.norm(images))
        second = self.second(first)
        decoder = self.drop(self.decode(first + second.mean()))
        density = self.detect(decoder)[:, 0] if self.detect is not None and with_density else None
        features = Features(decoder, [first, second]) if with_features else None
        return NetworkOutput(self.head(decoder), density, features=features)


class ImageToy(nn.Module):
    """A network whose probability is the image: times a gain that can be learnt, or what ``answer`` makes of it.

    Args:
        gain: what the image is multiplied with; the only parameter.
        answer: ``(B, H, W)`` image times gain → probability, cut to [0, 1].
        density: ``(B, H, W)`` image → density; None: there is none.
        dropout: share of whole images that are dropped in training.

    Example:
        >>> half = ImageToy(gain=0.5)
        >>> round(half(torch.full((1, 1, 2, 2), 0.8)).probability[0, 0, 0].item(), 4)
        0.4
    """

    def __init__(
        self,
        gain: float = 1.0,
        answer: Callable[[Tensor], Tensor] = Tensor.clone,
        *,
        density: Callable[[Tensor], Tensor] | None = None,
        dropout: float = 0.0,
    ) -> None:
        """Nothing is drawn."""
        super().__init__()
        self.gain, self.answer, self.density = nn.Parameter(torch.tensor(gain)), answer, density
        self.drop = nn.Dropout2d(dropout)

    def forward(self, images: Tensor, prompts: Prompts | None = None, *, with_density: bool = False) -> NetworkOutput:
        """``(B, 1, H, W)`` in [0, 1] → output; prompts are ignored."""
        del prompts
        plane = images[:, 0]
        probability = self.answer(self.drop(images)[:, 0] * self.gain)
        density = self.density(plane) if self.density is not None and with_density else None
        return NetworkOutput(as_logits(probability), density)


class ToyLabels(SelfTraining):
    """A self-training scheme that labels what it is told to; ``followed`` are the updates that it was told of.

    Args:
        labels: ``(B, H, W)`` images → uint8 labels, 255 = ignore; by default bright pixels are foreground.
        foreground: weight of a pixel of the foreground.
        background: weight of any other pixel.
        rounds: whether it makes its labels per round.

    Example:
        >>> half = ToyLabels(lambda images: (torch.arange(images.shape[-1]) < 16).expand_as(images).to(torch.uint8))
    """

    def __init__(
        self,
        labels: Callable[[Tensor], Tensor] = lambda images: (images > 0.5).to(torch.uint8),
        foreground: float = 1.0,
        background: float = 1.0,
        *,
        rounds: bool = False,
    ) -> None:
        """Nothing is told yet."""
        self.labels, self.foreground, self.background, self.rounds = labels, foreground, background, rounds
        self.student: nn.Module | None = None
        self.followed: list[tuple[nn.Module, int]] = []

    def start(self, student: nn.Module) -> None:
        """Remember the student."""
        self.student = student

    def targets(self, crops: TargetCrops, generator: torch.Generator) -> PseudoTargets:
        """The labels with their weights; the points as they came."""
        del generator
        labels = self.labels(crops.images[:, 0])
        seen = (labels == 1).float()
        weights = seen * self.foreground + (1 - seen) * self.background
        return PseudoTargets(labels, weights, crops.points, None, seen)

    def after_update(self, student: nn.Module, step: int) -> None:
        """Remember the update."""
        self.followed.append((student, step))


class ImagePredictor(Predictor):
    """A predictor whose probability is the image, or what ``answer`` makes of it; remembers what it was shown.

    Args:
        answer: ``(B, C, H, W)`` tiles → ``(B, H, W)`` probability.
        neighbour: nm to the second section that it wants to see.
        finish: last step on a whole mask.

    ``shapes`` are those of the batches that it was shown, ``points`` their points. The density is half of the
    probability.
    """

    def __init__(
        self,
        answer: Callable[[Tensor], Tensor] = lambda images: images[:, 0],
        *,
        neighbour: float = 0.0,
        finish: Callable[[Array], Array] = lambda mask: mask,
    ) -> None:
        """Nothing is shown yet."""
        self.answer, self.neighbour, self._finish = answer, neighbour, finish
        self.shapes: list[torch.Size] = []
        self.points: list[Sequence[Tensor] | None] = []

    def predict(self, images: Tensor, points: Sequence[Tensor] | None = None, *, density: bool = False) -> Prediction:
        """The answer to tiles."""
        self.shapes.append(images.shape)
        self.points.append(points)
        probability = self.answer(images)
        return Prediction(probability, probability / 2 if density else None)

    def finish(self, mask: Array) -> Array:
        """The last step that it was given."""
        return self._finish(mask)


class WatchedVolume(ArrayVolume):
    """An array that remembers which slices were read, in order.

    Example:
        >>> volume = WatchedVolume(numpy.zeros((3, 4, 4)))
        >>> volume.read(2), volume.reads
        (array(...), [2])
    """

    def __init__(self, array: Array) -> None:
        """Nothing is read yet."""
        super().__init__(array)
        self.reads: list[int] = []

    def read(self, z: int) -> Array:
        """A slice."""
        self.reads.append(z)
        return super().read(z)


class FrozenToy(Stage):
    """A stage that is never trained: its network predicts as it was made.

    >>> FrozenToy(ImageToy()).optimizer_steps()
    ()
    """

    def __init__(self, network: nn.Module) -> None:
        """Take the network."""
        self.frozen = network

    def modules(self) -> Mapping[str, nn.Module]:
        """The network."""
        return {"network": self.frozen}

    def optimizer_steps(self) -> Sequence[OptimizerStep]:
        """None."""
        return ()

    def step(self, batch: Batch, optimizer: str) -> dict[str, Tensor]:
        """Raises AssertionError."""
        raise AssertionError(f"a frozen stage is never trained: {optimizer}, update {batch.step}")

    def predictor(self) -> Predictor:
        """The network's."""
        return NetworkPredictor(self.frozen)
