"""Answer with an exported model and ONNX Runtime: typed answers without torch.

This is what the server, the bulk worker and the edge run; it needs NumPy, Pillow and onnxruntime.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline import tasks
from sightline.data import images
from sightline.errors import DataError, MissingExtraError, ParameterError, RunError, missing
from sightline.types import Frame, Prediction

if TYPE_CHECKING:
    import onnxruntime

FORMAT = 1
KEY = "sightline"
"""Name of the entry in the file's metadata that holds an `About` as JSON."""

INPUT = "images"

BATCH = 256

LARGEST = 2**24
"""Pixels of the images that a model may take."""


def limits_in(thresholds: Sequence[float], where: str | Path) -> Sequence[float]:
    """Return a model's thresholds.

    Raises
    ------
    RunError
        When it has none.
    """
    if not thresholds:
        raise RunError(
            f"{where} has no thresholds: it was trained without validation images, or by an older "
            "sightline; train it again"
        )
    return thresholds


def limit_of(answer: Any, limit: float | Sequence[float]) -> float | Sequence[float]:
    """Return the score below which an answer is none of the classes: its class's, or one of all.

    Of an answer that is many objects it is that of each class.
    """
    one = isinstance(limit, Sequence) and hasattr(answer, "label")
    return limit[answer.label] if one and isinstance(limit, Sequence) else limit


def own_limits(task: str, thresholds: Sequence[float], asked: float) -> float | list[float]:
    """Return the thresholds that a task takes where none is asked for.

    Parameters
    ----------
    task : str
    thresholds : sequence of float
        The model's, of each class; perhaps none.
    asked : float
        0: none is asked for.
    """
    own = getattr(tasks.module("deploy", task), "MANY", False)
    return list(thresholds) if own and len(thresholds) and not asked else asked


