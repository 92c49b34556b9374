r"""Build FCNs: classifiers whose every layer is a convolution answer at every place.

Long, Shelhamer & Darrell, Fully convolutional networks for semantic segmentation, CVPR 2015. A
fully connected layer on maps of 7 x 7 is a convolution of 7 x 7 (section 3.1): made one, VGG16
scores every 32nd pixel instead of the whole picture. The scores are enlarged by a transposed
convolution, whose filter of stride s begins as bilinear interpolation (section 3.3): its weights at
place i of 2s are

.. math:: 1 - \frac{|i - c|}{s}, \qquad c = s - \tfrac{1}{2}

in both directions. So far FCN-32s. FCN-16s scores the map after the fourth pooling as well and adds
the coarser scores, twice as large; FCN-8s goes on with the third (section 4.2, figure 3):

.. math:: y_{16} = \mathrm{up}_2(\mathrm{score}(\mathrm{fc7})) + \mathrm{score}(\mathrm{pool4}),
    \quad y_8 = \mathrm{up}_2(y_{16}) + \mathrm{score}(\mathrm{pool3}),
    \quad y = \mathrm{up}_8(y_8)

==============  ==============================  ==================
layer           after                           output, side S
==============  ==============================  ==================
pool3           VGG16's third pooling           256, S / 8
pool4           its fourth                      512, S / 16
pool5           its fifth                       512, S / 32
fc6, fc7        7 x 7 and 1 x 1, dropout 0.5    4096, S / 32
score           1 x 1, zero at first            classes, S / 32
upscore         transposed, of stride 2         classes, S / 16, 8
last            transposed, stride 32, 16 or 8  classes, S
==============  ==============================  ==================

The layers that score begin as zero, those that enlarge as bilinear interpolation and are learned,
but for the last one, which stays as it is (section 4.2; the layers are called as the authors call
them). Departures, so that pictures of any size are answered for at their own: the authors' code
surrounds a picture by 100 black pixels and cuts its answer out; here fc6 is padded by 3, poolings
round up, what lies beyond the right and the lower border is cut off, and the edges are repeated
before they are enlarged, so that scores do not fade towards them.

`fcn_resnet50` is drop-in for torchvision's: the same state-dict keys and logits, but that images
in evaluation are answered by logits alone, without the auxiliary head's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from sightline.models.classify import vgg
from sightline.models.classify.resnet import STAGES, ResNet
from sightline.models.detect.network import OnBackbone
from sightline.models.segment.network import SemanticModule, Stages, resized


class Enlarging(nn.ConvTranspose2d):
    """Enlarge maps (N, C, H, W) to (N, C, sH, sW) by a filter that begins as bilinear.

    Parameters
    ----------
    channels, stride : int
    learned : bool
        Whether the filter is learned, each channel from all; else each one's own stays bilinear.
    """

    def __init__(self, channels: int, stride: int, learned: bool) -> None:
        super().__init__(
            channels, channels, 2 * stride, stride, padding=stride + stride // 2,
            groups=1 if learned else channels, bias=False,
        )  # fmt: skip
        self.weight.requires_grad = learned

    def reset_parameters(self) -> None:
        """Make the filter bilinear interpolation."""
        nn.init.zeros_(self.weight)
        stride = self.stride[0]
        along = 1 - (torch.arange(2 * stride) - (stride - 0.5)).abs() / stride
        with torch.no_grad():
            inside = self.weight.shape[1]  # 1 where each channel has its own filter
            for channel in range(len(self.weight)):
                self.weight[channel, channel % inside] = torch.outer(along, along)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Pad by the edge, once repeated, and enlarge."""
        return super().forward(functional.pad(x, (1, 1, 1, 1), mode="replicate"), output_size)


