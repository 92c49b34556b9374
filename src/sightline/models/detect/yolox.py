r"""Build YOLOX: each cell of a grid answers for the object whose centre is near, without anchors.

Ge et al., YOLOX: Exceeding YOLO series in 2021. A backbone (`csp_darknet`) has maps of strides s =
8, 16 and 32; a neck carries what the coarse ones know down to the fine ones and up again (Liu et
al., PANet, 2018); a *decoupled head* (section 2.1) then has two rows of convolutions for each map,
one that says the classes, one that says the box and whether there is an object at all. The cell in
column i and row j says its box as

.. math:: x = (i + t_x) s, \quad y = (j + t_y) s, \quad w = e^{t_w} s, \quad h = e^{t_h} s

with the centre (x, y). Its score for a class is :math:`\sigma(class) \sigma(object)`.

Training asks the network itself which cells are to answer for an object (`assign.SimOTA`), and
lowers, over the N cells so chosen of a batch,

.. math:: L = \frac{1}{N} \left(5 \sum_{chosen} (1 - \mathrm{IoU}^2) + \sum_{all} BCE(object)
    + \sum_{chosen} BCE(class)\right)

A chosen cell's class is to be its IoU rather than 1, so that scores tell how good a box is. Towards
the end, where pictures are no longer put together (see `sightline.training.boxes`), the distance
:math:`|t - \hat t|_1` of the four numbers is added (section 2.1, *Strong data augmentation*).

The six forms are drop-in for the published ones: the same state-dict keys and outputs, apart from:

- Images are standardised as any network's here. YOLOX's weights expect blue, green and red in 0 to
  255; `from_published` turns the first filters round, and `MEAN` and `STD` leave the values as they
  are.
- Several classes of a cell may become answers, each by its own score; YOLOX's own code keeps the
  best one.
- Pictures are put together by fours, but not blended (MixUp), turned or sheared.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import ops

from sightline.errors import DataError
from sightline.models.detect.anchors import grid
from sightline.models.detect.answers import Answering
from sightline.models.detect.assign import BACKGROUND, SimOTA
from sightline.models.detect.assignment import Assignment, among_all, places_of
from sightline.models.detect.boxes import iou, with_area
from sightline.models.detect.csp_darknet import CSPDarknet, PartialBlock, Unit, wide_unit
from sightline.models.detect.losses import overlap_loss
from sightline.models.detect.network import DetectionModule, Targets

STRIDES = (8, 16, 32)
"""Pixels a cell of the three maps."""

FORMS: Mapping[str, tuple[float, float]] = {
    "nano": (0.33, 0.25), "tiny": (0.33, 0.375), "s": (0.33, 0.5), "m": (0.67, 0.75),
    "l": (1.0, 1.0), "x": (1.33, 1.25),
}  # fmt: skip
"""Depth and width of each form (table 3 and section 2.2)."""

MEAN, STD = (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)
"""What published weights need as standardisation, in units of [0, 1]."""

PRIOR = 0.01
"""Probability that the head says of every cell at first (Lin et al., Focal loss, 2017)."""

BOX_WEIGHT = 5.0
"""Of the loss of boxes."""

LARGEST = 15.0
"""The logarithm of a side in strides that is not exceeded: beyond it the exponential overflows."""


class Outputs(NamedTuple):
    """What the network says of a batch, before any box is made.

    Attributes
    ----------
    codes : float Tensor, shape (N, A, 4)
        t of each cell.
    objects : float Tensor, shape (N, A)
        Logits.
    classes : float Tensor, shape (N, A, C)
        Logits.
    corners, strides : float32 Tensor, shape (A, 2), (A,)
        See `anchors.grid`.
    size : (height, width)
        Of the images.
    """

    codes: Tensor
    objects: Tensor
    classes: Tensor
    corners: Tensor
    strides: Tensor
    size: tuple[int, int]


class Neck(nn.Module):
    """The backbone and the way down and up again: images to three maps, finest first.

    Parameters
    ----------
    depth, width : float
    in_channels : int
    light : bool
    """

    def __init__(self, depth: float, width: float, in_channels: int, light: bool) -> None:
        super().__init__()
        self.backbone = CSPDarknet(depth, width, in_channels, light)
        fine, middle, coarse = self.out_channels = self.backbone.out_channels
        wide, repeats = wide_unit(light), round(3 * depth)

        def block(inputs: int, outputs: int) -> PartialBlock:
            return PartialBlock(inputs, outputs, repeats, added=False, light=light)

        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.lateral_conv0 = Unit(coarse, middle, 1)
        self.C3_p4 = block(2 * middle, middle)
        self.reduce_conv1 = Unit(middle, fine, 1)
        self.C3_p3 = block(2 * fine, fine)
        self.bu_conv2 = wide(fine, fine, 3, 2)
        self.C3_n3 = block(2 * fine, middle)
        self.bu_conv1 = wide(middle, middle, 3, 2)
        self.C3_n4 = block(2 * middle, coarse)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute the three maps."""
        fine, middle, coarse = self.backbone(x)
        top = self.lateral_conv0(coarse)
        between = self.reduce_conv1(self.C3_p4(torch.cat((self.upsample(top), middle), 1)))
        first = self.C3_p3(torch.cat((self.upsample(between), fine), 1))
        second = self.C3_n3(torch.cat((self.bu_conv2(first), between), 1))
        return [first, second, self.C3_n4(torch.cat((self.bu_conv1(second), top), 1))]


