"""Hold somebody else's exported classifier against the methods here: ``onnx:FILE``.

Such a file is a network from an image to one number a class, logits or probabilities, run by ONNX
Runtime. What it does not say of itself, options say: after the file's name, parted by commas
(``onnx:pets.onnx,pixels=unit,classes=names.txt``), or as the method's knobs.
"""

from __future__ import annotations

import ast
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from sightline.data import text
from sightline.errors import DataError, MissingExtraError, ParameterError, UnknownNameError
from sightline.models.card import ModelCard
from sightline.models.method import Method
from sightline.types import Task

Pixels = Literal["imagenet", "unit", "signed", "bytes"]
Order = Literal["auto", "nchw", "nhwc"]

_MEAN, _STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
_BATCH = 64
_KNOBS = ("pixels", "order", "classes", "output_name")


class OnnxClassifier(Method):
    """Answer with an exported classifier, as it is: nothing is trained.

    Parameters
    ----------
    path : str
        Of the ``.onnx`` file.
    pixels : {"imagenet", "unit", "signed", "bytes"}
        Numbers that a float input takes: [0, 1] less ImageNet's mean over its deviation, as
        networks of torchvision and timm do; [0, 1]; [-1, 1]; or 0 to 255. An input of bytes takes
        bytes.
    order : {"auto", "nchw", "nhwc"}
        Whether channels come before height and width; auto: by where the input has 1 or 3.
    classes : str
        File of the class names, one a line, in the order of the outputs; default: what the file
        says of itself, else the data's own order.
    output_name : str
        Of the output with one number a class; default: the first that fits.

    Attributes
    ----------
    file_ : uint8 array, shape (bytes,)
        The file, with weights that lay beside it.
    names_ : uint8 array, shape (bytes,)
        Class names in UTF-8, one a line; empty where none are known.
    classes_ : int64 array, shape (C,)
        Position of each output in the data's classes.
    """

    elsewhere = True
    file_: NDArray[np.uint8]
    names_: NDArray[np.uint8]

    def __init__(
        self,
        path: str = "",
        pixels: Pixels = "imagenet",
        order: Order = "auto",
        classes: str = "",
        output_name: str = "",
    ) -> None:
        for option, value, kind in (("pixels", pixels, Pixels), ("order", order, Order)):
            if value not in get_args(kind):
                raise UnknownNameError(option, value, get_args(kind))
        self.path, self.pixels, self.order = path, pixels, order
        self.classes, self.output_name = classes, output_name

    def require(self) -> None:
        """Refuse a file that cannot be run as a classifier.

        Raises
        ------
        DataError
            When there is no such file, it is damaged, or it is no classifier of square images.
        MissingExtraError
            When ONNX Runtime is not installed.
        """
        self._open()

    def fit(self, X: NDArray[np.uint8], y: NDArray[np.int64]) -> Self:
        """Check that the file takes such images and answers with as many classes.

        Parameters
        ----------
        X : uint8 array, shape (N, H, W, C)
        y : int64 array, shape (N,)
            Not learned from.

        Raises
        ------
        DataError
            When it does not.
        """
        self._open()
        if not hasattr(self, "classes_"):
            self.classes_ = np.arange(self._outputs)
        self.predict_proba(X[:1])
        said = "its own" if self.class_names else "taken in the data's order"
        kind = "logits" if self._logits else "probabilities"
        self.remarks = (
            f"{Path(self.path).name} was not trained here; it gives {kind}, its input is "
            f"{self._order} of {'bytes' if self._bytes else self.pixels}; class names: {said}",
        )
        return self

    def predict(self, X: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return the label of each image of X, shape (M, H, W, C): shape (M,)."""
        return self.decide(X)[0]

    def predict_proba(self, X: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities of each image, shape (M, C), in the order of the outputs.

        Raises
        ------
        DataError
            When the images are not what the file takes.
        """
        self._open()
        scores = self._run(X).astype(np.float64)
        if self._logits:
            scores = np.exp(scores - scores.max(1, keepdims=True))
        return np.asarray(scores / scores.sum(1, keepdims=True), np.float32)

    def decide(self, X: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return labels, shape (M,), and probabilities, shape (M, C)."""
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(1)], np.int64), probabilities

    def score(self, X: NDArray[np.uint8], y: NDArray[np.int64]) -> float:
        """Return the accuracy, in [0, 1]."""
        return float((self.predict(X) == y).mean())

    @property
    def parameters(self) -> int:
        """Return how many bytes the file has, as its weights may have any type."""
        return len(self.file_)

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `arrays` gave."""
        super().restore(arrays)
        self._open()

    def _open(self) -> None:
        """Open the file and find out what it takes and gives, once."""
        if hasattr(self, "_session"):
            return
        if not hasattr(self, "file_"):
            self.file_ = _read(Path(self.path))
        self._session = _session(self.file_.tobytes(), self.path)
        first = self._session.get_inputs()[0]
        if len(self._session.get_inputs()) > 1 or len(first.shape) != 4 or first.type not in _TYPES:
            raise DataError(
                f"{self.path} is no classifier of images: it takes "
                + ", ".join(f"{i.name} {i.type}{i.shape}" for i in self._session.get_inputs())
            )
        self._input, self._type = first.name, _TYPES[first.type]
        self._bytes = self._type == np.uint8
        self._order = self.order if self.order != "auto" else _order_of(first.shape, self.path)
        places = (2, 3) if self._order == "nchw" else (1, 2)
        self._channels = first.shape[1 if self._order == "nchw" else 3]
        self._batch = first.shape[0] if isinstance(first.shape[0], int) else 0
        fixed = [first.shape[i] for i in places if isinstance(first.shape[i], int)]
        if len(set(fixed)) > 1:
            raise DataError(f"{self.path} takes images of {fixed[1]} x {fixed[0]}; square ones can "
                            "be compared here")  # fmt: skip
        self._side = fixed[0] if fixed else 0
        side = self._side or 224
        noise = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
        if not hasattr(self, "names_"):
            self.names_ = np.frombuffer("\n".join(self._names()).encode(), np.uint8)
        self.class_names = tuple(filter(None, self.names_.tobytes().decode().split("\n")))
        self._output = self.output_name or self._first_output()
        scores = self._run(noise)
        self._outputs = scores.shape[1]
        if self.class_names and len(self.class_names) != self._outputs:
            raise DataError(
                f"{self.path} gives {self._outputs} numbers an image, but "
                f"{len(self.class_names)} class names are known"
            )
        self._logits = not ((scores >= 0).all() and np.allclose(scores.sum(1), 1, atol=1e-2))

    def _first_output(self) -> str:
        outputs = self._session.get_outputs()
        fitting = [o.name for o in outputs if len(o.shape) == 2 and "float" in o.type]
        if not fitting:
            raise DataError(
                f"{self.path} has no output with one number a class; it gives "
                + ", ".join(f"{o.name} {o.type}{o.shape}" for o in outputs)
            )
        return str(fitting[0])

    def _run(self, X: NDArray[np.uint8]) -> NDArray[Any]:
        if X.dtype != np.uint8 or X.ndim != 4:
            raise DataError(f"{self.path} takes images as bytes: use scale=none")
        if self._side and X.shape[1:3] != (self._side, self._side):
            raise DataError(
                f"{self.path} takes images of {self._side} pixels a side, not {X.shape[1:3]}: use "
                f"size={self._side}"
            )
        step = self._batch or _BATCH
        parts = []
        for start in range(0, len(X), step):
            part = X[start : start + step]
            if self._batch:  # a file that takes so many images and no fewer
                part = np.resize(part, (step, *X.shape[1:]))
            given = {self._input: self._prepared(part)}
            try:
                parts.append(self._session.run([self._output], given)[0])
            except Exception as error:  # noqa: BLE001 - the binding's kinds have no common name
                why = str(error).splitlines()[0]
                raise DataError(f"{self.path} cannot answer: {why}") from None
        return np.concatenate(parts)[: len(X)]

    def _prepared(self, X: NDArray[np.uint8]) -> NDArray[Any]:
        if self._channels == 3 and X.shape[3] == 1:
            X = np.repeat(X, 3, axis=3)
        elif self._channels == 1 and X.shape[3] == 3:
            X = (X @ np.array([0.299, 0.587, 0.114])).round().astype(np.uint8)[..., None]
        x: NDArray[Any] = X
        if not self._bytes:
            x = X.astype(np.float32)
            if self.pixels == "imagenet":
                mean, std = (_MEAN, _STD) if X.shape[3] == 3 else (_MEAN.mean(), _STD.mean())
                x = (x / 255 - mean) / std
            elif self.pixels != "bytes":
                x = x / 255 if self.pixels == "unit" else x / 127.5 - 1
        x = x.transpose(0, 3, 1, 2) if self._order == "nchw" else x
        return np.ascontiguousarray(x, self._type)

    def _names(self) -> tuple[str, ...]:
        """Return the class names that a file or the file itself says; none where neither does."""
        if self.classes:
            try:
                return tuple(text.lines(Path(self.classes)))
            except DataError as error:
                raise ParameterError(f"classes={self.classes} cannot be read: {error}") from None
        said = self._session.get_modelmeta().custom_metadata_map
        for key in ("sightline", "classes", "names", "labels"):
            if key in said and (names := _parsed(said[key])):
                return names
        return ()


def onnx_card(name: str) -> ModelCard:
    """Return the card of an exported classifier.

    Parameters
    ----------
    name : str
        Path of the file, and options parted by commas.

    Raises
    ------
    UnknownNameError
        When an option does not exist.
    """
    path, options = _parted(name)
    return ModelCard(
        name=f"onnx:{name}",
        task=Task.CLASSIFY,
        entry=f"{__name__}:OnnxClassifier",
        summary=f"{Path(path).name} as it is, by ONNX Runtime",
        paper="see who exported it",
        chapter=13,
        input="as its options say",
        largest_side=224,
        side=int(options.pop("size", 0)) or _side_of(path),
        rung=False,
        code="see who exported it",
        arguments=MappingProxyType({"path": path, **options}),
    )


def _parted(name: str) -> tuple[str, dict[str, str]]:
    """Part a file's path from the options behind it."""
    path, options = name, {}
    while "," in path and "=" in path.rpartition(",")[2] and not Path(path).exists():
        path, _, last = path.rpartition(",")
        key, _, value = last.partition("=")
        if key not in (*_KNOBS, "size") or (key == "size" and not value.isdecimal()):
            raise UnknownNameError("option of onnx", last if key == "size" else key,
                                   (*_KNOBS, "size"))  # fmt: skip
        options[key] = value
    return path, options


def _side_of(path: str) -> int:
    """Return the side of the images that a file takes; 0 where it takes any, or is not there."""
    if not Path(path).is_file():
        return 0
    shape: Sequence[Any] = _session(_read(Path(path)).tobytes(), path).get_inputs()[0].shape
    sides = [n for n in shape[1:] if isinstance(n, int) and n > 3] if len(shape) == 4 else []
    return sides[0] if sides else 0


def _order_of(shape: Sequence[Any], path: str) -> Order:
    if shape[1] in (1, 3):
        return "nchw"
    if shape[3] in (1, 3):
        return "nhwc"
    raise ParameterError(f"{path} does not say where its channels are ({shape}): give order=nchw")


def _read(path: Path) -> NDArray[np.uint8]:
    """Read a file, and into it the weights that lie in files beside it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    if b"location" in content:  # the key of a tensor that lies elsewhere
        content = _whole(path, content)
    return np.frombuffer(content, np.uint8)


def _whole(path: Path, content: bytes) -> bytes:
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise MissingExtraError("an exported classifier (onnx:FILE)", "export") from None
    try:
        if not any(t.external_data for t in onnx.load_from_string(content).graph.initializer):
            return content
        return bytes(onnx.load(path).SerializeToString())
    except DecodeError:
        return content  # refused, with its reason, where it is opened
    except (OSError, ValueError, onnx.checker.ValidationError) as error:
        why = str(error).splitlines()[0]
        raise DataError(
            f"the weights of {path} lie in a file beside it that cannot be read ({why})"
        ) from None


@functools.lru_cache(maxsize=4)
def _session(content: bytes, path: str) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("an exported classifier (onnx:FILE)", "export") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001 - the binding's kinds have no common name
        why = str(error).splitlines()[0]
        raise DataError(f"{path} is not a readable ONNX file ({why})") from None


def _parsed(text: str) -> tuple[str, ...]:
    """Return the class names in an entry of a file's metadata: JSON, a Python literal, or lines."""
    value: Any = None
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
            break
        except (ValueError, SyntaxError):
            continue
    if isinstance(value, dict):
        value = value.get("classes", value)
    if isinstance(value, dict):
        try:
            value = [value[k] for k in sorted(value, key=int)]
        except (ValueError, TypeError):
            return ()
    if value is None:
        value = [part for part in text.replace(",", "\n").splitlines() if part.strip()]
    return tuple(str(v).strip() for v in value) if isinstance(value, list | tuple) else ()
