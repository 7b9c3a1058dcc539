"""Blocks, encoder, decoder and heads of the factorised network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dabench.ops.greys import stretched
from dabench.ops.prompts import Features, NetworkOutput, Prompts, binary_logits

#: Dilation of each branch: fields of 3 to 17 pixels.
_DILATIONS = (1, 2, 3, 4, 6, 8)
#: The attention's hidden width is a sixteenth of the branches', at least this.
_REDUCTION, _LEAST = 16, 2
#: The deepest map's stride; images are padded to a multiple.
_STRIDE = 16


def _norm(channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels, affine=False)


def factorised_branch(channels: int, dilation: int) -> nn.Sequential:
    """1x3, then 3x1 convolution with one dilation, 6 C² parameters; no bias, for a norm follows."""
    return nn.Sequential(
        nn.Conv2d(channels, channels, (1, 3), padding=(0, dilation), dilation=(1, dilation), bias=False),
        nn.Conv2d(channels, channels, (3, 1), padding=(dilation, 0), dilation=(dilation, 1), bias=False),
        _norm(channels),
        nn.ReLU(inplace=True),
    )


class SelectiveBlock(nn.Module):
    """Narrow to half the channels, six factorised branches fused by attention, widen, add to the input.

    The attention is selective-kernel's (Li et al., CVPR 2019): the mean of the summed branches goes through a
    bottleneck, and a softmax over branches weighs each channel.
    """

    def __init__(self, channels: int) -> None:
        """Builds the block: 10 C² parameters and the attention's."""
        super().__init__()
        inner = channels // 2
        hidden = max(inner // _REDUCTION, _LEAST)
        self.narrow = nn.Sequential(nn.Conv2d(channels, inner, 1, bias=False), _norm(inner), nn.ReLU(inplace=True))
        self.branches = nn.ModuleList(factorised_branch(inner, dilation) for dilation in _DILATIONS)
        self.squeeze = nn.Linear(inner, hidden)
        self.select = nn.Linear(hidden, len(_DILATIONS) * inner)
        self.widen = nn.Sequential(nn.Conv2d(inner, channels, 1, bias=False), _norm(channels))

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) → the same shape, not negative."""
        narrow = self.narrow(maps)
        seen = torch.stack([branch(narrow) for branch in self.branches], dim=1)
        weights = self.select(self.squeeze(seen.sum(dim=1).mean(dim=(2, 3))).relu())
        weights = weights.view(len(maps), len(self.branches), -1).softmax(dim=1)
        fused = (seen * weights[..., None, None]).sum(dim=1)
        return F.relu(maps + self.widen(fused))


class Downsample(nn.Module):
    """Half the side and twice the channels: max-pooling beside a strided convolution."""

    def __init__(self, channels: int) -> None:
        """Builds the layer for so many input channels."""
        super().__init__()
        self.convolve = nn.Conv2d(channels, channels, 3, stride=2, padding=1, bias=False)
        self.norm = _norm(2 * channels)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) → (B, 2C, h / 2, w / 2), not negative."""
        return F.relu(self.norm(torch.cat([F.max_pool2d(maps, 2), self.convolve(maps)], dim=1)))


class Upsample(nn.Module):
    """Twice the side and half the channels, bilinear and a 1x1 convolution; the encoder's map is added."""

    def __init__(self, channels: int) -> None:
        """Builds the layer for so many output channels."""
        super().__init__()
        self.convolve = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.block = SelectiveBlock(channels)

    def forward(self, maps: Tensor, skip: Tensor) -> Tensor:
        """(B, 2C, h, w) and (B, C, 2h, 2w) → (B, C, 2h, 2w)."""
        # The convolution first: it is the same, and a quarter of the work.
        larger = F.interpolate(self.convolve(maps), scale_factor=2, mode="bilinear", align_corners=False)
        enlarged: Tensor = self.block(larger + skip)
        return enlarged