@dataclass(frozen=True)
class About:
    """The metadata of an exported model.

    Parameters
    ----------
    name : str
        Name of the run.
    method : str
        Name of the method in the registry.
    task : str
    classes : tuple of str
    size : (height, width)
        Size of the images that the model takes.
    mode : {"L", "RGB"}
    resize : {"crop", "stretch", "pad", "imagenet", "imagenet-bilinear"}
        How pictures of another shape become that size.
    version : str
        Digest of the model that changes with its weights.
    precision : {"fp32", "fp16", "int8"}
    parameters : int
    at_once : int
        Images to ask the model about at once; 0: any number.
    headline : float, optional
        Main figure of the run.
    metric : str
        Its name, such as accuracy.
    split : str
        What it was measured on: test, val, or empty where an older export does not say.
    share : bool
        Whether it is a share, in [0, 1].
    data : str
        Name of the data that it was trained on.
    licence : str
        Of published weights that it was made from.
    thresholds : tuple of float
        Of each class, where the run has any: an answer below its class's is none of them.
    asks : dict
        What a graph that is given no images is to be asked with; see its task's ``graphs``.
    made : str
        Date and time of the export.
    format : int
    """

    name: str
    method: str
    task: str
    classes: tuple[str, ...]
    size: tuple[int, int]
    mode: images.Mode
    resize: images.Resize
    version: str
    precision: str = "fp32"
    parameters: int = 0
    at_once: int = 0
    headline: float | None = None
    metric: str = ""
    split: str = ""
    share: bool = True
    data: str = ""
    licence: str = ""
    thresholds: tuple[float, ...] = ()
    asks: dict[str, Any] = dataclasses.field(default_factory=dict)
    made: str = ""
    format: int = FORMAT

    @property
    def channels(self) -> int:
        """Return the number of channels: 1 of grey images, 3 of colour ones."""
        return 1 if self.mode == "L" else 3

    def to_json(self) -> str:
        """Return the metadata as one line of JSON."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, where: str | Path) -> About:
        """Parse what `to_json` returned.

        Raises
        ------
        RunError
            When it is incomplete, wrong, or from a newer version.
        """
        from pydantic import TypeAdapter, ValidationError

        try:
            given = json.loads(text)
            if int(given["format"]) > FORMAT:
                raise RunError(f"{where} was exported by a newer sightline; upgrade to read it")
            if "accuracy" in given:  # as older exports have it, of a split that they do not tell
                given |= {"headline": given["accuracy"], "metric": "accuracy"}
            known = {f.name for f in dataclasses.fields(cls)}
            about = TypeAdapter(cls).validate_python({k: given[k] for k in known & set(given)})
            about._check()
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            why = str(error) or type(error).__name__
        else:
            return about
        raise RunError(f"{where} has incomplete or wrong metadata ({why}); export it again")

    def _check(self) -> None:
        """Raise a ValueError where values are of the right kind and cannot be."""
        if self.task not in tasks.names():
            raise ValueError(f"task: {self.task!r} is none of {', '.join(tasks.names())}")
        if min(self.size) < 1 or self.size[0] * self.size[1] > LARGEST:
            raise ValueError(f"size: {self.size} is no height and width of images")
        if self.at_once < 0:
            raise ValueError(f"at_once: {self.at_once} is below 0")
        if len(self.thresholds) not in (0, len(self.classes)):
            raise ValueError(
                f"thresholds: {len(self.thresholds)} of them for {len(self.classes)} classes"
            )


class Runtime:
    """An exported model, ready to answer.

    Answers may be asked for from several threads at once.

    Parameters
    ----------
    path : path
        An ``.onnx`` file that `sightline export` wrote.
    threads : int
        Threads that compute one answer; 0: as many as there are cores.
    providers : sequence of str
        ONNX Runtime's execution providers, the preferred first.

    Attributes
    ----------
    about : About

    Raises
    ------
    RunError
        When there is no such file, or it is no export of Sightline's, or damaged.
    MissingExtraError
        When ONNX Runtime is not installed.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        threads: int = 0,
        providers: Sequence[str] = ("CPUExecutionProvider",),
    ) -> None:
        self.path = Path(path)
        self.session = session(self.path, threads, providers)
        entries = self.session.get_modelmeta().custom_metadata_map
        if KEY not in entries:
            raise RunError(f"{path} was not written by sightline export")
        self.about = About.from_json(entries[KEY], path)
        self.task = tasks.module("deploy", self.about.task)
        self._names = [output.name for output in self.session.get_outputs()]
        self._check_graph()
        self._pictures: NDArray[np.uint8] | None = None

    def _check_graph(self) -> None:
        """Check that the graph takes and answers what the metadata says."""
        about = self.about
        if self.makes:
            try:
                self.task.check_graph(self)
            except Exception as error:  # whatever a graph of somebody else's may do
                why = (str(error) or type(error).__name__).splitlines()[0]
                raise RunError(
                    f"{self.path} does not make pictures as its metadata says ({why}); export it "
                    "again"
                ) from error
            return
        said = (*about.size, about.channels)
        takes = {node.name: node.shape for node in self.session.get_inputs()}
        shape = takes.get(INPUT, ())
        fixed = [
            (side, own) for side, own in zip(shape[1:], said, strict=False) if isinstance(side, int)
        ]  # a name stands for any number
        fits = all(side == own for side, own in fixed)
        if list(takes) != [INPUT] or len(shape) != 4 or not fits:
            raise RunError(
                f"{self.path}: its metadata says images of {' x '.join(map(str, said))}, and its "
                f"graph takes {takes}; export it again"
            )
        try:
            [answer] = self.answer(np.zeros((1, *said), np.uint8))
            self.task.document(answer, top=len(about.classes))
        except Exception as error:  # whatever a graph of somebody else's may do
            why = (str(error) or type(error).__name__).splitlines()[0]
            raise RunError(
                f"{self.path} does not answer as its metadata says ({why}); export it again"
            ) from error

    @property
    def makes(self) -> str:
        """Return why it takes no pictures, where it makes them of noise; else an empty text."""
        why: str = getattr(self.task, "MAKES", "")
        return why

    def check_answers(self) -> None:
        """Refuse to be asked about pictures, where pictures are made.

        Raises
        ------
        ParameterError
        """
        if self.makes:
            raise ParameterError(f"{self.about.name} {self.makes}")

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run the graph on arrays by the names of its inputs: arrays by name."""
        return dict(zip(self._names, self.session.run(None, dict(feeds)), strict=True))

    def prepare(self, image: Any) -> tuple[NDArray[np.uint8], Frame]:
        """Bring one image to the model's size: uint8, shape (H, W, C), and its `Frame`.

        Parameters
        ----------
        image : path, bytes of a file, PIL image, uint8 array or tensor

        Raises
        ------
        DataError
            When it cannot be read.
        """
        about = self.about
        return images.prepare(image, about.size, about.mode, about.resize)

    def outputs(self, X: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Run the graph on prepared images, shape (N, H, W, C): arrays by name, a row an image.

        Raises
        ------
        DataError
            When the images are not of the model's size and type.
        """
        self.check_answers()
        about = self.about
        shape = (*about.size, about.channels)
        if X.dtype != np.uint8 or X.shape[1:] != shape or not len(X):
            raise DataError(
                f"{about.name} takes uint8 images of shape (N, {', '.join(map(str, shape))}), N "
                f"at least 1, not {X.dtype} of shape {X.shape}"
            )
        step = about.at_once or BATCH
        parts = [
            self.session.run(None, {INPUT: np.ascontiguousarray(X[i : i + step])})
            for i in range(0, len(X), step)
        ]
        joined = (np.concatenate(part) for part in zip(*parts, strict=True))
        return dict(zip(self._names, joined, strict=True))

    def answer(
        self, X: NDArray[np.uint8], frames: Sequence[Frame] | None = None
    ) -> list[Prediction]:
        """Answer for prepared images, shape (N, H, W, C); see `outputs`.

        Parameters
        ----------
        X : uint8 array, shape (N, H, W, C)
        frames : sequence of Frame, length N, optional
            From `prepare`: the way back into the pictures. Default: X are the pictures.
        """
        frames = [Frame(self.about.size)] * len(X) if frames is None else frames
        said: list[Prediction] = self.task.decode(self.outputs(X), self.about, frames)
        return said

    def predict(self, pictures: Sequence[Any]) -> list[Prediction]:
        """Answer for images of any accepted form; see `prepare`."""
        answers: list[Prediction] = []
        for part in _batches(pictures):
            ready = [self.prepare(picture) for picture in part]
            answers += self.answer(np.stack([p for p, _ in ready]), [f for _, f in ready])
        return answers

    @property
    def neighbours(self) -> Path:
        """Return the path of the training images' file, where the method answers by comparing."""
        return self.path.with_suffix(".neighbours.npy")

    def neighbour(self, index: int) -> NDArray[np.uint8] | None:
        """Return a training image, uint8 (H, W, C); None where there is no such image."""
        if self._pictures is None:
            try:
                self._pictures = np.load(self.neighbours, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError):
                return None
        return np.array(self._pictures[index]) if 0 <= index < len(self._pictures) else None


def session(
    path: Path, threads: int = 0, providers: Sequence[str] = ("CPUExecutionProvider",)
) -> onnxruntime.InferenceSession:
    """Open a graph with ONNX Runtime.

    Raises
    ------
    RunError
        When there is no such file, or it is damaged.
    ParameterError
        When a provider is not there.
    MissingExtraError
        When ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("an exported model", "serve") from None
    if not path.is_file():
        raise RunError(missing(path, "no such exported model"))
    there = onnxruntime.get_available_providers()
    for provider in providers:
        if provider not in there:
            raise ParameterError(
                f"the provider {provider} is not available; ONNX Runtime has {', '.join(there)}"
            )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Between requests a spinning pool would take the cores from decoding.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(
            str(path), options, providers=list(providers),
            # Folding would keep bytes of training images as floats, four times as large.
            disabled_optimizers=["ConstantFolding"],
        )  # fmt: skip
    except Exception as error:  # noqa: BLE001 - the binding's kinds have no common name
        why = str(error).splitlines()[0]
        raise RunError(f"{path} is not a readable ONNX file ({why})") from None


def _batches(pictures: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(pictures), BATCH):
        yield pictures[start : start + BATCH]
