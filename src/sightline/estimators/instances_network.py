"""Make a network that finds objects with masks a method: its training, and its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from sightline.counting import counted
from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset, Split
from sightline.data.transforms import Fitted
from sightline.estimators.detect_network import DetectionNetwork
from sightline.estimators.detect_untaught import DRAWN
from sightline.metrics import detect_precision as precision
from sightline.metrics.instances_table import Masks, MaskTable, in_common
from sightline.models.instances import flooding, pasted
from sightline.training.cuts import check_cut
from sightline.training.masked_recipe import MaskedRecipe
from sightline.training.object_masks import ChangedMasks
from sightline.types import Frame

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sightline.models.weights import PublishedWeights
    from sightline.training.engine import Judge
    from sightline.training.sample_feed import Transform


class InstanceNetwork(DetectionNetwork):
    """A network of the registry that answers with objects and their masks; see `DetectionNetwork`.

    Networks answer in one of two ways: with boxes and small masks in them, or with maps of whole
    images, which a watershed splits into objects.
    """

    recipe_type = MaskedRecipe  # type: ignore[assignment]  # other changes of a picture

    @property
    def splits_maps(self) -> bool:
        """Tell whether a watershed splits what the network says into objects."""
        from sightline.models.instances.watershed import Watershed

        return isinstance(self.model, Watershed)

    def left_out(self, train: Split, fitted: Fitted) -> list[str]:
        """Return remarks on the objects that teach nothing, and on those that overlap."""
        said = super().left_out(train, fitted)
        return [*said, *overlapping(train, self.card.name)] if self.splits_maps else said

    def fed(self, train: Split, fitted: Fitted, recipe: Any) -> dict[str, Any]:
        """Return how pictures change and become batches, as keywords of `SampleFeed`."""
        from sightline.training.boxes import Gathered

        return {
            "transform": self.changed(train, fitted, recipe), "collate": Gathered(fitted.size),
        }  # fmt: skip

    def changed(self, train: Split, fitted: Fitted, recipe: Any) -> Transform:
        """Return what changes a picture of a split and its masks before the network sees them."""
        check_cut(fitted.size, recipe.cut, self.card.name, self.card.smallest_side)
        changed = ChangedMasks(fitted.size, recipe.augment, fitted.resize, recipe.cut)
        return WithMaps(changed) if self.splits_maps else WithMasks(changed)

    def from_coco(self, name: str) -> PublishedWeights:
        """Load the weights of a network that was trained on COCO, by the name that it has here."""
        from sightline.models.instances.published import load_published

        return load_published(name, self.model, self.class_names)

    def judge(self, split: Split, fitted: Fitted) -> Judge:
        """Return what measures COCO's average precision of masks, in the pictures' own pixels."""
        X, _, rows = split.arrays(fitted.size, fitted.resize)
        frames = split.frames(fitted.size, fitted.resize)
        classes = split.data.classes
        truth = [
            true_masks(split.data, int(row), frame.size)
            for row, frame in zip(rows, frames, strict=True)
        ]
        names = [split.data.source.items[row].id for row in rows.tolist()]

        def judge(model: nn.Module) -> dict[str, float]:
            said = self.masked(model, X, frames, classes)
            table = MaskTable.of(truth, said, names)
            figures = precision.coco_figures(table)
            return {n: float(np.nan_to_num(precision.mean(figures[n]))) for n in ("ap", "ap50")}

        return judge

    def masked(
        self, model: nn.Module, X: NDArray[np.uint8], frames: Sequence[Frame],
        classes: tuple[str, ...],
    ) -> list[Masks]:  # fmt: skip
        """Answer for images, in the pixels of the pictures.

        Parameters
        ----------
        model : Module
            As it is now.
        X : uint8 array, shape (N, H, W, C)
        frames : sequence of Frame
        classes : tuple of str
        """
        import torch

        device = next(model.parameters()).device
        model.eval()
        answers: list[Masks] = []
        with torch.inference_mode():
            for start in range(0, len(X), self.batch):
                part = X[start : start + self.batch]
                said = self.asked(model, self.standardised(part, device), part)
                answers += [
                    answer(one, frames[start + i], classes) for i, one in enumerate(said)
                ]  # fmt: skip
        return answers


def answer(said: Tensor | dict[str, Tensor], frame: Frame, classes: tuple[str, ...]) -> Masks:
    """Return the objects of a picture: of boxes with masks, or of maps (C + 3, H, W)."""
    if not isinstance(said, dict):
        return flooding.objects_of(said.float().cpu().numpy(), frame, classes)
    boxes, scores, labels, masks = (
        said[name].float().cpu().numpy() for name in ("boxes", "scores", "labels", "masks")
    )
    return pasted.objects_of(boxes, scores, labels, masks, frame, classes)


def true_masks(data: Dataset, row: int, size: tuple[int, int]) -> Masks:
    """Return the annotated objects of a picture as codes, by its row and size (height, width)."""
    known = data.source.items[row].read_annotation() or Annotation()
    return Masks.of_annotation(known, size, data.classes)


@dataclass(frozen=True)
class WithMasks:
    """Change an image and the boxes, labels and masks of its objects; see `ChangedMasks`."""

    changed: ChangedMasks

    def __call__(self, image: Any, target: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Change an image and its target."""
        image, known = self.changed(image, target)
        return image, {name: known[name] for name in ("boxes", "labels", "masks")}


@dataclass(frozen=True)
class WithMaps:
    """Change an image, and compute the maps that a network is to say of it."""

    changed: ChangedMasks

    def __call__(self, image: Any, target: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Change an image; its target has ``classes``, ``border`` and ``distance``, (H, W)."""
        import torch

        image, known = self.changed(image, target)
        maps = flooding.truth(
            known["masks"].numpy(), known["labels"].tolist(), known["ignored"].numpy()
        )
        names = ("classes", "border", "distance")
        return image, {n: torch.from_numpy(m) for n, m in zip(names, maps, strict=True)}


def overlapping(train: Split, method: str) -> list[str]:
    """Return a remark on objects that overlap in training images, or none where none do.

    Parameters
    ----------
    train : Split
        Of many images the first ones are looked at.
    method : str
        That cannot represent overlaps.
    """
    objects = pictures = looked_at = 0
    for item in train.items[:DRAWN]:
        known = item.read_annotation()
        if known is None or not (known.width and known.height) or known.instances is not None:
            continue  # nothing overlaps in a map of numbers
        masks = Masks.of_annotation(known, (known.height, known.width), train.data.classes)
        masks = masks.taken(np.flatnonzero(~np.asarray(masks.crowd)))
        looked_at += len(masks)
        if len(masks) < 2 or masks.pixels.sum() == coco_mask.area(coco_mask.merge(masks.rle)):
            continue
        shared = in_common(masks, masks)
        np.fill_diagonal(shared, 0)
        objects += int((shared > 0).any(1).sum())
        pictures += 1
    if not objects:
        return []
    return [
        f"{objects:,} of {looked_at:,} training objects overlap others, in "
        f"{counted(pictures, 'picture')}: {method} gives each pixel to one object, so that of "
        "these a part is missing; mask-rcnn-small keeps overlaps"
    ]
