r"""Build SSD: one network that scores default boxes on maps of several sizes.

Liu et al., SSD: Single shot multibox detector, ECCV 2016. A network that halves the image again and
again has maps for objects of every size; on each, two 3 x 3 convolutions say for every default box
(`anchors.DefaultBoxes`) its class and how it is to be moved (section 2.1). SSD300 on VGG16, figure
2 of the paper:

========  ==========================================  ==============  =====  ======
map       after                                       output          boxes  in all
========  ==========================================  ==============  =====  ======
conv4_3   VGG16 up to the fourth pooling, scaled      512 x 38 x 38   4      5,776
fc7       conv5, fc6 (dilated by 6) and fc7           1024 x 19 x 19  6      2,166
conv8_2   1 x 1 to 256, 3 x 3 of stride 2             512 x 10 x 10   6      600
conv9_2   1 x 1 to 128, 3 x 3 of stride 2             256 x 5 x 5     6      150
conv10_2  1 x 1 to 128, 3 x 3 without padding         256 x 3 x 3     4      36
conv11_2  1 x 1 to 128, 3 x 3 without padding         256 x 1 x 1     4      4
========  ==========================================  ==============  =====  ======

fc6 and fc7 are VGG's fully connected layers made convolutions; conv4_3, whose values are larger,
is brought to length 1 at each place and scaled by a learned number a channel, 20 at first (Liu et
al., ParseNet, 2016).

Training (section 2.2) assigns objects to default boxes (`assign.match_default_boxes`) and lowers

.. math:: L = \frac{1}{N} \left(\sum_{i \in Pos, Neg} -\log \hat c_i + \sum_{i \in Pos}
    \mathrm{smooth}_{L1}(l_i - \hat g_i)\right)

(equations 1 to 3), N being the assigned boxes and Neg the hardest of the others, three for each of
them. An answer is what is left of the boxes above a score when of two that overlap by more than
0.45 only the better one is kept, class by class (section 3.1).

`ssd300` is drop-in for torchvision's ``ssd300_vgg16``: the same state-dict keys, losses and
answers, apart from:

- A batch is one tensor of images that are standardised and of the model's size; targets are in its
  pixels, and so are answers. torchvision resizes and standardises inside.
- ``num_classes`` and labels do not count the background. torchvision's label is one more.
- Two objects that share a best default box get one each, and an image without an object teaches
  background, at least three boxes of it. In torchvision the later object takes the box, and the
  line of code that would ensure a minimum of background is commented out. ``teaching=TORCHVISION``
  does as torchvision does.
- A box with an object is never background as well. In torchvision it is counted twice where more
  than a quarter of an image's default boxes are assigned.
- An object without area, x1 = x2, teaches nothing; torchvision ends with an error.
- Every layer learns. torchvision freezes the first block of VGG when it begins from published
  weights.
- `VGGMaps.from_classifier` fills fc6 and fc7 from a published VGG16 as the paper does, taking every
  fourth channel and every third place (section 3); torchvision draws them at random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import ops

from sightline.models.classify import vgg
from sightline.models.detect import boxes as coding
from sightline.models.detect.anchors import SCALES, DefaultBoxes
from sightline.models.detect.answers import Answering
from sightline.models.detect.assign import BACKGROUND, match_default_boxes
from sightline.models.detect.assignment import Assignment, among_all, places_of, reasons
from sightline.models.detect.losses import mined_cross_entropy, smooth_l1
from sightline.models.detect.network import DetectionModule, OnBackbone, Targets

Predictor = Callable[[int, int], nn.Module]
"""Makes what computes so many outputs from maps of so many channels."""


@dataclass(frozen=True)
class Teaching:
    """How objects become what SSD learns from.

    Parameters
    ----------
    threshold : float
        IoU from which on a default box takes an object.
    each : bool
        Whether objects that share a best box get one each; see `assign.match_default_boxes`.
    ratio : float
        Background boxes for each box with an object.
    least : int
        Background boxes an image at least; see `losses.mined_cross_entropy`.
    """

    threshold: float = 0.5
    each: bool = True
    ratio: float = 3.0
    least: int = 3


TORCHVISION = Teaching(each=False, least=0)
"""As torchvision teaches."""


class Outputs(NamedTuple):
    """What the network says of a batch, before any box is made.

    Attributes
    ----------
    logits : float Tensor, shape (N, A, 1 + C)
        Class 0 is the background.
    deltas : float Tensor, shape (N, A, 4)
        See `boxes.encode`.
    anchors : float32 Tensor, shape (A, 4)
        The default boxes.
    size : (height, width)
        Of the images.
    """

    logits: Tensor
    deltas: Tensor
    anchors: Tensor
    size: tuple[int, int]


class SSD(OnBackbone, DetectionModule):
    """Score default boxes on the maps of a backbone.

    Parameters
    ----------
    backbone : Module
        Maps images to a list of maps; its ``out_channels`` has the channels of each.
    boxes : DefaultBoxes
    num_classes : int
        Without the background.
    predictor : callable, optional
        Makes the layer that scores a map. Default: a 3 x 3 convolution.
    teaching : Teaching
    answering : Answering
    """

    head_names = ("head.classification_head",)

    def __init__(
        self, backbone: nn.Module, boxes: DefaultBoxes, num_classes: int, *,
        predictor: Predictor | None = None, teaching: Teaching | None = None,
        answering: Answering | None = None,
    ) -> None:  # fmt: skip
        super().__init__(answering or Answering())
        self.backbone, self.boxes, self.num_classes = backbone, boxes, num_classes
        self.teaching = teaching or Teaching()
        channels = cast(Sequence[int], backbone.out_channels)
        self.head = Head(channels, boxes.counts, 1 + num_classes, predictor or _convolution)

    def outputs(self, images: Tensor) -> Outputs:
        """Compute what the network says of every default box.

        Parameters
        ----------
        images : float Tensor, shape (N, C, H, W)
        """
        size = (images.shape[2], images.shape[3])
        maps = self.backbone(images)
        anchors = self.boxes([(m.shape[2], m.shape[3]) for m in maps], size, images.device)
        logits, deltas = self.head(maps)
        return Outputs(logits, deltas, anchors, size)

    def losses(self, said: Outputs, targets: Targets) -> dict[str, Tensor]:
        """Compute the two losses of what the network says; see `forward`.

        Parameters
        ----------
        said : Outputs
        targets : sequence of mappings
        """
        known = [self._assigned(said.anchors, target) for target in targets]
        classes = torch.stack([classes for classes, _ in known])
        wanted = torch.cat([boxes for _, boxes in known])
        image, place = torch.nonzero(classes, as_tuple=True)
        rules = self.teaching
        conf, n = mined_cross_entropy(said.logits, classes, ratio=rules.ratio, least=rules.least)
        loc = smooth_l1(
            said.deltas[image, place], coding.encode(wanted.float(), said.anchors[place])
        )
        return {"bbox_regression": loc / n, "classification": conf / n}

    def _assigned(self, anchors: Tensor, target: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return each default box's class, 0 the background, and the objects of the others."""
        real = coding.with_area(target["boxes"])
        objects, labels = target["boxes"][real], target["labels"][real]
        rules = self.teaching
        of_each = match_default_boxes(
            coding.iou(objects, anchors), rules.threshold, each=rules.each
        )
        positive = of_each != BACKGROUND
        classes = torch.zeros_like(of_each)
        classes[positive] = 1 + labels[of_each[positive]]
        return classes, objects[of_each[positive]]

    def assignment(self, images: Tensor, target: Mapping[str, Tensor]) -> Assignment:
        """Return which default boxes of an image are to answer for which of its objects.

        Parameters
        ----------
        images : float Tensor, shape (1, C, H, W)
        target : mapping
            ``boxes``, float (G, 4), xyxy in its pixels.
        """
        with torch.no_grad():
            maps = self.backbone(images)
        size, boxes = (images.shape[2], images.shape[3]), target["boxes"].float()
        sides = [(m.shape[2], m.shape[3]) for m in maps]
        anchors = self.boxes(sides, size)
        of_each = [h * w * n for (h, w), n in zip(sides, self.boxes.counts, strict=True)]
        places = places_of(of_each)
        area = coding.with_area(boxes)
        overlaps = coding.iou(boxes, anchors)
        rules = self.teaching
        assigned = among_all(
            match_default_boxes(overlaps[area], rules.threshold, each=rules.each), area
        )
        return Assignment(
            anchors, places, tuple(f"{h} x {w}" for h, w in sides), overlaps, assigned,
            reasons(overlaps, assigned, rules.threshold, area),
        )  # fmt: skip

    def candidates(self, said: Outputs) -> tuple[Tensor, Tensor]:
        """Compute the box and the scores of every default box.

        Parameters
        ----------
        said : Outputs

        Returns
        -------
        boxes : float Tensor, shape (N, A, 4)
            xyxy, cut to the image.
        scores : float Tensor, shape (N, A, C)
            Without the background's.
        """
        moved = coding.decode(said.deltas.float(), said.anchors)
        scores = functional.softmax(said.logits.float(), -1)[..., 1:]
        return ops.clip_boxes_to_image(moved, said.size), scores


