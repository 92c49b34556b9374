"""Build SSDs for small images and slow machines: a plain one, and SSDLite.

Both score default boxes as `ssd` does, on maps of other backbones, whose number follows the size of
the images. What learns from scratch needs batch normalisation (Zhu et al., ScratchDet, CVPR 2019).
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from sightline.models.classify import vgg
from sightline.models.classify.efficientnet_lite import EPSILON, EfficientNetLite
from sightline.models.detect.anchors import DefaultBoxes, spaced_scales
from sightline.models.detect.ssd import SSD


class PlainMaps(nn.Module):
    """A few convolutions with batch normalisation, for training from scratch on a CPU.

    Two 3 x 3 convolutions a stage, the first of which halves the side. The first map is that of
    stride 4 for images of at most 96 pixels a side, else of stride 8; maps follow until they have
    2 x 2 places, five at most.

    Parameters
    ----------
    in_channels, side : int
    """

    WIDTHS = (32, 64, 128, 192, 256, 256, 256)

    def __init__(self, in_channels: int = 3, side: int = 128) -> None:
        super().__init__()
        first = 1 if side <= 96 else 2
        last = first
        while last - first < 4 and side / 2 ** (last + 1) > 2:
            last += 1
        self.stages = nn.ModuleList()
        inputs = in_channels
        for width in self.WIDTHS[: last + 1]:
            stage = nn.Sequential(*_unit(inputs, width, 3, 2), *_unit(width, width, 3))
            self.stages.append(stage)
            inputs = width
        self.first, self.out_channels = first, self.WIDTHS[first : last + 1]
        self.apply(vgg.initialise)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute the maps, finest first."""
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps[self.first :]


class LiteMaps(nn.Module):
    """EfficientNet-Lite0 and light blocks after it, as in SSDLite.

    The maps are those of strides 8, 16 and 32, then of blocks that halve the side until it is 2,
    six in all at most. The layers are called as in `classify.efficientnet_lite`, so that its
    published weights fit. SSDLite (Sandler et al., MobileNetV2, CVPR 2018, section 6.2) has no map
    of stride 8, where small objects are.

    Parameters
    ----------
    in_channels, side : int
    """

    TAPS = (2, 4, 6)
    WIDTHS = (256, 256, 128)

    def __init__(self, in_channels: int = 3, side: int = 320) -> None:
        super().__init__()
        whole = EfficientNetLite(1.0, 1.0, 1, in_channels)
        self.conv_stem, self.bn1, self.act = whole.conv_stem, whole.bn1, whole.act
        self.blocks = whole.blocks
        self.extra = nn.ModuleList()
        channels, inputs = [40, 112, 320], 320
        for i, width in enumerate(self.WIDTHS):
            if side / 2 ** (5 + i) <= 2:
                break
            half = width // 2
            block = nn.Sequential(
                *_unit(inputs, half, 1), *_unit(half, half, 3, 2, groups=half),
                *_unit(half, width, 1),
            )  # fmt: skip
            block.apply(vgg.initialise)
            self.extra.append(block)
            channels.append(width)
            inputs = width
        self.out_channels = tuple(channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute the maps, finest first."""
        x = self.act(self.bn1(self.conv_stem(x)))
        maps = []
        for i, stage in enumerate(self.blocks):
            x = stage(x)
            if i in self.TAPS:
                maps.append(x)
        for block in self.extra:
            x = block(x)
            maps.append(x)
        return maps

    def from_classifier(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what EfficientNet-Lite0 has for these layers.

        Parameters
        ----------
        state : mapping of str to Tensor
            Its state dict.
        """
        return {k: t for k, t in state.items() if k.startswith(("conv_stem.", "bn1.", "blocks."))}


def _separable(inputs: int, outputs: int) -> nn.Module:
    """Build the predictor of SSDLite: each channel filtered alone, then mixed."""
    return nn.Sequential(*_unit(inputs, inputs, 3, groups=inputs), nn.Conv2d(inputs, outputs, 1))


def _unit(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> list[nn.Module]:
    """Build a convolution, batch normalisation and ReLU; the side becomes ceil(side / stride)."""
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, EPSILON),
        nn.ReLU6(inplace=True),
    ]


def ssd_small(num_classes: int = 6, in_channels: int = 3, side: int | tuple[int, int] = 128) -> SSD:
    """Build an SSD of a few convolutions, which learns from scratch on a CPU.

    Parameters
    ----------
    num_classes, in_channels : int
    side : int, or (height, width)
        Pixels of the images; sets the number of maps, see `PlainMaps`.
    """
    backbone = PlainMaps(in_channels, side if isinstance(side, int) else max(side))
    maps = len(backbone.out_channels)
    boxes = DefaultBoxes([(2,)] + [(2, 3)] * (maps - 1), spaced_scales(maps, 0.12, 0.8))
    return SSD(backbone, boxes, num_classes)


def ssdlite(num_classes: int = 90, in_channels: int = 3, side: int | tuple[int, int] = 320) -> SSD:
    """Build SSDLite on EfficientNet-Lite0.

    Parameters
    ----------
    num_classes, in_channels : int
    side : int, or (height, width)
        Pixels of the images; sets the number of maps, see `LiteMaps`.
    """
    backbone = LiteMaps(in_channels, side if isinstance(side, int) else max(side))
    maps = len(backbone.out_channels)
    boxes = DefaultBoxes([(2, 3)] * maps, spaced_scales(maps, 0.1, 0.9))
    return SSD(backbone, boxes, num_classes, predictor=_separable)
