"""Small SAMs for tests: random ones whose answers are far from 0, and one that draws a disc at every click."""

from __future__ import annotations

import torch
from dabench_sam_model.network import SamNetwork
from dabench_sam_model.sizes import SIZES
from torch import Tensor, nn

from dabench.ops.prompted import PromptMasks


def loud(size: str = "tiny", seed: int = 0) -> SamNetwork:
    """A network whose weights are large enough that its logits are, so that 1e-5 of them means something."""
    torch.manual_seed(seed)
    network = SamNetwork(SIZES[size]).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "norm" not in name:
                parameter.normal_(std=0.3)
    return network


class Discs(nn.Module):
    """Answers a click with a disc of radius 3 around it, at the tile's own resolution; the second of three masks."""

    def __init__(self) -> None:
        super().__init__()
        self.encoded = 0

    def encode(self, images: Tensor) -> Tensor:
        self.encoded += len(images)
        return images

    def decode(self, embeddings: Tensor, points: Tensor, of: Tensor, size: tuple[int, int]) -> PromptMasks:
        rows, columns = torch.meshgrid(*(torch.arange(n) for n in size), indexing="ij")
        x, y = points[:, 0].T[..., None, None]
        disc = torch.where((columns - x) ** 2 + (rows - y) ** 2 <= 9, 5.0, -5.0)
        nothing = torch.full_like(disc, -9.0)
        return PromptMasks(torch.stack([nothing, disc, nothing], 1), torch.tensor([[0.1, 0.9, 0.3]]).repeat(len(x), 1))

    def whole(self, embeddings: Tensor) -> PromptMasks:
        return PromptMasks(torch.where(embeddings < 0.5, 5.0, -5.0), torch.ones(len(embeddings), 1))

    def enlarge(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        assert logits.shape[-2:] == size
        return logits