class Head(nn.Module):
    """The decoupled head: three maps to codes, objects and classes of every cell.

    Parameters
    ----------
    channels : sequence of int
        Of the maps.
    width : float
    num_classes : int
    light : bool
    """

    def __init__(
        self, channels: Sequence[int], width: float, num_classes: int, light: bool
    ) -> None:
        super().__init__()
        hidden, wide = int(256 * width), wide_unit(light)
        self.stems = nn.ModuleList(Unit(c, hidden, 1) for c in channels)

        def row() -> nn.Sequential:
            return nn.Sequential(wide(hidden, hidden, 3), wide(hidden, hidden, 3))

        def layers(outputs: int) -> nn.ModuleList:
            return nn.ModuleList(nn.Conv2d(hidden, outputs, 1) for _ in channels)

        self.cls_convs = nn.ModuleList(row() for _ in channels)
        self.reg_convs = nn.ModuleList(row() for _ in channels)
        self.cls_preds, self.reg_preds = layers(num_classes), layers(4)
        self.obj_preds = layers(1)
        for layer in (*self.cls_preds, *self.obj_preds):
            nn.init.constant_(layer.bias, math.log(PRIOR / (1 - PRIOR)))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Compute codes (N, A, 4), objects (N, A, 1) and classes (N, A, C)."""
        said: list[list[Tensor]] = []
        for i, x in enumerate(maps):
            x = self.stems[i](x)
            box, kind = self.reg_convs[i](x), self.cls_convs[i](x)
            numbers = self.reg_preds[i](box), self.obj_preds[i](box), self.cls_preds[i](kind)
            said.append([n.flatten(2).transpose(1, 2) for n in numbers])
        codes, objects, classes = (torch.cat(part, 1) for part in zip(*said, strict=True))
        return codes, objects, classes


class YOLOX(DetectionModule):
    """Detect objects by the cells of three grids.

    Parameters
    ----------
    num_classes : int
    depth, width : float
        See `csp_darknet.CSPDarknet`.
    in_channels : int
    light : bool
        Whether 3 x 3 convolutions filter each channel alone, as in the smallest form.
    answering : Answering, optional

    Attributes
    ----------
    closing : bool
        Whether training is near its end: then the distance of codes is part of the loss.
    """

    head_names = ("head.cls_preds",)

    def __init__(
        self, num_classes: int, depth: float, width: float, in_channels: int = 3, *,
        light: bool = False, answering: Answering | None = None,
    ) -> None:  # fmt: skip
        super().__init__(answering or Answering(overlap=0.65))
        self.num_classes, self.closing = num_classes, False
        self.assign = SimOTA()
        self.backbone = Neck(depth, width, in_channels, light)
        self.head = Head(self.backbone.out_channels, width, num_classes, light)

    def outputs(self, images: Tensor) -> Outputs:
        """Compute what the network says of every cell.

        Parameters
        ----------
        images : float Tensor, shape (N, C, H, W)
            Standardised; sides are multiples of 32.

        Raises
        ------
        DataError
            When a side is none.
        """
        size = (images.shape[2], images.shape[3])
        if size[0] % STRIDES[-1] or size[1] % STRIDES[-1]:
            raise DataError(
                f"YOLOX needs images whose sides are multiples of {STRIDES[-1]} pixels, not "
                f"{size[1]} x {size[0]}"
            )
        maps = self.backbone(images)
        codes, objects, classes = self.head(maps)
        places = [(m.shape[2], m.shape[3]) for m in maps]
        corners, strides = grid(places, STRIDES, images.device)
        return Outputs(codes, objects[..., 0], classes, corners, strides, size)

    def boxes(self, said: Outputs) -> Tensor:
        """Compute the boxes of all cells, shape (N, A, 4), xyxy in pixels of the image, not cut."""
        codes, strides = said.codes.float(), said.strides[:, None]
        centres = said.corners + codes[..., :2] * strides
        half = codes[..., 2:].clamp(max=LARGEST).exp() * strides / 2
        return torch.cat((centres - half, centres + half), -1)

    def candidates(self, said: Outputs) -> tuple[Tensor, Tensor]:
        """Compute all boxes (N, A, 4), cut to the image, and their scores (N, A, C)."""
        scores = said.classes.float().sigmoid() * said.objects.float().sigmoid()[..., None]
        return ops.clip_boxes_to_image(self.boxes(said), said.size), scores

    def losses(self, said: Outputs, targets: Targets) -> dict[str, Tensor]:
        """Compute the losses of what the network says.

        Returns
        -------
        dict of str to Tensor, shape ()
            ``boxes``, ``objects`` and ``classes``, towards the end of training ``codes``, too.
        """
        boxes = self.boxes(said)
        known = [self._assigned(said, boxes, i, target) for i, target in enumerate(targets)]
        assigned = torch.stack([cells for cells, _, _, _ in known])
        chosen = assigned != BACKGROUND
        n = chosen.sum().clamp(min=1)
        objects, labels, shared = (torch.cat(part) for part in list(zip(*known, strict=True))[1:])
        classes = functional.one_hot(labels, self.num_classes) * shared[:, None]
        lost = {
            "boxes": BOX_WEIGHT * overlap_loss(boxes[chosen], objects, "iou").sum(),
            "objects": _cross_entropy(said.objects, chosen),
            "classes": _cross_entropy(said.classes[chosen], classes),
        }
        if self.closing:
            cells = chosen.nonzero()[:, 1]
            wanted = _codes(objects, said.corners[cells], said.strides[cells])
            lost["codes"] = (said.codes[chosen].float() - wanted).abs().sum()
        return {name: value / n for name, value in lost.items()}

    def assignment(self, images: Tensor, target: Mapping[str, Tensor]) -> Assignment:
        """Return which cells of an image are to answer for which of its objects.

        The choice rests on what the network says so far, so it changes as it learns. The overlap of
        a cell is that of the box that it answers with.

        Parameters
        ----------
        images : float Tensor, shape (1, C, H, W)
            Standardised.
        target : mapping
            ``boxes``, float (G, 4), xyxy in its pixels, and ``labels``, int64 (G,).
        """
        with torch.no_grad():
            said = self.outputs(images)
            boxes = self.boxes(said)
            assigned, *_ = self._assigned(said, boxes, 0, target)
        area = with_area(target["boxes"])
        assigned = among_all(assigned, area)
        overlaps = iou(target["boxes"].float(), boxes[0])
        cells = torch.cat((said.corners, said.corners + said.strides[:, None]), 1)
        sides = [(said.size[0] // stride, said.size[1] // stride) for stride in STRIDES]
        return Assignment(
            cells, places_of([h * w for h, w in sides]), tuple(f"{h} x {w}" for h, w in sides),
            overlaps, assigned, tuple(self._why(assigned, area)), "cell",
        )  # fmt: skip

    @staticmethod
    def _why(assigned: Tensor, area: Tensor) -> Iterator[str]:
        """Say why an object has no cell."""
        for row, real in enumerate(area.tolist()):
            if not real:
                yield "it has no area, so that it teaches nothing"
            elif not bool((assigned == row).any()):
                yield "no cell near its centre is left for it: others cost less"
            else:
                yield ""

    def _assigned(
        self, said: Outputs, boxes: Tensor, i: int, target: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return each cell's object, and of the chosen ones the box, the label and the IoU."""
        real = with_area(target["boxes"])
        objects, labels = target["boxes"][real].float(), target["labels"][real]
        centres = said.corners + said.strides[:, None] / 2
        scores = (
            said.classes[i].float().sigmoid() * said.objects[i].float().sigmoid()[:, None]
        ).sqrt()
        assigned, shared = self.assign(
            centres, said.strides, boxes[i].detach(), scores.detach(), objects, labels
        )
        chosen = assigned != BACKGROUND
        rows = assigned[chosen]
        return assigned, objects[rows], labels[rows], shared[chosen]