class Head(nn.Module):
    """Score all default boxes of all maps: classes (N, A, K) and codes (N, A, 4)."""

    def __init__(
        self, channels: Sequence[int], counts: Sequence[int], classes: int, predictor: Predictor
    ) -> None:
        super().__init__()
        self.classification_head = Scores(channels, counts, classes, predictor)
        self.regression_head = Scores(channels, counts, 4, predictor)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Compute logits and codes."""
        return self.classification_head(maps), self.regression_head(maps)


class Scores(nn.Module):
    """Compute some numbers for each default box: maps (N, C, H, W) to (N, A, columns)."""

    def __init__(
        self, channels: Sequence[int], counts: Sequence[int], columns: int, predictor: Predictor
    ) -> None:
        super().__init__()
        self.columns = columns
        self.module_list = nn.ModuleList(
            predictor(c, n * columns) for c, n in zip(channels, counts, strict=True)
        )
        self.apply(xavier)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Order the numbers by map, row, column and box, as `DefaultBoxes` does."""
        scored = [layer(x) for layer, x in zip(self.module_list, maps, strict=True)]
        # Flattened, as len() would fix the size of the batch in an exported graph.
        flat = torch.cat([x.permute(0, 2, 3, 1).flatten(1) for x in scored], 1)
        return flat.view(flat.shape[0], -1, self.columns)


