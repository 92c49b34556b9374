"""Turn fitted detectors into graphs: from uint8 images to boxes, scores and labels.

What overlaps a better answer of its class is dropped inside the graph, by ONNX's own operator, so
that whoever runs it needs no code for it. An image has as many rows as another, so that a batch is
one array: where there are fewer objects, rows of score 0 follow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from sightline.errors import ParameterError
from sightline.estimators.detect import Detector
from sightline.models.detect.answers import Answering, free_of_overlap
from sightline.models.detect.baselines import AverageBox
from sightline.models.detect.network import DetectionModule
from sightline.models.features import Standardised

Outputs = tuple[Tensor, Tensor, Tensor]


def graph(run: Detector) -> nn.Module:
    """Return a fitted detector as a graph.

    Parameters
    ----------
    run : Detector
        Fitted.

    Returns
    -------
    Module
        uint8 images, shape (N, H, W, C), to ``boxes``, float32 (N, K, 4), xyxy in their pixels,
        ``scores``, float32 (N, K), falling, and ``labels``, int64 (N, K).

    Raises
    ------
    ParameterError
        When the method has no graph.
    """
    method = run.method_
    if isinstance(method, AverageBox):
        return Always(method).eval()
    if isinstance(getattr(method, "model", None), DetectionModule):
        return Detected(Standardised(method.mean_, method.std_), method.model).eval()
    if hasattr(method, "search"):
        raise ParameterError(
            f"the method {run.name} cannot be exported: its regions come from selective search, "
            "outside the network; faster-rcnn-small proposes them itself"
        )
    raise ParameterError(f"the method {run.name} has no ONNX graph, so it cannot be exported")


class Always(nn.Module):
    """The same boxes for every image."""

    def __init__(self, method: AverageBox) -> None:
        super().__init__()
        order = (-method.scores_).argsort(kind="stable")
        self.register_buffer("boxes", torch.from_numpy(method.boxes_[order]))
        self.register_buffer("scores", torch.from_numpy(method.scores_[order]).float())
        self.register_buffer("labels", torch.from_numpy(method.classes_[order]))

    def forward(self, images: Tensor) -> Outputs:
        """Answer for uint8 images (N, H, W, C)."""
        nothing = images.flatten(1)[:, :1].double() * 0
        height, width = images.shape[1:3]
        sides = torch.tensor([width, height, width, height], dtype=torch.float64)
        boxes = (cast(Tensor, self.boxes) * sides)[None] + nothing[..., None]
        scores = cast(Tensor, self.scores)[None] + nothing.float()
        labels = cast(Tensor, self.labels)[None] + nothing.long()
        return boxes.float(), scores, labels


class Detected(nn.Module):
    """A network that scores boxes, and the choice among them."""

    def __init__(self, standardised: nn.Module, model: DetectionModule) -> None:
        super().__init__()
        self.standardised, self.model = standardised, model

    def forward(self, images: Tensor) -> Outputs:
        """Answer for uint8 images (N, H, W, C)."""
        boxes, scores = self.model.candidates(self.model.outputs(self.standardised(images)))
        return chosen(boxes, scores.transpose(1, 2), self.model.answering)


def chosen(boxes: Tensor, scores: Tensor, rules: Answering) -> Outputs:
    """Choose answers among scored boxes: the same number of rows for every image.

    Parameters
    ----------
    boxes : float Tensor, shape (N, A, 4) or (N, A, C, 4)
        One box for all classes, or one for each.
    scores : float Tensor, shape (N, C, A)
    rules : Answering

    Returns
    -------
    boxes : float Tensor, shape (N, K, 4)
    scores : float Tensor, shape (N, K)
        Falling; 0 where there is no further answer.
    labels : int64 Tensor, shape (N, K)
    """
    anchors = scores.shape[2]
    least = scores.topk(min(rules.candidates, anchors), 2).values[:, :, -1:]
    looked_at = torch.where((scores >= least) & (scores > rules.score), scores, 0.0)
    classes = scores.shape[1]
    if boxes.ndim == 4:  # each class as an image of its own
        boxes = boxes.transpose(1, 2).flatten(1, 2)
        folded = boxes.reshape(-1, anchors, 4), looked_at.reshape(-1, 1, anchors)
        kept = free_of_overlap(*folded, rules.overlap, rules.score).reshape(-1, classes * anchors)
    else:
        kept = free_of_overlap(boxes, looked_at, rules.overlap, rules.score).flatten(1)
    best, places = kept.topk(min(rules.most, classes * anchors), 1)
    labels = torch.div(places, anchors, rounding_mode="floor")
    where = places if boxes.shape[1] == classes * anchors else places - labels * anchors
    corners = boxes.gather(1, where[..., None].expand(-1, -1, 4))
    return corners, best, labels


def translations() -> dict[Any, Callable[..., Any]]:
    """Return how the operators of this file are written in ONNX; see `models.onnx_graph.write`."""
    from onnxscript import opset20

    op: Any = opset20

    def suppress(boxes: Any, scores: Any, overlap: float, least: float) -> Any:
        most = op.Constant(value_ints=[2**31 - 1])
        limits = op.Constant(value_floats=[overlap]), op.Constant(value_floats=[least])
        places = op.NonMaxSuppression(boxes, scores, most, *limits)
        values = op.GatherND(scores, places)
        empty = op.Mul(scores, op.Constant(value_float=0.0))
        return op.ScatterND(empty, places, values)

    return {torch.ops.sightline.free_of_overlap.default: suppress}
