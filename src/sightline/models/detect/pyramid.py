r"""Build feature pyramids: maps of several sizes that all know what the coarsest one knows.

Lin et al., Feature pyramid networks for object detection, CVPR 2017, section 3. A network's maps
:math:`C_2 \ldots C_5` (strides 4 to 32) grow coarser as they grow wiser. From the coarsest down,
each is brought to one number of channels by a 1 x 1 convolution and gets the coarser one, twice as
large, added:

.. math:: M_5 = \mathrm{conv}_{1 \times 1}(C_5), \quad
    M_k = \mathrm{conv}_{1 \times 1}(C_k) + \mathrm{up}(M_{k + 1}), \quad
    P_k = \mathrm{conv}_{3 \times 3}(M_k)

(figure 3). :math:`P_6` is every other place of :math:`P_5`; proposals are made on it, and no region
is pooled from it (section 4.1). The layers are called as in torchvision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

from sightline.models.classify.efficientnet_lite import STAGES as STAGES_OF_LITE
from sightline.models.classify.efficientnet_lite import EfficientNetLite
from sightline.models.classify.resnet import STAGES, Norm, ResNet


class FeaturePyramid(nn.Module):
    """Join maps from the coarsest down.

    Parameters
    ----------
    channels : sequence of int
        Of each map, the finest first.
    width : int
        Channels of all maps of the pyramid.
    finest_only : bool
        Whether the finest map is all that is wanted.
    """

    def __init__(
        self, channels: Sequence[int], width: int = 256, finest_only: bool = False
    ) -> None:
        super().__init__()
        self.finest_only = finest_only
        count = 1 if finest_only else len(channels)
        self.inner_blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(count, width, kernel_size=1)) for count in channels
        )
        self.layer_blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, kernel_size=3, padding=1)) for _ in range(count)
        )
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, a=1)
                nn.init.zeros_(cast(Tensor, layer.bias))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Compute the maps of the pyramid, the finest first, and one more that is coarser.

        Parameters
        ----------
        maps : sequence of float Tensor, shape (N, C_k, H_k, W_k)
            The finest first.
        """
        joined: list[Tensor] = []
        for layer, x in zip(reversed(self.inner_blocks), reversed(maps), strict=True):
            own = layer(x)
            if joined:
                own = own + functional.interpolate(joined[-1], own.shape[2:], mode="nearest")
            joined.append(own)
        pyramid = [layer(x) for layer, x in zip(self.layer_blocks, reversed(joined), strict=False)]
        if self.finest_only:
            return pyramid
        return [*pyramid, functional.max_pool2d(pyramid[-1], kernel_size=1, stride=2)]


class PyramidMaps(nn.Module):
    """A network's maps and the pyramid of them: images (N, C, H, W) to a list of maps.

    Parameters
    ----------
    body : Module
        Maps images to a list of maps, the finest first; ``out_channels`` has the channels of each.
    width : int
        Channels of the pyramid.
    finest_only : bool
        Whether the finest map is all that is wanted.
    """

    def __init__(self, body: nn.Module, width: int = 256, finest_only: bool = False) -> None:
        super().__init__()
        self.body, self.out_channels = body, width
        self.fpn = FeaturePyramid(cast(Sequence[int], body.out_channels), width, finest_only)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the maps of the pyramid; see `FeaturePyramid.forward`."""
        pyramid: list[Tensor] = self.fpn(self.body(images))
        return pyramid

    def from_classifier(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what a classifier's state dict has for the body, by the names that it has here."""
        return {f"body.{key}": state[key] for key in self.body.state_dict() if key in state}


class ResNetMaps(nn.Module):
    """The four stages of a ResNet, of strides 4 to 32.

    Parameters
    ----------
    depth : int
        Layers with weights; see `classify.resnet`.
    in_channels : int
    norm : callable
        Makes a normalisation of so many channels.
    """

    def __init__(self, depth: int, in_channels: int, norm: Norm) -> None:
        super().__init__()
        block, layers = STAGES[depth]
        whole = ResNet(block, layers, 1, norm_layer=norm, in_channels=in_channels)
        self.conv1, self.bn1, self.relu, self.maxpool = (
            whole.conv1, whole.bn1, whole.relu, whole.maxpool
        )  # fmt: skip
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            whole.layer1, whole.layer2, whole.layer3, whole.layer4
        )  # fmt: skip
        self.out_channels = tuple(planes * block.expansion for planes in (64, 128, 256, 512))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute the maps, the finest first."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        maps = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            maps.append(x)
        return maps


class LiteMaps(nn.Module):
    """The stages of EfficientNet-Lite0 from a stride on, up to 32.

    The layers are called as in `classify.efficientnet_lite`, so that its published weights fit.

    Parameters
    ----------
    in_channels : int
    finest : {4, 8}
        Stride of the first map.
    """

    def __init__(self, in_channels: int = 3, finest: int = 8) -> None:
        super().__init__()
        whole = EfficientNetLite(1.0, 1.0, 1, in_channels)
        self.conv_stem, self.bn1, self.act = whole.conv_stem, whole.bn1, whole.act
        self.blocks = whole.blocks
        self.taps = (1, 2, 4, 6) if finest == 4 else (2, 4, 6)
        self.out_channels = tuple(STAGES_OF_LITE[tap][-1] for tap in self.taps)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute the maps, the finest first."""
        x = self.act(self.bn1(self.conv_stem(x)))
        maps = []
        for i, stage in enumerate(self.blocks):
            x = stage(x)
            if i in self.taps:
                maps.append(x)
        return maps
