r"""Classify regions: pool each from the maps to one size, then say its class and move its box.

Girshick, Fast R-CNN, ICCV 2015. A region of interest (RoI) is cut from a map that is computed once
an image, pooled to 7 x 7 places (section 2.1), and goes through two fully connected layers to 1 + C
class probabilities and C boxes, one a class. Training lowers

.. math:: L(p, u, t^u, v) = -\log p_u + [u \ge 1] \, \mathrm{smooth}_{L1}(t^u - v)

(equations 1 to 3), u being the region's class and 0 the background, over regions that are drawn
from each image, at most a quarter of them objects (section 2.3). `RegionPool` pools from several
maps by the rule of Lin et al. (CVPR 2017, equation 1); RoIAlign, which reads between places instead
of rounding to them, is that of He et al. (Mask R-CNN, ICCV 2017, section 3). Both operators are
torchvision's.

A further head, such as that of masks, goes on from the same parts: `RoIHeads.sampled` says which
region belongs to which object, and another `RegionPool` cuts its maps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import ops

from sightline.models.detect import boxes as coding
from sightline.models.detect.assign import match_regions, sample_regions
from sightline.models.detect.losses import smooth_l1
from sightline.models.detect.rpn import BETA, Proposals

CANONICAL, LEVEL = 224, 4
"""Pixels a side of a region that is pooled from the map of stride 2 ** 4 (FPN, section 4.2)."""

SMALLEST = 1e-2
"""Pixels a side that an answer has at least."""


@dataclass(frozen=True)
class RegionTeaching:
    """Which regions are learned from.

    Parameters
    ----------
    threshold : float
        IoU with an object from which on a region is one; below it is background.
    lowest : float
        IoU below which a region without an object is left out: 0.1 in Fast R-CNN, whose proposals
        come from outside (section 2.3); 0 in Faster R-CNN.
    sample : int
        Regions of an image.
    share : float
        Of objects among them at most.
    beta : float
        Where the loss of a box turns from squared to linear: 1 in Fast R-CNN (equation 3).
    """

    threshold: float = 0.5
    lowest: float = 0.0
    sample: int = 512
    share: float = 0.25
    beta: float = BETA


class Sampled(NamedTuple):
    """Regions of an image that are learned from.

    Attributes
    ----------
    boxes : float Tensor, shape (S, 4)
    objects : int64 Tensor, shape (S,)
        The object of each, or `assign.BACKGROUND`.
    """

    boxes: Tensor
    objects: Tensor


class RegionPool(nn.Module):
    """Cut regions from maps, each brought to one size; has no weights.

    Parameters
    ----------
    places : int
        A side of what comes out.
    kind : {"align", "pool"}
        RoIAlign, or RoI pooling, which rounds a region to whole places and takes maxima.
    samples : int
        Points a side that RoIAlign reads for a place.
    """

    def __init__(
        self, places: int = 7, kind: Literal["align", "pool"] = "align", samples: int = 2
    ) -> None:
        super().__init__()
        self.places, self.kind, self.samples = places, kind, samples

    def forward(
        self, maps: Sequence[Tensor], boxes: Tensor, image_of: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """Cut the regions.

        Parameters
        ----------
        maps : sequence of float Tensor, shape (N, C, H_k, W_k)
            Each with half the stride of the next one.
        boxes : float Tensor, shape (R, 4)
            In pixels of the images.
        image_of : int64 Tensor, shape (R,)
            Rows of the batch.
        size : (height, width)
            Of the images.

        Returns
        -------
        float Tensor, shape (R, C, places, places)
        """
        steps = [round(math.log2(size[0] / m.shape[2])) for m in maps]
        regions = torch.cat((image_of[:, None].to(boxes.dtype), boxes), 1)
        if len(maps) == 1:
            return self._cut(maps[0], regions, steps[0])
        level_of = levels(boxes, steps[0], steps[-1])
        shape = (regions.shape[0], maps[0].shape[1], self.places, self.places)
        pooled = maps[0].new_zeros(shape)
        for x, step in zip(maps, steps, strict=True):
            rows = torch.nonzero(level_of == step)[:, 0]
            cut = self._cut(x, regions[rows], step)
            pooled.index_copy_(0, rows, cut)
        return pooled

    def _cut(self, x: Tensor, regions: Tensor, step: int) -> Tensor:
        # Corners in 16 bits would be off by a pixel.
        scale, whole, regions = 2.0**-step, x.float(), regions.float()
        cut: Tensor = (
            ops.roi_align(whole, regions, self.places, scale, self.samples)
            if self.kind == "align"
            else ops.roi_pool(whole, regions, self.places, scale)
        )
        return cut.to(x.dtype)


def levels(boxes: Tensor, first: int, last: int) -> Tensor:
    r"""Compute the map that each region is pooled from, by its area.

    .. math:: k = \lfloor 4 + \log_2(\sqrt{w h} / 224) \rfloor

    (Lin et al., CVPR 2017, equation 1).

    Parameters
    ----------
    boxes : float Tensor, shape (R, 4)
    first, last : int
        Logarithms of the strides of the maps there are.

    Returns
    -------
    int64 Tensor, shape (R,)
        Logarithms of strides.

    Examples
    --------
    >>> levels(torch.tensor([[0.0, 0, 224, 224], [0, 0, 30, 30], [0, 0, 112, 111]]), 2, 5).tolist()
    [4, 2, 2]
    """
    side = (boxes[:, 2:] - boxes[:, :2]).prod(1).sqrt()
    return (LEVEL + torch.log2(side / CANONICAL) + 1e-6).floor().clamp(first, last).long()


class RoIHeads(nn.Module):
    """Say the class and the box of regions.

    Parameters
    ----------
    pool : RegionPool
    channels : int
        Of every map.
    classes : int
        With the background.
    hidden : int
        Outputs of the two fully connected layers.
    teaching : RegionTeaching
    """

    def __init__(
        self, pool: RegionPool, channels: int, classes: int, hidden: int = 1024,
        teaching: RegionTeaching | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.teaching = teaching or RegionTeaching()
        self.box_roi_pool = pool
        self.box_head = TwoLayers(channels * pool.places**2, hidden)
        self.box_predictor = Predictor(hidden, classes)

    def forward(
        self, maps: Sequence[Tensor], boxes: Tensor, image_of: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Compute logits (R, 1 + C) and codes (R, 1 + C, 4) of regions; see `RegionPool`."""
        logits, deltas = self.box_predictor(
            self.box_head(self.box_roi_pool(maps, boxes, image_of, size))
        )
        return logits, deltas.view(-1, logits.shape[1], 4)

    @torch.no_grad()
    def sampled(self, proposals: Sequence[Tensor], objects: Sequence[Tensor]) -> list[Sampled]:
        """Draw the regions that are learned from, by torch's chance; objects are regions too.

        Parameters
        ----------
        proposals : sequence of float Tensor, shape (K_i, 4)
            Of each image.
        objects : sequence of float Tensor, shape (G_i, 4)
        """
        rules, drawn = self.teaching, []
        for regions, known in zip(proposals, objects, strict=True):
            boxes = torch.cat((regions, known))
            overlaps = coding.iou(known, boxes)
            assigned = match_regions(overlaps, rules.threshold, rules.threshold, best_too=False)
            if rules.lowest and len(known):
                far = overlaps.amax(0) < rules.lowest
                if not far.all():
                    boxes, assigned = boxes[~far], assigned[~far]
            positive, negative = sample_regions(assigned, rules.sample, rules.share)
            rows = torch.cat((positive, negative))
            drawn.append(Sampled(boxes[rows], assigned[rows]))
        return drawn

    def losses(
        self, maps: Sequence[Tensor], drawn: Sequence[Sampled],
        targets: Sequence[Mapping[str, Tensor]], size: tuple[int, int],
    ) -> dict[str, Tensor]:  # fmt: skip
        """Compute the losses of regions that were drawn.

        Parameters
        ----------
        maps : sequence of float Tensor
        drawn : sequence of Sampled
        targets : sequence of mappings
            Of each image ``boxes`` and ``labels``, which begin with 0.
        size : (height, width)

        Returns
        -------
        dict of str to Tensor, shape ()
            ``loss_classifier`` and ``loss_box_reg``.
        """
        boxes = torch.cat([one.boxes for one in drawn])
        logits, deltas = self(maps, boxes, image_of([one.boxes for one in drawn]), size)
        classes, wanted = [], []
        for one, target in zip(drawn, targets, strict=True):
            of_object = one.objects[one.objects >= 0]
            own = torch.zeros_like(one.objects)
            own[one.objects >= 0] = 1 + target["labels"][of_object]
            classes.append(own)
            wanted.append(target["boxes"][of_object])
        labels = torch.cat(classes)
        rows = torch.nonzero(labels)[:, 0]
        moved = smooth_l1(
            deltas[rows, labels[rows]], coding.encode(torch.cat(wanted).float(), boxes[rows]),
            self.teaching.beta,
        )  # fmt: skip
        return {
            "loss_classifier": functional.cross_entropy(logits.float(), labels),
            "loss_box_reg": moved / len(labels),
        }

    def candidates(
        self, maps: Sequence[Tensor], proposals: Proposals, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Compute the boxes and the scores of proposals, a box a class.

        Parameters
        ----------
        maps : sequence of float Tensor
        proposals : Proposals
        size : (height, width)

        Returns
        -------
        boxes : float Tensor, shape (N, K, C, 4)
            xyxy, cut to the image.
        scores : float Tensor, shape (N, K, C)
            Without the background's; 0 where there is no proposal.
        """
        n, k = proposals.scores.shape
        regions = proposals.boxes.flatten(0, 1)
        images = torch.arange(n, device=regions.device)[:, None].expand(n, k).flatten()
        logits, deltas = self(maps, regions, images, size)
        moved = coding.decode(deltas[:, 1:].float(), regions[:, None])
        moved = ops.clip_boxes_to_image(moved, size)
        real = (moved[..., 2:] - moved[..., :2] >= SMALLEST).all(-1)
        scores = functional.softmax(logits.float(), -1)[:, 1:] * real
        classes = logits.shape[1] - 1
        known = scores.view(-1, k, classes) * (proposals.scores > 0)[..., None]
        return moved.view(-1, k, classes, 4), known


class TwoLayers(nn.Module):
    """Two fully connected layers: pooled maps (R, C, h, w) to rows (R, hidden)."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.fc6 = nn.Linear(inputs, hidden)
        self.fc7 = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the rows."""
        return functional.relu(self.fc7(functional.relu(self.fc6(x.flatten(1)))))


class Predictor(nn.Module):
    """Rows (R, hidden) to logits (R, classes) and codes (R, 4 classes)."""

    def __init__(self, hidden: int, classes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(hidden, classes)
        self.bbox_pred = nn.Linear(hidden, 4 * classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute both."""
        return self.cls_score(x), self.bbox_pred(x)


def image_of(boxes: Sequence[Tensor]) -> Tensor:
    """Return the row of the batch of each box of some lists, shape (R,)."""
    return torch.cat([b.new_full((len(b),), i, dtype=torch.long) for i, b in enumerate(boxes)])