def _convolution(inputs: int, outputs: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)


def xavier(layer: nn.Module) -> None:
    """Draw a convolution's weights as the paper does (section 3): by Glorot & Bengio's rule."""
    if isinstance(layer, nn.Conv2d):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


class VGGMaps(nn.Module):
    """VGG16 and four more blocks; images (N, C, 300, 300) to the six maps of figure 2.

    Parameters
    ----------
    in_channels : int
    batch_norm : bool
        After every convolution; see `ssd300_bn`.
    """

    out_channels = (512, 1024, 512, 256, 256, 256)

    def __init__(self, in_channels: int = 3, batch_norm: bool = False) -> None:
        super().__init__()
        layers = vgg.blocks(vgg.CONVOLUTIONS[16], batch_norm, in_channels)
        layers.apply(vgg.initialise)
        pools = [i for i, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
        cast(nn.MaxPool2d, layers[pools[2]]).ceil_mode = True  # 75 places become 38, as in figure 2
        self.scale_weight = nn.Parameter(torch.full((512,), 20.0))
        self.features = layers[: pools[3]]
        fc = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1),
            *_step(512, 1024, batch_norm, kernel_size=3, padding=6, dilation=6),
            *_step(1024, 1024, batch_norm, kernel_size=1),
        )
        self.extra = nn.ModuleList(
            [
                nn.Sequential(*layers[pools[3] : -1], fc),
                _extra(1024, 256, 512, batch_norm, stride=2, padding=1),
                _extra(512, 128, 256, batch_norm, stride=2, padding=1),
                _extra(256, 128, 256, batch_norm),
                _extra(256, 128, 256, batch_norm),
            ]
        )
        for added in (fc, *self.extra[1:]):
            added.apply(xavier)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute the maps, finest first."""
        x = self.features(x)
        maps = [self.scale_weight.view(1, -1, 1, 1) * functional.normalize(x)]
        for block in self.extra:
            x = block(x)
            maps.append(x)
        return maps

    def from_classifier(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what a published VGG16 has for these layers, by the names that they have here.

        Parameters
        ----------
        state : mapping of str to Tensor
            State dict of VGG16, or of VGG16 with batch normalisation where these layers have it;
            with its fully connected layers, fc6 and fc7 are filled too.
        """
        before, made = len(self.features), dict[str, Tensor]()
        for key, tensor in state.items():
            if key.startswith("features."):
                _, number, rest = key.split(".", 2)
                place = int(number)
                inside = f"features.{place}" if place < before else f"extra.0.{place - before}"
                made[f"{inside}.{rest}"] = tensor
        if "classifier.3.weight" not in state:
            return made
        layers = cast(nn.Sequential, self.extra[0])
        fc = f"extra.0.{len(layers) - 1}"
        fc6, fc7 = (
            f"{fc}.{i}" for i, m in enumerate(cast(nn.Sequential, layers[-1])) if _is_convolution(m)
        )
        made[f"{fc6}.weight"] = (
            state["classifier.0.weight"].view(4096, 512, 7, 7)[::4, :, ::3, ::3]
        )  # fmt: skip
        made[f"{fc6}.bias"] = state["classifier.0.bias"][::4]
        made[f"{fc7}.weight"] = state["classifier.3.weight"][::4, ::4, None, None]
        made[f"{fc7}.bias"] = state["classifier.3.bias"][::4]
        return made


