r"""Encode boxes by anchors, and measure how much boxes overlap.

A detector does not say a box, it says how an *anchor* (a default box, a proposal) is to be moved
and stretched. With centres x, y, widths w and heights h, of the box without an index and of the
anchor with a (Girshick et al., Rich feature hierarchies, CVPR 2014, equations 6 to 9; SSD, Liu et
al., ECCV 2016, equation 2):

.. math::

    t_x = c_x (x - x_a) / w_a, \quad t_y = c_y (y - y_a) / h_a, \quad
    t_w = c_w \log(w / w_a), \quad t_h = c_h \log(h / h_a)

The weights c bring the four numbers to about the same spread. SSD's code divides by *variances*
of 0.1 and 0.2 instead, which is the same as the weights 10 and 5.

Boxes are ``xyxy`` in pixels with the right and lower edge exclusive, shape (..., 4). Clipping,
other formats and suppression are `torchvision.ops.clip_boxes_to_image`, ``box_convert``, ``nms``
and ``batched_nms``; ``box_iou`` and its relatives give nan where two boxes without area meet, which
is mended here.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchvision import ops

Weights = tuple[float, float, float, float]
"""Of x, y, width and height."""

SSD_WEIGHTS: Weights = (10.0, 10.0, 5.0, 5.0)
"""Of SSD, and of the boxes of a region's class (R-CNN, Fast R-CNN)."""

RPN_WEIGHTS: Weights = (1.0, 1.0, 1.0, 1.0)
"""Of the proposals of Faster R-CNN."""

SMALLEST = 1e-3
"""Pixels a side that a box is taken to have at least where its logarithm is taken."""

LARGEST = math.log(1000 / 16)
"""The most that a side is stretched by, as a logarithm: beyond it the exponential overflows."""


def encode(boxes: Tensor, anchors: Tensor, weights: Weights = SSD_WEIGHTS) -> Tensor:
    """Encode boxes by anchors: the numbers that a detector learns.

    Parameters
    ----------
    boxes, anchors : float Tensor, shape (..., 4)
        One anchor for each box, xyxy. A side below a thousandth of a pixel counts as one.
    weights : tuple of 4 float

    Returns
    -------
    Tensor, shape (..., 4)
        Finite for every finite box.
    """
    x, y, w, h = _centred(boxes)
    ax, ay, aw, ah = _centred(anchors)
    cx, cy, cw, ch = weights
    return torch.stack(
        (cx * (x - ax) / aw, cy * (y - ay) / ah, cw * torch.log(w / aw), ch * torch.log(h / ah)), -1
    )


def decode(deltas: Tensor, anchors: Tensor, weights: Weights = SSD_WEIGHTS) -> Tensor:
    """Decode what a detector said of anchors into boxes: the inverse of `encode`.

    Parameters
    ----------
    deltas : float Tensor, shape (..., 4)
    anchors : float Tensor, shape (..., 4)
        Broadcast to the deltas, so that those of one image serve a batch.
    weights : tuple of 4 float

    Returns
    -------
    Tensor, shape (..., 4)
        xyxy, not clipped. No side is more than 62.5 times its anchor's.
    """
    ax, ay, aw, ah = _centred(anchors)
    tx, ty, tw, th = deltas.unbind(-1)
    cx, cy, cw, ch = weights
    x, y = tx / cx * aw + ax, ty / cy * ah + ay
    w = torch.exp((tw / cw).clamp(max=LARGEST)) * aw
    h = torch.exp((th / ch).clamp(max=LARGEST)) * ah
    return torch.stack((x - w / 2, y - h / 2, x + w / 2, y + h / 2), -1)


def _centred(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return centres and sides of boxes; no side is below `SMALLEST`."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    w, h = x2 - x1, y2 - y1
    return x1 + w / 2, y1 + h / 2, w.clamp(min=SMALLEST), h.clamp(min=SMALLEST)


def with_area(boxes: Tensor) -> Tensor:
    """Tell which boxes have an area, shape (...,): x1 < x2 and y1 < y2."""
    return (boxes[..., 2:] > boxes[..., :2]).all(-1)


def iou(a: Tensor, b: Tensor) -> Tensor:
    r"""Compute the intersection over union of all pairs, :math:`|A \cap B| / |A \cup B|`.

    Parameters
    ----------
    a : Tensor, shape (N, 4)
    b : Tensor, shape (M, 4)

    Returns
    -------
    Tensor, shape (N, M)
        In [0, 1]; 0 of two boxes without area.

    Examples
    --------
    >>> iou(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[0.0, 0, 2, 1], [5, 5, 5, 5]])).tolist()
    [[0.5, 0.0]]
    """
    values: Tensor = ops.box_iou(a, b)
    return values.nan_to_num(0.0)


def giou(a: Tensor, b: Tensor) -> Tensor:
    r"""Compute the generalised IoU of all pairs, shape (N, M), in [-1, 1].

    .. math:: \mathrm{IoU} - |C \setminus (A \cup B)| / |C|

    C is the smallest box around both, so that boxes which do not meet still differ in how far
    apart they are (Rezatofighi et al., CVPR 2019, algorithm 1). Of two boxes without area it is -1
    where C has one, else 0.

    Parameters
    ----------
    a : Tensor, shape (N, 4)
    b : Tensor, shape (M, 4)
    """
    values = ops.generalized_box_iou(a, b)
    return torch.where(values.isnan(), -_around(a, b).prod(-1).sign(), values)


def diou(a: Tensor, b: Tensor) -> Tensor:
    r"""Compute the distance IoU of all pairs, shape (N, M), in [-1, 1].

    .. math:: \mathrm{IoU} - \rho^2 / c^2

    with the distance :math:`\rho` of the centres and the diagonal c of the smallest box around both
    (Zheng et al., AAAI 2020, equation 6).

    Parameters
    ----------
    a : Tensor, shape (N, 4)
    b : Tensor, shape (M, 4)
    """
    values = ops.distance_box_iou(a, b)
    # Without any area the IoU is 0, and the distance is what is left.
    apart = (a[:, None, :2] + a[:, None, 2:] - b[None, :, :2] - b[None, :, 2:]) / 2
    diagonal = _around(a, b).square().sum(-1) + 1e-7
    return torch.where(values.isnan(), -apart.square().sum(-1) / diagonal, values)


def _around(a: Tensor, b: Tensor) -> Tensor:
    """Return the sides of the smallest box around each pair, shape (N, M, 2)."""
    corner = torch.minimum(a[:, None, :2], b[None, :, :2])
    return torch.maximum(a[:, None, 2:], b[None, :, 2:]) - corner
