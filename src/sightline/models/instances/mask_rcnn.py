r"""Build Mask R-CNN: Faster R-CNN with one more head, which draws the object inside its box.

He, Gkioxari, Dollár & Girshick, Mask R-CNN, ICCV 2017. All of `detect.faster_rcnn` stays as it is;
the head of masks goes on from the same regions. Training lowers

.. math:: L = L_{cls} + L_{box} + L_{mask}

(section 3) besides the losses of proposals. The head says m x m probabilities for each class by a
sigmoid for every place; only those of the region's true class k count, so that classes do not
compete for pixels:

.. math:: L_{mask} = -\frac{1}{m^2} \sum_{ij} \left(y_{ij} \log \hat y^k_{ij} +
    (1 - y_{ij}) \log(1 - \hat y^k_{ij})\right)

averaged over the regions of objects. The truth y is the object's mask cut out by the region and
brought to m x m by RoIAlign, which reads between pixels instead of rounding to them. Answers are
masked after overlapping boxes are dropped: each has the mask of its own class (section 3.1).

==============================  =====================  ==================
part                            `mask_rcnn`            `mask_rcnn_small`
==============================  =====================  ==================
boxes                           `faster_rcnn`          `faster_rcnn_small`
regions pooled to               14 x 14                14 x 14
convolutions of 3 x 3           4 of 256 channels      2 of 64
transposed, to 28 x 28          256                    64
==============================  =====================  ==================

`mask_rcnn` is drop-in for torchvision's ``maskrcnn_resnet50_fpn``: the same state-dict keys, losses
under the same chance, and answers, apart from what `detect.faster_rcnn` lists, and:

- Answers have masks of 28 x 28 within their boxes. torchvision enlarges all of them to whole
  pictures, one number a pixel; here `answers` makes run-length codes, one box at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import ops

from sightline.models.detect.faster_rcnn import (
    FasterRCNN,
    Outputs,
    faster_rcnn,
    faster_rcnn_small,
)
from sightline.models.detect.roi_heads import RegionPool, RoIHeads, Sampled, image_of

POOLED = 14
"""Places a side that a region is pooled to for its mask; the mask has twice as many."""


class MaskHeads(RoIHeads):
    """Say the class, the box and the mask of regions.

    Parameters
    ----------
    pool, channels, classes, *more
        See `RoIHeads`.
    layers : tuple of int
        Channels of each convolution of the head of masks.
    """

    def __init__(
        self, pool: RegionPool, channels: int, classes: int, *more: Any,
        layers: tuple[int, ...] = (256,) * 4,
    ) -> None:  # fmt: skip
        super().__init__(pool, channels, classes, *more)
        self.mask_roi_pool = RegionPool(POOLED)
        self.mask_head = nn.Sequential(
            *(_step(inputs, outputs) for inputs, outputs in zip((channels, *layers), layers,
                                                               strict=False))
        )  # fmt: skip
        self.mask_predictor = MaskPredictor(layers[-1], classes)

    def masks(
        self, maps: Sequence[Tensor], boxes: Tensor, images: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """Compute the logits of regions' masks, a mask a class.

        Parameters
        ----------
        maps : sequence of float Tensor
        boxes : float Tensor, shape (R, 4)
            xyxy in pixels of the images.
        images : int64 Tensor, shape (R,)
            Rows of the batch.
        size : (height, width)
            Of the images.

        Returns
        -------
        float Tensor, shape (R, 1 + C, 28, 28)
        """
        pooled = self.mask_roi_pool(maps, boxes, images, size)
        logits: Tensor = self.mask_predictor(self.mask_head(pooled))
        return logits

    def masks_of(
        self, maps: Sequence[Tensor], boxes: Tensor, labels: Tensor, images: Tensor,
        size: tuple[int, int],
    ) -> Tensor:  # fmt: skip
        """Compute the probabilities of regions' masks of their own classes, shape (R, 28, 28).

        Parameters
        ----------
        maps, boxes, images, size
            See `masks`.
        labels : int64 Tensor, shape (R,)
            From 0, the background not counted.
        """
        logits = self.masks(maps, boxes, images, size).float()
        places = (1 + labels)[:, None, None, None].expand(-1, 1, *logits.shape[2:])
        return logits.gather(1, places)[:, 0].sigmoid()

    def losses(
        self, maps: Sequence[Tensor], drawn: Sequence[Sampled],
        targets: Sequence[Mapping[str, Tensor]], size: tuple[int, int],
    ) -> dict[str, Tensor]:  # fmt: skip
        """Compute the losses of regions that were drawn, with ``loss_mask``.

        Parameters
        ----------
        maps, drawn, size
            See `RoIHeads.losses`.
        targets : sequence of mappings
            Of each image ``boxes``, ``labels`` and ``masks``, bool (G, H, W).
        """
        objects = [Sampled(one.boxes[one.objects >= 0], one.objects[one.objects >= 0])
                   for one in drawn]  # fmt: skip
        boxes = [one.boxes for one in objects]
        logits = self.masks(maps, torch.cat(boxes), image_of(boxes), size).float()
        pairs = list(zip(objects, targets, strict=True))
        labels = torch.cat([1 + target["labels"][one.objects] for one, target in pairs])
        truth = torch.cat([
            cut_out(target["masks"], one.objects, one.boxes, logits.shape[-1])
            for one, target in pairs
        ])  # fmt: skip
        own = logits[torch.arange(len(labels), device=labels.device), labels]
        mask = (
            functional.binary_cross_entropy_with_logits(own, truth)
            if len(labels)
            else logits.sum() * 0
        )
        return super().losses(maps, drawn, targets, size) | {"loss_mask": mask}


class MaskPredictor(nn.Sequential):
    """Enlarge maps twice and score each place: (R, C, h, w) to (R, classes, 2 h, 2 w)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.add_module("conv5_mask", nn.ConvTranspose2d(channels, channels, 2, 2))
        self.add_module("relu", nn.ReLU())
        self.add_module("mask_fcn_logits", nn.Conv2d(channels, classes, 1))
        for layer in self.children():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(cast(Tensor, layer.bias))


