"""Preprocess and augment images, all through ``torchvision.transforms.v2``.

Figures that preprocessing needs (mean, deviation, mean image) come from the training
split alone and are saved with the model, so that nobody is asked to repeat them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sightline.data import images
from sightline.data.dataset import Dataset, Split
from sightline.errors import ParameterError
from sightline.types import IGNORE, Detections, Frame, Progress, Sample, Segmentation

if TYPE_CHECKING:
    import torch

Scale = Literal["none", "unit", "standardise", "mean-image"]
Views = Literal["one", "flip", "crops"]
_BATCH = 2048


@dataclass(frozen=True)
class Preprocess:
    """How an image is preprocessed: its size, resize and scale.

    Parameters
    ----------
    size : int
        Height and width in pixels; 0 keeps the size that all images share, or takes the
        method's own where they differ.
    resize : {"crop", "stretch", "pad", "imagenet", "imagenet-bilinear"}
        How another shape becomes square: cut the middle, distort, or fill with grey; imagenet: as
        published weights are measured, the middle of a picture scaled to a little more than the
        size, bicubic, or bilinear.
    scale : {"none", "unit", "standardise", "mean-image"}
        ``none``: uint8 as given; ``unit``: [0, 1]; ``standardise``: each channel with
        mean 0 and deviation 1 over the training split; ``mean-image``: [0, 1] less the
        mean training image.
    features : str
        A trained network whose features are seen instead of pixels: the folder of a run,
        imagenet:NAME or timm:NAME; with @LAYER+LAYER behind it those of its layers, such as
        imagenet:efficientnet_lite0@blocks.5, instead of what goes into the last one.
    views : {"one", "flip", "crops"}
        What features are averaged over: the image; the image and its mirror image; or those of the
        whole, the middle and the four corners.
    """

    size: int = 0
    resize: images.Resize = "crop"
    scale: Scale = "none"
    features: str = ""
    views: Views = "one"


@dataclass(slots=True)
class Fitted:
    """Preprocessing with its statistics from the training split.

    Parameters
    ----------
    size : (height, width)
    mode : {"L", "RGB"}
    resize, scale
        See `Preprocess`.
    mean, std : float32 array, shape (C,)
        In units of [0, 1]; used by ``standardise``.
    mean_image : float32 array, shape (H, W, C), optional
        In units of [0, 1]; used by ``mean-image``.
    embed : callable, optional
        Makes rows of features, shape (N, D), of images; takes a progress, too.
    """

    size: tuple[int, int]
    mode: images.Mode
    resize: images.Resize
    scale: Scale
    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    mean_image: NDArray[np.float32] | None = None
    embed: Callable[..., NDArray[np.float32]] | None = None

    def __call__(self, X: NDArray[np.uint8], progress: Progress | None = None) -> NDArray[Any]:
        """Scale images of the right size: uint8 (N, H, W, C) to the same shape.

        uint8 for ``none``, else float32; features, where there are such, are float32 (N, D).

        Parameters
        ----------
        X : uint8 array, shape (N, H, W, C)
        progress : callable, optional
            Called with (images done, images in all) while features are computed.
        """
        if self.embed is not None:
            return self.embed(X, progress)
        if self.scale == "none":
            return X
        out = np.empty(X.shape, np.float32)
        for start in range(0, len(X), _BATCH):
            part = slice(start, start + _BATCH)
            out[part] = self._scaled(np.require(X[part], requirements=("C", "W")))
        return out

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return height, width and channels of a prepared image."""
        return (*self.size, 1 if self.mode == "L" else 3)

    def prepare(self, image: Any) -> tuple[NDArray[np.uint8], Frame]:
        """Bring one image of any accepted form to size and mode: uint8 (H, W, C), and its frame."""
        return images.prepare(image, self.size, self.mode, self.resize)

    def _scaled(self, X: NDArray[np.uint8]) -> NDArray[np.float32]:
        # In NumPy: torchvision, which does the same, takes longer to import than this to run.
        scaled = X.astype(np.float32)
        scaled *= np.float32(1 / 255)
        if self.scale == "standardise":
            scaled -= self.mean
            scaled /= self.std
        elif self.scale == "mean-image" and self.mean_image is not None:
            scaled -= self.mean_image
        return scaled


def fit(
    options: Preprocess, train: Split, default_side: int = 32, size: tuple[int, int] | None = None
) -> Fitted:
    """Fit preprocessing to the training split.

    Parameters
    ----------
    options : Preprocess
    train : Split
        Only these images are looked at.
    default_side : int
        Pixels a side where the images differ in size and `options` name none.
    size : (height, width), optional
        In place of what the options and the images say.

    Raises
    ------
    ParameterError
        When the size is negative or over 1,024.
    """
    if not 0 <= options.size <= 1024:
        raise ParameterError(f"size={options.size} must be between 1 and 1024 pixels (0: as given)")
    data = train.data
    if size is None and options.size:
        size = (options.size, options.size)
    elif size is None:
        size = data.size or (default_side, default_side)
    channels = 1 if data.mode == "L" else 3
    fitted = Fitted(
        size, data.mode, options.resize, options.scale,
        mean=np.zeros(channels, np.float32), std=np.ones(channels, np.float32),
    )  # fmt: skip
    if options.scale == "standardise":
        fitted.mean, fitted.std = exact_mean_and_std(train.arrays(size, options.resize).X)
    elif options.scale == "mean-image":
        X = train.arrays(size, options.resize).X
        total = np.zeros(X.shape[1:], np.float64)
        for start in range(0, len(X), _BATCH):
            total += X[start : start + _BATCH].sum(0, dtype=np.float64)
        fitted.mean_image = (total / len(X) / 255).astype(np.float32)
    return fitted


