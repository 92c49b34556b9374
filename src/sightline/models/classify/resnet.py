r"""Build ResNets: layers that learn what to add to their input.

He, Zhang, Ren & Sun, Deep residual learning for image recognition, CVPR 2016. A plain network
gets worse when it gets deeper, even on its training images (figure 1). Let a block compute
:math:`y = F(x) + x` (equation 1; figure 2): it starts near the identity, and its gradient
reaches every layer. Where the shapes differ, :math:`y = F(x) + W_s x` with a 1 x 1 convolution
(equation 2; option B of section 4.1). Table 1 of the paper, with the side at 224 pixels:

==============  ===================  ====  ====  ====  ====  =====  ==============
stage           blocks in ResNet     18    34    50    101   152    output
==============  ===================  ====  ====  ====  ====  =====  ==============
conv 1          7 x 7, stride 2                                     64 x 112 x 112
pool            3 x 3 max, stride 2                                 64 x 56 x 56
layer 1                              2     3     3     3     3      64 x 56 x 56
layer 2                              2     4     4     4     8      128 x 28 x 28
layer 3                              2     6     6     23    36     256 x 14 x 14
layer 4                              2     3     3     3     3      512 x 7 x 7
head            average, linear                                     classes
weights (1000)  million              11.7  21.8  25.6  44.5  60.2
==============  ===================  ====  ====  ====  ====  =====  ==============

18 and 34 have basic blocks; 50 and more have bottlenecks (figure 5), with four times the
channels at the end. As in torchvision, a bottleneck steps in its 3 x 3 convolution, not in the
first of 1 x 1 (form 1.5 of Goyal et al., 2017).

For answers at every pixel, a stage may keep the side instead: it does not step, and the
convolutions after the step that is left out are dilated, so that each sees what it saw before
(Chen et al., DeepLab, 2018). Names and shapes of all weights stay, and every other place of the
denser map is that of the other network.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from sightline.errors import ParameterError

Norm = Callable[[int], nn.Module]


def conv3x3(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """Make a 3 x 3 convolution that keeps the side, divided by the stride."""
    return nn.Conv2d(
        inputs, outputs, kernel_size=3, stride=stride, padding=dilation, dilation=dilation,
        bias=False,
    )  # fmt: skip


def conv1x1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Make a 1 x 1 convolution."""
    return nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions (figure 5, left); maps (N, C, H, W) to (N, planes, H/s, W/s)."""

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        norm_layer: Norm = nn.BatchNorm2d,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        if dilation > 1:
            raise ParameterError(
                "a ResNet of 18 or 34 layers has no dilated form: take one of 50, 101 or 152"
            )
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = norm_layer(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = norm_layer(planes)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """Compute ReLU of F(x) + x."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        activated: Tensor = self.relu(out)
        return activated


class Bottleneck(nn.Module):
    """1 x 1 down, 3 x 3, 1 x 1 up (figure 5, right); (N, C, H, W) to (N, 4 planes, H/s, W/s)."""

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        norm_layer: Norm = nn.BatchNorm2d,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        self.conv1 = conv1x1(inplanes, planes)
        self.bn1 = norm_layer(planes)
        self.conv2 = conv3x3(planes, planes, stride, dilation)
        self.bn2 = norm_layer(planes)
        self.conv3 = conv1x1(planes, planes * self.expansion)
        self.bn3 = norm_layer(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """Compute ReLU of F(x) + x."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        activated: Tensor = self.relu(out)
        return activated


class ResNet(nn.Module):
    """ResNet: maps images, (N, in_channels, H, W), to logits, (N, num_classes).

    Parameters
    ----------
    block : type
        `BasicBlock` or `Bottleneck`.
    layers : tuple of int
        Blocks in each of the four stages.
    num_classes : int
    zero_init_residual : bool
        Start every block as the identity: the last scale of F is 0 (Goyal et al., 2017).
    norm_layer : callable
        Makes a normalisation of so many channels.
    in_channels : int
    small : bool
        The form for images up to 64 pixels a side: a 3 x 3 stem without stride and no pooling
        after it, so that layer 1 sees every pixel. All but ``conv1.weight`` keeps its shape.
    replace_stride_with_dilation : (bool, bool, bool)
        Whether layers 2, 3 and 4 keep the side; for 50 layers and more.

    Raises
    ------
    ParameterError
        When a form of 18 or 34 layers is to be dilated.
    """

    head_names = ("fc",)

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        layers: tuple[int, int, int, int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        norm_layer: Norm = nn.BatchNorm2d,
        *,
        in_channels: int = 3,
        small: bool = False,
        replace_stride_with_dilation: tuple[bool, bool, bool] = (False, False, False),
    ) -> None:
        super().__init__()
        self.inplanes, self.dilation = 64, 1
        self.conv1 = (
            conv3x3(in_channels, 64) if small
            else nn.Conv2d(in_channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
        )  # fmt: skip
        self.bn1 = norm_layer(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        dilate = replace_stride_with_dilation
        self.layer1 = self._stage(block, 64, layers[0], 1, norm_layer)
        self.layer2 = self._stage(block, 128, layers[1], 2, norm_layer, dilate[0])
        self.layer3 = self._stage(block, 256, layers[2], 2, norm_layer, dilate[1])
        self.layer4 = self._stage(block, 512, layers[3], 2, norm_layer, dilate[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif zero_init_residual and isinstance(module, BasicBlock | Bottleneck):
                last = module.bn3 if isinstance(module, Bottleneck) else module.bn2
                nn.init.zeros_(last.get_parameter("weight"))

    def _stage(
        self,
        block: type[BasicBlock | Bottleneck],
        planes: int,
        count: int,
        stride: int,
        norm_layer: Norm,
        dilate: bool = False,
    ) -> nn.Sequential:
        """Make a stage of blocks; the first one strides and changes the channels."""
        out, before = planes * block.expansion, self.dilation
        if dilate:
            self.dilation, stride = self.dilation * stride, 1
        downsample = None
        if stride != 1 or self.inplanes != out:
            downsample = nn.Sequential(conv1x1(self.inplanes, out, stride), norm_layer(out))
        first = block(self.inplanes, planes, stride, downsample, norm_layer, before)
        self.inplanes = out
        rest = (
            block(out, planes, norm_layer=norm_layer, dilation=self.dilation)
            for _ in range(1, count)
        )
        return nn.Sequential(first, *rest)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits of images that are standardised by channel."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return logits


STAGES: dict[int, tuple[type[BasicBlock | Bottleneck], tuple[int, int, int, int]]] = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}
"""Kind and number of the blocks by the number of layers with weights (table 1)."""


def resnet(
    num_classes: int = 1000,
    in_channels: int = 3,
    *,
    depth: int,
    small: bool = False,
    zero_init_residual: bool = False,
) -> ResNet:
    """Build a ResNet of 18, 34, 50, 101 or 152 layers with weights."""
    block, layers = STAGES[depth]
    return ResNet(
        block, layers, num_classes, zero_init_residual, in_channels=in_channels, small=small
    )


resnet18, resnet34 = partial(resnet, depth=18), partial(resnet, depth=34)
resnet50, resnet101, resnet152 = (partial(resnet, depth=d) for d in (50, 101, 152))