class MaskRCNN(FasterRCNN):
    """Propose regions, classify them, and draw a mask in each answer; see `FasterRCNN`.

    Parameters
    ----------
    *given, **more
        See `FasterRCNN`.
    layers : tuple of int
        See `MaskHeads`.
    """

    head_names = (*FasterRCNN.head_names, "roi_heads.mask_predictor.mask_fcn_logits")

    def __init__(self, *given: Any, layers: tuple[int, ...] = (256,) * 4, **more: Any) -> None:
        super().__init__(*given, heads=partial(MaskHeads, layers=layers), **more)

    def answers(self, said: Outputs) -> list[dict[str, Tensor]]:
        """Choose the answers of each image, with ``masks``: probabilities (K, 28, 28) in the box.

        Parameters
        ----------
        said : Outputs
        """
        chosen = super().answers(said)
        boxes = [one["boxes"] for one in chosen]
        labels = torch.cat([one["labels"] for one in chosen])
        heads = cast(MaskHeads, self.roi_heads)
        masks = heads.masks_of(
            said.maps[:-1], torch.cat(boxes), labels, image_of(boxes), said.scored.size
        )
        each = torch.split(masks, [len(b) for b in boxes])
        return [one | {"masks": own} for one, own in zip(chosen, each, strict=True)]


def cut_out(masks: Tensor, objects: Tensor, boxes: Tensor, places: int) -> Tensor:
    """Cut objects' masks out by regions, and bring each to one size by RoIAlign.

    Parameters
    ----------
    masks : bool Tensor, shape (G, H, W)
    objects : int64 Tensor, shape (R,)
        The object of each region.
    boxes : float Tensor, shape (R, 4)
        Of the regions, in pixels of the masks.
    places : int
        A side of what comes out.

    Returns
    -------
    float32 Tensor, shape (R, places, places)
        In [0, 1].
    """
    used, rows = torch.unique(objects, return_inverse=True)
    if not len(used):
        return boxes.new_zeros((0, places, places))
    regions = torch.cat((rows[:, None].to(boxes.dtype), boxes), 1)
    cut: Tensor = ops.roi_align(masks[used][:, None].float(), regions.float(), places, 1.0)
    return cut[:, 0]


def mask_rcnn(num_classes: int = 90, in_channels: int = 3, **more: Any) -> MaskRCNN:
    """Build Mask R-CNN on the pyramid of a ResNet-50.

    Parameters
    ----------
    num_classes, in_channels, **more
        See `faster_rcnn`.
    """
    return cast(MaskRCNN, faster_rcnn(num_classes, in_channels, kind=MaskRCNN, **more))


def mask_rcnn_small(
    num_classes: int = 90, in_channels: int = 3, side: int | tuple[int, int] = 320
) -> MaskRCNN:
    """Build Mask R-CNN on the pyramid of EfficientNet-Lite0, which learns on a CPU.

    Parameters
    ----------
    num_classes, in_channels, side
        See `faster_rcnn_small`.
    """
    kind = partial(MaskRCNN, layers=(64, 64))
    return cast(MaskRCNN, faster_rcnn_small(num_classes, in_channels, side, kind=kind))


def _step(inputs: int, outputs: int) -> nn.Sequential:
    """Build a convolution of 3 x 3 that keeps the side, with ReLU."""
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    nn.init.zeros_(cast(Tensor, layer.bias))
    return nn.Sequential(layer, nn.ReLU(inplace=True))
