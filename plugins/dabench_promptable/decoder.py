"""Two-way transformer of Prompt-DAS: prompt tokens and image cells attend to each other.

Like SAM's decoder, with the down-projection by 2 in *all* attentions, token self-attention included. Masks say who
sees whom, so a whole batch with different numbers of prompts, and the contrast tokens, go through in one pass.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dabench.ops.precision import full_precision


class Attention(nn.Module):
    """Multi-head attention whose inner width is `width / downsample`."""

    def __init__(self, width: int, heads: int, downsample: int) -> None:
        """Builds the projections.

        Args:
            width: token width D.
            heads: number of heads; divides D / downsample.
            downsample: factor by which attention is narrower than the tokens.
        """
        super().__init__()
        inner = width // downsample
        if inner % heads:
            raise ValueError(f"{heads} heads do not divide the attention width {inner}")
        self.heads = heads
        self.query = nn.Linear(width, inner)
        self.key = nn.Linear(width, inner)
        self.value = nn.Linear(width, inner)
        self.out = nn.Linear(inner, width)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attends.

        Args:
            query: (B, Q, D).
            key: (B, K, D).
            value: (B, K, D).
            mask: (B, 1, Q or 1, K) bool, True where the key is seen; None = everything is seen. Every row must
                see something.

        Returns:
            (B, Q, D).
        """
        q, k, v = self._split(self.query(query)), self._split(self.key(key)), self._split(self.value(value))
        attended = _attend(q, k, v, mask)
        return cast(Tensor, self.out(attended.transpose(1, 2).flatten(2)))

    def _split(self, tokens: Tensor) -> Tensor:
        batch, count, width = tokens.shape
        return tokens.view(batch, count, self.heads, width // self.heads).transpose(1, 2)


def _attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Scaled dot-product attention; on a CPU in float32: the backward pass takes five times as long in bfloat16."""
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    with full_precision(q):
        return F.scaled_dot_product_attention(q.float(), k.float(), v.float(), attn_mask=mask)


class TwoWayBlock(nn.Module):
    """Token self-attention, tokens → image, MLP on tokens, image → tokens; a LayerNorm after each."""

    def __init__(self, width: int, heads: int, mlp: int, downsample: int, *, first: bool) -> None:
        """Builds the block.

        Args:
            width: token width D.
            heads: attention heads.
            mlp: hidden width of the token MLP.
            downsample: attention narrowing.
            first: the first block's self-attention replaces its input instead of adding to it, as tokens there
                *are* their own position code.
        """
        super().__init__()
        self.first = first
        self.self_attention = Attention(width, heads, downsample)
        self.to_image = Attention(width, heads, downsample)
        self.to_tokens = Attention(width, heads, downsample)
        self.mlp = nn.Sequential(nn.Linear(width, mlp), nn.ReLU(), nn.Linear(mlp, width))
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(4)])

    def forward(
        self, tokens: Tensor, image: Tensor, codes: tuple[Tensor, Tensor], masks: tuple[Tensor | None, Tensor | None]
    ) -> tuple[Tensor, Tensor]:
        """One exchange.

        Args:
            tokens: (B, T, D).
            image: (B, N, D) image cells.
            codes: position codes of the tokens (B, T, D) and of the cells (N, D).
            masks: self-attention (B, 1, T, T) and image → token (B, 1, 1, T) masks, True = seen.

        Returns:
            Updated tokens and image cells.
        """
        token_code, cell_code = codes
        self_mask, image_mask = masks
        if self.first:
            tokens = self.self_attention(tokens, tokens, tokens, self_mask)
        else:
            placed = tokens + token_code
            tokens = tokens + self.self_attention(placed, placed, tokens, self_mask)
        tokens = self.norms[0](tokens)
        tokens = self.norms[1](tokens + self.to_image(tokens + token_code, image + cell_code, image))
        tokens = self.norms[2](tokens + self.mlp(tokens))
        image = self.norms[3](image + self.to_tokens(image + cell_code, tokens + token_code, tokens, image_mask))
        return tokens, image


class TwoWayTransformer(nn.Module):
    """Blocks of `TwoWayBlock`, then a last attention of the tokens to the image."""

    def __init__(self, width: int, heads: int, mlp: int, depth: int, downsample: int) -> None:
        """Builds the transformer; the paper has width 384, heads 8, mlp 2048, depth 2, downsample 2.

        Args:
            width: token width D.
            heads: attention heads.
            mlp: hidden width of the token MLP.
            depth: number of blocks.
            downsample: attention narrowing.
        """
        super().__init__()
        self.blocks = nn.ModuleList(
            [TwoWayBlock(width, heads, mlp, downsample, first=number == 0) for number in range(depth)]
        )
        self.last = Attention(width, heads, downsample)
        self.norm = nn.LayerNorm(width)

    def forward(
        self, tokens: Tensor, image: Tensor, cell_code: Tensor, masks: tuple[Tensor | None, Tensor | None]
    ) -> tuple[Tensor, Tensor]:
        """Runs all blocks; arguments and result as in `TwoWayBlock`, the tokens being their own position code."""
        code = tokens
        for block in self.blocks:
            tokens, image = block(tokens, image, (code, cell_code), masks)
        tokens = self.norm(tokens + self.last(tokens + code, image + cell_code, image))
        return tokens, image


def attention_masks(valid: Tensor, contrast_valid: Tensor) -> tuple[Tensor, Tensor]:
    """Who sees whom among [mask token, prompts | contrast tokens] (DN-DETR style).

    The two groups do not see each other, the image sees only the first, and padding is never seen.

    Args:
        valid: (B, 1 + M) bool, mask token and prompts.
        contrast_valid: (B, K) bool.

    Returns:
        Self-attention mask (B, 1, T, T) and image → token mask (B, 1, 1, T), T = 1 + M + K, True = seen.
    """
    seen = torch.cat([valid, contrast_valid], dim=1)
    group = torch.arange(seen.shape[1], device=seen.device) >= valid.shape[1]
    same = group[:, None] == group[None, :]
    # A padded token may belong to a group without any valid one: it sees itself, or its softmax would be NaN.
    alone = torch.eye(seen.shape[1], dtype=torch.bool, device=seen.device)
    self_mask = (same & seen[:, None, :]) | alone
    image_mask = seen & ~group
    return self_mask[:, None], image_mask[:, None, None]
