r"""Build Faster R-CNN: one network proposes regions on its maps and classifies them.

Ren, He, Girshick & Sun, Faster R-CNN: Towards real-time object detection with region proposal
networks, NeurIPS 2015, with the pyramid of Lin et al. (CVPR 2017). The parts are files of their
own: the maps of a backbone (`pyramid`), proposals on them (`rpn`), and the classes and boxes of
what is proposed (`roi_heads`). Training lowers the sum of the four losses of both (section 3.2,
*approximate joint training*): proposals are taken as given, and no gradient goes through their
boxes.

==========================  =====================  ==================
part                        `faster_rcnn`          `faster_rcnn_small`
==========================  =====================  ==================
backbone                    ResNet-50              EfficientNet-Lite0
strides of the maps         4, 8, 16, 32, 64       4 or 8 to 64
channels of the pyramid     256                    96
anchors at a place          3, of 8 strides        6, of 4 and 5.7
hidden                      1024                   256
proposals                   1000                   300
==========================  =====================  ==================

`faster_rcnn` is drop-in for torchvision's ``fasterrcnn_resnet50_fpn``: the same state-dict keys,
losses under the same chance, and answers, apart from:

- A batch is one tensor of images that are standardised and of the model's size; targets are in its
  pixels, and so are answers. torchvision resizes, standardises and pads images of several sizes
  inside, and in training draws a number for the size of each before it draws any sample.
- ``num_classes`` and labels do not count the background. torchvision's label is one more.
- An object without area, x1 = x2, teaches nothing; torchvision ends with an error. An object that
  meets no anchor takes none; in torchvision it takes every anchor that meets no object.
- Every layer learns. torchvision freezes the first two blocks when it begins from published
  weights.
- Batch normalisation is frozen, as in the published weights, unless ``frozen=False``. torchvision
  freezes it when it begins from published weights, and learns it otherwise. Its published COCO
  weights are meant for ``epsilon=0``, which torchvision sets where it loads them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchvision import ops

from sightline.models.detect.anchors import RegionAnchors
from sightline.models.detect.answers import Answering
from sightline.models.detect.assignment import Assignment
from sightline.models.detect.boxes import with_area
from sightline.models.detect.network import DetectionModule, OnBackbone, Targets
from sightline.models.detect.pyramid import LiteMaps, PyramidMaps, ResNetMaps
from sightline.models.detect.roi_heads import RegionPool, RegionTeaching, RoIHeads
from sightline.models.detect.rpn import Proposing, RegionProposals, Scored

AT_ONCE = 8
"""Images to ask about at once: each has hundreds of regions, which take memory."""

FINE_SIDE = 192
"""Pixels a side up to which the small form has maps of stride 4."""


class Outputs(NamedTuple):
    """What the network says of a batch, before any region is classified.

    Attributes
    ----------
    maps : list of float Tensor, shape (N, C, H_k, W_k)
        Of the pyramid; the last one is for proposals alone.
    scored : Scored
        The anchors.
    """

    maps: Sequence[Tensor]
    scored: Scored


class FasterRCNN(OnBackbone, DetectionModule):
    """Propose regions on the maps of a backbone, and classify them.

    Parameters
    ----------
    backbone : Module
        Maps images to a list of maps of ``out_channels`` channels; the last one is for proposals
        alone.
    anchors : RegionAnchors
        Of each map.
    num_classes : int
        Without the background.
    hidden : int
        Outputs of the fully connected layers.
    proposing : Proposing
    teaching : RegionTeaching
    answering : Answering
    heads : callable
        Makes the heads of what `RoIHeads` takes: it, or one that says more of a region.
    """

    head_names: tuple[str, ...] = (
        "roi_heads.box_predictor.cls_score",
        "roi_heads.box_predictor.bbox_pred",
    )
    at_once = AT_ONCE

    def __init__(
        self, backbone: PyramidMaps, anchors: RegionAnchors, num_classes: int, *,
        hidden: int = 1024, proposing: Proposing | None = None,
        teaching: RegionTeaching | None = None, answering: Answering | None = None,
        heads: Callable[..., RoIHeads] = RoIHeads,
    ) -> None:  # fmt: skip
        super().__init__(answering or Answering(0.05, 0.5, 1000, 100))
        self.backbone, self.num_classes = backbone, num_classes
        channels = backbone.out_channels
        self.rpn = RegionProposals(channels, anchors, proposing)
        self.roi_heads = heads(RegionPool(), channels, 1 + num_classes, hidden, teaching)

    def outputs(self, images: Tensor) -> Outputs:
        """Compute the maps, and what the network says of every anchor.

        Parameters
        ----------
        images : float Tensor, shape (N, C, H, W)
        """
        maps = self.backbone(images)
        return Outputs(maps, self.rpn(maps, (images.shape[2], images.shape[3])))

    def losses(self, said: Outputs, targets: Targets) -> dict[str, Tensor]:
        """Compute the losses of classes, boxes and proposals of what the network says.

        Parameters
        ----------
        said : Outputs
        targets : sequence of mappings
        """
        scored, known = said.scored, areas(targets)
        objects = [target["boxes"] for target in known]
        proposals = self.rpn.proposals(scored).of_each()
        of_anchors = self.rpn.losses(scored, objects)
        drawn = self.roi_heads.sampled(proposals, objects)
        return self.roi_heads.losses(said.maps[:-1], drawn, known, scored.size) | of_anchors

    def assignment(self, images: Tensor, target: Mapping[str, Tensor]) -> Assignment:
        """Return which anchors of an image are to propose which of its objects.

        Parameters
        ----------
        images : float Tensor, shape (1, C, H, W)
        target : mapping
            ``boxes``, float (G, 4), xyxy in its pixels.
        """
        with torch.no_grad():
            said = self.outputs(images)
        return self.rpn.assignment(said.scored, said.maps, target["boxes"].float())

    def candidates(self, said: Outputs) -> tuple[Tensor, Tensor]:
        """Compute the boxes and the scores of every proposal; see `RoIHeads.candidates`.

        Parameters
        ----------
        said : Outputs
        """
        proposals = self.rpn.proposals(said.scored)
        return self.roi_heads.candidates(said.maps[:-1], proposals, said.scored.size)


OF_OBJECTS = ("boxes", "labels", "masks")
"""What a target has of each object, unlike regions that were proposed."""


def areas(targets: Targets) -> list[dict[str, Tensor]]:
    """Return what is known of the objects that have an area: boxes, labels, perhaps masks."""
    known = []
    for target in targets:
        rows = with_area(target["boxes"])
        of_those = {name: target[name][rows] for name in OF_OBJECTS if name in target}
        known.append(of_those | {"boxes": of_those["boxes"].float()})
    return known


def faster_rcnn(
    num_classes: int = 90, in_channels: int = 3, *, frozen: bool = True, epsilon: float = 1e-5,
    proposing: Proposing | None = None, teaching: RegionTeaching | None = None,
    answering: Answering | None = None, kind: Callable[..., FasterRCNN] = FasterRCNN,
) -> FasterRCNN:  # fmt: skip
    """Build Faster R-CNN on the pyramid of a ResNet-50.

    Parameters
    ----------
    num_classes : int
        Without the background; 90 are those of torchvision's published weights.
    in_channels : int
    frozen : bool
        Whether batch normalisation keeps the means and scales that it was loaded with, which is
        right where a batch has few images. False: it learns, as it must from random weights.
    epsilon : float
        Of batch normalisation.
    proposing : Proposing, optional
    teaching : RegionTeaching, optional
    answering : Answering, optional
    kind : callable
        Makes the network of what `FasterRCNN` takes: it, or one that goes on from it.
    """
    norm = partial(ops.FrozenBatchNorm2d if frozen else nn.BatchNorm2d, eps=epsilon)
    backbone = PyramidMaps(ResNetMaps(50, in_channels, norm))
    anchors = RegionAnchors([(32,), (64,), (128,), (256,), (512,)])
    return kind(
        backbone, anchors, num_classes, proposing=proposing, teaching=teaching, answering=answering
    )


def faster_rcnn_small(
    num_classes: int = 90, in_channels: int = 3, side: int | tuple[int, int] = 320, *,
    kind: Callable[..., FasterRCNN] = FasterRCNN,
) -> FasterRCNN:  # fmt: skip
    """Build Faster R-CNN on the pyramid of EfficientNet-Lite0, which learns on a CPU.

    Parameters
    ----------
    num_classes, in_channels : int
    side : int, or (height, width)
        Pixels of the images; small ones get a map of stride 4 for their small objects.
    kind : callable
        See `faster_rcnn`.
    """
    finest = 4 if (side if isinstance(side, int) else max(side)) <= FINE_SIDE else 8
    body = LiteMaps(in_channels, finest)
    strides = [finest * 2**k for k in range(len(body.out_channels) + 1)]
    anchors = RegionAnchors([(4.0 * s, 4 * 2**0.5 * s) for s in strides], strides=strides)
    return kind(
        PyramidMaps(body, 96), anchors, num_classes, hidden=256,
        proposing=Proposing(sample=128, before=(600, 400), after=(400, 300)),
        teaching=RegionTeaching(sample=128),
        answering=Answering(0.01, 0.5, 300, 100),
    )  # fmt: skip
