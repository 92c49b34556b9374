r"""Assign objects to anchors: which anchor is to answer for which object.

A detector has thousands of anchors and an image a few objects. Each paper has its own rule:

- SSD (Liu et al., ECCV 2016, section 2.2, *Matching strategy*): each object takes the anchor that
  overlaps it most, so that none goes without, then every anchor takes the object that it overlaps
  by at least 0.5: `match_default_boxes`. Of all others, the background, only the hardest are
  learned from: `hard_negatives`.
- Faster R-CNN (Ren et al., NeurIPS 2015, section 3.1.2): an anchor is an object above an upper
  threshold, background below a lower one, and neither between: `match_regions`. A few hundred of
  them are drawn, at most half of them objects: `sample_regions`.
- YOLOX (Ge et al., 2021, section 2.1, *SimOTA*): as many anchors an object as overlap it well in
  the network's own answer, taken where that answer costs least: `simota`.

An assignment is one row number of the objects for each anchor, or `BACKGROUND` or `NEITHER`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from sightline.models.detect.boxes import iou

BACKGROUND = -1
"""Of an anchor that answers for no object."""

NEITHER = -2
"""Of an anchor that is left out of the loss: too near to an object to be background."""


def match_default_boxes(overlaps: Tensor, threshold: float = 0.5, *, each: bool = True) -> Tensor:
    """Assign objects to default boxes by SSD's rule.

    Parameters
    ----------
    overlaps : float Tensor, shape (G, A)
        IoU of the objects and the default boxes.
    threshold : float
        From which on a box takes the object that it overlaps most.
    each : bool
        Whether two objects whose best box is the same get one each, the larger overlap first, as in
        the paper's code; an object that meets no box gets none. False: torchvision's rule, where
        the later object takes the box from the earlier one, which may go without; an object that
        meets no box takes the first one.

    Returns
    -------
    int64 Tensor, shape (A,)
        The object of each box, or `BACKGROUND`.

    Examples
    --------
    >>> match_default_boxes(torch.tensor([[0.4, 0.3, 0.0], [0.9, 0.0, 0.1]])).tolist()
    [1, 0, -1]
    """
    objects, anchors = overlaps.shape
    if objects == 0:
        return torch.full((anchors,), BACKGROUND, device=overlaps.device)
    best, assigned = overlaps.max(0)
    assigned = torch.where(best >= threshold, assigned, BACKGROUND)
    if each:
        rows, columns = _one_each(overlaps)
        assigned[columns] = rows
        return assigned
    for row, column in enumerate(overlaps.argmax(1).tolist()):
        assigned[column] = row
    return assigned


def _one_each(overlaps: Tensor) -> tuple[Tensor, Tensor]:
    """Return objects and the box of each, no box twice: again and again the largest overlap."""
    best, columns = overlaps.max(1)
    rows = torch.nonzero(best > 0).flatten()
    if len(set(columns[rows].tolist())) == len(rows):
        return rows, columns[rows]
    left = overlaps.detach().clone()
    taken = []
    for _ in range(min(left.shape)):
        value, place = left.flatten().max(0)
        if value <= 0:
            break
        row, column = divmod(int(place), left.shape[1])
        taken.append((row, column))
        left[row], left[:, column] = 0, 0
    rows, columns = torch.tensor(taken, device=overlaps.device).view(-1, 2).unbind(1)
    return rows, columns


def hard_negatives(loss: Tensor, positive: Tensor, counts: Tensor) -> Tensor:
    """Choose the background boxes of each image whose loss is highest.

    Parameters
    ----------
    loss : float Tensor, shape (N, A)
        Of the classes.
    positive : bool Tensor, shape (N, A)
        Which boxes answer for an object; they are never chosen.
    counts : Tensor, shape (N,)
        How many to choose of each image.

    Returns
    -------
    bool Tensor, shape (N, A)
        Of an image with fewer background boxes than its count, all of them.

    Notes
    -----
    SSD, section 2.2, *Hard negative mining*: at most three times as many as there are positives.
    """
    order = loss.detach().masked_fill(positive, -torch.inf).argsort(1, descending=True)
    ranks = torch.empty_like(order)
    ranks.scatter_(1, order, torch.arange(order.shape[1], device=order.device).expand_as(order))
    return (ranks < counts[:, None]) & ~positive


def match_regions(
    overlaps: Tensor, upper: float = 0.7, lower: float = 0.3, *, best_too: bool = True
) -> Tensor:
    """Assign objects to anchors or proposals by Faster R-CNN's thresholds.

    Parameters
    ----------
    overlaps : float Tensor, shape (G, A)
        IoU of the objects and the anchors.
    upper, lower : float
        An anchor takes the object that it overlaps most from `upper` on; below `lower` it is
        background; between them it is left out. 0.7 and 0.3 are those of the proposals, 0.5 and
        0.5 those of the regions' classes.
    best_too : bool
        Whether the anchors that overlap an object most are taken below `upper` too (ties all of
        them), each for the object that it overlaps most itself. An object that meets no anchor
        takes none; in torchvision it takes all of them.

    Returns
    -------
    int64 Tensor, shape (A,)
        The object of each anchor, `BACKGROUND` or `NEITHER`.
    """
    objects, anchors = overlaps.shape
    if objects == 0:
        return torch.full((anchors,), BACKGROUND, device=overlaps.device)
    best, nearest = overlaps.max(0)
    assigned = torch.where(best < lower, BACKGROUND, torch.where(best < upper, NEITHER, nearest))
    if best_too:
        highest = (overlaps == overlaps.max(1, keepdim=True).values) & (overlaps > 0)
        assigned = torch.where(highest.any(0), nearest, assigned)
    return assigned


def sample_regions(assigned: Tensor, size: int = 256, share: float = 0.5) -> tuple[Tensor, Tensor]:
    """Draw the anchors of an image that are learned from, by torch's own chance.

    Parameters
    ----------
    assigned : int64 Tensor, shape (A,)
        See `match_regions`.
    size : int
        Anchors to draw; fewer where there are fewer.
    share : float
        Of objects among them at most; background fills up.

    Returns
    -------
    objects, background : int64 Tensor
        Their rows, each sorted.
    """
    positive = torch.nonzero(assigned >= 0).flatten()
    negative = torch.nonzero(assigned == BACKGROUND).flatten()
    n = min(len(positive), int(size * share))
    m = min(len(negative), size - n)
    drawn = positive[torch.randperm(len(positive), device=assigned.device)[:n]]
    others = negative[torch.randperm(len(negative), device=assigned.device)[:m]]
    return drawn.sort().values, others.sort().values


@dataclass(frozen=True)
class SimOTA:
    r"""Assign objects to the cells of a grid by what the network says of them (YOLOX).

    The cost of a cell for an object is that of its classes and of its box,

    .. math:: c_{ij} = L^{cls}_{ij} + \lambda L^{reg}_{ij}

    (equation 1), with 1,000,000 more where the cell's centre lies too far from the object's. An
    object takes as many cells as the sum of its ten largest IoUs, at least one; a cell that several
    objects take goes to the one that it costs least.

    This is the later form of YOLOX's code. In its first one the radius was 2.5, and cells inside an
    object's box were looked at too.

    Parameters
    ----------
    radius : float
        How far a cell's centre may lie from the object's, in strides, along either axis.
    candidates : int
        Cells whose IoU is summed.
    weight : float
        Lambda.
    """

    radius: float = 1.5
    candidates: int = 10
    weight: float = 3.0

    @torch.no_grad()
    def __call__(
        self, centres: Tensor, strides: Tensor, boxes: Tensor, scores: Tensor, objects: Tensor,
        labels: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Assign objects to cells.

        Parameters
        ----------
        centres : float Tensor, shape (A, 2)
            x and y of the cells' centres, in pixels.
        strides : float Tensor, shape (A,)
        boxes : float Tensor, shape (A, 4)
            What the network says, xyxy.
        scores : float Tensor, shape (A, C)
            In [0, 1]: the root of class times objectness.
        objects : float Tensor, shape (G, 4)
        labels : int64 Tensor, shape (G,)

        Returns
        -------
        assigned : int64 Tensor, shape (A,)
            The object of each cell, or `BACKGROUND`.
        overlaps : float Tensor, shape (A,)
            IoU of each cell's box with its object; 0 of the background.
        """
        assigned = torch.full((len(centres),), BACKGROUND, device=centres.device)
        overlaps = torch.zeros(len(centres), device=centres.device)
        near = self._near(centres, strides, objects)
        cells = torch.nonzero(near.any(0)).flatten() if len(objects) else assigned[:0]
        if len(cells) == 0:
            return assigned, overlaps
        shared = iou(objects.float(), boxes[cells].float())
        cost = self._cost(shared, scores[cells].float(), labels) + 1e6 * ~near[:, cells]
        taken = torch.zeros_like(cost, dtype=torch.bool)
        counts = shared.topk(min(self.candidates, len(cells)), 1).values.sum(1).int().clamp(min=1)
        for row, count in enumerate(counts.tolist()):
            taken[row, cost[row].topk(count, largest=False).indices] = True
        object_of = cost.masked_fill(~taken, torch.inf).argmin(0)
        several = taken.sum(0) > 1
        object_of[several] = cost[:, several].argmin(0)
        chosen = taken.any(0)
        assigned[cells[chosen]] = object_of[chosen]
        overlaps[cells[chosen]] = shared.gather(0, object_of[None])[0][chosen]
        return assigned, overlaps

    def _near(self, centres: Tensor, strides: Tensor, objects: Tensor) -> Tensor:
        """Tell which cells' centres lie near each object's: shape (G, A)."""
        middle = (objects[:, None, :2] + objects[:, None, 2:]) / 2
        apart = (centres - middle).abs().amax(-1)
        return apart < self.radius * strides

    def _cost(self, shared: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the cost of each object (row) and cell: shape (G, A)."""
        wanted = functional.one_hot(labels, scores.shape[1]).to(scores.dtype)
        shape = (*shared.shape, scores.shape[1])
        classes = functional.binary_cross_entropy(
            scores.expand(shape), wanted[:, None].expand(shape), reduction="none"
        ).sum(-1)
        return classes - self.weight * torch.log(shared + 1e-8)
