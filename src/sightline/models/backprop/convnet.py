"""Define a small convolutional network in NumPy."""

from __future__ import annotations

from sightline.errors import DataError, ParameterError
from sightline.models.backprop.activations import ACTIVATIONS
from sightline.models.backprop.classifier import (
    Flip,
    Gradient,
    NetworkClassifier,
    Precision,
    sizes_of,
)
from sightline.models.backprop.convolution import Conv2d
from sightline.models.backprop.dropout import Dropout
from sightline.models.backprop.layers import Affine, Flatten, Layer, Shape
from sightline.models.backprop.normalization import BatchNorm
from sightline.models.backprop.pooling import MaxPool2d
from sightline.models.backprop.training import Plan, Rule, Schedule


class ConvNetClassifier(NetworkClassifier):
    """A small convolutional network in NumPy.

    Blocks of convolution 3x3, max pooling 2x2, batch normalisation and ReLU, then one
    hidden affine layer. Pooling stands before normalisation and ReLU, which changes little
    in what is learned (ReLU is monotone) and leaves them a quarter of the pixels.

    Parameters
    ----------
    channels : tuple of int
        Filters of each block; repeat the option for more blocks.
    hidden : int
        Units of the affine layer before the last; 0: none.
    dropout : float
        Share of inputs of the last layer that is silenced at random in training.
    optimizer : {"sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"}
        Rule that turns a gradient into a step.
    learning_rate : float
        Size of the steps; 0 takes the rule's usual one.
    schedule : {"cosine", "step", "constant"}
        How the learning rate falls.
    epochs : int
        Passes over the training images.
    batch_size : int
        Images a step; 0: 64, fewer where the images are few.
    l2 : float
        Strength of the penalty on squared weights; with adamw, of the weight decay.
    patience : int
        Stop when the validation loss has not improved for so many epochs, and keep the
        best weights; 0: never.
    flip : {"auto", "on", "off"}
        Mirror images at random in training; auto: colour images only.
    gradient : {"backprop", "numeric"}
        By backpropagation, or by central differences (float64; for tiny networks).
    precision : {"float32", "float64"}
        Of the arithmetic.
    seed : int
        Of first weights, shuffling, dropout and mirroring.

    References
    ----------
    LeCun, Bottou, Bengio & Haffner, Gradient-based learning applied to document
    recognition, 1998.
    """

    def __init__(
        self, *, channels: tuple[int, ...] = (32, 64), hidden: int = 128, dropout: float = 0.3,
        optimizer: Rule = "adam", learning_rate: float = 0.0, schedule: Schedule = "cosine",
        epochs: int = 6, batch_size: int = 0, l2: float = 0.0, patience: int = 0,
        flip: Flip = "auto", gradient: Gradient = "backprop", precision: Precision = "float32",
        seed: int = 0,
    ) -> None:  # fmt: skip
        self.channels, self.hidden, self.dropout = sizes_of("channels", channels), hidden, dropout
        self.optimizer, self.learning_rate, self.schedule = optimizer, learning_rate, schedule
        self.epochs, self.batch_size, self.l2 = epochs, batch_size, l2
        self.patience, self.flip, self.gradient = patience, flip, gradient
        self.precision, self.seed = precision, seed
        if hidden < 0:
            raise ParameterError(f"hidden must be 0 or more, not {hidden}")
        Dropout(dropout)  # refuses a wrong rate
        self._start()

    def _layers(self, shape: Shape, classes: int) -> list[Layer]:
        if len(shape) != 3:
            raise DataError(f"a convolutional network needs images (H, W, C), not shape {shape}")
        layers: list[Layer] = []
        side = min(shape[:2])
        for filters in self.channels:
            layers.append(Conv2d(filters, 3, padding=1, bias=False))
            if side >= 2:
                layers.append(MaxPool2d(2))
                side //= 2
            layers += [BatchNorm(), ACTIVATIONS["relu"]()]
        layers.append(Flatten())
        if self.hidden:
            layers += [Affine(self.hidden), ACTIVATIONS["relu"]()]
        layers += [Dropout(self.dropout)] if self.dropout else []
        return [*layers, Affine(classes)]

    def plan(self, shape: Shape) -> Plan:
        """Return how to train on images of a shape."""
        return Plan(
            self.epochs, self.batch_size, 64, self.optimizer, self.learning_rate, self.schedule,
            0.0, self.l2, self.patience, self._flips(shape), self.gradient, self.seed,
        )  # fmt: skip
