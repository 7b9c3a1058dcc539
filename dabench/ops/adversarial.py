"""Adversarial domain alignment: a convolutional discriminator, and the two losses that pull on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dabench.ops.norms import GroupNorm
from dabench.ops.precision import full_precision

#: Label of each domain for the discriminator, as in AdaptSegNet.
SOURCE, TARGET = 0.0, 1.0


class PatchDiscriminator(nn.Module):
    """Convolutions 4x4 of stride 2 with leaky ReLU, then one more to a map of logits (AdaptSegNet, after DCGAN).

    Every field's discriminator on segmentation maps is this one, with other widths or a normalisation.
    """

    def __init__(self, channels: int, widths: tuple[int, ...] = (64, 128, 256, 512), groups: int = 0) -> None:
        """Builds the network.

        Args:
            channels: of the map that it looks at.
            widths: of the convolutions before the last.
            groups: of a GroupNorm without affine parameters behind every convolution but the first; 0: no norm.
        """
        super().__init__()
        layers: list[nn.Module] = []
        for number, width in enumerate(widths):
            layers.append(nn.Conv2d(channels, width, 4, stride=2, padding=1))
            if groups and number:
                layers.append(GroupNorm(groups, width, affine=False))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            channels = width
        layers.append(nn.Conv2d(channels, 1, 4, stride=2, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) → (B, 1, H / 2^n, W / 2^n) logits, n the number of convolutions."""
        logits: Tensor = self.layers(maps)
        return logits


def domain_loss(logits: Tensor, domain: float) -> Tensor:
    """Binary cross-entropy of logits of any shape against one domain's label, mean; float32 scalar."""
    with full_precision(logits):
        return F.binary_cross_entropy_with_logits(logits.float(), torch.full_like(logits, domain, dtype=torch.float32))


def discriminator_terms(shown: Mapping[str, tuple[nn.Module, Tensor, Tensor]]) -> dict[str, Tensor]:
    """Loss of discriminators that tell the two domains apart, half of it per domain (AdaptSegNet, Eq. 2).

    Args:
        shown: by name, a discriminator and what it sees of the source and of the target, without gradient.

    Returns:
        ``NAME_source`` and ``NAME_target``, float32 scalars.
    """
    return {
        f"{name}_{domain}": domain_loss(discriminator(seen[number]), label) / 2
        for number, (domain, label) in enumerate((("source", SOURCE), ("target", TARGET)))
        for name, (discriminator, *seen) in shown.items()
    }


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Inside, forward passes build no graph to these modules' parameters: the segmenter's step leaves them alone."""
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def two_classes(logits: Tensor) -> Tensor:
    """A network's logits (B, 1, H, W) as the softmax map (B, 2, H, W) in [0, 1] that discriminators look at."""
    return torch.cat([-logits, logits], dim=1).float().sigmoid()
