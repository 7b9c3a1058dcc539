"""The promptable network of Prompt-DAS and Prefer-DAS on any backbone, registered as ``promptable``."""

from __future__ import annotations

from pydantic import Field
from torch import nn

from dabench.plugin import Component, Register, Settings, hookimpl
from dabench_promptable.network import PromptableNetwork, Widths


class PromptableSettings(Settings):
    """Sizes of the decoder."""

    dim: int = Field(384, ge=16, description="Width of tokens and image features (paper: 384).")
    heads: int = Field(8, ge=1, description="Attention heads (release: 8).")
    mlp: int = Field(2048, ge=16, description="Hidden width of the blocks' MLP (release: 2048).")
    depth: int = Field(2, ge=1, description="Two-way blocks (release: 2).")
    downsample: int = Field(2, ge=1, description="Down-projection inside every attention (release: 2).")
    detection: int = Field(256, ge=8, description="Channels of the detection head (release: 256).")
    full_resolution_detection: bool = Field(
        True, description="Enlarge features before the head's second convolution (release), rather than the density."
    )
    placed_contrast: bool = Field(
        True, description="Add the decoded image cell at a contrast token's position to the token (paper: no)."
    )
    mixing: bool = Field(False, description="Connect neighbours on the enlarged maps by 3×3 convolutions (paper: no).")
    align_corners: bool = Field(
        False,
        description="Enlarge probabilities with corners aligned instead of pixel centres (release: at inference).",
    )
    heatmap_scale: float = Field(
        1.0, gt=0, description="Factor on the detection head's raw output (release: its map is 0-255, so 1 / 255)."
    )


def make_promptable(config: PromptableSettings, backbone: nn.Module) -> PromptableNetwork:
    """The network of these sizes on a backbone."""
    widths = Widths(**config.model_dump(exclude={"heatmap_scale"}))
    return PromptableNetwork(backbone, widths, config.heatmap_scale)


_SMALL = {"heads": 4, "full_resolution_detection": False}


@hookimpl
def register_networks(register: Register) -> None:
    """Register the network."""
    register(
        Component(
            "promptable",
            make_promptable,
            PromptableSettings,
            "Any number of point prompts, or none, in one pass: probability and centre density.",
            paper="Prompt-DAS, MICCAI 2025; Prefer-DAS, 2026 (figure 2)",
            licence="Apache-2.0, own implementation",
            presets={
                "tiny": {"dim": 64, "mlp": 128, "detection": 16, **_SMALL},
                "small": {"dim": 128, "mlp": 256, "detection": 32, **_SMALL},
                "paper": {"placed_contrast": False, "align_corners": True, "heatmap_scale": 1 / 255},
            },
        )
    )
