"""SAM as a network of dabench: grey images in [0, 1] and points in their pixels, the library's model inside.

The encoder sees 0-255 RGB normalised by SAM's statistics, the longer side brought to its own, the rest zero. Points go
through the same scaling, pixel centres on pixel centres. What the decoder says comes back the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dabench.ops.precision import full_precision
from dabench.ops.prompted import PromptMasks
from dabench.ops.prompts import Features, NetworkOutput, Prompts
from dabench.plugin import Predictor
from dabench_sam_model.build import build
from dabench_sam_model.cache import EmbeddingCache
from dabench_sam_model.predictor import Automatic, Grid, PromptPredictor, Whole
from dabench_sam_model.sizes import Size

#: Of red, green and blue on the scale 0-255.
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
#: Prompts that are decoded together on an accelerator, and numbers of all their embeddings on a CPU (4 prompts of SAM's
#: own size): more do not fit in its caches, and take longer than one by one.
_PROMPTS, _NUMBERS = 64, 2**22


class SamNetwork(nn.Module):
    """The library's SAM with the signature of dabench's networks, and of `dabench.ops.prompted.InstanceNetwork`."""

    mean: Tensor
    std: Tensor

    def __init__(self, size: Size) -> None:
        """Build it with random weights."""
        super().__init__()
        self.size, self.cache = size, EmbeddingCache()
        self.sam: Any = build(size)
        #: The finest map that does not depend on prompts is the embedding.
        self.encoder_channels, self.decoder_channels = (size.channels,), size.channels
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1), persistent=False)

    # ------------------------------------------------------------------------------------------------------- asking
    def pixels(self, images: Tensor) -> Tensor:
        """What the encoder sees ``(B, 3, S, S)`` of images ``(B, 1, H, W)`` in [0, 1]."""
        height, width = images.shape[-2:]
        colour = (255 * images.float().expand(-1, 3, -1, -1) - self.mean) / self.std
        scaled = self._scaled((height, width))
        if scaled != (height, width):
            colour = F.interpolate(colour, size=scaled, mode="bilinear", align_corners=False, antialias=True)
        side = self.size.side
        return F.pad(colour, (0, side - scaled[1], 0, side - scaled[0]))

    def _scaled(self, size: tuple[int, int]) -> tuple[int, int]:
        scale = self.size.side / max(size)
        return round(size[0] * scale), round(size[1] * scale)

    def encode(self, images: Tensor) -> Tensor:
        """Embeddings ``(B, C, g, g)`` of images ``(B, 1, H, W)`` float in [0, 1]; kept where no gradient is wanted."""
        if torch.is_grad_enabled():
            return self._encode(images)
        return self.cache.get(images, self.sam.vision_encoder, self._encode)

    def _encode(self, images: Tensor) -> Tensor:
        embeddings: Tensor = self.sam.vision_encoder(self.pixels(images)).last_hidden_state
        return embeddings

    def decode(self, embeddings: Tensor, points: Tensor, of: Tensor, size: tuple[int, int]) -> PromptMasks:
        """Three masks of each of N prompts.

        Args:
            embeddings: (B, C, g, g).
            points: (N, P, 2) (x, y) in pixels of the images, P foreground points a prompt; N may be 0.
            of: (N,) long, the image of each prompt.
            size: (H, W) of the images.
        """
        together = _PROMPTS if points.device.type != "cpu" else max(1, _NUMBERS // embeddings[0].numel())
        if not torch.is_grad_enabled() and len(points) > together:
            parts = [
                self.decode(embeddings, p, o, size)
                for p, o in zip(torch.split(points, together), torch.split(of, together), strict=True)
            ]
            return PromptMasks(torch.cat([m.logits for m in parts]), torch.cat([m.quality for m in parts]))
        if not len(points):
            grid = 4 * self.size.grid
            return PromptMasks(embeddings.new_zeros((0, 3, grid, grid)).float(), embeddings.new_zeros((0, 3)).float())
        with full_precision(points):  # coordinates lose pixels in bfloat16
            sparse, dense = self.sam.prompt_encoder(self._placed(points, size)[:, None], *self._asked(points))
        return self._masks(embeddings[of], sparse, dense, several=True)

    @staticmethod
    def _asked(points: Tensor) -> tuple[Tensor, None, None]:
        """Labels ``(N, 1, P)``, all foreground; no boxes, no masks."""
        return torch.ones((len(points), 1, points.shape[1]), dtype=torch.int, device=points.device), None, None

    def _placed(self, points: Tensor, size: tuple[int, int]) -> Tensor:
        """Points in pixels of the encoder."""
        scaled = self._scaled(size)
        scale = torch.tensor([scaled[1] / size[1], scaled[0] / size[0]], device=points.device)
        return (points.float() + 0.5) * scale - 0.5

    def whole(self, embeddings: Tensor) -> PromptMasks:
        """One mask per image, asked without a prompt."""
        _, dense = self.sam.prompt_encoder(None, None, None, None)
        return self._masks(embeddings, None, dense.expand(len(embeddings), -1, -1, -1), several=False)

    def _masks(self, embeddings: Tensor, sparse: Tensor | None, dense: Tensor, *, several: bool) -> PromptMasks:
        places = self.sam.get_image_wide_positional_embeddings().expand(len(embeddings), -1, -1, -1)
        logits, quality = self.sam.mask_decoder(embeddings, places, sparse, dense, multimask_output=several)
        return PromptMasks(logits[:, 0].float(), quality[:, 0].float())

    def enlarge(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Masks ``(N, K, h, w)`` in pixels of the images ``(N, K, H, W)``, as SAM does it: bilinear, twice."""
        side, (height, width) = self.size.side, self._scaled(size)
        large = F.interpolate(logits.float(), size=(side, side), mode="bilinear", align_corners=False)
        large = large[..., :height, :width]
        if (height, width) == size:
            return large
        return F.interpolate(large, size=size, mode="bilinear", align_corners=False)

    # ------------------------------------------------------------------------------------------------ as any network
    def forward(
        self,
        images: Tensor,
        prompts: Prompts | None = None,
        with_density: bool = False,
        with_features: bool = False,
    ) -> NetworkOutput:
        """Segment a batch: the union of the best masks of an image's points; of one without, what SAM says unasked.

        Args:
            images: (B, 1, H, W) float in [0, 1].
            prompts: points of each image; None or none is automatic mode.
            with_density: there is none.
            with_features: also hand out the embeddings.
        """
        del with_density
        embeddings, size = self.encode(images), (images.shape[-2], images.shape[-1])
        logits = torch.cat(list(self._unions(embeddings, prompts, size)))
        return NetworkOutput(logits, features=Features(embeddings, [embeddings]) if with_features else None)

    def _unions(self, embeddings: Tensor, prompts: Prompts | None, size: tuple[int, int]) -> Iterator[Tensor]:
        """Logits ``(1, 1, H, W)`` of each image."""
        given = embeddings.new_zeros((0, 2))
        for row, points in enumerate([given] * len(embeddings) if prompts is None else prompts.unpad()):
            own = embeddings[row : row + 1]
            if len(points):
                of = torch.zeros(len(points), dtype=torch.long, device=own.device)
                best, _ = self.decode(own, points[:, None], of, size).best()
                yield self.enlarge(best[:, None], size).amax(dim=0, keepdim=True)
            else:
                yield self.enlarge(self.whole(own).logits, size)

    def predictor(self, automatic: str, **rule: Any) -> Predictor:
        """The network seen from outside.

        Args:
            automatic: what it does without points: ``grid`` asks at a grid of points, ``whole`` once without any.
            rule: settings of the grid (`dabench_sam_model.predictor.Grid`).
        """
        how: Automatic = Grid(**rule) if automatic == "grid" else Whole()
        return PromptPredictor(self, how)
