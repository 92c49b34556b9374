"""The two networks as classifiers on arrays: a perceptron of many layers and a conv net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError, NotFittedError, ParameterError
from sightline.models.backprop.activations import ACTIVATIONS, Softmax
from sightline.models.backprop.convolution import Conv2d
from sightline.models.backprop.dropout import Dropout
from sightline.models.backprop.initializers import INITIALIZERS
from sightline.models.backprop.layers import Affine, Flatten, Layer, Shape
from sightline.models.backprop.losses import Loss, MeanSquaredError, SoftmaxCrossEntropy
from sightline.models.backprop.network import Network
from sightline.models.backprop.normalization import BatchNorm
from sightline.models.backprop.pooling import MaxPool2d
from sightline.models.backprop.training import (
    Examples,
    Progress,
    Recipe,
    Rule,
    Schedule,
    Trained,
    outputs,
    train,
)

Array = NDArray[Any]
Activation = Literal["relu", "leaky-relu", "elu", "tanh", "sigmoid"]
Flip = Literal["auto", "on", "off"]
Gradient = Literal["backprop", "numeric"]
Precision = Literal["float32", "float64"]


class NetworkClassifier:
    """Base: scikit-learn's contract around a `Network`; a subclass says which layers.

    Attributes
    ----------
    classes_ : int64 array, shape (C,)
    image_shape_ : int64 array
        Of one image.
    layerK_NAME_ : array
        Parameters and running figures of layer K.
    history_ : list of dict
        See `training.Trained`.
    remarks : list of str
        What was noticed in training, in words.
    """

    classes_: NDArray[np.int64]
    image_shape_: NDArray[np.int64]
    precision: Precision
    gradient: Gradient
    flip: Flip
    seed: int

    def _layers(self, shape: Shape, classes: int) -> list[Layer]:
        raise NotImplementedError

    def recipe(self, shape: Shape) -> Recipe:
        """How it is trained on images of a shape."""
        raise NotImplementedError

    def make_loss(self) -> Loss:
        """Give a new instance of the loss that it is trained by."""
        return SoftmaxCrossEntropy()

    def _start(self) -> None:
        """Make what is known before any data, and check the knobs."""
        self._trained = Trained()
        self._restored: Network | None = None
        self.recipe((1,)).check()
        if self.precision not in ("float32", "float64"):
            raise ParameterError(f"precision is float32 or float64, not {self.precision!r}")
        if self.flip not in ("auto", "on", "off"):
            raise ParameterError(f"flip is auto, on or off, not {self.flip!r}")

    @property
    def history_(self) -> list[dict[str, Any]]:
        """One row an epoch; empty before `fit` and after loading."""
        return self._trained.history

    @property
    def remarks(self) -> list[str]:
        """What was noticed in training, in words."""
        return self._trained.remarks

    def fit(
        self, X: Array, y: Array, *, X_val: Array | None = None, y_val: Array | None = None,
        progress: Progress | None = None,
    ) -> Self:  # fmt: skip
        """Train.

        Parameters
        ----------
        X : array, shape (N, H, W, C), or (N, D) for a perceptron
            Floats of about unit size; uint8 is divided by 255.
        y : int array, shape (N,)
            Class ids.
        X_val, y_val : arrays, optional
            Watched for overfitting, and by early stopping.
        progress : callable, optional
            Called with (images seen, images to be seen).

        Raises
        ------
        DataError
            When values are missing or infinite, shapes do not go together, labels are no
            integers, or there is only one class.
        TrainingError
            When the first epoch diverges.
        """
        X, y = self._examples(X, y, "training")
        self.classes_, ids = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise DataError(f"all labels are {self.classes_[0]}: telling classes apart needs two")
        self.image_shape_ = np.array(X.shape[1:], np.int64)
        val = None
        if X_val is not None and y_val is not None and len(X_val):
            val = self._validation(X_val, y_val)
        self._restored = network = self.build(X.shape[1:], len(self.classes_))
        recipe = self.recipe(X.shape[1:])
        self._trained = train(network, self.make_loss(), recipe, Examples(X, ids), val, progress)
        for name, array in network.arrays().items():
            setattr(self, f"{name}_", array)
        return self

    def predict_proba(self, X: Array) -> Array:
        """Probabilities of `classes_`, shape (m, C).

        Raises
        ------
        NotFittedError
        DataError
            When images are not of the shape fitted on, or not finite.
        """
        network = self.network()
        X = self._images(X, "the")
        return self.make_loss().probabilities(outputs(network, X))

    def decide(self, X: Array) -> tuple[NDArray[np.int64], Array]:
        """Decided class ids, shape (m,), and probabilities, shape (m, C)."""
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(1)], np.int64), probabilities

    def predict(self, X: Array) -> NDArray[np.int64]:
        """Decided class ids, shape (m,)."""
        return self.decide(X)[0]

    def score(self, X: Array, y: NDArray[np.int64]) -> float:
        """Accuracy in [0, 1]."""
        return float((self.predict(X) == y).mean())

    def network(self) -> Network:
        """Give the network, built anew from knobs and learned arrays after loading.

        Raises
        ------
        NotFittedError
        """
        if not hasattr(self, "classes_"):
            raise NotFittedError("fit the classifier before it predicts")
        if self._restored is None:
            shape = tuple(int(side) for side in self.image_shape_)
            network = self.build(shape, len(self.classes_))
            network.restore({n: getattr(self, f"{n}_") for n in network.arrays()})
            self._restored = network
        return self._restored

    @property
    def _dtype(self) -> type[np.floating[Any]]:
        # float32 would drown the differences of numeric differentiation in rounding
        wide = self.precision == "float64" or self.gradient == "numeric"
        return np.float64 if wide else np.float32

    def build(self, shape: Shape, classes: int) -> Network:
        """Make the network for images of a shape, with first weights.

        Raises
        ------
        DataError
            When it cannot take such images.
        """
        layers = self._layers(shape, classes)
        return Network(layers, shape, seed=self.seed, dtype=self._dtype)

    def _flips(self, shape: Shape) -> bool:
        if self.flip == "on" and len(shape) not in (1, 3):
            raise DataError(f"only images (H, W, C) can be mirrored, not shape {shape}")
        return self.flip == "on" or (self.flip == "auto" and len(shape) == 3 and shape[2] == 3)

    def _examples(self, X: Array, y: Array, which: str) -> tuple[Array, NDArray[np.int64]]:
        y = np.asarray(y)
        if len(X) == 0:
            raise DataError(f"the {which} set is empty")
        if y.shape != (len(X),):
            raise DataError(f"{which}: {len(X)} images, but labels of shape {y.shape}")
        if y.dtype.kind not in "iu":
            raise DataError(f"{which}: labels are whole class ids, not {y.dtype}")
        return self._floats(X, which), y.astype(np.int64)

    def _validation(self, X: Array, y: Array) -> Examples:
        """Validation images of the classes that training has; others cannot be right."""
        X, y = self._images(X, "validation"), np.asarray(y)
        X, y = self._examples(X, y, "validation")
        known = np.isin(y, self.classes_)
        return Examples(X[known], np.searchsorted(self.classes_, y[known]))

    def _images(self, X: Array, which: str) -> Array:
        X = np.asarray(X)
        fitted = tuple(int(side) for side in self.image_shape_)
        if X.shape[1:] != fitted:
            raise DataError(f"fitted on images of shape {fitted}, {which} ones have {X.shape[1:]}")
        return self._floats(X, which)

    def _floats(self, X: Array, which: str) -> Array:
        X = np.asarray(X)
        if X.ndim < 2 or X.dtype.kind not in "fuib":
            raise DataError(f"{which} images are numbers (N, H, W, C), not {X.dtype} {X.shape}")
        if X.dtype == np.uint8:
            return np.asarray(X.astype(self._dtype) / self._dtype(255))
        if X.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                finite = np.isfinite(X.reshape(len(X), -1).sum(1, dtype=np.float64))
            if not finite.all():
                raise DataError(
                    f"{which} image {int(finite.argmin())} holds NaN or infinite values "
                    f"({int((~finite).sum())} such images); mend or drop them"
                )
        return X.astype(self._dtype, copy=False)


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
            _sizes("hidden", hidden),
            activation,
            batch_norm,
        )
        self.dropout, self.initializer, self.loss = dropout, initializer, loss
        self.optimizer, self.learning_rate, self.schedule = optimizer, learning_rate, schedule
        self.epochs, self.batch_size, self.l1, self.l2 = epochs, batch_size, l1, l2
        self.patience, self.flip, self.gradient = patience, flip, gradient
        self.precision, self.seed = precision, seed
        if activation not in ACTIVATIONS:
            raise ParameterError(f"activation is one of {', '.join(ACTIVATIONS)}")
        if initializer != "auto" and initializer not in INITIALIZERS:
            raise ParameterError(f"initializer is auto, {' or '.join(INITIALIZERS)}")
        if loss not in ("cross-entropy", "squared"):
            raise ParameterError(f"loss is cross-entropy or squared, not {loss!r}")
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
        """Softmax cross-entropy, or the squared error."""
        return MeanSquaredError() if self.loss == "squared" else SoftmaxCrossEntropy()

    def recipe(self, shape: Shape) -> Recipe:
        """How it is trained on images of a shape."""
        return Recipe(
            self.epochs, self.batch_size, 128, self.optimizer, self.learning_rate, self.schedule,
            self.l1, self.l2, self.patience, self._flips(shape), self.gradient, self.seed,
        )  # fmt: skip


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
        self.channels, self.hidden, self.dropout = _sizes("channels", channels), hidden, dropout
        self.optimizer, self.learning_rate, self.schedule = optimizer, learning_rate, schedule
        self.epochs, self.batch_size, self.l2 = epochs, batch_size, l2
        self.patience, self.flip, self.gradient = patience, flip, gradient
        self.precision, self.seed = precision, seed
        if hidden < 0:
            raise ParameterError(f"hidden is 0 or more, not {hidden}")
        Dropout(dropout)  # refuses a wrong rate
        self._start()

    def _layers(self, shape: Shape, classes: int) -> list[Layer]:
        if len(shape) != 3:
            raise DataError(f"a convolutional network sees images (H, W, C), not shape {shape}")
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

    def recipe(self, shape: Shape) -> Recipe:
        """How it is trained on images of a shape."""
        return Recipe(
            self.epochs, self.batch_size, 64, self.optimizer, self.learning_rate, self.schedule,
            0.0, self.l2, self.patience, self._flips(shape), self.gradient, self.seed,
        )  # fmt: skip


def _sizes(name: str, sizes: Sequence[int]) -> tuple[int, ...]:
    """Sizes as a tuple (JSON gives a list)."""
    found = tuple(int(s) for s in sizes)
    if any(s < 1 for s in found):
        raise ParameterError(f"{name}: every size is at least 1, not {found}")
    return found
