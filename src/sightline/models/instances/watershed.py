r"""Build networks whose maps a watershed splits into objects: foreground, border and distance.

Any semantic network of `models.segment` says of every pixel the background and each class, whether
it lies at an object's border, and how deep inside its object (`flooding`, which finds the objects;
*distance* as in Naylor et al., Segmentation of nuclei in histopathology images by deep regression
of the distance map, IEEE TMI 38, 2019; *border* as in Caicedo et al., Evaluation of deep learning
strategies for nucleus segmentation in fluorescence images, Cytometry A 95, 2019). With U-Net it is
what counts cells on a processor. Training lowers

.. math:: L = CE(p, t) + \mathrm{Dice}(p, t) + BCE(b, t_b) + KL(t_d \,\|\, d)

over the pixels that count: cross-entropy and Dice loss of the classes, binary cross-entropy of the
border, and the divergence of the distance d, which a sigmoid says, from its truth:

.. math:: KL(t \,\|\, d) = t \log \frac{t}{d} + (1 - t) \log \frac{1 - t}{1 - d}

whose slope does not vanish where d is near 0 or 1 and wrong, as that of a squared error does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sightline.errors import UnknownNameError
from sightline.models.detect.network import for_each
from sightline.models.segment import deeplabv3, fcn, losses, unet
from sightline.models.segment.network import SemanticModule
from sightline.types import IGNORE

NETWORKS: Mapping[str, Callable[..., SemanticModule]] = MappingProxyType(
    {
        "unet-lite": unet.unet_lite, "unet": unet.unet,
        "deeplabv3": deeplabv3.deeplabv3_resnet50, "deeplabv3-lite": deeplabv3.deeplabv3_lite,
        "fcn-32s": fcn.fcn32s, "fcn-16s": fcn.fcn16s, "fcn-8s": fcn.fcn8s,
        "fcn-resnet50": fcn.fcn_resnet50,
    }
)  # fmt: skip
"""Semantic networks by name."""

MORE = 2
"""Maps beside those of the background and the classes: border and distance."""


class Watershed(nn.Module):
    """A semantic network that says maps for a watershed.

    Parameters
    ----------
    network : SemanticModule
        Of C + 3 outputs.
    num_classes : int
        C, without the background.
    """

    def __init__(self, network: SemanticModule, num_classes: int) -> None:
        super().__init__()
        self.network, self.num_classes = network, num_classes
        self.head_names = tuple(f"network.{name}" for name in getattr(network, "head_names", ()))

    def forward(
        self, images: Tensor, targets: Sequence[Mapping[str, Tensor]] | None = None
    ) -> Tensor | dict[str, Tensor]:
        """Compute the losses in training, maps in evaluation.

        Parameters
        ----------
        images : float Tensor, shape (N, C, H, W)
            Standardised.
        targets : sequence of mappings, optional
            One an image, needed in training: what `flooding.truth` returns, as ``classes``,
            ``border`` and ``distance``, each (H, W).

        Returns
        -------
        dict of str to Tensor, shape ()
            In training: ``loss_classes``, ``loss_border`` and ``loss_distance``.
        Tensor, shape (N, C + 3, H, W)
            In evaluation: see `flooding.objects_of`.

        Raises
        ------
        ParameterError
            When targets are missing in training, or are not one for each image.
        """
        if not self.training:
            return self.maps(images)
        known = for_each(images, targets)
        labels, border, distance = (
            torch.stack([one[name] for one in known]) for name in ("classes", "border", "distance")
        )
        said = self.network(images)
        counts = (labels != IGNORE).float()
        parts = {
            "loss_classes": partial(self._of_classes, labels=labels.long()),
            "loss_border": partial(self._of_border, border=border.float(), counts=counts),
            "loss_distance": partial(self._of_distance, distance=distance.float(), counts=counts),
        }
        return {name: losses.with_auxiliary(said, loss) for name, loss in parts.items()}

    def maps(self, images: Tensor) -> Tensor:
        """Compute the maps of images; see `flooding.objects_of`.

        Parameters
        ----------
        images : float Tensor, shape (N, C, H, W)
        """
        logits = self.network.outputs(images)["out"].float()
        classes, rest = logits[:, :-MORE], logits[:, -MORE:]
        return torch.cat((classes.softmax(1), rest.sigmoid()), 1)

    def from_classifier(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what a classifier's state dict has for this network, by its names here."""
        network: Any = self.network
        given = network.from_classifier(state)
        return {f"network.{key}": tensor for key, tensor in given.items()}

    def _of_classes(self, logits: Tensor, labels: Tensor) -> Tensor:
        own = logits[:, :-MORE]
        return losses.cross_entropy(own, labels) + losses.dice(own, labels)

    def _of_border(self, logits: Tensor, border: Tensor, counts: Tensor) -> Tensor:
        each = functional.binary_cross_entropy_with_logits(
            logits[:, -2].float(), border, reduction="none"
        )
        return (each * counts).sum() / counts.sum().clamp(min=1)

    def _of_distance(self, logits: Tensor, distance: Tensor, counts: Tensor) -> Tensor:
        each = functional.binary_cross_entropy_with_logits(
            logits[:, -1].float(), distance, reduction="none"
        )
        least = functional.binary_cross_entropy(distance, distance, reduction="none")
        return ((each - least) * counts).sum() / counts.sum().clamp(min=1)


def watershed(
    num_classes: int = 1, in_channels: int = 3, *, network: str = "unet-lite"
) -> Watershed:
    """Build a semantic network whose maps a watershed splits into objects.

    Parameters
    ----------
    num_classes : int
        Without the background.
    in_channels : int
    network : str
        One of `NETWORKS`.

    Raises
    ------
    UnknownNameError
        When there is no such network.
    """
    if network not in NETWORKS:
        raise UnknownNameError("semantic network", network, NETWORKS)
    whole = NETWORKS[network](num_classes=1 + num_classes + MORE, in_channels=in_channels)
    return Watershed(whole, num_classes)
