"""Choose answers among scored boxes: of those that overlap, the best one of each class.

Two forms of one rule: `kept` answers with as many boxes as there are, and `free_of_overlap` is an
operator that leaves the shape as it is, so that it can stand inside an exported graph and inside a
network that goes on with what is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision import ops


@dataclass(frozen=True)
class Answering:
    """Which boxes become answers.

    Parameters
    ----------
    score : float
        That an answer is above.
    overlap : float
        IoU above which of two answers of a class the better one is kept.
    candidates : int
        Boxes of each class that are looked at, the best ones.
    most : int
        Answers an image.
    """

    score: float = 0.01
    overlap: float = 0.45
    candidates: int = 400
    most: int = 200


def kept(boxes: Tensor, scores: Tensor, rules: Answering) -> dict[str, Tensor]:
    """Choose the answers of an image.

    Parameters
    ----------
    boxes : float Tensor, shape (A, 4) or (A, C, 4)
        xyxy; one box for all classes, or one for each.
    scores : float Tensor, shape (C, A)
    rules : Answering

    Returns
    -------
    dict of str to Tensor
        ``boxes`` (K, 4), ``scores`` (K,), falling, and ``labels`` (K,).
    """
    best, places = scores.topk(min(rules.candidates, scores.shape[1]), 1)
    labels, ranks = torch.nonzero(best > rules.score, as_tuple=True)
    best, places = best[labels, ranks], places[labels, ranks]
    boxes = boxes[places] if boxes.ndim == 2 else boxes[places, labels]
    rows = ops.batched_nms(boxes, best, labels, rules.overlap)[: rules.most]
    return {"boxes": boxes[rows], "scores": best[rows], "labels": labels[rows]}


def kept_of_each(boxes: Tensor, scores: Tensor, rules: Answering) -> list[dict[str, Tensor]]:
    """Choose the answers of each image of a batch; see `kept`.

    Parameters
    ----------
    boxes : float Tensor, shape (N, A, 4) or (N, A, C, 4)
    scores : float Tensor, shape (N, A, C)
    rules : Answering
    """
    pairs = zip(boxes, scores.transpose(1, 2), strict=True)
    return [kept(b, s, rules) for b, s in pairs]


@torch.library.custom_op("sightline::free_of_overlap", mutates_args=())
def free_of_overlap(boxes: Tensor, scores: Tensor, overlap: float, least: float) -> Tensor:
    """Return scores, (N, C, A), with 0 for what overlaps a better box of its class too much.

    Parameters
    ----------
    boxes : float Tensor, shape (N, A, 4)
    scores : float Tensor, shape (N, C, A)
    overlap : float
        IoU above which the worse of two goes.
    least : float
        Score that is kept only above this.
    """
    left = torch.zeros_like(scores)
    for i in range(len(scores)):
        for c in range(scores.shape[1]):
            rows = torch.nonzero(scores[i, c] > least)[:, 0]
            rows = rows[ops.nms(boxes[i, rows], scores[i, c, rows], overlap)]
            left[i, c, rows] = scores[i, c, rows]
    return left


@free_of_overlap.register_fake
def _like_scores(boxes: Tensor, scores: Tensor, overlap: float, least: float) -> Tensor:
    return torch.empty_like(scores)
