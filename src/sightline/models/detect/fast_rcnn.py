r"""Build Fast R-CNN: regions from outside, pooled from one map of the whole image.

Girshick, Fast R-CNN, ICCV 2015. R-CNN computes a network anew for each of some thousand regions;
here the image goes through the network once, and what is pooled from its last map for a region goes
through two layers to its class and its box (figure 1). Both are learned together, by the loss of
`roi_heads` (equations 1 to 3). Where the objects may be is asked elsewhere: of selective search
(`proposals`), whose regions come with the batch.

Training draws 64 regions an image, a quarter of them objects, from those that overlap an object by
at least 0.5; background are those of at least 0.1 (section 2.3), or all where an image has no
object. RoI pooling (section 2.1) rounds a region to whole places of the map; RoIAlign, the default,
does not, which matters where objects are small.

What is not the paper's: the backbone is EfficientNet-Lite0 in place of VGG16, whose stages are
joined into one map of stride 8 (4 for small images) as in a feature pyramid, and batch
normalisation learns. The fully connected layers are not compressed (section 3.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from sightline.errors import ParameterError
from sightline.models.detect.answers import Answering, kept_of_each
from sightline.models.detect.faster_rcnn import AT_ONCE, FINE_SIDE, areas
from sightline.models.detect.network import OnBackbone, Targets, for_each
from sightline.models.detect.pyramid import LiteMaps, PyramidMaps
from sightline.models.detect.roi_heads import RegionPool, RegionTeaching, RoIHeads
from sightline.models.detect.rpn import Proposals

WIDTH = 128
"""Channels of the one map."""


class FastRCNN(OnBackbone):
    """Classify regions that come from outside, on one map of the image.

    Parameters
    ----------
    backbone : Module
        Maps images to a list of one map, of ``out_channels`` channels.
    num_classes : int
        Without the background.
    regions : int
        Of an image, that are looked at in evaluation.
    pool : {"align", "pool"}
        How a region is cut from the map; see `roi_heads.RegionPool`.
    answering : Answering, optional
    """

    head_names = ("roi_heads.box_predictor.cls_score", "roi_heads.box_predictor.bbox_pred")
    at_once = AT_ONCE

    def __init__(
        self, backbone: PyramidMaps, num_classes: int, *, regions: int = 1000,
        pool: Literal["align", "pool"] = "align", answering: Answering | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.backbone, self.num_classes, self.regions = backbone, num_classes, regions
        self.answering = answering or Answering(0.01, 0.3, regions, 100)
        self.roi_heads = RoIHeads(
            RegionPool(kind=pool), backbone.out_channels, 1 + num_classes, 256,
            RegionTeaching(lowest=0.1, sample=64, beta=1.0),
        )  # fmt: skip

    def forward(
        self, images: Tensor, targets: Targets | None = None,
        regions: Sequence[Tensor] | None = None,
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:  # fmt: skip
        """Compute the losses in training, answers in evaluation.

        Parameters
        ----------
        images : float Tensor, shape (N, C, H, W)
            Standardised.
        targets : sequence of mappings, optional
            One an image, perhaps without an object; needed in training. Beside ``boxes`` and
            ``labels`` each has ``regions``, float (K, 4), xyxy in pixels.
        regions : sequence of float Tensor, shape (K, 4), optional
            Of each image; needed in evaluation.

        Returns
        -------
        dict of str to Tensor, shape ()
            In training: ``loss_classifier`` and ``loss_box_reg``, to be added up.
        list of dict of str to Tensor
            In evaluation, of each image: ``boxes`` (K, 4), xyxy in its pixels, ``scores`` (K,),
            falling, and ``labels`` (K,), from 0.

        Raises
        ------
        ParameterError
            When targets are missing in training, or regions in evaluation, or are not one for each
            image.
        """
        if self.training:
            given = for_each(images, targets)
            proposed = [target["regions"].float() for target in given]
            return self.losses(self.backbone(images), given, proposed, tuple(images.shape[2:]))
        if regions is None or len(regions) != len(images):
            raise ParameterError(
                "regions must be those of each image: "
                f"{len(images)} images, {'none' if regions is None else len(regions)} given"
            )
        return self.answers(self.backbone(images), regions, tuple(images.shape[2:]))

    def losses(
        self, maps: Sequence[Tensor], targets: Targets, regions: Sequence[Tensor],
        size: tuple[int, ...],
    ) -> dict[str, Tensor]:  # fmt: skip
        """Compute both losses; see `forward`."""
        known = areas(targets)
        drawn = self.roi_heads.sampled(regions, [target["boxes"] for target in known])
        return self.roi_heads.losses(maps, drawn, known, (size[0], size[1]))

    def answers(
        self, maps: Sequence[Tensor], regions: Sequence[Tensor], size: tuple[int, ...]
    ) -> list[dict[str, Tensor]]:
        """Choose answers among the regions of each image; see `forward`."""
        boxes, scores = self.roi_heads.candidates(
            maps, together([r[: self.regions] for r in regions]), (size[0], size[1])
        )
        return kept_of_each(boxes, scores, self.answering)


def together(regions: Sequence[Tensor]) -> Proposals:
    """Return the regions of some images as one array, filled up with none."""
    most = max(len(r) for r in regions)
    boxes = torch.stack([functional.pad(r.float(), (0, 0, 0, most - len(r))) for r in regions])
    there = [r.new_ones(len(r), dtype=torch.float32) for r in regions]
    scores = torch.stack([functional.pad(s, (0, most - len(s))) for s in there])
    return Proposals(boxes, scores)


def fast_rcnn(
    num_classes: int = 20, in_channels: int = 3, side: int | tuple[int, int] = 320, *,
    regions: int = 1000, pool: Literal["align", "pool"] = "align",
) -> FastRCNN:  # fmt: skip
    """Build Fast R-CNN on one map of EfficientNet-Lite0, which learns on a CPU.

    Parameters
    ----------
    num_classes, in_channels : int
    side : int, or (height, width)
        Pixels of the images; small ones get a map of stride 4.
    regions : int
        Of an image, from outside.
    pool : {"align", "pool"}
    """
    finest = 4 if (side if isinstance(side, int) else max(side)) <= FINE_SIDE else 8
    backbone = PyramidMaps(LiteMaps(in_channels, finest), WIDTH, finest_only=True)
    return FastRCNN(backbone, num_classes, regions=regions, pool=pool)