class Head(nn.Module):
    """Blocks at half resolution, enlarged twice, and a 1x1 convolution."""

    def __init__(self, channels: int, blocks: int, out: int) -> None:
        """Builds the head."""
        super().__init__()
        self.blocks = nn.Sequential(*(SelectiveBlock(channels) for _ in range(blocks)))
        self.leave = nn.Conv2d(channels, out, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) → (B, out, 2h, 2w) float32."""
        left = self.leave(self.blocks(maps)).float()
        return F.interpolate(left, scale_factor=2, mode="bilinear", align_corners=False)


class FactorisedNetwork(nn.Module):
    """Encoder, decoder, segmentation and detection head; see the package's docstring for its feature maps."""

    def __init__(
        self, widths: Sequence[int], detection_blocks: int, heatmap_scale: float = 1.0, *, stretch: bool = False
    ) -> None:
        """Assembles the network.

        Args:
            widths: channels of the four levels, each twice the one before.
            detection_blocks: of the detection head: 2 (WDA-Net) or 4 (IPL).
            heatmap_scale: factor on the detection head's raw output.
            stretch: whether crops are stretched to [0, 1] first.

        Raises:
            ValueError: the widths do not double.
        """
        super().__init__()
        if any(deep != 2 * shallow for shallow, deep in pairwise(widths)):
            raise ValueError(f"widths {tuple(widths)}: each is twice the one before")
        first, *_ = widths
        self.encoder_channels = (*widths[:-1], widths[-2], widths[-1])
        self.decoder_channels = first
        self.scale, self.stretch = heatmap_scale, stretch
        self.stem = nn.Sequential(nn.Conv2d(4, first, 3, padding=1, bias=False), _norm(first), nn.ReLU(inplace=True))
        self.down = nn.ModuleList(Downsample(width) for width in widths[:-1])
        self.encode = nn.ModuleList(SelectiveBlock(width) for width in widths)
        self.up = nn.ModuleList(Upsample(width) for width in reversed(widths[:-1]))
        self.segmentation = Head(first, 1, 2)
        self.detection = Head(first, detection_blocks, 1)

    def forward(
        self,
        images: Tensor,
        prompts: Prompts | None = None,
        with_density: bool = False,
        with_features: bool = False,
    ) -> NetworkOutput:
        """Segments a batch.

        Args:
            images: (B, 1, H, W) float in [0, 1], at least 32 pixels a side.
            prompts: ignored.
            with_density: also run the detection head; its density is not negative (the release ends in a ReLU).
            with_features: also hand out the maps.

        Returns:
            Logits (B, 1, H, W) and what else was asked for.
        """
        del prompts
        height, width = images.shape[-2:]
        seen = stretched(images) if self.stretch else images
        padded = F.pad(seen, (0, -width % _STRIDE, 0, -height % _STRIDE), mode="replicate")
        maps, features = self._decode(self._encode(padded))
        logits = binary_logits(self.segmentation(maps))[..., :height, :width]
        density = None
        if with_density:
            density = (self.detection(maps)[:, 0, :height, :width] * self.scale).relu()
        return NetworkOutput(logits, density, features=Features(maps, features) if with_features else None)

    def _encode(self, images: Tensor) -> list[Tensor]:
        """Maps of the four levels."""
        maps = self.encode[0](self.stem(F.pixel_unshuffle(images, 2)))
        levels = [maps]
        for down, block in zip(self.down, self.encode[1:], strict=True):
            maps = block(down(maps))
            levels.append(maps)
        return levels

    def _decode(self, levels: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The decoder's last map, and the feature maps with its first between the encoder's."""
        maps = levels[-1]
        decoded = []
        for up, skip in zip(self.up, reversed(levels[:-1]), strict=True):
            maps = up(maps, skip)
            decoded.append(maps)
        return maps, [*levels[:-1], decoded[0], levels[-1]]
