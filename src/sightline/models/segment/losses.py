r"""Measure how wrong the logits of pixels are, as what training lowers.

All losses take logits (N, K, H, W) and labels (N, H, W); a pixel labelled 255 (`IGNORE`) counts in
none of them. Where every pixel is, a loss is 0, and its gradient 0 everywhere, not NaN.

With the probability :math:`p_c(x)` of class c at pixel x, the softmax of its logits, and
:math:`t(x)` its true class:

=============  =========================================================================
loss           formula
=============  =========================================================================
cross-entropy  :math:`\sum_x w(x) \left(-\log p_{t(x)}(x)\right) / \sum_x w(x)`
focal          the mean of :math:`-(1 - p_{t(x)}(x))^\gamma \log p_{t(x)}(x)`
Dice           1 less the mean, over classes, of twice the overlap by the sum of both
Lovász         the mean, over classes, of IoU's Lovász extension at the errors
=============  =========================================================================

w is a weight of the class (`class_weights`), of the pixel (`boundary_weights`) or the product.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from sightline.errors import ParameterError

IGNORE = 255
"""Label of the pixels that do not count."""

AUXILIARY = 0.5
"""Weight of an auxiliary head's loss, as in torchvision's training."""

SMALLEST = 1e-6
"""Weight near a border below which it is 0."""


def cross_entropy(
    logits: Tensor, labels: Tensor, *, weight: Tensor | None = None, pixels: Tensor | None = None
) -> Tensor:
    r"""Compute the weighted mean of the pixels' cross-entropy.

    .. math:: E = \frac{\sum_x w(x) \left(-\log p_{t(x)}(x)\right)}{\sum_x w(x)}

    (Ronneberger et al., U-Net, 2015, equation 1, where it is not divided).

    Parameters
    ----------
    logits : float Tensor, shape (N, K, H, W)
    labels : int64 Tensor, shape (N, H, W)
        In [0, K), or `IGNORE`.
    weight : float Tensor, shape (K,), optional
        Of each class; see `class_weights`.
    pixels : float Tensor, shape (N, H, W), optional
        Of each pixel; see `boundary_weights`.

    Returns
    -------
    Tensor, shape ()

    Raises
    ------
    ParameterError
        When labels are of another size, or none of the classes, or these have not a weight each.
    """
    labels = _checked(logits, labels, weight)
    losses = functional.cross_entropy(logits.float(), labels, ignore_index=IGNORE, reduction="none")
    return _mean(losses, labels, weight, pixels)


def focal(
    logits: Tensor, labels: Tensor, *, gamma: float = 2.0, weight: Tensor | None = None
) -> Tensor:
    r"""Compute the mean focal loss, in which pixels that are answered well hardly count.

    .. math:: FL = -(1 - p_{t(x)}(x))^\gamma \log p_{t(x)}(x)

    (Lin et al., Focal loss for dense object detection, ICCV 2017, equation 4, over the classes of a
    softmax).

    Parameters
    ----------
    logits, labels, weight : Tensor
        See `cross_entropy`.
    gamma : float
        0: the cross-entropy.

    Raises
    ------
    ParameterError
        When labels are of another size, or none of the classes, or these have not a weight each.
    """
    labels = _checked(logits, labels, weight)
    losses = functional.cross_entropy(logits.float(), labels, ignore_index=IGNORE, reduction="none")
    # Not quite 0, where the slope of a power below 1 is infinite.
    missing = (-torch.expm1(-losses)).clamp(min=1e-12)
    return _mean(missing**gamma * losses, labels, weight)


def dice(logits: Tensor, labels: Tensor) -> Tensor:
    r"""Compute 1 less the mean soft Dice coefficient of the classes that the truth has.

    .. math:: 1 - \frac{1}{|C|} \sum_{c \in C}
        \frac{2 \sum_x p_c(x) [t(x) = c]}{\sum_x p_c(x) + \sum_x [t(x) = c]}

    (Drozdzal et al., The importance of skip connections in biomedical image segmentation, 2016;
    after Milletari et al., V-Net, 2016, with squares below), all pixels of a batch together.

    Parameters
    ----------
    logits, labels : Tensor
        See `cross_entropy`.

    Raises
    ------
    ParameterError
        When labels are of another size, or none of the classes.
    """
    probabilities, truth = _counted(logits, labels)
    sizes = torch.bincount(truth, minlength=logits.shape[1])
    own = probabilities.gather(0, truth[None])[0]
    both = own.new_zeros(len(sizes)).index_add(0, truth, own)
    losses = 1 - 2 * both / (probabilities.sum(1) + sizes).clamp(min=1e-12)
    return _over_classes(losses, sizes > 0)


def lovasz_softmax(logits: Tensor, labels: Tensor) -> Tensor:
    r"""Compute the Lovász-softmax loss: IoU itself, made continuous.

    What a class loses of its IoU, :math:`\Delta_c`, is a function of the set of its wrong pixels.
    Of errors between 0 and 1, :math:`m_c(x) = |[t(x) = c] - p_c(x)|`, sorted downwards by
    :math:`\pi`, its Lovász extension is

    .. math:: \bar\Delta_c(m) = \sum_i m_c(\pi_i) \left(
        \Delta_c(\{\pi_1 \ldots \pi_i\}) - \Delta_c(\{\pi_1 \ldots \pi_{i - 1}\})\right)

    (Berman, Triki & Blaschko, The Lovász-softmax loss, CVPR 2018, equations 8 to 11 and algorithm
    1), the mean over the classes that the truth has, all pixels of a batch together.

    Parameters
    ----------
    logits, labels : Tensor
        See `cross_entropy`.

    Raises
    ------
    ParameterError
        When labels are of another size, or none of the classes.
    """
    probabilities, truth = _counted(logits, labels)
    present = torch.bincount(truth).nonzero().flatten().tolist()
    losses = [_lovasz(probabilities[c], (truth == c).to(probabilities.dtype)) for c in present]
    return torch.stack(losses).mean() if losses else probabilities.sum()


def _lovasz(probabilities: Tensor, truth: Tensor) -> Tensor:
    """Compute the extension of one class, of P probabilities and as many zeros and ones."""
    errors, order = (truth - probabilities).abs().sort(descending=True)
    ones = truth[order]
    size = ones.sum()
    jaccard = 1 - (size - ones.cumsum(0)) / (size + (1 - ones).cumsum(0))
    steps = torch.cat((jaccard[:1], jaccard[1:] - jaccard[:-1]))
    return errors @ steps


def with_auxiliary(said: Tensor | Mapping[str, Tensor], loss: Callable[[Tensor], Tensor]) -> Tensor:
    """Sum the loss of what a network says in training and, weighed, of its auxiliary head.

    Parameters
    ----------
    said : Tensor, or mapping of str to Tensor
        See `SemanticModule.forward`.
    loss : callable
        Of logits.
    """
    if isinstance(said, Tensor):
        return loss(said)
    return loss(said["out"]) + AUXILIARY * loss(said["aux"])


def class_weights(counts: NDArray[np.integer]) -> NDArray[np.float32]:
    r"""Compute weights that balance the classes by the median of their frequencies.

    .. math:: w_c = \mathrm{median}(f) / f_c

    where :math:`f_c` is the share of class c among the pixels of the images that have it (Eigen &
    Fergus, Predicting depth, surface normals and semantic labels, ICCV 2015, section 6.3.2).

    Parameters
    ----------
    counts : int array, shape (M, K) or (K,)
        Pixels of each class in each image, or in all of them; ignored ones are not among them.

    Returns
    -------
    float32 array, shape (K,)
        1 for a class that is nowhere.

    Raises
    ------
    ParameterError
        When a count is negative.

    Examples
    --------
    >>> class_weights(np.array([[50, 50, 0], [100, 0, 0]]))
    array([0.8333333, 1.25     , 1.       ], dtype=float32)
    """
    counts = np.atleast_2d(np.asarray(counts, np.float64))
    if (counts < 0).any():
        raise ParameterError("counts of pixels must not be negative")
    pixels = counts.sum(0)
    of_those = ((counts > 0) * counts.sum(1, keepdims=True)).sum(0)
    known = pixels > 0
    frequencies = pixels[known] / of_those[known]
    weights = np.ones(counts.shape[1], np.float32)
    if known.any():
        weights[known] = np.median(frequencies) / frequencies
    return weights


def boundary_weights(
    instances: NDArray[np.integer], *, w0: float = 10.0, sigma: float = 5.0,
    base: NDArray[np.floating] | None = None,
) -> NDArray[np.float32]:  # fmt: skip
    r"""Compute pixel weights that are high in the gaps between objects that nearly touch.

    .. math:: w(x) = w_c(x) + w_0 \exp\left(-\frac{(d_1(x) + d_2(x))^2}{2 \sigma^2}\right)

    (Ronneberger et al., U-Net, 2015, equation 2), where d1 and d2 are the distances to the nearest
    and to the second nearest object. Pixels of objects have :math:`w_c` alone, as in figure 3d, and
    so has an image with fewer than two objects.

    Parameters
    ----------
    instances : int array, shape (H, W)
        0 for the background, else the number of the object.
    w0 : float
        Weight of a gap without width.
    sigma : float
        Pixels.
    base : float array, shape (H, W), optional
        :math:`w_c`, the weights that balance the classes; default: 1.

    Returns
    -------
    float32 array, shape (H, W)
    """
    instances = np.asarray(instances)
    objects = np.unique(instances[instances != 0])
    numbers = np.where(instances == 0, 0, 1 + np.searchsorted(objects, instances))
    weights = np.ones(instances.shape) if base is None else np.array(base, np.float64)
    nearest = np.full((2, *instances.shape), np.inf)
    reach = int(np.ceil(sigma * np.sqrt(2 * max(np.log(w0 / SMALLEST), 0)))) if w0 > 0 else 0
    for number, place in enumerate(ndimage.find_objects(numbers), 1):
        around = tuple(slice(max(s.start - reach, 0), s.stop + reach) for s in place)
        distance = ndimage.distance_transform_edt(numbers[around] != number)
        first, second = nearest[:, *around]
        second[...] = np.minimum(second, np.maximum(first, distance))
        first[...] = np.minimum(first, distance)
    gap = w0 * np.exp(-(nearest.sum(0) ** 2) / (2 * sigma**2))
    return np.asarray(weights + np.where(instances == 0, gap, 0), np.float32)


def _checked(logits: Tensor, labels: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the labels as int64.

    Raises
    ------
    ParameterError
        When they are of another size, or none of the classes, or these have not a weight each.
    """
    n, classes, *size = logits.shape
    if weight is not None and weight.shape != (classes,):
        raise ParameterError(
            f"weight must have one number for each of the {classes} classes, not the shape "
            f"{tuple(weight.shape)}"
        )
    if labels.shape != (n, *size):
        raise ParameterError(
            f"labels must have the shape of the pictures, {(n, *size)}, not {tuple(labels.shape)}"
        )
    if classes > IGNORE:
        raise ParameterError(
            f"{classes} classes are too many: the label {IGNORE} stands for pixels that do not "
            f"count, so {IGNORE} classes at most can be told"
        )
    labels = labels.long()
    wrong = labels[(labels != IGNORE) & ((labels < 0) | (labels >= classes))]
    if len(wrong):
        raise ParameterError(
            f"{len(wrong)} pixels have labels such as {wrong[0].item()}, which is none of the "
            f"{classes} classes (0 to {classes - 1}, and {IGNORE} for what does not count)"
        )
    return labels


def _counted(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the probabilities (K, P) and labels (P,) of the pixels that count."""
    labels = _checked(logits, labels)
    counts = labels != IGNORE
    probabilities = logits.float().softmax(1).movedim(1, 0)
    return probabilities[:, counts], labels[counts]


def _mean(
    losses: Tensor, labels: Tensor, weight: Tensor | None, pixels: Tensor | None = None
) -> Tensor:
    """Compute the weighted mean of the pixels that count, 0 where none does."""
    weights = (labels != IGNORE).to(losses.dtype)
    if weight is not None:
        weights = weights * weight.to(losses)[labels * (labels != IGNORE)]
    if pixels is not None:
        weights = weights * pixels.to(losses)
    total = weights.sum()
    return (losses * weights).sum() / torch.where(total > 0, total, 1)


def _over_classes(losses: Tensor, present: Tensor) -> Tensor:
    """Compute the mean of the classes that are present, 0 where none is."""
    return (losses * present).sum() / present.sum().clamp(min=1)
