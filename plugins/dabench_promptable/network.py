"""The promptable network of Prompt-DAS / Prefer-DAS on any backbone.

One pass segments all mitochondria of an image with all, some or no point prompts. tokens = [mask token, points]; a
two-way transformer exchanges them with the image; the mask token's hyper-network is multiplied with the up-scaled
image into a single probability map. A second group of tokens, for the contrastive loss, watches without being seen.

At the paper's widths the live decoder has 6,855,105 parameters. The release counts 7,003,329: two self-attention
output projections there (148,224) are never used; nor are 1,536 SAM embeddings of its prompt encoder, absent here.

Deviations from the release: the batch is decoded at once instead of sample by sample; the probability map is resized
with pixel centres kept in place unless `align_corners` is set (the release aligns corners at inference); with
`placed_contrast` the decoded image cell at a token's place is added to it before the contrast MLP, for an output token
alone hardly knows what lies under it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dabench.ops.prompts import Features, NetworkOutput, Prompts
from dabench_promptable.decoder import TwoWayTransformer, attention_masks
from dabench_promptable.heads import DetectionHead, Mixing, three_layer_mlp, upscaler
from dabench_promptable.prompt_encoder import FourierPositions

#: Numbers of tokens are rounded up to a multiple: kernels are made for each size, and crops have any number of points.
_TOKENS = 32


class FeatureBackbone(Protocol):
    """What the network needs to know of a backbone: (B, 1, H, W) in [0, 1] → feature maps, deepest last."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Widths:
    """Sizes of the decoder; the defaults are the paper's."""

    dim: int = 384
    heads: int = 8
    mlp: int = 2048
    depth: int = 2
    downsample: int = 2
    detection: int = 256
    full_resolution_detection: bool = True
    placed_contrast: bool = False
    align_corners: bool = False
    mixing: bool = False


PAPER = Widths()


