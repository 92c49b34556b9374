"""Open a network to look into it: a run of any task, or a network by its name.

Whoever explains a network asks here for its module, its layers, its pictures and the numbers that
can be explained::

    opened = open_network("runs/mine")          # or "imagenet:efficientnet_lite0"
    picture = opened.picture("zebra.jpg")       # prepared as the run prepares pictures
    with evaluating(opened.model):              # in evaluation mode, weights without gradients
        said = opened.said(picture.x)           # what the network says of a batch
        target = opened.targets(picture)[0]     # of a classifier: the logit of the answer
        layer = opened.default_layer(picture, target)

What a target is depends on the task, and stands in a file of each: ``explain/TASK_targets.py`` with

- ``said(opened, x)``: what the network says of images (N, C, h, w), with gradients;
- ``targets(opened, picture, class_name, box)``: the list of `Target` of a picture, those asked for;
- ``default(layers)``: of the `Layer` that a target depends on, in order, the one to look at;
- ``METHOD``, where Grad-CAM is not the method of choice for maps.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from sightline import tasks
from sightline.data import images
from sightline.data.transforms import Fitted
from sightline.errors import ParameterError, UnknownNameError, WeightsError
from sightline.estimators import estimator_for, load_model
from sightline.models import registry
from sightline.types import Frame

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from sightline.estimators.base import Estimator
    from sightline.explain.target import Target

UNTRAINED_CLASSES = 10
"""Outputs of a network with random weights, where nothing says how many it has."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as it was given, and as a network sees it.

    Parameters
    ----------
    name : str
        Of its file, where it is one.
    pixels : uint8 array, shape (H, W, 3)
        Upright.
    seen : uint8 array, shape (h, w, C)
        What the network is given, before it is standardised.
    frame : Frame
        How the first became the second.
    x : float Tensor, shape (1, C, h, w)
        Standardised.
    """

    name: str
    pixels: NDArray[np.uint8]
    seen: NDArray[np.uint8]
    frame: Frame
    x: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width of what the network sees."""
        return self.seen.shape[0], self.seen.shape[1]


class Layer(NamedTuple):
    """A layer that puts out maps, as it was used for a picture."""

    name: str
    shape: tuple[int, int, int]
    """Channels, height and width of what it puts out."""


