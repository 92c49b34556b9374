"""Define what an estimator asks of a method on arrays, beside scikit-learn's contract."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ParameterError, UnknownNameError
from sightline.models.device import check
from sightline.types import Neighbours

CPU: Mapping[str, Any] = {"device": "cpu", "devices": 1, "precision": None}


class Method:
    """Base class of methods on arrays: default answers that suit most of them.

    A method has ``fit(X, y)``, ``predict``, ``predict_proba`` and ``score``; the parameters of its
    ``__init__`` are its knobs, and attributes that end in ``_`` are what it has learned. Whatever
    else may be asked of it stands here with its default.

    Attributes
    ----------
    takes : frozenset of str
        What its ``fit`` takes besides X and y: ``X_val`` (and ``y_val``), ``progress``, ``budget``
        in seconds, ``folder`` and ``resume`` (it keeps checkpoints), ``on_epoch`` (it is called
        with a row of the history after each epoch).
    elsewhere : bool
        Whether it was trained elsewhere: its ``fit`` learns nothing.
    floor : bool
        Whether it looks at no image, and is what others are measured against.
    seeded : bool
        Whether its ``__init__`` takes a ``seed``.
    history_ : sequence of mapping
        One row an epoch, where it has epochs.
    remarks : sequence of str
        What the reader should know of the training, in words.
    decided : mapping
        Knobs that the training has set itself, such as the epochs of a budget.
    calibration : mapping
        The temperature that was fitted on validation images, and what it does; see
        `sightline.metrics.calibration.Calibration`. Empty: none was.
    published : mapping
        What published weights brought along: name, licence, figures, classes.
    used : mapping
        What it was computed on: ``device`` (``"cpu"`` or the name of the graphics processor),
        ``devices`` (how many) and ``precision`` (of networks).
    class_names : sequence of str
        Of a method that was trained elsewhere: what it answers with, in its order; empty: it does
        not say.
    mend : str
        What to do where the data has other classes than it.
    at_once : int
        Images that it should be asked about at once when it is deployed; 0: any number.
    training_images : array, shape (n, d), optional
        The training images that it compares with, a row each, in the order of its neighbours.
    """

    takes: ClassVar[frozenset[str]] = frozenset()
    elsewhere: ClassVar[bool] = False
    floor: ClassVar[bool] = False
    seeded: ClassVar[bool] = False
    classes_: NDArray[np.int64]
    history_: Sequence[Mapping[str, Any]] = ()
    remarks: Sequence[str] = ()
    decided: Mapping[str, Any] = {}
    calibration: Mapping[str, Any] = {}
    published: Mapping[str, Any] = {}
    used: Mapping[str, Any] = CPU
    class_names: Sequence[str] = ()
    mend: str = ""
    fit: Callable[..., Any]
    """Learn from X and y; `takes` says what else may be given."""

    _estimator_type: ClassVar[str] = "classifier"
    """What scikit-learn before 1.6 asks, to split by class."""

    @classmethod
    def _knobs(cls) -> list[str]:
        """Return the names of the knobs: the parameters of ``__init__``."""
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        own = list(inspect.signature(cls).parameters.values())
        return [parameter.name for parameter in own if parameter.kind in kinds]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the knobs with their values, as scikit-learn asks.

        Parameters
        ----------
        deep : bool
            Not looked at: no knob is an estimator.
        """
        return {name: getattr(self, name) for name in self._knobs()}

    def set_params(self, **params: Any) -> Self:
        """Change knobs, as scikit-learn asks.

        Raises
        ------
        UnknownNameError
            When there is no such knob.
        """
        known = self._knobs()
        for name in params:
            if name not in known:
                raise UnknownNameError(f"parameter of {type(self).__name__}", name, known)
        if params:
            type(self).__init__(self, **(self.get_params() | params))
        return self

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn from 1.6 on asks; only it calls this, so it is loaded then."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(three_d_array=True),
        )

    def __repr__(self) -> str:
        knobs = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({knobs})"

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return the label of each image, shape (M,)."""
        raise NotImplementedError

    def predict_proba(self, X: Any) -> NDArray[np.floating]:
        """Return the probabilities of each image, shape (M, C), in the order of ``classes_``."""
        raise NotImplementedError

    def decide(self, X: Any) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
        """Return labels, shape (M,), and probabilities, shape (M, C), from one computation."""
        return self.predict(X), self.predict_proba(X)

    def decide_with_neighbours(
        self, X: Any
    ) -> tuple[NDArray[np.int64], NDArray[np.floating], list[Neighbours]] | None:
        """Return what `decide` does, and the training images behind it; None without comparison."""
        return None

    def numbers(self, classes: Sequence[str]) -> NDArray[np.int64] | None:
        """Return its number of each class of other data, -1 for none; None: names say it."""
        return None

    @property
    def training_images(self) -> NDArray[Any] | None:
        """Return the training images that the method compares with; None where it keeps none."""
        return None

    @property
    def at_once(self) -> int:
        """Return how many images to ask about at once; 0: any number."""
        return 0

    @classmethod
    def usable(cls, options: Mapping[str, Any], images: int) -> bool:
        """Tell whether a setting can be fitted on so many images."""
        return True

    def compute_on(self, device: str) -> None:
        """Answer on a device from now on, as `sightline.models.device` names it.

        Raises
        ------
        ParameterError
            When the machine lacks it, or the method computes on the processor alone.
        """
        if check(device) not in ("auto", "cpu"):
            raise ParameterError(
                f"device={device}: this method computes on the processor alone; networks and knn "
                "take a device"
            )

    def require(self) -> None:
        """Refuse a method that lacks what it needs from outside, such as a file.

        Raises
        ------
        SightlineError
        """

    @property
    def parameters(self) -> int:
        """Return how many numbers the method keeps."""
        return sum(int(array.size) for array in self.arrays().values())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the learned arrays: those whose names end in an underscore."""
        return {
            name: value
            for name, value in vars(self).items()
            if name.endswith("_") and not name.startswith("_") and isinstance(value, np.ndarray)
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `arrays` gave."""
        for name, array in arrays.items():
            setattr(self, name, array)
