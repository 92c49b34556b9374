"""Begin with a detector that was trained on COCO: published weights, held to a pinned digest.

COCO numbers its 80 categories from 1 to 90, with gaps. torchvision's detectors have one output for
each number, those of the gaps ("N/A") included, and one for the background. Here classes are those
of the data, so a network takes of each layer that scores classes (its ``head_names``) the rows of
the categories that are called alike, in the order of its own classes. YOLOX's networks have one for
each category alone. Where a class of the data is none of COCO's, those layers are learned anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torchvision.models import get_model_weights

from sightline.data import store
from sightline.errors import WeightsError
from sightline.models import keeping, licences
from sightline.models.detect import rf_detr, yolox
from sightline.models.head import heads_of, is_within
from sightline.models.weights import PublishedWeights, in_colours, misfit, stem_weight

VOC_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "aeroplane": "airplane", "diningtable": "dining table", "motorbike": "motorcycle",
        "pottedplant": "potted plant", "sofa": "couch", "tvmonitor": "tv",
    }
)  # fmt: skip
"""What COCO calls the classes of Pascal VOC that it has under other names."""

TORCHVISION = "torchvision:"
"""How the names of torchvision's detectors begin here."""

RF_DETR = "rfdetr:"
"""How the names of RF-DETR's sizes begin here."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the standardisation, as most of torchvision's detectors have it."""

GAP = "N/A"
"""What torchvision calls a number that COCO gives to no category."""


@dataclass(frozen=True, slots=True)
class Detector:
    """A published detector: its file, and what it needs of images.

    Parameters
    ----------
    name, url : str
    sha256 : str
        First digits of its digest, which the name of the file has too; ``""``: none was published,
        so that nothing but the names and shapes in it tells the right file.
    side : int
        Pixels that pictures are brought to.
    mean, std : tuple of float
        Of the standardisation by channel, in units of [0, 1].
    ap : float
        COCO's average precision on val2017 as published, percent; 0: none is stated here.
    recipe : str
        Address of how it was trained.
    """

    name: str
    url: str
    sha256: str
    side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    ap: float
    recipe: str
    licence: str = licences.TORCHVISION_COCO
    outputs: Literal["numbers", "categories", "unused-last"] = "numbers"
    """What it scores: each of COCO's numbers, the background first, as torchvision's; each of its
    categories; or each number, where here the output that stands for none is the last."""
    convert: Callable[[Mapping[str, Any]], dict[str, Tensor]] = dict
    """Brings what the file holds to the names and the order that the network has."""
    file: str = ""
    """Name of the file here; default: as in the address."""


def _yolox(form: str, side: int, ap: float) -> Detector:
    return Detector(
        name=f"YOLOX-{form}",
        url=f"{_YOLOX}/releases/download/0.1.1rc0/yolox_{form}.pth",
        sha256="",
        side=side,
        mean=yolox.MEAN,
        std=yolox.STD,
        ap=ap,
        recipe=f"{_YOLOX}#benchmark",
        licence=licences.YOLOX,
        outputs="categories",
        convert=yolox.from_published,
    )


def torchvisions(name: str) -> Detector:
    """Return what torchvision has published of one of its detectors.

    Parameters
    ----------
    name : str
        As torchvision names it.
    """
    entry = get_model_weights(name).COCO_V1
    mean, std, side = IMAGENET_MEAN, IMAGENET_STD, 800
    if name == "ssd300_vgg16":  # as Caffe's VGG16: bytes without their mean
        mean, std, side = (0.48235, 0.45882, 0.40784), (1 / 255,) * 3, 300
    elif name.startswith("ssdlite"):
        mean, std, side = (0.5,) * 3, (0.5,) * 3, 320
    return Detector(
        name=str(entry),
        url=entry.url,
        sha256=digest_of(entry.url),
        side=side,
        mean=mean,
        std=std,
        ap=float(entry.meta["_metrics"]["COCO-val2017"]["box_map"]),
        recipe=str(entry.meta["recipe"]),
    )


def digest_of(url: str) -> str:
    """Return the first digits of a file's digest, which torchvision puts into its name."""
    digits = re.search(r"-([0-9a-f]{8})\.pth$", url)
    return digits[1] if digits else ""


def _detector(name: str) -> Detector:
    """Return the published detector of a network here."""
    if name.startswith(RF_DETR):
        return _rf_detr(name.removeprefix(RF_DETR))
    if not name.startswith(TORCHVISION):
        return DETECTORS[name]
    return replace(torchvisions(name.removeprefix(TORCHVISION)), convert=inside)


