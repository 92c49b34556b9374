r"""Build DeepLabV3: dilated convolutions of several rates beside each other.

Chen, Papandreou, Schroff & Adam, Rethinking atrous convolution for semantic image segmentation,
2017. A dilated (*atrous*) convolution of rate r sees every r-th place (equation 1):

.. math:: y[i] = \sum_k x[i + r k]\, w[k]

so that a network can keep its side where it would step, and see as far (section 3.1). Objects of
several sizes are seen by *atrous spatial pyramid pooling* (section 3.3): five branches of 256
channels on the last map,

=========  =============================================================
branch     layers, each with batch normalisation and ReLU
=========  =============================================================
1          1 x 1
2, 3, 4    3 x 3 of three rates: 12, 24 and 36 for a map of stride 8,
           6, 12 and 18 for one of stride 16
5          the mean of the whole map, 1 x 1, repeated at every place
=========  =============================================================

concatenated, mixed by 1 x 1, then scored; the scores are interpolated bilinearly.
`deeplabv3_resnet50` is drop-in for torchvision's: the same state-dict keys and logits (as there, a
convolution of 3 x 3 comes before the scores), apart from:

- In evaluation images are answered by logits alone, without the auxiliary head's.
- A batch of one image can be learned from: the fifth branch has one value a channel then, and is
  normalised by its running figures. torchvision ends with an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from sightline.models.classify.efficientnet_lite import EfficientNetLite
from sightline.models.segment.fcn import FCNHead, OnMaps, dilated_resnet
from sightline.models.segment.network import Stages


def _unit(inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> list[nn.Module]:
    """Build a convolution that keeps the side, batch normalisation and ReLU."""
    around = dilation * (kernel // 2)
    return [
        nn.Conv2d(inputs, outputs, kernel, padding=around, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]


class ASPPPooling(nn.Sequential):
    """Compute the mean of the whole map, mix it, and repeat it at every place."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), *_unit(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, outputs, H, W)."""
        pool, mix, norm, relu = self
        pooled = mix(pool(x))
        if self.training and len(x) == 1:
            norm = cast(nn.BatchNorm2d, norm)
            pooled = functional.batch_norm(
                pooled, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
            )
        else:
            pooled = norm(pooled)
        repeated: Tensor = relu(pooled).expand(-1, -1, x.shape[2], x.shape[3])
        return repeated


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: maps (N, inputs, H, W) to (N, outputs, H, W).

    Parameters
    ----------
    inputs : int
    rates : sequence of int
        Of the dilated branches.
    outputs : int
    """

    def __init__(self, inputs: int, rates: Sequence[int], outputs: int = 256) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                nn.Sequential(*_unit(inputs, outputs)),
                *(nn.Sequential(*_unit(inputs, outputs, 3, rate)) for rate in rates),
                ASPPPooling(inputs, outputs),
            ]
        )
        self.project = nn.Sequential(
            *_unit(len(self.convs) * outputs, outputs), nn.Dropout(0.5)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Concatenate the branches along the channels and mix them."""
        mixed: Tensor = self.project(torch.cat([branch(x) for branch in self.convs], 1))
        return mixed


class DeepLabHead(nn.Sequential):
    """Score maps: atrous spatial pyramid pooling, a 3 x 3 convolution, one of 1 x 1."""

    def __init__(
        self, inputs: int, num_classes: int, rates: Sequence[int] = (12, 24, 36), width: int = 256
    ) -> None:
        super().__init__(
            ASPP(inputs, rates, width), *_unit(width, width, 3), nn.Conv2d(width, num_classes, 1)
        )


def deeplabv3_resnet50(
    num_classes: int = 21, in_channels: int = 3, *, auxiliary: bool = True
) -> OnMaps:
    """Build DeepLabV3 on a dilated ResNet-50, whose last map has stride 8.

    Parameters
    ----------
    num_classes, in_channels : int
    auxiliary : bool
        Have an auxiliary head, which scores layer 3 in training.
    """
    backbone = dilated_resnet(50, in_channels)
    aux = FCNHead(1024, num_classes) if auxiliary else None
    return OnMaps(backbone, DeepLabHead(2048, num_classes), aux)


def deeplabv3_lite(
    num_classes: int = 21, in_channels: int = 3, *, width: int = 128, auxiliary: bool = False
) -> OnMaps:
    """Build DeepLabV3 on EfficientNet-Lite0, for a CPU: its last map has stride 16.

    Parameters
    ----------
    num_classes, in_channels : int
    width : int
        Channels of a branch; 256 in the paper.
    auxiliary : bool
        Have an auxiliary head, which scores stage 4 in training.
    """
    whole = EfficientNetLite(1.0, 1.0, 1, in_channels, output_stride=16)
    backbone = Stages(whole, ("blocks.4", "blocks.6"))
    earlier, last = backbone.out_channels
    aux = FCNHead(earlier, num_classes) if auxiliary else None
    return OnMaps(backbone, DeepLabHead(last, num_classes, (6, 12, 18), width), aux)
