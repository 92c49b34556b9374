r"""Propose regions: say of every anchor whether it is an object, of whatever class, and where.

Ren et al., Faster R-CNN: Towards real-time object detection with region proposal networks, NeurIPS
2015, section 3.1. A 3 x 3 convolution slides over a map; at each place two 1 x 1 convolutions say
for every anchor how probable an object is and how the anchor is to be moved. All maps of a pyramid
share them (Lin et al., CVPR 2017, section 4.1). Training lowers

.. math:: L = \frac{1}{N} \left(\sum_i -\log p_i^* + \sum_{i \in Pos} \mathrm{smooth}_{L1}(t_i -
    t_i^*)\right)

(equation 1) over N anchors that are drawn from each image, at most half of them objects
(section 3.1.3). A proposal is one of the most probable anchors, moved, that overlaps no better one
of its map by more than 0.7.

Nothing of it knows classes, so that it serves any network that goes on with regions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import ops

from sightline.models.detect import boxes as coding
from sightline.models.detect.anchors import RegionAnchors
from sightline.models.detect.answers import free_of_overlap
from sightline.models.detect.assign import match_regions, sample_regions
from sightline.models.detect.assignment import Assignment, among_all, places_of, reasons
from sightline.models.detect.losses import smooth_l1

BETA = 1 / 9
"""Where the loss of a region's box turns from squared to linear, as in the authors' code."""


@dataclass(frozen=True)
class Proposing:
    """Which anchors are learned from, and which become proposals.

    Parameters
    ----------
    upper, lower : float
        IoU with an object from which on an anchor is one, and below which it is background.
    sample : int
        Anchors of an image that are learned from.
    share : float
        Of objects among them at most.
    before, after : (int, int)
        Boxes of each map that are looked at, and proposals of an image: in training, and else.
    overlap : float
        IoU above which of two proposals of a map the better one is kept.
    smallest : float
        Pixels a side that a proposal has at least.
    """

    upper: float = 0.7
    lower: float = 0.3
    sample: int = 256
    share: float = 0.5
    before: tuple[int, int] = (2000, 1000)
    after: tuple[int, int] = (2000, 1000)
    overlap: float = 0.7
    smallest: float = 1e-3


class Proposals(NamedTuple):
    """Regions that may hold an object: as many rows for each image of a batch.

    Attributes
    ----------
    boxes : float32 Tensor, shape (N, K, 4)
        xyxy, within the image.
    scores : float32 Tensor, shape (N, K)
        Falling; 0 where an image has no further proposal.
    """

    boxes: Tensor
    scores: Tensor

    def of_each(self) -> list[Tensor]:
        """Return the boxes of each image, shape (K_i, 4)."""
        return [b[s > 0] for b, s in zip(self.boxes, self.scores, strict=True)]


class Scored(NamedTuple):
    """What the network says of a batch's anchors.

    Attributes
    ----------
    logits : float Tensor, shape (N, A)
        Of an object.
    deltas : float Tensor, shape (N, A, 4)
        See `boxes.encode`.
    anchors : float32 Tensor, shape (A, 4)
    counts : tuple of int
        Anchors of each map.
    size : (height, width)
        Of the images.
    """

    logits: Tensor
    deltas: Tensor
    anchors: Tensor
    counts: tuple[int, ...]
    size: tuple[int, int]


class RegionProposals(nn.Module):
    """Score the anchors of all maps, and make proposals of them.

    Parameters
    ----------
    channels : int
        Of every map.
    anchors : RegionAnchors
        As many at each place of every map.
    rules : Proposing
    """

    def __init__(
        self, channels: int, anchors: RegionAnchors, rules: Proposing | None = None
    ) -> None:
        super().__init__()
        self.anchors, self.rules = anchors, rules or Proposing()
        self.head = ProposalHead(channels, anchors.counts[0])

    def forward(self, maps: Sequence[Tensor], size: tuple[int, int]) -> Scored:
        """Compute what the network says of every anchor.

        Parameters
        ----------
        maps : sequence of float Tensor, shape (N, C, H_k, W_k)
        size : (height, width)
            Of the images.
        """
        logits, deltas = self.head(maps)
        places = [(m.shape[2], m.shape[3]) for m in maps]
        anchors = self.anchors(places, size, maps[0].device)
        counts = tuple(h * w * n for (h, w), n in zip(places, self.anchors.counts, strict=True))
        return Scored(logits, deltas, anchors, counts, size)

    @torch.no_grad()
    def proposals(self, said: Scored) -> Proposals:
        """Choose the proposals of each image; nothing is learned through them (section 3.2).

        Parameters
        ----------
        said : Scored
        """
        rules, now = self.rules, 0 if self.training else 1
        logits = said.logits.detach().float()
        chosen, map_of = [], list[int]()
        first = 0
        for k, count in enumerate(said.counts):
            n = min(rules.before[now], count)
            chosen.append(logits[:, first : first + count].topk(n, 1).indices + first)
            map_of += [k] * n
            first += count
        rows = torch.cat(chosen, 1)
        deltas = said.deltas.detach().float().gather(1, rows[..., None].expand(-1, -1, 4))
        boxes = coding.decode(deltas, said.anchors[rows], coding.RPN_WEIGHTS)
        boxes = ops.clip_boxes_to_image(boxes, said.size)
        large = (boxes[..., 2:] - boxes[..., :2] >= rules.smallest).all(-1)
        maps = torch.arange(len(said.counts), device=rows.device)[:, None]
        of_map = torch.tensor(map_of, device=rows.device) == maps
        scores = (logits.gather(1, rows).sigmoid() * large)[:, None] * of_map
        left = free_of_overlap(boxes, scores, rules.overlap, 0.0).amax(1)
        best, places = left.topk(min(rules.after[now], len(map_of)), 1)
        return Proposals(boxes.gather(1, places[..., None].expand(-1, -1, 4)), best)

    def losses(self, said: Scored, objects: Sequence[Tensor]) -> dict[str, Tensor]:
        """Compute the losses of anchors that are drawn by torch's chance.

        Parameters
        ----------
        said : Scored
        objects : sequence of float Tensor, shape (G, 4)
            Boxes of each image.

        Returns
        -------
        dict of str to Tensor, shape ()
            ``loss_objectness`` and ``loss_rpn_box_reg``.
        """
        rules = self.rules
        logits, wanted, deltas, codes = [], [], [], []
        for i, known in enumerate(objects):
            assigned = match_regions(coding.iou(known, said.anchors), rules.upper, rules.lower)
            positive, negative = sample_regions(assigned, rules.sample, rules.share)
            logits.append(said.logits[i, torch.cat((positive, negative))])
            wanted += [torch.ones_like(positive), torch.zeros_like(negative)]
            deltas.append(said.deltas[i, positive])
            anchors = said.anchors[positive]
            codes.append(coding.encode(known[assigned[positive]], anchors, coding.RPN_WEIGHTS))
        labels = torch.cat(wanted).float()
        objectness = functional.binary_cross_entropy_with_logits(torch.cat(logits).float(), labels)
        moved = smooth_l1(torch.cat(deltas), torch.cat(codes), BETA)
        return {"loss_objectness": objectness, "loss_rpn_box_reg": moved / len(labels)}

    def assignment(self, said: Scored, maps: Sequence[Tensor], objects: Tensor) -> Assignment:
        """Return which anchors are to propose which objects of an image.

        Parameters
        ----------
        said : Scored
        maps : sequence of float Tensor, shape (1, C, H_k, W_k)
            That it was said of.
        objects : float Tensor, shape (G, 4)
        """
        area = coding.with_area(objects)
        overlaps = coding.iou(objects, said.anchors)
        assigned = match_regions(overlaps[area], self.rules.upper, self.rules.lower)
        assigned = among_all(assigned, area)
        groups = tuple(f"{m.shape[2]} x {m.shape[3]}" for m in maps)
        why = reasons(overlaps, assigned, self.rules.upper, area)
        return Assignment(
            said.anchors, places_of(said.counts), groups, overlaps, assigned, why, "anchor"
        )


class ProposalHead(nn.Module):
    """Score anchors at every place: maps to logits (N, A) and codes (N, A, 4).

    Parameters
    ----------
    channels : int
    count : int
        Anchors at a place.
    """

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        step = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(inplace=True))
        self.conv = nn.Sequential(step)
        self.cls_logits = nn.Conv2d(channels, count, kernel_size=1)
        self.bbox_pred = nn.Conv2d(channels, 4 * count, kernel_size=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01)
                nn.init.zeros_(cast(Tensor, layer.bias))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Order the numbers by map, row, column and anchor, as `RegionAnchors` does."""
        shared = [self.conv(x) for x in maps]
        logits = torch.cat([_flat(self.cls_logits(x)) for x in shared], 1)
        deltas = torch.cat([_flat(self.bbox_pred(x)) for x in shared], 1)
        return logits, deltas.view(deltas.shape[0], -1, 4)


def _flat(x: Tensor) -> Tensor:
    """Order maps, (N, C, H, W), by place, then by channel: shape (N, H W C)."""
    return x.permute(0, 2, 3, 1).flatten(1)
