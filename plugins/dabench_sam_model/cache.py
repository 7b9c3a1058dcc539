"""Embeddings of tiles that were seen before: any number of prompts, and of rounds of prompts, ask the encoder once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

#: Bytes that are kept, the tiles asked for last: some 250 of SAM's own size.
_MOST = 2**30


class EmbeddingCache:
    """Embeddings by the tile's pixels and the state of the encoder's weights."""

    def __init__(self, most: int = _MOST) -> None:
        """Start empty; ``most`` bytes are kept."""
        self.most, self._kept = most, OrderedDict[tuple[Any, ...], Tensor]()

    def __deepcopy__(self, memo: dict[int, Any]) -> EmbeddingCache:
        """A copy of a network starts with nothing."""
        return EmbeddingCache(self.most)

    def get(self, images: Tensor, encoder: nn.Module, encode: Callable[[Tensor], Tensor]) -> Tensor:
        """Embeddings ``(B, C, g, g)`` of images ``(B, 1, H, W)``, those that are not there from ``encode``."""
        state = tuple(p._version for p in encoder.parameters()), torch.is_autocast_enabled(images.device.type)
        keys = [(state, images.device, _digest(image)) for image in images]
        # A tile that stands twice in a batch is encoded once.
        new = {key: row for row, key in enumerate(keys) if key not in self._kept}
        if new:
            made = encode(images[list(new.values())])
            self._kept.update(zip(new, made, strict=True))
        found = torch.stack([self._kept[key] for key in keys])
        for key in keys:
            self._kept.move_to_end(key)
        while len(self._kept) > 1 and len(self._kept) * _size(found[0]) > self.most:
            self._kept.popitem(last=False)
        return found


def _digest(image: Tensor) -> tuple[tuple[int, ...], bytes]:
    pixels = image.detach().cpu().contiguous().numpy().tobytes()
    return tuple(image.shape), hashlib.blake2b(pixels, digest_size=16).digest()


def _size(embedding: Tensor) -> int:
    return embedding.numel() * embedding.element_size()