class Opened:
    """A network to look into, with what belongs to it.

    Parameters
    ----------
    name : str
        As it was asked for.
    estimator : Estimator
        Whose ``method_`` has the network.
    note : str
        What a reader must know of it, such as that its weights are random; "": nothing.

    Attributes
    ----------
    model : Module
    outputs : tuple of str
        The class of each output of the network.
    """

    def __init__(self, name: str, estimator: Estimator, note: str = "") -> None:
        self.name, self.estimator, self.note = name, estimator, note
        self.method: Any = estimator.method_
        self.task = str(estimator.task)
        self.model: nn.Module = _module(name, estimator)
        if _inputs(self.model) > 1:
            raise ParameterError(
                f"{name} is given more than pictures ({type(self.model).__name__}), so that what "
                "it answers to in a picture is not shown"
            )
        self.classes = estimator.classes_
        numbers = np.asarray(self.method.classes_).tolist()
        self.outputs = tuple(self.classes[number] for number in numbers)

    def __repr__(self) -> str:
        return f"Opened({self.name!r}, {self.task}, {len(self.outputs)} classes)"

    # ---- pictures

    @property
    def device(self) -> torch.device:
        """Return where the network computes."""
        return next(self.model.parameters()).device

    @property
    def fitted(self) -> Fitted:
        """Return how pictures are prepared for the network."""
        return self.estimator.fitted()

    def picture(self, image: Any, name: str = "") -> Picture:
        """Prepare a picture as the network's own training did.

        Parameters
        ----------
        image : path, PIL image, array (H, W, C) or tensor (C, H, W)
        name : str
            For what has no file.

        Raises
        ------
        DataError
            When it cannot be read.
        """
        if isinstance(image, str | Path):
            name = name or Path(image).name
            image = images.decode(Path(image))
        pixels = images.as_array(image)
        X, frames = self.estimator.prepared([image])
        seen = cast("NDArray[np.uint8]", X)[0]
        return Picture(name or "picture", pixels, seen, frames[0], self.standardised(seen[None]))

    def standardised(self, X: NDArray[np.uint8]) -> Tensor:
        """Return prepared images, bytes (N, h, w, C), as the network takes them: (N, C, h, w)."""
        import torch

        x = torch.from_numpy(np.array(X)).to(self.device).permute(0, 3, 1, 2).float()
        mean, std = self._moments()
        return (x.expand(-1, mean.shape[1], -1, -1) - mean) / std

    def as_bytes(self, x: Tensor) -> NDArray[np.uint8]:
        """Return standardised images, (N, C, h, w), as bytes (N, h, w, C), cut to their range."""
        mean, std = self._moments()
        bytes_ = (x.detach() * std + mean).round().clamp(0, 255).permute(0, 2, 3, 1)
        return bytes_.cpu().numpy().astype(np.uint8)

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Return what black and white are when standardised, (1, C, 1, 1) each."""
        mean, std = self._moments()
        return -mean / std, (255 - mean) / std

    def _moments(self) -> tuple[Tensor, Tensor]:
        import torch

        mean, std = (
            torch.from_numpy(np.asarray(values, np.float32) * 255).to(self.device).view(1, -1, 1, 1)
            for values in (self.method.mean_, self.method.std_)
        )
        return mean, std

    # ---- layers

    def layer(self, name: str) -> nn.Module:
        """Return a layer by its name, as ``model.named_modules()`` has it.

        Raises
        ------
        UnknownNameError
            With the nearest name, when there is none.
        """
        layers: dict[str, nn.Module] = {n: m for n, m in self.model.named_modules() if n}
        if name not in layers:
            raise UnknownNameError(f"layer of {self.name}", name, layers)
        return layers[name]

    def convolutions(self) -> dict[str, nn.Conv2d]:
        """Return the convolutions of the network by name, in the order in which it has them.

        Raises
        ------
        ParameterError
            When it has none.
        """
        from torch import nn

        layers = {n: m for n, m in self.model.named_modules() if isinstance(m, nn.Conv2d)}
        if not layers:
            raise ParameterError(
                f"{self.name} has no convolution, so that there are no filters and no maps of it"
            )
        return layers

    def convolution(self, name: str) -> nn.Conv2d:
        """Return a convolution by its name.

        Raises
        ------
        UnknownNameError
            With the nearest name, when there is none.
        ParameterError
            When the network has none at all.
        """
        layers = self.convolutions()
        if name not in layers:
            raise UnknownNameError(f"convolution of {self.name}", name, layers)
        return layers[name]

    def layers_with_places(self, picture: Picture, target: Target | None = None) -> list[Layer]:
        """Return the layers that put out maps of more than one place, as they are used.

        Parameters
        ----------
        picture : Picture
        target : Target, optional
            Only layers that this number depends on, and only those before the network's head.
        """
        import torch

        kept: dict[str, Tensor] = {}
        heads = tuple(getattr(self.model, "head_names", ()))
        closed = False

        def keep(name: str, module: nn.Module, output: Any) -> None:
            nonlocal closed
            closed = closed or any(name == h or name.startswith(f"{h}.") for h in heads)
            if target is not None and (closed or _only_passes_on(module)):
                return
            if as_maps(output) is not None and output.shape[0] == 1:
                kept.pop(name, None)  # of a layer that is used several times, the last use
                kept[name] = output

        handles = [
            module.register_forward_hook(lambda m, _i, o, name=name: keep(name, m, o))
            for name, module in self.model.named_modules() if name
        ]  # fmt: skip
        try:
            with evaluating(self.model), torch.set_grad_enabled(target is not None):
                x = picture.x.detach().clone().requires_grad_(target is not None)
                said = self.said(x)
        finally:
            for handle in handles:
                handle.remove()
        used: dict[str, Tensor] = {}
        layers = list[Layer]()
        for name, out in kept.items():
            maps = as_maps(out)
            if maps is not None and maps.shape[2:].numel() > 1:
                used[name] = out
                layers.append(Layer(name, (maps.shape[1], maps.shape[2], maps.shape[3])))
        if target is None or not layers:
            return layers
        number = target.value(said).sum()
        if not number.requires_grad:
            return []
        slopes = torch.autograd.grad(number, list(used.values()), allow_unused=True)
        pairs = [(layer, as_maps(slope)) for layer, slope in zip(layers, slopes, strict=True)]
        told = [layer for layer, slope in pairs if slope is not None and bool(slope.any())]
        # Of a number that does not change at all, what it is computed from.
        return told or [layer for layer, slope in pairs if slope is not None]

    def default_layer(self, picture: Picture, target: Target) -> str:
        """Return the layer whose maps tell most of a target: the last one with places.

        Of detectors it is the last one of the backbone that the box depends on; of segmenters the
        last of the smallest maps, as later ones show the answer itself.

        Raises
        ------
        ParameterError
            When there is none.
        """
        self.convolutions()  # says that there are none
        layers = self.layers_with_places(picture, target)
        if not layers:
            raise ParameterError(
                f"{self.name} has no layer whose maps have more than one place for pictures of "
                f"{picture.size[1]} x {picture.size[0]} pixels"
            )
        name: str = self._task_file().default(layers)
        return name

    # ---- what can be explained

    @property
    def method_of_choice(self) -> str:
        """Return the method of `methods.METHODS` that suits the task where none is named."""
        name: str = getattr(self._task_file(), "METHOD", "grad-cam")
        return name

    def said(self, x: Tensor) -> Any:
        """Compute what the network says of standardised images, (N, C, h, w), for targets."""
        return self._task_file().said(self, x)

    def targets(
        self, picture: Picture, class_name: str | None = None, box: int | None = None
    ) -> list[Target]:
        """Return the numbers of a picture's answer that can be explained, the surest first.

        Parameters
        ----------
        picture : Picture
        class_name : str, optional
            Only of this class, whether it is the answer or not.
        box : int, optional
            Only this object of the answer, counted from 1.

        Raises
        ------
        UnknownNameError
            With the nearest name, when the network knows no such class.
        ParameterError
            When the answer has no such object, or no pixel of that class.
        """
        if class_name is not None:
            self.output_of(class_name)
        made: list[Target] = self._task_file().targets(self, picture, class_name, box)
        return made

    def output_of(self, class_name: str) -> int:
        """Return the number of the output that a class has.

        A class of ImageNet may be named by its English or its Chinese name alone.

        Raises
        ------
        UnknownNameError
            With the nearest name, when there is no such class.
        """
        if class_name in self.outputs:
            return self.outputs.index(class_name)
        numbers = self.method.numbers([class_name])
        if numbers is not None and int(numbers[0]) >= 0:
            return int(numbers[0])
        if self.name.startswith(("imagenet:", "torchvision:", "timm:")):
            parts = {part for name in self.outputs for part in (name, name.rpartition(" ")[0])}
            raise UnknownNameError("class", class_name, parts - {""})
        raise UnknownNameError("class", class_name, self.outputs)

    def _task_file(self) -> Any:
        file = tasks.part("explain", self.task, "targets")
        if file is None:
            raise ParameterError(f"nothing is explained of networks for the task {self.task}")
        return file


def open_network(what: str | Path, *, untrained: bool = False, device: str = "cpu") -> Opened:
    """Open a network to look into it.

    Parameters
    ----------
    what : str or path
        Folder of a run; or a network by its name: ``imagenet:NAME``, ``coco:NAME``,
        ``torchvision:NAME``, ``timm:NAME`` or one of the bench's that has published weights.
    untrained : bool
        The network with random weights instead, by its name: to see what training changes.
    device : str
        See `sightline.load_model`.

    Raises
    ------
    RunError
        When the folder is no run.
    UnknownNameError
        When there is no network of that name.
    WeightsError
        When published weights cannot be had.
    ParameterError
        When the method is no network of PyTorch, or has no weights.
    """
    import torch

    name = str(what)
    if name.startswith("imagenet:"):  # as the index and papers write these names
        name = name.replace("efficientnet-lite", "efficientnet_lite")
    if _is_name(name):
        opened = _untrained(name) if untrained else _published(name)
    elif untrained:
        raise ParameterError(
            f"{name} is a run, whose weights are trained; untrained=True is for a network by name"
        )
    else:
        opened = Opened(name, load_model(what))
    if device != "cpu":
        opened.method.compute_on(device)
    # Convolutions are a third quicker so, and whoever looks inside asks about many images.
    as_laid_out: Any = opened.model
    as_laid_out.to(memory_format=torch.channels_last)
    return opened


def _is_name(name: str) -> bool:
    """Tell whether a text names a network, and no folder."""
    return registry.is_foreign(name) or (name in registry.CARDS and not Path(name).exists())


def _published(name: str) -> Opened:
    """Open a network with its published weights."""
    source, _, rest = name.partition(":")
    if source in ("imagenet", "coco", "onnx"):
        return Opened(name, load_model(name))
    card = registry.card(name)
    if card.kind != "module":
        raise _no_network(name, card.entry)
    try:
        return _with_weights(name, card, source, rest)
    except WeightsError as error:
        raise WeightsError(f"{error}; or look at random weights with untrained=True") from None


def _with_weights(name: str, card: registry.ModelCard, source: str, rest: str) -> Opened:
    kind = estimator_for(name)
    if source == "timm":
        method = kind.network_of(name).with_published(card)
        return Opened(name, _holding(kind.create(name, {}), method, _numbered(method)))
    if "imagenet" in card.weights and not card.pretrained and source != "localizer":
        try:
            return Opened(name, load_model(f"imagenet:{name}"))
        except UnknownNameError:  # of another task: its backbone alone has such weights
            pass
    if "coco" in card.weights and not rest:
        return Opened(name, load_model(f"coco:{name}"))
    raise ParameterError(
        f"{name} has no published weights to look at: train it, and give the run's folder, or "
        "look at random weights with untrained=True"
    )


def _numbered(method: Any) -> tuple[str, ...]:
    """Return names of a foreign network's outputs: ImageNet's, where it has as many."""
    count = len(method.classes_)
    if count == 1000:
        return _imagenet_names()
    return tuple(f"class {number}" for number in range(count))


def _imagenet_names() -> tuple[str, ...]:
    card = registry.card("imagenet:efficientnet_lite0")
    names: tuple[str, ...] = card.load()(**dict(card.arguments)).class_names
    return names


def _untrained(name: str) -> Opened:
    """Open a network by name with random weights."""
    import torch

    card = registry.card(name)
    if card.kind != "module":
        raise _no_network(name, card.entry)
    kind = estimator_for(name)
    method: Any = kind.network_of(name)(card, {})
    channels, *side = card.shape or (3, *(card.side or card.largest_side or 32,) * 2)
    method.side_, method.classes_ = np.array(side, np.int64), np.arange(UNTRAINED_CLASSES)
    method.class_names = tuple(f"class {number}" for number in range(UNTRAINED_CLASSES))
    method.ignored_ = np.zeros(0, np.int64)
    method.mean_, method.std_ = (np.full(channels, v, np.float32) for v in (0.5, 0.25))
    torch.manual_seed(0)
    method.model = method.built(channels).eval()
    estimator = _holding(kind.create(name, {}), method, method.class_names)
    return Opened(name, estimator, f"{name} has random weights: it has learned nothing")


def _holding(estimator: Estimator, method: Any, classes: tuple[str, ...]) -> Estimator:
    """Return an estimator that answers with a method that was made elsewhere."""
    estimator.method_, estimator.classes_ = method, classes
    zeros = np.zeros(len(method.mean_), np.float32)
    mode: images.Mode = "L" if len(zeros) == 1 else "RGB"
    height, width = method.side_.tolist()
    estimator.fitted_ = Fitted(
        (height, width), mode, estimator.preprocess.resize, "none", zeros, zeros + 1
    )
    return estimator


def _inputs(model: nn.Module) -> int:
    """Return how many things a network must be given."""
    parameters = inspect.signature(model.forward).parameters.values()
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.default is inspect.Parameter.empty and p.kind in places for p in parameters)


def _module(name: str, estimator: Estimator) -> nn.Module:
    """Return the network of an estimator.

    Raises
    ------
    ParameterError
        When it has none that gradients flow through.
    """
    from torch import nn

    method: Any = estimator.method_
    if estimator.preprocess.features:
        raise ParameterError(
            f"{name} sees features of {estimator.preprocess.features}, which is the network to "
            "look into"
        )
    if hasattr(method, "search"):
        raise ParameterError(
            f"{name} takes regions from outside the network, so that it cannot be asked about "
            "changed pictures; faster-rcnn-small proposes them itself"
        )
    model = getattr(method, "model", None)
    if isinstance(model, nn.Module):
        return model
    raise _no_network(name, registry.card(estimator.name).entry)


def _no_network(name: str, entry: str) -> ParameterError:
    if entry.startswith("sightline.models.backprop"):
        return ParameterError(
            f"{name} is written out in NumPy, where layers cannot be watched; convnet is the same "
            "plan in PyTorch"
        )
    if "onnx_file" in entry:
        return ParameterError(
            f"{name} is a graph without gradients; look into the run that it was exported from"
        )
    return ParameterError(
        f"{name} is no neural network, so that there is nothing to look into; convnet, for one, is"
    )


def as_maps(output: Any) -> Tensor | None:
    """Return what a layer puts out as maps (N, K, u, v); None: it has no places.

    A transformer's tokens (N, T, K) are the places of a square, perhaps behind one of the class.
    """
    import torch

    if not isinstance(output, torch.Tensor) or not output.is_floating_point():
        return None
    if output.ndim == 4:
        return output
    if output.ndim != 3:
        return None
    extra, side = next(
        ((e, s) for e in (0, 1) if (s := math.isqrt(output.shape[1] - e)) ** 2 + e
         == output.shape[1]), (0, 0),
    )  # fmt: skip
    if side < 2:
        return None
    places = output[:, extra:].transpose(1, 2)
    return places.reshape(len(output), -1, side, side)


def _only_passes_on(module: nn.Module) -> bool:
    """Tell whether a layer only thins maps out or drops some, so that its input says as much."""
    name = type(module).__name__
    return ("Pool" in name or "Drop" in name) and not any(True for _ in module.parameters())


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode without gradients of weights, and back afterwards.

    Every module gets back its own mode, and every weight its own ``requires_grad``.
    """
    modes = [(module, module.training) for module in model.modules()]
    learns = [(weight, weight.requires_grad) for weight in model.parameters()]
    model.eval()
    model.requires_grad_(False)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
        for weight, learned in learns:
            weight.requires_grad_(learned)


def smallest_last(layers: Sequence[Layer]) -> str:
    """Return the last of the layers with the fewest places."""
    fewest = min(height * width for _, (_, height, width) in layers)
    return [name for name, (_, h, w) in layers if h * w == fewest][-1]
