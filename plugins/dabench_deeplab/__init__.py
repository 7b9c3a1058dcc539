"""DeepLab-v2 on a ResNet-101: the published network of AdaptSegNet and SAC, here with one foreground class.

Output stride 8 (the last two groups dilated by 2 and 4), a classifier of four dilated 3x3 convolutions that are summed,
and logits resized bilinearly (Chen et al., TPAMI 2018; AdaptSegNet's release). The residual network is torchvision's.

Deviations: (1) one class and a sigmoid instead of 19 and a softmax; (2) no ImageNet weights: none can be had here, so
the grey image is repeated and standardised, and training starts from random weights; (3) the release freezes BatchNorm
at ImageNet statistics, which a start from scratch cannot do.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dabench.ops.prompts import Features, NetworkOutput, Prompts
from dabench.plugin import Component, Register, Settings, hookimpl

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_RATES = (6, 12, 18, 24)


class DeepLabSettings(Settings):
    """The network has no options."""


class DeepLabV2(nn.Module):
    """ResNet-101 at stride 8 and a dilated classifier."""

    encoder_channels = (256, 512, 1024, 2048)
    decoder_channels = 2048

    def __init__(self) -> None:
        """42,573,892 parameters, of which 73,732 in the classifier."""
        super().__init__()
        from torchvision.models import resnet101  # two seconds, which only who builds the network waits for

        # Residual branches start at zero: a hundred layers from random weights stay bounded.
        trunk = resnet101(weights=None, replace_stride_with_dilation=[False, True, True], zero_init_residual=True)
        self.stem = nn.Sequential(trunk.conv1, trunk.bn1, trunk.relu, trunk.maxpool)
        self.groups = nn.ModuleList([trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4])
        branches = [nn.Conv2d(2048, 1, 3, padding=r, dilation=r) for r in _RATES]
        for branch in branches:
            nn.init.normal_(branch.weight, std=0.01)  # as in AdaptSegNet's release
        self.classifier = nn.ModuleList(branches)
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION)[:, None, None], persistent=False)

    def forward(
        self,
        images: Tensor,
        prompts: Prompts | None = None,
        with_density: bool = False,
        with_features: bool = False,
    ) -> NetworkOutput:
        """Segments ``(B, 1, H, W)`` in [0, 1]; prompts are ignored, there is no density."""
        del prompts, with_density
        maps = self.stem((images.expand(-1, 3, -1, -1) - self.mean) / self.deviation)
        encoder = []
        for group in self.groups:
            maps = group(maps)
            encoder.append(maps)
        logits = torch.stack([branch(maps) for branch in self.classifier]).sum(dim=0)
        resized = F.interpolate(logits.float(), size=images.shape[-2:], mode="bilinear", align_corners=False)
        return NetworkOutput(resized, features=Features(maps, encoder) if with_features else None)


def _make(settings: DeepLabSettings, backbone: nn.Module | None) -> DeepLabV2:
    """The network is its own encoder."""
    del settings, backbone
    return DeepLabV2()


@hookimpl
def register_networks(register: Register) -> None:
    """Register ``deeplab-v2``."""
    register(
        Component(
            name="deeplab-v2",
            factory=_make,
            config=DeepLabSettings,
            summary="DeepLab-v2 on ResNet-101, the published network of AdaptSegNet and SAC (its own encoder).",
            paper="Chen et al., DeepLab, TPAMI 2018",
            licence="Apache-2.0, own implementation on torchvision's ResNet (BSD-3-Clause)",
        )
    )
