r"""Classify a picture and say where its object is: a network with two heads.

The step from classification to detection (Sermanet et al., OverFeat, ICLR 2014, section 4): where a
picture shows one object, a classifier needs but four numbers more. A backbone, any classifier of
the bench, has its own head for the classes, here with one for the background, and a second linear
layer beside it says the box,

.. math:: b = W z + b_0, \quad b = (c_x / W_i, c_y / H_i, w / W_i, h / H_i)

as centre and sides in shares of the image. It sees the last map of the backbone, place by place, as
its mean has forgotten where things are. Training lowers

.. math:: L = \frac{1}{N} \sum_n \left(-\log \hat p_{c_n} + \lambda\, [c_n \ne 0]
    \sum_{i=1}^{4} \mathrm{smooth}_{L1}(b_{ni} - \hat b_{ni})\right)

the cross-entropy of the class and the smooth L1 of the relative box (Girshick, Fast R-CNN, ICCV
2015, equation 1), the latter for pictures with an object alone.

A picture with several objects teaches its largest one, and an answer is one object: the likeliest
class with its probability. A picture without an object teaches the background.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from sightline.models import registry
from sightline.models.card import resolve
from sightline.models.detect.answers import Answering
from sightline.models.detect.boxes import with_area
from sightline.models.detect.network import DetectionModule, Targets
from sightline.models.features import HEAD, watched
from sightline.models.head import head_of, heads_of, is_within
from sightline.models.weights import stem_weight

WEIGHT = 3.0
"""Lambda: of the box against the class."""

BETA = 0.1
"""Share of a side up to which a box's error counts squared."""

BACKBONE = "efficientnet_lite0"
"""What ``localizer`` stands on where no other is named."""


class Outputs(NamedTuple):
    """What the network says of a batch.

    Attributes
    ----------
    logits : float Tensor, shape (N, 1 + C)
        Class 0 is the background.
    boxes : float Tensor, shape (N, 4)
        Centre, width and height in shares of the image.
    size : (height, width)
        Of the images.
    """

    logits: Tensor
    boxes: Tensor
    size: tuple[int, int]


