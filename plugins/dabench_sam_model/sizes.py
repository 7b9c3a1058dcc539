"""Sizes of SAM: the three that were published, SAM-Med2D's, and two narrow ones that a CPU can train."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Size:
    """What decides every tensor's shape.

    Attributes:
        side: pixels of the square that the encoder sees.
        width, depth, heads, window: of the image encoder; ``whole`` are the blocks that look at the whole image.
        patch: pixels of a patch, the stride of the embedding.
        channels: width of embedding, prompts and decoder; ``mlp`` and ``decoder_heads`` are the decoder's.
        adapters: whether every block has SAM-Med2D's adapter.
    """

    side: int
    width: int
    depth: int
    heads: int
    whole: tuple[int, ...]
    window: int = 14
    patch: int = 16
    channels: int = 256
    mlp: int = 2048
    decoder_heads: int = 8
    adapters: bool = False

    @property
    def grid(self) -> int:
        """Cells along a side of the embedding."""
        return self.side // self.patch


SIZES: dict[str, Size] = {
    "vit-b": Size(1024, 768, 12, 12, (2, 5, 8, 11)),
    "vit-l": Size(1024, 1024, 24, 16, (5, 11, 17, 23)),
    "vit-h": Size(1024, 1280, 32, 16, (7, 15, 23, 31)),
    "med2d": Size(256, 768, 12, 12, (2, 5, 8, 11), adapters=True),
    "small": Size(192, 192, 8, 6, (3, 7), window=8, patch=12, channels=128, mlp=512),
    "tiny": Size(96, 64, 4, 2, (1, 3), window=6, patch=8, channels=32, mlp=64, decoder_heads=2),
    "tiny-med2d": Size(64, 32, 2, 2, (1,), window=3, patch=16, channels=32, mlp=64, decoder_heads=2, adapters=True),
}


def library_config(size: Size) -> Any:
    """The library's configuration, ``transformers.SamConfig``."""
    from transformers import SamConfig

    vision = {
        "hidden_size": size.width,
        "output_channels": size.channels,
        "num_hidden_layers": size.depth,
        "num_attention_heads": size.heads,
        "image_size": size.side,
        "patch_size": size.patch,
        "window_size": size.window,
        "global_attn_indexes": list(size.whole),
        "num_pos_feats": size.channels // 2,
        "mlp_dim": 4 * size.width,
        # The library's own value is meant for weights that are loaded afterwards: nothing learns from 1e-10.
        "initializer_range": 0.02,
    }
    prompts = {"hidden_size": size.channels, "image_size": size.side, "patch_size": size.patch}
    decoder = {
        "hidden_size": size.channels,
        "mlp_dim": size.mlp,
        "num_attention_heads": size.decoder_heads,
        "iou_head_hidden_dim": size.channels,
    }
    make: Any = SamConfig
    return make(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder)
