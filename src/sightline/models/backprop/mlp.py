"""Define a multi-layer perceptron in NumPy."""

from __future__ import annotations

from typing import Literal

from sightline.errors import ParameterError
from sightline.models.backprop.activations import ACTIVATIONS, Softmax
from sightline.models.backprop.classifier import (
    Flip,
    Gradient,
    NetworkClassifier,
    Precision,
    sizes_of,
)
from sightline.models.backprop.dropout import Dropout
from sightline.models.backprop.initializers import INITIALIZERS
from sightline.models.backprop.layers import Affine, Flatten, Layer, Shape
from sightline.models.backprop.losses import Loss, MeanSquaredError, SoftmaxCrossEntropy
from sightline.models.backprop.normalization import BatchNorm
from sightline.models.backprop.training import Plan, Rule, Schedule

Activation = Literal["relu", "leaky-relu", "elu", "tanh", "sigmoid"]


class MLPClassifier(NetworkClassifier):
    """A multi-layer perceptron: affine layers with a non-linearity between, in NumPy.

    Parameters
    ----------
    hidden : tuple of int
        Units of each hidden layer; repeat the option for more layers.
    activation : {"relu", "leaky-relu", "elu", "tanh", "sigmoid"}
        Between the layers.
    batch_norm : bool
        Normalise each hidden unit over the batch.
    dropout : float
        Share of hidden units that is silenced at random in training.
    initializer : {"auto", "he", "xavier"}
        Size of the first weights; auto: xavier for tanh and sigmoid, else he.
    loss : {"cross-entropy", "squared"}
        What is minimised: softmax cross-entropy, or squared error after a softmax.
    optimizer : {"sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"}
        Rule that turns a gradient into a step.
    learning_rate : float
        Size of the steps; 0 takes the rule's usual one.
    schedule : {"cosine", "step", "constant"}
        How the learning rate falls.
    epochs : int
        Passes over the training images.
    batch_size : int
        Images a step; 0: 128, fewer where the images are few.
    l1 : float
        Strength of the penalty on absolute weights.
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
    Rumelhart, Hinton & Williams, Learning representations by back-propagating errors, 1986.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    >>> xor = MLPClassifier(hidden=(8,), activation="tanh", epochs=300, learning_rate=0.02)
    >>> xor.fit(X, np.array([0, 1, 1, 0])).predict(X).tolist()
    [0, 1, 1, 0]
    """

    def __init__(
        self, *, hidden: tuple[int, ...] = (512, 256), activation: Activation = "relu",
        batch_norm: bool = False, dropout: float = 0.2,
        initializer: Literal["auto", "he", "xavier"] = "auto",
        loss: Literal["cross-entropy", "squared"] = "cross-entropy",
        optimizer: Rule = "adam", learning_rate: float = 0.0, schedule: Schedule = "cosine",
        epochs: int = 12, batch_size: int = 0, l1: float = 0.0, l2: float = 0.0,
        patience: int = 0, flip: Flip = "auto", gradient: Gradient = "backprop",
        precision: Precision = "float32", seed: int = 0,
    ) -> None:  # fmt: skip
        self.hidden, self.activation, self.batch_norm = (
            sizes_of("hidden", hidden),
            activation,
            batch_norm,
        )
        self.dropout, self.initializer, self.loss = dropout, initializer, loss
        self.optimizer, self.learning_rate, self.schedule = optimizer, learning_rate, schedule
        self.epochs, self.batch_size, self.l1, self.l2 = epochs, batch_size, l1, l2
        self.patience, self.flip, self.gradient = patience, flip, gradient
        self.precision, self.seed = precision, seed
        if activation not in ACTIVATIONS:
            raise ParameterError(f"activation must be one of {', '.join(ACTIVATIONS)}")
        if initializer != "auto" and initializer not in INITIALIZERS:
            raise ParameterError(f"initializer must be auto, {' or '.join(INITIALIZERS)}")
        if loss not in ("cross-entropy", "squared"):
            raise ParameterError(f"loss must be cross-entropy or squared, not {loss!r}")
        Dropout(dropout)  # refuses a wrong rate
        self._start()

    def _layers(self, shape: Shape, classes: int) -> list[Layer]:
        smooth = self.activation in ("tanh", "sigmoid")
        chosen = ("xavier" if smooth else "he") if self.initializer == "auto" else self.initializer
        first = INITIALIZERS[chosen]
        layers: list[Layer] = [Flatten()]
        for units in self.hidden:
            layers.append(Affine(units, bias=not self.batch_norm, initializer=first))
            layers += [BatchNorm()] if self.batch_norm else []
            layers.append(ACTIVATIONS[self.activation]())
            layers += [Dropout(self.dropout)] if self.dropout else []
        layers.append(Affine(classes, initializer=first))
        return [*layers, Softmax()] if self.loss == "squared" else layers

    def make_loss(self) -> Loss:
        """Return softmax cross-entropy, or the squared error."""
        return MeanSquaredError() if self.loss == "squared" else SoftmaxCrossEntropy()

    def plan(self, shape: Shape) -> Plan:
        """Return how to train on images of a shape."""
        return Plan(
            self.epochs, self.batch_size, 128, self.optimizer, self.learning_rate, self.schedule,
            self.l1, self.l2, self.patience, self._flips(shape), self.gradient, self.seed,
        )  # fmt: skip