def exact_mean_and_std(X: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute mean and deviation of each channel in units of [0, 1], from exact integer sums.

    X, shape (N, H, W, C), may be memory-mapped: it is read a batch at a time.
    """
    counts = np.zeros((X.shape[3], 256), np.int64)
    for start in range(0, len(X), _BATCH):
        part = X[start : start + _BATCH]
        for c in range(X.shape[3]):
            counts[c] += np.bincount(part[..., c].ravel(), minlength=256)
    values = np.arange(256) / 255
    total = counts.sum(1)
    mean = counts @ values / total
    variance = counts @ values**2 / total - mean**2
    std = np.sqrt(np.maximum(variance, 0))
    return mean.astype(np.float32), np.where(std > 1e-6, std, 1).astype(np.float32)


def augmentation(
    side: int,
    *,
    flip: bool = True,
    crop: Literal["shift", "zoom", "none"] = "shift",
    colour: float = 0.0,
    erase: float = 0.0,
) -> Any:
    """Return random changes that keep an image's meaning, for training.

    Parameters
    ----------
    side : int
        Height and width that come out.
    flip : bool
        Mirror left and right half of the time (not for digits or letters).
    crop : {"shift", "zoom", "none"}
        ``shift`` pads by an eighth, reflected, and cuts at random (boxes: use ``zoom``,
        as reflections repeat objects); ``zoom`` cuts a part of random size and shape.
    colour : float
        Strength of changes of brightness, contrast and saturation, 0 to 1.
    erase : float
        Chance that a rectangle is greyed out.

    Returns
    -------
    torchvision.transforms.v2.Compose
        Takes images alone, or an image with boxes and masks as tv_tensors, which move
        along.
    """
    from torchvision.transforms import v2

    steps: list[Any] = []
    if crop == "shift":
        steps.append(v2.RandomCrop(side, padding=max(1, side // 8), padding_mode="reflect"))
    elif crop == "zoom":
        steps.append(v2.RandomResizedCrop(side, scale=(0.35, 1.0), antialias=True))
    if flip:
        steps.append(v2.RandomHorizontalFlip())
    if colour:
        steps.append(v2.ColorJitter(0.4 * colour, 0.4 * colour, 0.4 * colour))
    if erase:
        steps.append(v2.RandomErasing(erase))
    return v2.Compose([*steps, _without_lost])


def to_tensors(sample: Sample) -> tuple[torch.Tensor, dict[str, Any]]:
    """Return a sample as tv_tensors, which v2 transforms change together.

    Returns
    -------
    image : tv_tensors.Image, uint8, shape (C, H, W)
    target : dict
        ``boxes`` (tv_tensors.BoundingBoxes, xyxy), ``labels``, ``crowd``, ``difficult``,
        ``masks`` (tv_tensors.Mask, (N, H, W)) and ``label_map`` (tv_tensors.Mask, (H, W)), where
        the sample has them; ``label`` for classification.
    """
    import torch
    from torchvision import tv_tensors

    height, width = sample.image.shape[:2]
    pixels = np.array(sample.image.transpose(2, 0, 1), order="C")  # which may be written to
    target: dict[str, Any] = {}
    if sample.label is not None:
        target["label"] = sample.label
    if sample.objects is not None:
        target["boxes"] = tv_tensors.BoundingBoxes(
            torch.from_numpy(sample.objects.boxes), format="XYXY", canvas_size=(height, width)
        )
        target["labels"] = torch.from_numpy(sample.objects.labels)
        for name in ("crowd", "difficult"):
            marks = getattr(sample.objects, name)
            if marks is not None:
                target[name] = torch.from_numpy(marks)
        if sample.objects.masks is not None:
            target["masks"] = tv_tensors.Mask(torch.from_numpy(sample.objects.masks))
    if sample.segmentation is not None:
        label_map = sample.segmentation.label_map.astype(np.int64)
        target["label_map"] = tv_tensors.Mask(torch.from_numpy(label_map))
    return tv_tensors.Image(torch.from_numpy(pixels)), target


def from_tensors(image: torch.Tensor, target: dict[str, Any], data: Dataset, id: str) -> Sample:
    """Return a sample from tv_tensors: the inverse of `to_tensors`."""
    objects = segmentation = None
    if "boxes" in target:
        marks = {
            name: target[name].numpy() for name in ("masks", "crowd", "difficult") if name in target
        }
        objects = Detections(
            target["boxes"].numpy(), target["labels"].numpy(), data.classes, **marks
        )
    if "label_map" in target:
        label_map = target["label_map"].numpy()
        segmentation = Segmentation(
            label_map.astype(np.uint8 if label_map.max() <= IGNORE else np.int32),
            data.segmentation_classes,
        )
    pixels = image.numpy().transpose(1, 2, 0)
    return Sample(pixels, id, target.get("label"), objects, segmentation)


def _without_lost(*inputs: Any) -> Any:
    """Remove objects of which a cut has left less than a pixel.

    ``v2.SanitizeBoundingBoxes`` refuses images alone and takes a label map for one mask an
    object.
    """
    target = inputs[1] if len(inputs) > 1 else None
    if isinstance(target, dict) and "boxes" in target:
        from torchvision import tv_tensors

        boxes = target["boxes"]
        keep = ((boxes[:, 2:] - boxes[:, :2]) >= 1).all(1)
        kept = {
            key: tv_tensors.wrap(target[key][keep], like=target[key])
            for key in ("boxes", "labels", "masks", "crowd", "difficult")
            if key in target
        }
        inputs = (inputs[0], target | kept, *inputs[2:])
    return inputs if len(inputs) > 1 else inputs[0]
