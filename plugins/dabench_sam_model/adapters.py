"""Small modules beside parts of the library's encoder: what they add is added where that part has answered.

They hang on the part that they belong to and are called by a forward hook, so that the library's own code runs and its
tensors keep their names.
"""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn


class ChannelSpaceAdapter(nn.Module):
    """SAM-Med2D's adapter: channels weighed by their mean, then a convolution of stride 2 and back.

    ``(B, H, W, C)`` to the same shape. Names and order of its tensors are those of the released file.
    """

    def __init__(self, width: int) -> None:
        """Build it for C channels; the squeeze is to a quarter."""
        super().__init__()
        hidden = width // 4
        self.norm = nn.LayerNorm(width)
        self.channel = nn.Sequential(
            nn.Linear(width, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, width, bias=False), nn.Sigmoid()
        )
        self.spatial = nn.Sequential(
            nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False),
            nn.ReLU(),
            nn.ConvTranspose2d(width, width, 4, stride=2, padding=1, bias=False),
            nn.ReLU(),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """What is added to the block's MLP."""
        maps = tokens.permute(0, 3, 1, 2)
        weighed = maps * self.channel(maps.mean((2, 3)))[:, :, None, None]
        return cast(Tensor, self.norm((maps + self.spatial(weighed)).permute(0, 2, 3, 1)))


def hang_beside(part: nn.Module, adapter: nn.Module) -> None:
    """From now on ``part(x)`` answers ``part(x) + adapter(x)``; the adapter is its submodule ``adapter``."""
    part.adapter = adapter
    part.register_forward_hook(_beside)


def _beside(part: nn.Module, arguments: tuple[Any, ...], output: Tensor) -> Tensor:
    adapter = cast(nn.Module, part.adapter)
    return cast(Tensor, output + adapter(arguments[0]))
