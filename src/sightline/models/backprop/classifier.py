"""Make a `Network` a classifier on arrays, with scikit-learn's contract."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError, NotFittedError, ParameterError
from sightline.metrics.calibration import calibrate
from sightline.models.backprop.layers import Layer, Shape
from sightline.models.backprop.losses import Loss, SoftmaxCrossEntropy
from sightline.models.backprop.network import Network
from sightline.models.backprop.training import (
    Examples,
    Plan,
    affordable,
    outputs,
    train,
)
from sightline.models.method import Method
from sightline.types import Progress

Array = NDArray[Any]
Flip = Literal["auto", "on", "off"]
Gradient = Literal["backprop", "numeric"]
Precision = Literal["float32", "float64"]


class NetworkClassifier(Method):
    """Base class of the NumPy networks, with scikit-learn's contract; a subclass gives the layers.

    Attributes
    ----------
    classes_ : int64 array, shape (C,)
    image_shape_ : int64 array
        Of one image.
    layerK_NAME_ : array
        Parameters and running statistics of layer K.
    temperature_ : float64 array, shape ()
        What scores are divided by, so that probabilities are true; see `metrics.calibration`.
    history_ : list of dict
        See `training.Trained`.
    remarks : list of str
        What was noticed in training, in words.
    decided : dict
        Knobs that the training has set itself: the epochs of a budget.
    """

    takes = frozenset({"X_val", "progress", "budget"})
    seeded = True
    temperature_ = np.array(1.0)
    classes_: NDArray[np.int64]
    image_shape_: NDArray[np.int64]
    precision: Precision
    epochs: int
    gradient: Gradient
    flip: Flip
    seed: int

    def _layers(self, shape: Shape, classes: int) -> list[Layer]:
        raise NotImplementedError

    def plan(self, shape: Shape) -> Plan:
        """Return how to train on images of a shape."""
        raise NotImplementedError

    def make_loss(self) -> Loss:
        """Return a new instance of the loss."""
        return SoftmaxCrossEntropy()

    def _start(self) -> None:
        """Set the attributes that need no data, and check the knobs."""
        self._restored: Network | None = None
        self.plan((1,)).check()
        if self.precision not in ("float32", "float64"):
            raise ParameterError(f"precision must be float32 or float64, not {self.precision!r}")
        if self.flip not in ("auto", "on", "off"):
            raise ParameterError(f"flip must be auto, on or off, not {self.flip!r}")

    def fit(
        self, X: Array, y: Array, *, X_val: Array | None = None, y_val: Array | None = None,
        progress: Progress | None = None, budget: float | None = None,
    ) -> Self:  # fmt: skip
        """Train the network on images.

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
        budget : float, optional
            Seconds at most: lowers the epochs to fit.

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
        plan, data = self.plan(X.shape[1:]), Examples(X, ids)
        self.decided = {}
        if budget is not None:
            with one_thread():
                epochs = affordable(network, self.make_loss(), plan, data, val, budget)
            self.epochs, plan = epochs, replace(plan, epochs=epochs)
            self.decided = {"epochs": epochs}
        with one_thread():
            trained = train(network, self.make_loss(), plan, data, val, progress)
        self.history_, self.remarks = trained.history, trained.remarks
        for name, array in network.arrays().items():
            setattr(self, f"{name}_", array)
        self.temperature_, self.calibration = np.array(1.0), {}
        if val is not None and isinstance(self.make_loss(), SoftmaxCrossEntropy):
            with one_thread():
                fitted = calibrate(outputs(network, val.X)[None], val.y)
            if fitted is not None:
                self.temperature_ = np.array(fitted.temperature)
                self.calibration = fitted.plain()
        return self

    def predict_proba(self, X: Array) -> Array:
        """Return the probabilities of `classes_`, shape (m, C).

        Raises
        ------
        NotFittedError
        DataError
            When images are not of the shape fitted on, or not finite.
        """
        network = self.network()
        X = self._images(X, "the")
        with one_thread():
            scores = outputs(network, X)
            # As the network computes: a temperature of 1 leaves every bit as it is.
            return self.make_loss().probabilities(scores / scores.dtype.type(self.temperature_))

    def decide(self, X: Array) -> tuple[NDArray[np.int64], Array]:
        """Return class ids, shape (m,), and probabilities, shape (m, C)."""
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(1)], np.int64), probabilities

    def predict(self, X: Array) -> NDArray[np.int64]:
        """Return the class id of each image, shape (m,)."""
        return self.decide(X)[0]

    def score(self, X: Array, y: NDArray[np.int64]) -> float:
        """Return the accuracy, in [0, 1]."""
        return float((self.predict(X) == y).mean())

    def network(self) -> Network:
        """Return the network, built anew from knobs and learned arrays after loading.

        Raises
        ------
        NotFittedError
        """
        if not hasattr(self, "classes_"):
            raise NotFittedError("the classifier is not fitted; call fit before predict")
        if self._restored is None:
            shape = tuple(int(side) for side in self.image_shape_)
            network = self.build(shape, len(self.classes_))
            network.restore({n: getattr(self, f"{n}_") for n in network.arrays()})
            self._restored = network
        return self._restored

    @property
    def _dtype(self) -> type[np.floating[Any]]:
        # in float32, rounding would be larger than the differences of numeric differentiation
        wide = self.precision == "float64" or self.gradient == "numeric"
        return np.float64 if wide else np.float32

    def build(self, shape: Shape, classes: int) -> Network:
        """Build the network for images of a shape, with first weights.

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
            raise DataError(f"{which}: labels must be whole class ids, not {y.dtype}")
        return self._floats(X, which), y.astype(np.int64)

    def _validation(self, X: Array, y: Array) -> Examples:
        """Return the validation images of classes that training has; others cannot be right."""
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
            raise DataError(f"{which} images must be numbers (N, H, W, C), not {X.dtype} {X.shape}")
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


def one_thread() -> AbstractContextManager[Any]:
    """Multiply matrices on one core, so that results do not depend on how many there are.

    Products of this size gain little from a second core, and lose a factor of ten where
    another program uses it: the threads of a product wait for each other.
    """
    from threadpoolctl import threadpool_limits

    return cast(AbstractContextManager[Any], threadpool_limits(1, user_api="blas"))


def sizes_of(name: str, sizes: Sequence[int]) -> Sequence[int]:
    """Return sizes as they were given, as scikit-learn's clone asks; each is a whole number from 1.

    Raises
    ------
    ParameterError
        When one is not.
    """
    if isinstance(sizes, str) or not isinstance(sizes, Sequence):
        raise ParameterError(f"{name} are sizes such as (512, 256), not {sizes!r}")
    if any(isinstance(s, bool) or not isinstance(s, int) or s < 1 for s in sizes):
        raise ParameterError(f"{name} must have sizes of at least 1, not {tuple(sizes)}")
    return sizes
