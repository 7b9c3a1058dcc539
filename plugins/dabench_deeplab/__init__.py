"""DeepLab-v2 on a ResNet-101: the published network of AdaptSegNet and SAC, here with one foreground class.

Output stride 8 (the last two groups dilated by 2 and 4), a classifier of four dilated 3x3 convolutions that are summed,
and logits resized bilinearly (Chen et al., TPAMI 2018; AdaptSegNet's release). The residual network is torchvision's.

Deviations: (1) one class and a sigmoid instead of 19 and a softmax; (2) the grey image is repeated and standardised by
ImageNet's mean and deviation, which is what torchvision's weights expect (the release subtracts a mean from BGR);
(3) the release freezes BatchNorm at ImageNet statistics; here it learns.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from dabench.ops.prompts import Features, NetworkOutput, Prompts
from dabench.plugin import Component, Register, Settings, WeightsError, hookimpl, read_weights

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_RATES = (6, 12, 18, 24)


class DeepLabSettings(Settings):
    """Where training starts."""

    pretrained: str = Field(
        "none", description="Name of added weights of torchvision's ResNet-101 (paper: ImageNet's); none: from scratch."
    )


class DeepLabV2(nn.Module):
    """ResNet-101 at stride 8 and a dilated classifier."""

    encoder_channels = (256, 512, 1024, 2048)
    decoder_channels = 2048

    def __init__(self, trunk_weights: Path | None = None) -> None:
        """42,573,892 parameters, of which 73,732 in the classifier.

        Args:
            trunk_weights: a file of torchvision's ``resnet101``, its classifier left out; None: random weights.

        Raises:
            WeightsError: it holds another network.
        """
        super().__init__()
        from torchvision.models import resnet101  # two seconds, which only who builds the network waits for

        # Residual branches start at zero: a hundred layers from random weights stay bounded.
        trunk = resnet101(weights=None, replace_stride_with_dilation=[False, True, True], zero_init_residual=True)
        if trunk_weights is not None:
            _load(trunk, trunk_weights)
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


def _load(trunk: nn.Module, file: Path) -> None:
    """Fill the residual network; its classifier of 1000 classes, which is not used, may be absent."""
    state = {name: tensor for name, tensor in read_weights(file).items() if not name.startswith("fc.")}
    own = {name: tensor for name, tensor in trunk.state_dict().items() if name.startswith("fc.")}
    try:
        trunk.load_state_dict(state | own)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"{file.name}: not weights of resnet101: {reason}") from None


def _make(settings: DeepLabSettings, backbone: nn.Module | None, weights: Path | None = None) -> DeepLabV2:
    """The network is its own encoder. Raises WeightsError for weights that are not there or do not fit."""
    del backbone
    if settings.pretrained != "none" and weights is None:
        raise WeightsError(
            f"deeplab-v2: no weights {settings.pretrained!r} were added.",
            f"On a machine with internet get torchvision's resnet101 (ImageNet), then:"
            f"\n  dabench weights add {settings.pretrained} FILE"
            "\n  or train from scratch: --set deeplab-v2.pretrained=none",
        )
    return DeepLabV2(weights)


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
            presets={"paper": {"pretrained": "imagenet-resnet101"}},
        )
    )
