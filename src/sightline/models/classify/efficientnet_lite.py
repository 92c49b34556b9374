r"""Build EfficientNet-Lite: convolutional networks of one plan, scaled in depth and width.

Tan & Le, EfficientNet: Rethinking model scaling for convolutional neural networks, ICML 2019,
table 1; its Lite variant (Google, 2020) leaves out squeeze-and-excitation, whose gates are slow and
hard to quantise, and takes ReLU6 in place of swish. A block widens its input six times by a 1 x 1
convolution, filters each channel alone (*depthwise*), narrows it by another 1 x 1 convolution
without a nonlinearity, and adds its input where the shapes allow it (MobileNetV2, Sandler et al.,
2018, figure 3). At 224 pixels:

======  ==============================  ======  ========  =========  ============
stage   block                           blocks  kernel    stride     output
======  ==============================  ======  ========  =========  ============
stem    convolution                             3         2          32 x 112 x 112
0       depthwise separable             1       3         1          16 x 112 x 112
1       inverted residual               2       3         2          24 x 56 x 56
2       inverted residual               2       5         2          40 x 28 x 28
3       inverted residual               3       3         2          80 x 14 x 14
4       inverted residual               3       5         1          112 x 14 x 14
5       inverted residual               4       5         2          192 x 7 x 7
6       inverted residual               1       3         1          320 x 7 x 7
head    1 x 1, average, linear                                       1280, classes
======  ==============================  ======  ========  =========  ============

======  ======  ======  ======  ============
        width   depth   pixels  weights
======  ======  ======  ======  ============
lite0   1.0     1.0     224     4,652,008
lite1   1.0     1.1     240     5,416,680
lite2   1.1     1.2     260     6,092,072
lite3   1.2     1.4     300     8,197,096
lite4   1.4     1.8     380     13,006,568
======  ======  ======  ======  ============

Depths are those of stages 1 to 5 times the factor, rounded up; widths those of all blocks, rounded
to multiples of eight; stem, head and the depth of the first and the last stage stay. A padding is
TensorFlow's *same*: of an odd number of pixels the larger part lies right and below, as in the
published weights. The names of the layers are those of timm's ``tf_efficientnet_lite0``.

For answers at every pixel, stages may keep the side and be dilated instead (``output_stride``), as
those of `resnet`.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from sightline.errors import WeightsError
from sightline.models.features import enlarged, enlarged_side

EPSILON = 1e-3
"""Of batch normalisation, as in TensorFlow's weights."""