class PromptableNetwork(nn.Module):
    """Backbone, prompt encoder, two-way decoder, segmentation and detection heads, contrast MLP."""

    def __init__(self, backbone: nn.Module, widths: Widths = PAPER, heatmap_scale: float = 1.0) -> None:
        """Assembles the network.

        Args:
            backbone: a `FeatureBackbone`; its last map is decoded.
            widths: sizes of the decoder.
            heatmap_scale: factor on the detection head's raw output.
        """
        super().__init__()
        self.backbone = backbone
        #: Channels of `Features`.
        self.encoder_channels = cast(FeatureBackbone, backbone).channels
        self.decoder_channels = widths.dim // 8
        deepest = self.encoder_channels[-1]
        # The paper's encoder and decoder have one width: nothing lies between them there.
        self.neck = nn.Identity() if deepest == widths.dim else nn.Conv2d(deepest, widths.dim, 1)
        self.positions = FourierPositions(widths.dim)
        self.mask_token = nn.Parameter(torch.randn(1, 1, widths.dim))
        self.transformer = TwoWayTransformer(widths.dim, widths.heads, widths.mlp, widths.depth, widths.downsample)
        self.upscaler = upscaler(widths.dim)
        self.mixing = Mixing(widths.dim // 8) if widths.mixing else nn.Identity()
        self.hyper = three_layer_mlp(widths.dim, widths.dim // 8)
        self.contrast = three_layer_mlp(widths.dim, widths.dim)
        self.placed_contrast, self.align_corners = widths.placed_contrast, widths.align_corners
        self.detection = DetectionHead(
            widths.dim // 8, widths.detection, heatmap_scale, full_resolution=widths.full_resolution_detection
        )

    def forward(
        self,
        images: Tensor,
        prompts: Prompts | None = None,
        contrast: Tensor | None = None,
        contrast_valid: Tensor | None = None,
        with_density: bool = False,
        with_features: bool = False,
    ) -> NetworkOutput:
        """Segments a batch.

        Args:
            images: (B, 1, H, W) float in [0, 1].
            prompts: points of each image; None or M = 0 is automatic mode.
            contrast: (B, K, 2) float ``(x, y)``, points whose embeddings the contrastive loss wants.
            contrast_valid: (B, K) bool, False where padded; None = all valid.
            with_density: also run the detection head.
            with_features: also hand out the up-scaled maps and the backbone's.

        Returns:
            Logits (B, 1, H, W) and what else was asked for.
        """
        size = (images.shape[-2], images.shape[-1])
        encoder = self.backbone(images)
        cells = self.neck(encoder[-1])
        tokens, masks, prompted = self._tokens(len(images), size, prompts, contrast, contrast_valid)
        maps, tokens, decoded = self._decode(cells, tokens, masks)
        logits = self._logits(self.hyper(tokens[:, 0]), maps, size, align_corners=self.align_corners)
        density = self.detection(maps, size) if with_density else None
        features = Features(maps, encoder) if with_features else None
        if contrast is None:
            return NetworkOutput(logits, density, features=features)
        tokens = tokens[:, 1 : 1 + prompted + contrast.shape[1]]
        if self.placed_contrast:
            points = contrast if prompts is None else torch.cat([prompts.points, contrast], dim=1)
            tokens = tokens + cells_at(decoded, points, size)
        embeddings = self.contrast(tokens).float()
        return NetworkOutput(logits, density, embeddings[:, :prompted], embeddings[:, prompted:], features)

    @staticmethod
    def _logits(weights: Tensor, maps: Tensor, size: tuple[int, int], *, align_corners: bool = False) -> Tensor:
        """Dot product of the mask token's weights (B, C) with the maps (B, C, h, w), enlarged to (B, 1, H, W).

        What is enlarged are the probabilities of both classes (as published); the difference of their logarithms is the
        logit of the enlarged probability, also where that is 1 to the last digit.
        """
        # In float32 also under autocast: near 0 and 1 the losses see differences that bf16 does not hold.
        with torch.autocast(device_type=maps.device.type, enabled=False):
            # A product of pixels with channels: its gradient has the maps' own layout, channels last.
            pixels = maps.float().flatten(2).transpose(1, 2)
            logits = (pixels @ weights.float()[:, :, None]).view(len(maps), *maps.shape[2:])
            both = torch.stack([-logits, logits], dim=1).sigmoid()
            resized = F.interpolate(both, size=size, mode="bilinear", align_corners=align_corners)
            log = resized.clamp(min=torch.finfo(torch.float32).tiny).log()
        return log[:, 1:] - log[:, :1]

    def _tokens(
        self,
        batch: int,
        size: tuple[int, int],
        prompts: Prompts | None,
        contrast: Tensor | None,
        contrast_valid: Tensor | None,
    ) -> tuple[Tensor, tuple[Tensor | None, Tensor | None], int]:
        """Tokens (B, T, D), their masks (None when nothing is hidden) and M; T is 1 + M + K, rounded up with masks."""
        tokens = [self.mask_token.expand(batch, -1, -1)]
        valid = [torch.ones(batch, 1, dtype=torch.bool, device=self.mask_token.device)]
        prompted = 0
        if prompts is not None and prompts.points.shape[1] > 0:
            prompted = prompts.points.shape[1]
            tokens.append(self.positions.points(prompts.points, size))
            valid.append(prompts.valid)
        if contrast is None and prompted == 0:
            return tokens[0], (None, None), 0
        first = torch.cat(valid, dim=1)
        second = first[:, :0]
        if contrast is not None:
            tokens.append(self.positions.points(contrast, size))
            every = torch.ones(contrast.shape[:2], dtype=torch.bool, device=contrast.device)
            second = every if contrast_valid is None else contrast_valid
        together = torch.cat(tokens, dim=1)
        spare = -together.shape[1] % _TOKENS
        masks = attention_masks(first, F.pad(second, (0, spare)))
        return F.pad(together, (0, 0, 0, spare)), masks, prompted

    def _decode(
        self, cells: Tensor, tokens: Tensor, masks: tuple[Tensor | None, Tensor | None]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Two-way exchange and up-scaling: maps (B, D / 8, 4h, 4w), tokens (B, T, D), image cells (B, D, h, w)."""
        height, width = cells.shape[-2:]
        code = self.positions.grid((height, width))
        tokens, image = self.transformer(tokens, cells.flatten(2).transpose(1, 2), code, masks)
        decoded = image.transpose(1, 2).unflatten(2, (height, width))
        return self.mixing(self.upscaler(decoded)), tokens, decoded


def cells_at(cells: Tensor, points: Tensor, size: tuple[int, int]) -> Tensor:
    """Image cells at points, bilinear.

    Args:
        cells: (B, D, h, w) float.
        points: (B, K, 2) float ``(x, y)``, pixels of the image.
        size: (H, W) of the image in pixels.

    Returns:
        (B, K, D) float.
    """
    extent = torch.tensor([size[1], size[0]], dtype=torch.float32, device=points.device)
    unit = 2 * (points.float() + 0.5) / extent - 1
    found = F.grid_sample(cells, unit[:, :, None].to(cells), padding_mode="border", align_corners=False)
    return found[..., 0].transpose(1, 2)