def inside(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return a state dict with the names that it has in a network that holds another."""
    return {f"network.{key}": tensor for key, tensor in state.items()}


def _rf_detr(size: str) -> Detector:
    url, file = rf_detr.published_file(size)
    return Detector(
        name=f"RF-DETR {size}",
        url=url,
        sha256="",
        side=rf_detr.SIDES[size],
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        ap=0,
        recipe="https://github.com/roboflow/rf-detr",
        outputs="unused-last",
        licence=licences.RF_DETR,
        convert=inside,
        file=file,
    )


_YOLOX = "https://github.com/Megvii-BaseDetection/YOLOX"

DETECTORS: Mapping[str, Detector] = MappingProxyType(
    {
        "ssd300": torchvisions("ssd300_vgg16"),
        "faster-rcnn": torchvisions("fasterrcnn_resnet50_fpn"),
        "yolo-nano": _yolox("nano", 416, 25.8),
        "yolo-tiny": _yolox("tiny", 416, 32.8),
        "yolo-s": _yolox("s", 640, 40.5),
        "yolo-m": _yolox("m", 640, 46.9),
        "yolo-l": _yolox("l", 640, 49.7),
        "yolo-x": _yolox("x", 640, 51.1),
    }
)
"""torchvision's and YOLOX's own, by the name of the network here."""


def coco_outputs() -> tuple[str, ...]:
    """Return what the outputs of torchvision's detectors are called, the background first."""
    from torchvision.models.detection import SSD300_VGG16_Weights

    return tuple(SSD300_VGG16_Weights.COCO_V1.meta["categories"])


def coco_classes() -> tuple[str, ...]:
    """Return the names of COCO's 80 categories, by their number."""
    return tuple(name for name in coco_outputs()[1:] if name != GAP)


def load_published(name: str, model: nn.Module, classes: Sequence[str]) -> PublishedWeights:
    """Load a detector's published weights into a network that was just built.

    Parameters
    ----------
    name : str
        Of the network, one of `DETECTORS`, or ``torchvision:NAME`` or ``rfdetr:SIZE``.
    model : Module
        Is changed.
    classes : sequence of str
        Names of the classes that it was built for.

    Raises
    ------
    WeightsError
        When the file cannot be had or read, or is another network's.
    """
    return loaded(_detector(name), name, model, classes)


def loaded(
    about: Detector, name: str, model: nn.Module, classes: Sequence[str]
) -> PublishedWeights:
    """Load the file of a published detector into a network; see `load_published`.

    Parameters
    ----------
    about : Detector
    name : str
        Of the network, for errors.
    model : Module
    classes : sequence of str
    """
    state = about.convert(state_of(about))
    outputs = coco_outputs() if about.outputs != "categories" else ("", *coco_classes())
    rows = rows_of(classes, outputs)
    if about.outputs == "categories":  # no output of the background
        outputs, rows = outputs[1:], None if rows is None else [row - 1 for row in rows[1:]]
    elif about.outputs == "unused-last":
        rows = None if rows is None else [*rows[1:], *rows[:1]]
    fresh = fit_in(state, model, rows, len(outputs), name)
    metrics = {"ap": about.ap} if about.ap else {}
    return brought(about, model, state, coco_classes(), metrics, fresh)


def brought(
    about: Detector, model: nn.Module, state: Mapping[str, Tensor], categories: tuple[str, ...],
    metrics: Mapping[str, float], fresh: tuple[str, ...],
) -> PublishedWeights:  # fmt: skip
    """Return what a run is told of the weights that were loaded into a network.

    Parameters
    ----------
    about : Detector
    model : Module
        For grey images it has a third of the filters of `state`, or says so by ``in_channels``.
    state : mapping of str to Tensor
        That was loaded, under the network's names.
    categories, metrics, fresh
        See `PublishedWeights`.
    """
    stem = stem_weight(model)
    grey = 3 * model.state_dict()[stem].shape[1] == state[stem].shape[1]
    grey |= getattr(model, "in_channels", 3) == 1
    mean, std = (((sum(v) / 3,) if grey else v) for v in (about.mean, about.std))
    return PublishedWeights(
        name=about.name,
        url=about.url,
        mean=mean,
        std=std,
        resize=about.side,
        crop=about.side,
        interpolation="bilinear",
        categories=categories,
        metrics=metrics,
        recipe=about.recipe,
        licence=about.licence,
        fresh=fresh,
    )


def rows_of(classes: Sequence[str], outputs: Sequence[str]) -> list[int] | None:
    """Return the outputs of the background and of each class; None: not all classes are known.

    Parameters
    ----------
    classes : sequence of str
        Without the background; case, and ``_`` or ``-`` for a space, do not matter, and Pascal
        VOC's names are known.
    outputs : sequence of str
        The background first.

    Examples
    --------
    >>> rows_of(["Stop_sign", "person"], ["(none)", "person", "N/A", "stop sign"])
    [0, 3, 1]
    >>> rows_of(["person", "N/A"], ["(none)", "person", "N/A", "stop sign"]) is None
    True
    """
    places = {plain(name): i for i, name in enumerate(outputs) if i and name != GAP}
    named = [plain(name) for name in classes]
    rows = [places.get(VOC_NAMES.get(name, name)) for name in named]
    known = [row for row in rows if row is not None]
    return [0, *known] if len(known) == len(rows) else None


def plain(name: str) -> str:
    """Return the name of a class without what differs by its spelling: case, ``_`` and ``-``."""
    return " ".join(re.split(r"[\s_-]+", name.casefold().strip()))


def fit_in(
    state: Mapping[str, Tensor], model: nn.Module, rows: Sequence[int] | None, outputs: int,
    name: str,
) -> tuple[str, ...]:  # fmt: skip
    """Copy a detector's tensors into a network; return the names of those left as they were.

    Parameters
    ----------
    state : mapping of str to Tensor
    model : Module
    rows : sequence of int, optional
        Outputs of the network's own classes among those of the state, the background's first.
        None: the layers that score classes stay as they were.
    outputs : int
        Classes that each of those layers scores in the state.
    name : str
        Of the network.

    Raises
    ------
    WeightsError
        When any other layer does not fit.
    """
    own, heads, stem = model.state_dict(), list(heads_of(model)), stem_weight(model)
    taken, fresh, foreign = dict[str, Tensor](), list[str](), list[str]()
    for key, tensor in own.items():
        given = in_colours(state.get(key), tensor, key == stem)
        if is_within(key, heads):
            if rows is None:
                fresh.append(key)
                continue
            if given is not None and len(given) % outputs == 0:
                given = _of_classes(given, rows, outputs, by_class="bbox_pred" in key)
        if given is None and key.endswith("num_batches_tracked"):
            continue  # frozen normalisation was published, which counts none
        if given is None or given.shape != tensor.shape:
            foreign.append(key)
        else:
            taken[key] = given
    if foreign:
        raise misfit(name, model, foreign)
    model.load_state_dict(own | taken)
    return tuple(fresh)


def _of_classes(given: Tensor, rows: Sequence[int], outputs: int, *, by_class: bool) -> Tensor:
    """Return the rows of some classes in a layer that scores all.

    Parameters
    ----------
    given : Tensor, shape (K * outputs, ...)
    rows : sequence of int
    outputs : int
        Classes.
    by_class : bool
        Whether the rows of a class stand together, as the four numbers of its box.
    """
    if by_class:
        return given.reshape(outputs, -1, *given.shape[1:])[list(rows)].flatten(0, 1)
    return given.reshape(-1, outputs, *given.shape[1:])[:, list(rows)].flatten(0, 1)


def state_of(about: Detector) -> Mapping[str, Tensor]:
    """Return the state dict of a file that is downloaded once, and kept as safetensors."""
    file = Path(about.file or about.url.rpartition("/")[2])
    place = store.home() / "weights" / file.with_suffix(".safetensors").name
    if (state := keeping.kept(place)) is not None:
        return state
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / file
    if not path.is_file():
        _download(about, path)
    remedy = f"delete it, and put the file {file} from {about.url} into the folder {folder}"
    given = keeping.checked(path, about.sha256, remedy)
    inside = cast(Mapping[str, Any], given).get("model", given)  # some have more beside
    given = cast(Mapping[str, Tensor], inside)
    keeping.keep(given, place)
    return given


def _download(about: Detector, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        download: Any = torch.hub.download_url_to_file
        download(about.url, str(path), hash_prefix=about.sha256, progress=True)
    except (OSError, RuntimeError) as error:  # URLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise WeightsError(
            f"cannot download the published weights {about.name} ({reason}): put the file "
            f"{path.name} from {about.url} into the folder {path.parent}"
        ) from None