STAGES = (
    # blocks, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


DEPTHS = (1.0, 1.1, 1.2, 1.4, 1.8)
"""Factors of the depth, of Lite0 to Lite4."""


class SameConv2d(nn.Conv2d):
    """Convolve so that the side becomes ceil(side / stride): TensorFlow's padding *same*."""

    def forward(self, x: Tensor) -> Tensor:
        """Pad right and below by one more where the number of pixels is odd, and convolve."""
        sides = [
            _padding(side, (kernel - 1) * dilation + 1, stride)
            for side, kernel, stride, dilation in zip(
                x.shape[2:], self.kernel_size, self.stride, self.dilation, strict=True
            )
        ]
        (top, bottom), (left, right) = sides
        around = (top, left)
        if around != (bottom, right):
            x, around = functional.pad(x, (left, right, top, bottom)), (0, 0)
        if self.groups == 1 or not _halves_on_a_processor(x):
            return functional.conv2d(
                x, self.weight, self.bias, self.stride, around, self.dilation, self.groups
            )
        # With a filter for each channel, gradients take oneDNN 4 to 15 times as long in bfloat16 as
        # in float32 (AVX-512 with BF16, sides of 12 to 192 pixels).
        with torch.autocast("cpu", enabled=False):
            return functional.conv2d(
                x.float(), self.weight, self.bias, self.stride, around, self.dilation, self.groups
            ).to(x.dtype)


def _halves_on_a_processor(x: Tensor) -> bool:
    """Tell whether a processor computes with half the bits where it can."""
    return x.device.type == "cpu" and torch.is_autocast_enabled("cpu")


def _padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the pixels to add before and behind a side."""
    missing = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
    return missing // 2, missing - missing // 2


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Module:
    return SameConv2d(inputs, outputs, kernel, stride, dilation=dilation, groups=groups, bias=False)


class SeparableBlock(nn.Module):
    """Filter each channel alone, then mix them; maps (N, C, H, W) to (N, outputs, H/s, W/s)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = _convolution(inputs, inputs, kernel, stride, groups=inputs)
        self.bn1 = nn.BatchNorm2d(inputs, EPSILON)
        self.conv_pw = _convolution(inputs, outputs, 1)
        self.bn2 = nn.BatchNorm2d(outputs, EPSILON)
        self.act = nn.ReLU6(inplace=True)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block's output."""
        out: Tensor = self.bn2(self.conv_pw(self.act(self.bn1(self.conv_dw(x)))))
        return out + x if self.adds else out


class InvertedResidual(nn.Module):
    """Widen, filter each channel alone, narrow, add; (N, C, H, W) to (N, outputs, H/s, W/s)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int,
        dilation: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        wide = inputs * expansion
        self.conv_pw = _convolution(inputs, wide, 1)
        self.bn1 = nn.BatchNorm2d(wide, EPSILON)
        self.conv_dw = _convolution(wide, wide, kernel, stride, wide, dilation)
        self.bn2 = nn.BatchNorm2d(wide, EPSILON)
        self.conv_pwl = _convolution(wide, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs, EPSILON)
        self.act = nn.ReLU6(inplace=True)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Compute the block's output."""
        out: Tensor = self.act(self.bn1(self.conv_pw(x)))
        out = self.act(self.bn2(self.conv_dw(out)))
        out = self.bn3(self.conv_pwl(out))
        return out + x if self.adds else out


class EfficientNetLite(nn.Module):
    """The network; see the head of this file.

    Parameters
    ----------
    width, depth : float
        Factors of the channels and of the blocks a stage.
    num_classes, in_channels : int
    dropout : float
        Share of the features that are dropped in training.
    enlarge : int
        Pixels a side that smaller images are scaled up to first; 0: none.
    output_stride : {8, 16, 32}
        Pixels between the places of the last maps; a stage that would go beyond is dilated.
    """

    head_names = ("classifier",)

    def __init__(
        self, width: float, depth: float, num_classes: int = 1000, in_channels: int = 3,
        dropout: float = 0.0, enlarge: int = 0, output_stride: int = 32,
    ) -> None:  # fmt: skip
        super().__init__()
        self.enlarge = enlarge
        self.conv_stem = _convolution(in_channels, 32, 3, 2)
        self.bn1 = nn.BatchNorm2d(32, EPSILON)
        self.act = nn.ReLU6(inplace=True)
        self.blocks = nn.Sequential()
        inputs, reached, dilation = 32, 2, 1
        for blocks, (_, kernel, stride, expansion, channels) in zip(
            _blocks(depth), STAGES, strict=True
        ):
            outputs = _rounded(channels * width)
            made: OrderedDict[str, nn.Module] = OrderedDict()
            before = dilation
            if reached * stride > output_stride:
                stride, dilation = 1, dilation * stride
            reached *= stride
            for i in range(blocks):
                step, apart = (stride, before) if i == 0 else (1, dilation)
                made[str(i)] = (
                    SeparableBlock(inputs, outputs, kernel, step)
                    if expansion == 1
                    else InvertedResidual(inputs, outputs, kernel, step, expansion, apart)
                )
                inputs = outputs
            self.blocks.append(nn.Sequential(made))
        self.conv_head = _convolution(inputs, 1280, 1)
        self.bn2 = nn.BatchNorm2d(1280, EPSILON)
        self.drop = nn.Dropout(dropout)
        self.classifier = nn.Linear(1280, num_classes)
        self._initialise()

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits, shape (N, classes), of images, shape (N, C, H, W)."""
        x = enlarged(x, self.enlarge)
        x = self.blocks(self.act(self.bn1(self.conv_stem(x))))
        x = self.act(self.bn2(self.conv_head(x)))
        logits: Tensor = self.classifier(self.drop(x.mean((2, 3))))
        return logits

    def _initialise(self) -> None:
        """Draw the weights of convolutions by the number of their outputs, as TensorFlow does."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                outputs = module.weight.shape[0] // module.groups * module.weight[0, 0].numel()
                nn.init.normal_(module.weight, std=math.sqrt(2 / outputs))
            elif isinstance(module, nn.Linear):
                bound = 1 / math.sqrt(module.out_features)
                nn.init.uniform_(module.weight, -bound, bound)
                nn.init.zeros_(module.bias)


def _blocks(depth: float) -> list[int]:
    """Return the blocks of each stage; the first and the last stage keep theirs."""
    ends = 0, len(STAGES) - 1
    return [n if i in ends else math.ceil(n * depth) for i, (n, *_) in enumerate(STAGES)]


def _rounded(channels: float) -> int:
    """Round to a multiple of eight, up where that would lose more than a tenth."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def efficientnet_lite0(num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """Build EfficientNet-Lite0: 4.7 million weights, for 224 pixels a side."""
    return EfficientNetLite(1.0, 1.0, num_classes, in_channels)


def efficientnet_lite1(num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """Build EfficientNet-Lite1: 5.4 million weights, for 240 pixels a side."""
    return EfficientNetLite(1.0, 1.1, num_classes, in_channels)


def efficientnet_lite2(num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """Build EfficientNet-Lite2: 6.1 million weights, for 260 pixels a side."""
    return EfficientNetLite(1.1, 1.2, num_classes, in_channels)


def efficientnet_lite3(num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """Build EfficientNet-Lite3: 8.2 million weights, for 300 pixels a side."""
    return EfficientNetLite(1.2, 1.4, num_classes, in_channels)


def efficientnet_lite4(num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """Build EfficientNet-Lite4: 13 million weights, for 380 pixels a side."""
    return EfficientNetLite(1.4, 1.8, num_classes, in_channels)


def finetune(
    num_classes: int = 1000, in_channels: int = 3, side: tuple[int, int] = (224, 224)
) -> nn.Module:
    """Build EfficientNet-Lite0 to be trained on from published weights.

    Parameters
    ----------
    num_classes, in_channels : int
    side : (height, width)
        Of the images; small ones are enlarged inside the network, see `features.enlarged_side`.
    """
    enlarge = enlarged_side(max(side), 224, times=4)  # each step costs; features are had once
    return EfficientNetLite(1.0, 1.0, num_classes, in_channels, dropout=0.2, enlarge=enlarge)


def from_package(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of the package with the names of timm's layers.

    The package counts blocks through (``_blocks.3``); here they are counted in their stage
    (``blocks.2.0``). The first has no widening convolution, which the others call ``_expand_conv``.

    Raises
    ------
    WeightsError
        When a name is unknown.
    """
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    others = {
        "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
        "_project_conv": "conv_pwl", "_bn2": "bn3",
    }  # fmt: skip
    whole = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2",
             "_fc": "classifier"}  # fmt: skip
    stages = _stages(state)
    made: dict[str, Tensor] = {}
    for key, tensor in state.items():
        match = re.fullmatch(r"(?:_blocks\.(\d+)\.)?(\w+)\.(\w+)", key)
        block = None if match is None or match[1] is None else int(match[1])
        names = whole if block is None else first if block == 0 else others
        if match is None or match[2] not in names:
            raise WeightsError(f"the weights have a layer {key!r}, which EfficientNet-Lite has not")
        before = "" if block is None else "blocks.{}.{}.".format(*stages[block])
        made[f"{before}{names[match[2]]}.{match[3]}"] = tensor
    return made


def _stages(state: Mapping[str, Tensor]) -> list[tuple[int, int]]:
    """Return stage and place of each block: a stage ends where the depth or the stride says so."""
    blocks = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("_blocks."))
    for depth in DEPTHS:
        counts = _blocks(depth)
        if sum(counts) == blocks:
            return [(stage, i) for stage, n in enumerate(counts) for i in range(n)]
    raise WeightsError(f"the weights have {blocks} blocks, as no EfficientNet-Lite has")