def _step(inputs: int, outputs: int, batch_norm: bool, **more: Any) -> list[nn.Module]:
    """Build a convolution and ReLU, with batch normalisation between where asked for."""
    norm = [nn.BatchNorm2d(outputs)] if batch_norm else []
    return [nn.Conv2d(inputs, outputs, **more), *norm, nn.ReLU(inplace=True)]


def _extra(inputs: int, between: int, outputs: int, batch_norm: bool, **more: Any) -> nn.Module:
    """Build a block that narrows by 1 x 1 and makes the next map by 3 x 3."""
    return nn.Sequential(
        *_step(inputs, between, batch_norm, kernel_size=1),
        *_step(between, outputs, batch_norm, kernel_size=3, **more),
    )


RATIOS = ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,))
"""Aspect ratios of SSD300's maps (section 2.2)."""

STEPS = (8, 16, 32, 64, 100, 300)
"""Pixels between the places of SSD300's maps."""


def ssd300(
    num_classes: int = 90, in_channels: int = 3, *, scales: Literal["voc", "coco"] = "coco",
    batch_norm: bool = False, teaching: Teaching | None = None,
    answering: Answering | None = None,
) -> SSD:  # fmt: skip
    """Build SSD300 on VGG16, for images of 300 pixels a side.

    Parameters
    ----------
    num_classes : int
        Without the background; 90 are those of torchvision's published weights.
    in_channels : int
    scales : {"voc", "coco"}
        Of the default boxes: those of the paper for Pascal VOC, whose objects are larger, or for
        COCO.
    batch_norm : bool
        See `ssd300_bn`.
    teaching : Teaching, optional
    answering : Answering, optional
    """
    boxes = DefaultBoxes(RATIOS, [pixels / 300 for pixels in SCALES[scales]], STEPS)
    backbone = VGGMaps(in_channels, batch_norm)
    return SSD(backbone, boxes, num_classes, teaching=teaching, answering=answering)


def ssd300_bn(num_classes: int = 90, in_channels: int = 3, **more: Any) -> SSD:
    """Build SSD300 with batch normalisation after every convolution but the last ones.

    The form to train from scratch: without published weights, SSD learns badly without it, as it
    makes the loss smoother (Zhu et al., ScratchDet, CVPR 2019).

    Parameters
    ----------
    num_classes, in_channels : int
    **more
        See `ssd300`.
    """
    return ssd300(num_classes, in_channels, batch_norm=True, **more)


def _is_convolution(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d)