class Localizer(DetectionModule):
    """Say a class and one box of an image.

    Parameters
    ----------
    backbone : Module
        A classifier of 1 + `num_classes` classes.
    num_classes : int
        Without the background.
    shape : (channels, height, width)
        Of the images: the layer of the box has a weight for each place.
    """

    untaught = "it learns of the largest object of a picture alone"
    """Why objects of a picture play no part in training; see `learned`."""

    def __init__(self, backbone: nn.Module, num_classes: int, shape: tuple[int, int, int]) -> None:
        super().__init__(Answering(candidates=1, most=1))
        self.backbone, self.num_classes = backbone, num_classes
        self.head_names = tuple(f"backbone.{name}" for name in heads_of(backbone))
        self.layer, width = _last_map(backbone, shape)
        self.box_head = nn.Linear(width, 4)
        nn.init.zeros_(self.box_head.weight)
        nn.init.constant_(self.box_head.bias, 0.5)  # the middle of the image, half its sides

    def prepare(self, images: Tensor) -> None:
        """Set first weights that depend on the images, where the backbone has such.

        Parameters
        ----------
        images : float Tensor, shape (M, C, H, W)
            Standardised.
        """
        own = getattr(self.backbone, "prepare", None)
        if callable(own):
            own(images)

    def outputs(self, images: Tensor) -> Outputs:
        """Compute the logits and the box of each image.

        Parameters
        ----------
        images : float Tensor, shape (N, C, H, W)
        """
        seen: dict[str, Tensor] = {}
        with watched(self.backbone, (self.layer,), seen.__setitem__):
            logits = self.backbone(images)
        if not isinstance(logits, Tensor):
            logits = logits[0]  # beside it stand auxiliary heads
        boxes = self.box_head(seen[self.layer].flatten(1))
        return Outputs(logits, boxes, (images.shape[2], images.shape[3]))

    def losses(self, said: Outputs, targets: Targets) -> dict[str, Tensor]:
        """Compute the two losses; see the equation above.

        Parameters
        ----------
        said : Outputs
        targets : sequence of mappings
        """
        height, width = said.size
        side = said.boxes.new_tensor((width, height, width, height))
        classes = torch.zeros(len(targets), dtype=torch.int64, device=said.boxes.device)
        wanted, rows = [], []
        for i, target in enumerate(targets):
            taught = torch.nonzero(learned(target["boxes"]))
            if len(taught):
                row = int(taught[0])
                classes[i] = 1 + target["labels"][row]
                wanted.append(_centred(target["boxes"][row].float() / side))
                rows.append(i)
        losses = functional.cross_entropy(said.logits.float(), classes)
        far = torch.zeros((), device=said.boxes.device)
        if wanted:
            far = functional.smooth_l1_loss(
                said.boxes[rows].float(), torch.stack(wanted), reduction="sum", beta=BETA
            )
        return {"bbox_regression": WEIGHT * far / len(targets), "classification": losses}

    def learned(self, boxes: Tensor, size: tuple[int, int]) -> Tensor:
        """Tell which objects of an image, boxes (G, 4), play a part in training: shape (G,)."""
        return learned(boxes)

    def candidates(self, said: Outputs) -> tuple[Tensor, Tensor]:
        """Compute the box of each image, and its score where it is the likeliest class.

        Parameters
        ----------
        said : Outputs

        Returns
        -------
        boxes : float Tensor, shape (N, 1, 4)
            xyxy, cut to the image.
        scores : float Tensor, shape (N, 1, C)
            Of the likeliest class its probability; of all others 0.
        """
        height, width = said.size
        side = torch.tensor((width, height, width, height), device=said.boxes.device)
        centre, sides = said.boxes.float().chunk(2, 1)
        half = sides.clamp(0, 1) / 2
        corners = torch.cat((centre - half, centre + half), 1).clamp(0, 1) * side
        scores = functional.softmax(said.logits.float(), 1)[:, 1:]
        best = scores * (scores == scores.amax(1, keepdim=True))
        return corners[:, None], best[:, None]

    def from_classifier(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what a classifier's state dict has for the backbone, by the names in this network.

        Its last layers are left out, and what a form for small images has otherwise.

        Parameters
        ----------
        state : mapping of str to Tensor
            Of the classifier that the backbone is.
        """
        own, heads, stem = self.backbone.state_dict(), heads_of(self.backbone), stem_weight(self)
        other = (*(name.partition(".")[0] for name in heads), "aux1", "aux2", "AuxLogits")
        taken = {}
        for key, tensor in state.items():
            fits = key in own and own[key].shape == tensor.shape
            small = f"backbone.{key}" == stem and own[key].shape[2:] != tensor.shape[2:]
            if is_within(key, list(heads)) or small or (is_within(key, other) and not fits):
                continue
            taken[f"backbone.{key}"] = tensor
        return taken


def learned(boxes: Tensor) -> Tensor:
    """Tell which of an image's objects teaches, boxes (G, 4): the largest with an area, (G,)."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) * with_area(boxes)
    chosen = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    if len(boxes) and bool(areas.max() > 0):
        chosen[areas.argmax()] = True
    return chosen


def _centred(box: Tensor) -> Tensor:
    """Return the centre and the sides of a box (4,)."""
    return torch.cat(((box[:2] + box[2:]) / 2, box[2:] - box[:2]))


def _last_map(backbone: nn.Module, shape: tuple[int, int, int]) -> tuple[str, int]:
    """Return the layer that puts out the last map, and how many numbers that has.

    Of a network that turns a map into tokens, or has none, it is what goes into the head.
    """
    seen: dict[str, Tensor] = {}
    order: list[str] = []

    def keep(name: str, value: Any) -> None:
        if isinstance(value, Tensor):
            seen[name] = value
            order.append(name)

    layers = [name for name, _ in backbone.named_modules() if name]
    learning = backbone.training
    backbone.eval()
    with torch.no_grad(), watched(backbone, [*layers, HEAD], keep):
        backbone(torch.zeros(1, *shape))
    backbone.train(learning)
    maps = [
        name
        for name in order
        if seen[name].ndim == 3 or (seen[name].ndim == 4 and seen[name].shape[2:].numel() > 1)
    ]
    name = maps[-1] if maps and seen[maps[-1]].ndim == 4 else HEAD
    return name, seen[name].flatten(1).shape[1]


def localizer(
    num_classes: int = 6, in_channels: int = 3, side: int | tuple[int, int] = 128, *,
    backbone: str = BACKBONE,
) -> Localizer:  # fmt: skip
    """Build a localiser on a classifier of the bench.

    Parameters
    ----------
    num_classes, in_channels : int
    side : int, or (height, width)
        Pixels of the images.
    backbone : str
        Name of the classifier, a network of the registry.
    """
    height, width = (side, side) if isinstance(side, int) else side
    card, shape = registry.card(backbone), (in_channels, height, width)
    built = resolve(card.entry)(num_classes=1 + num_classes, **card.built_with(shape))
    head_of(built)  # says what is missing
    return Localizer(built, num_classes, shape)