def _codes(boxes: Tensor, corners: Tensor, strides: Tensor) -> Tensor:
    """Return what a cell is to say of a box, shape (P, 4)."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    sides = (boxes[:, 2:] - boxes[:, :2]) / strides[:, None]
    return torch.cat(((centres - corners) / strides[:, None], (sides + 1e-8).log()), 1)


def _cross_entropy(logits: Tensor, wanted: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(
        logits.float(), wanted.float(), reduction="sum"
    )


def yolox(form: str, num_classes: int = 80, in_channels: int = 3) -> YOLOX:
    """Build a form of YOLOX.

    Parameters
    ----------
    form : {"nano", "tiny", "s", "m", "l", "x"}
    num_classes : int
        80 are those of the published weights.
    in_channels : int
    """
    depth, width = FORMS[form]
    return YOLOX(num_classes, depth, width, in_channels, light=form == "nano")


def from_published(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return published weights as this network has them, for red, green and blue.

    Parameters
    ----------
    state : mapping
        A published checkpoint, or its entry ``model``.
    """
    inside: Mapping[str, Tensor] = state.get("model", state)
    made = dict(inside)
    first = "backbone.backbone.stem.conv.conv.weight"
    filters = made[first]
    of_each = filters.view(len(filters), 4, 3, *filters.shape[2:]).flip(2)
    made[first] = of_each.reshape(filters.shape)
    return made
