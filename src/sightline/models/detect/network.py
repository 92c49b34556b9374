"""Define what detectors that score many boxes at once share: losses in training, answers after.

SSD, the localiser and YOLO differ in what they say of an image and in what teaches them. What comes
then is the same: of all candidate boxes, those above a score are answers, but for the worse ones of
boxes of a class that overlap.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from sightline.errors import ParameterError
from sightline.models.detect.answers import Answering, kept_of_each

Targets = Sequence[Mapping[str, Tensor]]
"""Of each image ``boxes``, float (G, 4), xyxy in its pixels, and ``labels``, int64 (G,), from 0."""


class DetectionModule(nn.Module, ABC):
    """A network that scores candidate boxes of a batch of images.

    Parameters
    ----------
    answering : Answering
    """

    answering: Answering

    def __init__(self, answering: Answering) -> None:
        super().__init__()
        self.answering = answering

    def forward(
        self, images: Tensor, targets: Targets | None = None
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """Compute the losses in training, answers in evaluation.

        Parameters
        ----------
        images : float Tensor, shape (N, C, H, W)
            Standardised.
        targets : sequence of mappings, optional
            One an image, perhaps without an object; needed in training.

        Returns
        -------
        dict of str to Tensor, shape ()
            In training: the parts of the loss, to be added up.
        list of dict of str to Tensor
            In evaluation, of each image: ``boxes`` (K, 4), xyxy in its pixels, ``scores`` (K,),
            falling, and ``labels`` (K,), from 0.

        Raises
        ------
        ParameterError
            When targets are missing in training, or are not one for each image.
        """
        if not self.training:
            return self.answers(self.outputs(images))
        return self.losses(self.outputs(images), for_each(images, targets))

    @abstractmethod
    def outputs(self, images: Tensor) -> Any:
        """Compute what the network says of images, shape (N, C, H, W), before any box is made."""

    @abstractmethod
    def losses(self, said: Any, targets: Targets) -> dict[str, Tensor]:
        """Compute the parts of the loss of what the network says; see `forward`."""

    @abstractmethod
    def candidates(self, said: Any) -> tuple[Tensor, Tensor]:
        """Compute boxes (N, A, 4), xyxy in pixels, and their scores (N, A, C).

        Boxes are (N, A, C, 4) where there is one for each class.
        """

    def answers(self, said: Any) -> list[dict[str, Tensor]]:
        """Choose answers among the candidates of each image; see `forward`.

        Parameters
        ----------
        said : Outputs
        """
        boxes, scores = self.candidates(said)
        return kept_of_each(boxes, scores, self.answering)


class OnBackbone(nn.Module):
    """A network whose ``backbone`` says what it takes over from a classifier."""

    backbone: Any

    def from_classifier(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return what a classifier's state dict has for this network, by its names here.

        Parameters
        ----------
        state : mapping of str to Tensor
            Of the network that the backbone is taken from.
        """
        given = self.backbone.from_classifier(state)
        return {f"backbone.{key}": tensor for key, tensor in given.items()}


def for_each(images: Tensor, targets: Targets | None) -> Targets:
    """Return targets that are one for each image.

    Raises
    ------
    ParameterError
        When they are not.
    """
    if targets is None or len(targets) != len(images):
        raise ParameterError(
            "targets must be one for each image in training: "
            f"{len(images)} images, {'none' if targets is None else len(targets)} given"
        )
    return targets