class FCN(OnBackbone, SemanticModule):
    """FCN-32s, -16s or -8s on VGG16; see the head of this file.

    Parameters
    ----------
    num_classes, in_channels : int
    finest : {8, 16, 32}
        Pixels between the places of the finest map that is scored.
    """

    def __init__(self, num_classes: int = 21, in_channels: int = 3, finest: int = 8) -> None:
        super().__init__()
        pools = ("features.16", "features.23", "features.30")
        self.backbone = Stages(rounded_up(vgg.vgg16(1, in_channels, small=True)), pools)
        self.fc6, self.fc7 = nn.Conv2d(512, 4096, 7, padding=3), nn.Conv2d(4096, 4096, 1)
        for layer in (self.fc6, self.fc7):
            vgg.initialise(layer)
        self.dropout = nn.Dropout(0.5)
        self.score_fr = _score(4096, num_classes)
        self.head_names: tuple[str, ...] = ("score_fr",)
        if finest < 32:
            self.upscore2 = Enlarging(num_classes, 2, learned=True)
            self.score_pool4 = _score(512, num_classes)
            self.head_names += ("upscore2", "score_pool4")
        if finest < 16:
            self.upscore_pool4 = Enlarging(num_classes, 2, learned=True)
            self.score_pool3 = _score(256, num_classes)
            self.head_names += ("upscore_pool4", "score_pool3")
        self.finest, last = finest, f"upscore{finest}"
        self.add_module(last, Enlarging(num_classes, finest, learned=False))
        self.head_names += (last,)

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Compute ``out``, the logits; see `SemanticModule.forward`."""
        pool3, pool4, x = self.backbone(images)
        for layer in (self.fc6, self.fc7):
            x = self.dropout(functional.relu(layer(x), inplace=True))
        x = self.score_fr(x)
        if self.finest < 32:
            x = _cut(self.upscore2(x), pool4) + self.score_pool4(pool4)
        if self.finest < 16:
            x = _cut(self.upscore_pool4(x), pool3) + self.score_pool3(pool3)
        return {"out": _cut(self.get_submodule(f"upscore{self.finest}")(x), images)}

    def from_classifier(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what a published VGG16 has for this network, fc6 and fc7 as convolutions.

        Parameters
        ----------
        state : mapping of str to Tensor
            Its state dict.
        """
        made = super().from_classifier(state)
        if "classifier.3.weight" in state:
            made["fc6.weight"] = state["classifier.0.weight"].view(4096, 512, 7, 7)
            made["fc7.weight"] = state["classifier.3.weight"].view(4096, 4096, 1, 1)
            made["fc6.bias"], made["fc7.bias"] = (state[f"classifier.{i}.bias"] for i in (0, 3))
        return made


def rounded_up(network: vgg.VGG) -> vgg.VGG:
    """Let the poolings of a VGG round up, so that no side becomes 0; return it."""
    for layer in network.modules():
        if isinstance(layer, nn.MaxPool2d):
            layer.ceil_mode = True
    return network


def _score(inputs: int, num_classes: int) -> nn.Conv2d:
    """Build a layer of 1 x 1 that begins as zero."""
    layer = nn.Conv2d(inputs, num_classes, 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(cast(Tensor, layer.bias))
    return layer


def _cut(x: Tensor, like: Tensor) -> Tensor:
    """Cut maps on the right and below to the size of others."""
    return x[:, :, : like.shape[2], : like.shape[3]]


class FCNHead(nn.Sequential):
    """Score maps by a 3 x 3 convolution to a quarter of the channels and one of 1 x 1."""

    def __init__(self, inputs: int, num_classes: int) -> None:
        between = inputs // 4
        super().__init__(
            nn.Conv2d(inputs, between, 3, padding=1, bias=False),
            nn.BatchNorm2d(between),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(between, num_classes, 1),
        )


class OnMaps(OnBackbone, SemanticModule):
    """Score the last maps of a backbone and interpolate the scores bilinearly.

    Parameters
    ----------
    backbone : Module
        Maps images to a list of two maps.
    classifier : Sequential
        Scores the last one; its last layer gives the logits.
    aux_classifier : Sequential, optional
        The auxiliary head, which scores the first one in training.
    """

    def __init__(
        self, backbone: nn.Module, classifier: nn.Sequential, aux_classifier: nn.Sequential | None
    ) -> None:
        super().__init__()
        self.backbone, self.classifier, self.aux_classifier = backbone, classifier, aux_classifier
        self.head_names: tuple[str, ...] = (f"classifier.{len(classifier) - 1}",)
        if aux_classifier is not None:
            self.head_names += (f"aux_classifier.{len(aux_classifier) - 1}",)

    def outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Compute ``out``, and in training ``aux``; see `SemanticModule.forward`."""
        earlier, last = self.backbone(images)
        said = {"out": resized(self.classifier(last), images)}
        if self.training and self.aux_classifier is not None:
            said["aux"] = resized(self.aux_classifier(earlier), images)
        return said


def dilated_resnet(depth: int, in_channels: int) -> Stages:
    """Build layers 1 to 4 of a ResNet, of whose maps the last two have stride 8, like layer 2's."""
    whole = ResNet(
        *STAGES[depth], num_classes=1, in_channels=in_channels,
        replace_stride_with_dilation=(False, True, True),
    )  # fmt: skip
    return Stages(whole, ("layer3", "layer4"))


fcn32s, fcn16s, fcn8s = (partial(FCN, finest=finest) for finest in (32, 16, 8))


def fcn_resnet50(num_classes: int = 21, in_channels: int = 3, *, auxiliary: bool = True) -> OnMaps:
    """Build torchvision's FCN on a dilated ResNet-50.

    Parameters
    ----------
    num_classes, in_channels : int
    auxiliary : bool
        Have the auxiliary head, which scores layer 3 in training.
    """
    backbone = dilated_resnet(50, in_channels)
    aux = FCNHead(1024, num_classes) if auxiliary else None
    return OnMaps(backbone, FCNHead(2048, num_classes), aux)
