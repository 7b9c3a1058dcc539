"""ViT-S/8 (DINO) as Prompt-DAS uses it: patch tokens only.

The class token is not fed at all (dropping it after the blocks would not be the same: patches would have attended to
it); the first entry of the position table goes with it. timm is asked for the architecture, weights come from a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dabench.plugin import WeightsError, read_weights

ARCHITECTURE = "vit_small_patch8_224.dino"
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


class PatchTokenViT(nn.Module):
    """Gray image → one 384-channel map at stride 8.

    Attributes:
        channels: (384,).
        strides: (8,).
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        pretrained: Path | Mapping[str, Tensor] | None = None,
        architecture: str = ARCHITECTURE,
        grid_offset: float = 0.0,
    ) -> None:
        """Builds the encoder.

        Args:
            pretrained: a safetensors file, a PyTorch file or tensors of the timm model; None = random weights.
            architecture: timm name of a plain ViT with one class token.
            grid_offset: added to the grid's sides where the position table is resized; DINO's code has 0.1, which
                moves every sample by a fraction of a cell.
        """
        super().__init__()
        self.grid_offset = grid_offset
        vit: Any = timm.create_model(architecture, pretrained=False, num_classes=0, dynamic_img_size=True)
        if pretrained is not None:
            state = read_weights(pretrained) if isinstance(pretrained, Path) else pretrained
            state = {name: tensor for name, tensor in state.items() if not name.startswith("head.")}
            _load(vit, state, str(pretrained) if isinstance(pretrained, Path) else "the timm hub")
        self.patch_embed: nn.Module = vit.patch_embed
        # (1, g * g, D): the class token's entry is cut off.
        self.positions = nn.Parameter(vit.pos_embed.detach()[:, 1:].clone())
        self.blocks: nn.Module = vit.blocks
        self.norm: nn.Module = vit.norm
        self.channels: tuple[int, ...] = (int(vit.embed_dim),)
        self.strides: tuple[int, ...] = (int(vit.patch_embed.patch_size[0]),)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Encodes.

        Args:
            images: (B, 1, H, W) float in [0, 1]; H and W divisible by the patch size.

        Returns:
            One map (B, D, H / patch, W / patch).
        """
        colour = (images.expand(-1, 3, -1, -1) - self.mean) / self.std
        grid = self.patch_embed(colour)  # (B, h, w, D): timm keeps the grid under dynamic_img_size
        height, width = grid.shape[1:3]
        tokens = self.norm(self.blocks((grid + self._resized(height, width)).flatten(1, 2)))
        return [tokens.transpose(1, 2).reshape(len(images), -1, height, width)]

    def _resized(self, height: int, width: int) -> Tensor:
        """The position table, bicubically resized to a grid: (1, h, w, D)."""
        side = int(self.positions.shape[1] ** 0.5)
        table = self.positions.view(1, side, side, -1)
        if (height, width) == (side, side):
            return table
        maps = table.permute(0, 3, 1, 2).float()
        if self.grid_offset:
            scale = ((height + self.grid_offset) / side, (width + self.grid_offset) / side)
            resized = F.interpolate(maps, scale_factor=scale, mode="bicubic", align_corners=False)
        else:
            resized = F.interpolate(maps, size=(height, width), mode="bicubic", align_corners=False)
        return resized.permute(0, 2, 3, 1).to(table.dtype)


def hub_weights(name: str) -> Mapping[str, Tensor]:
    """Tensors of `ARCHITECTURE` from the timm hub; WeightsError names the expected file when it is out of reach."""
    if name != "dino-vits8":
        raise WeightsError(
            f"weights {name!r} were not added.", f"dabench weights add {name} FILE; dabench weights ls lists them."
        )
    try:
        vit = timm.create_model(ARCHITECTURE, pretrained=True, num_classes=0)
    except Exception as error:  # whatever a hub client raises offline
        raise WeightsError(
            f"weights {name!r} were not added, and the timm hub is out of reach ({type(error).__name__}).",
            f"On a machine with internet get timm/{ARCHITECTURE} (model.safetensors), then:"
            f"\n  dabench weights add {name} model.safetensors"
            "\n  or train from scratch: --set vit-s8-dino.pretrained=none",
        ) from None
    state: dict[str, Tensor] = vit.state_dict()
    return state


def _load(vit: nn.Module, state: Mapping[str, Tensor], origin: str) -> None:
    try:
        vit.load_state_dict(dict(state))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"{origin}: not weights of {ARCHITECTURE}: {reason}") from None
