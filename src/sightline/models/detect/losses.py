r"""Measure how wrong a detector's answers are, as the sum that training lowers.

The loss of SSD (Liu et al., ECCV 2016, equation 1) is that of classes and of boxes,

.. math:: L(x, c, l, g) = \frac{1}{N} \left(L_{conf}(x, c) + \alpha L_{loc}(x, l, g)\right)

over N default boxes with an object; the losses of R-CNN's line and of YOLOX differ in what they sum
over and in the loss of a box. The focal loss and those by overlap are torchvision's operators.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional
from torchvision import ops

from sightline.models.detect.assign import hard_negatives
from sightline.models.detect.boxes import SMALLEST

BoxLoss = Literal["iou", "giou", "diou", "ciou"]


def mined_cross_entropy(
    logits: Tensor, classes: Tensor, *, ratio: float = 3.0, least: int = 3
) -> tuple[Tensor, Tensor]:
    r"""Sum the cross-entropy of boxes with an object and of the hardest background boxes.

    .. math:: L_{conf} = -\sum_{i \in Pos} \log \hat c_i^p - \sum_{i \in Neg} \log \hat c_i^0

    (SSD, equation 3).

    Parameters
    ----------
    logits : float Tensor, shape (N, A, 1 + C)
        Class 0 is the background.
    classes : int64 Tensor, shape (N, A)
        0 is the background.
    ratio : float
        Background boxes an object's box.
    least : int
        Background boxes an image at least, so that images without an object teach what is none. 0:
        such an image teaches nothing, as in torchvision and in the paper's code.

    Returns
    -------
    loss : float Tensor, shape ()
        The sum.
    n : float Tensor, shape ()
        What to divide the sums of a batch by, at least 1: the boxes with an object, where an image
        whose background is raised to `least` counts as many as would have brought that.
    """
    logits = logits.float()
    losses = functional.cross_entropy(logits.flatten(0, 1), classes.flatten(), reduction="none")
    losses, positive = losses.view_as(classes), classes > 0
    counts = (ratio * positive.sum(1)).clamp(min=least)
    chosen = positive | hard_negatives(losses, positive, counts)
    return losses[chosen].sum(), (counts.sum() / ratio).clamp(min=1)


def smooth_l1(deltas: Tensor, wanted: Tensor, beta: float = 1.0) -> Tensor:
    r"""Sum the smooth L1 loss of codes: squared below beta, then linear.

    .. math:: \frac{x^2}{2 \beta} \text{ where } |x| < \beta, \text{ else } |x| - \frac{\beta}{2}

    (Girshick, Fast R-CNN, ICCV 2015, equation 3; SSD, equation 2).

    Parameters
    ----------
    deltas, wanted : float Tensor, shape (P, 4)
        See `boxes.encode`.
    beta : float
        1 in SSD; 1 / 9 in Faster R-CNN.
    """
    return functional.smooth_l1_loss(deltas.float(), wanted.float(), reduction="sum", beta=beta)


def focal(logits: Tensor, wanted: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    r"""Sum the focal loss, in which what is answered well hardly counts.

    .. math:: -\alpha_t (1 - p_t)^\gamma \log p_t

    (Lin et al., Focal loss for dense object detection, ICCV 2017, equation 5).

    Parameters
    ----------
    logits, wanted : float Tensor, any one shape
        One sigmoid a class, and 0 or 1.
    alpha : float
        Weight of the ones; zeros have 1 - alpha.
    gamma : float
        0: the cross-entropy.
    """
    loss: Tensor = ops.sigmoid_focal_loss(
        logits.float(), wanted.float(), alpha=alpha, gamma=gamma, reduction="sum"
    )
    return loss


def overlap_loss(boxes: Tensor, wanted: Tensor, kind: BoxLoss = "giou") -> Tensor:
    r"""Compute the loss of boxes by how they overlap with the right ones.

    Parameters
    ----------
    boxes, wanted : float Tensor, shape (P, 4)
        xyxy, pair by pair. A side below a thousandth of a pixel counts as one, so that the loss and
        its gradient are finite where a box has collapsed.
    kind : {"iou", "giou", "diou", "ciou"}
        :math:`1 - \mathrm{IoU}^2` (YOLOX), or 1 less the generalised (Rezatofighi et al., 2019),
        distance or complete IoU (Zheng et al., 2020).

    Returns
    -------
    Tensor, shape (P,)
    """
    losses: dict[BoxLoss, Callable[..., Tensor]] = {
        "iou": _squared,
        "giou": ops.generalized_box_iou_loss,
        "diou": ops.distance_box_iou_loss,
        "ciou": ops.complete_box_iou_loss,
    }
    return losses[kind](_opened(boxes), _opened(wanted))


def _opened(boxes: Tensor) -> Tensor:
    """Return boxes whose sides are not below `SMALLEST`."""
    corner, opposite = boxes.float().chunk(2, -1)
    return torch.cat((corner, torch.maximum(opposite, corner + SMALLEST)), -1)


def _squared(boxes: Tensor, wanted: Tensor) -> Tensor:
    lower = torch.maximum(boxes[:, :2], wanted[:, :2])
    shared = (torch.minimum(boxes[:, 2:], wanted[:, 2:]) - lower).clamp(min=0).prod(1)
    areas = sum((b[:, 2:] - b[:, :2]).prod(1) for b in (boxes, wanted))
    return 1 - (shared / (areas - shared + 1e-16)).square()
