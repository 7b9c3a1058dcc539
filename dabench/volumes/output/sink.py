"""What a volume is written to, block by block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dabench.types import Array, Block


class BlockSink(Protocol):
    """Takes boxes of a volume in any order; writing a box again replaces it."""

    def write_block(self, block: Block, values: Array) -> None:
        """Write a box, ``(depth, height, width)``, in the sink's own type or one that fits into it."""
