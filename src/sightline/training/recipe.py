"""Define the knobs of any training: a typed dataclass, which is also its options and its TOML."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sightline.data import text
from sightline.errors import DataError, ParameterError, UnknownNameError
from sightline.models.device import multiplies_bfloat16, parts, present

SHIPPED = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class Recipe:
    """The recipe of any network's training; a task adds its own knobs in a subclass.

    Parameters
    ----------
    epochs : float
        Passes over the training images; a part of one is possible.
    first_epochs : float
        Epochs that the learning rate is planned for during the first one; 0: `epochs`. A budget
        sets it: it knows only after the first epoch how many there will be.
    batch_size : int
        Images of one step, over all processes.
    optimizer : {"sgd", "adamw"}
        SGD with Nesterov's momentum, or AdamW.
    lr : float
        Highest learning rate.
    momentum : float
        Of SGD; the first beta of AdamW.
    weight_decay : float
        Of all weights but biases and normalisations. SGD: coupled, AdamW: decoupled.
    bias_lr : float
        Factor of the learning rate for the biases of normalisations.
    schedule : {"one-cycle", "cosine", "constant"}
        How the learning rate falls after the warm-up: linearly, as a cosine, not at all.
    warmup : float
        Share of the steps in which the learning rate rises linearly.
    final_lr : float
        Share of the highest learning rate that is left at the end.
    ema : float
        Decay of the moving average of the weights that is evaluated and kept; 0: none.
    clip : float
        Largest norm of the gradient; 0: no limit.
    accumulate : int
        Parts that a batch is computed in, to save memory.
    precision : {"auto", "32-true", "bf16-mixed", "16-mixed"}
        Of the arithmetic of a training; answers are computed in float32. auto: bf16-mixed on a
        processor that has instructions for it, else 32-true.
    channels_last : bool
        Memory format of images and weights.
    compile : bool
        Compile the network first (torch.compile).
    patience : int
        Stop when validation has not improved for so many epochs; 0: never.
    keep : {"best", "last"}
        The weights of which epoch are kept, where there is validation: the best by its figure (of
        equal ones the later), or the last.
    weights : {"none", "imagenet", "coco"}
        First weights: by chance; or published ones, of a network that was trained on ImageNet,
        whose last layer stays only where the classes are ImageNet's; or of a detector that was
        trained on COCO, whose scores stay only where all classes are called as COCO's.
    freeze : {"none", "early", "backbone"}
        Leave layers as they are: the first third of a network's stages, which see edges and
        textures, alike in all photographs, and take the most time; or all but the last layer.
    backbone_lr : float
        Factor of the learning rate for all but the last layer.
    layer_decay : float
        Factor of the learning rate from each stage of a network to the one before it, so that what
        the first ones have learned is changed least (Howard & Ruder, 2018, section 3.2); 1: none.
    least_steps : int
        Steps of a training where no epochs are given, however few the images.
    devices : int
        Graphics processors (or processes) of a machine; more than one under torchrun.
    nodes : int
        Machines, under torchrun.
    device : str
        Where to compute: cpu, cuda, cuda:1 (the second one), mps (a Mac's), or auto, which takes a
        graphics processor if there is one.
    workers : int
        Processes that read pictures where they are streamed; 0: one for each core that is to spare.
    """

    epochs: float = 10
    first_epochs: float = 0.0
    batch_size: int = 128
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    bias_lr: float = 1.0
    schedule: Literal["one-cycle", "cosine", "constant"] = "one-cycle"
    warmup: float = 0.2
    final_lr: float = 0.0
    ema: float = 0.0
    clip: float = 0.0
    accumulate: int = 1
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "32-true"
    channels_last: bool = False
    compile: bool = False
    patience: int = 0
    keep: Literal["best", "last"] = "best"
    weights: Literal["none", "imagenet", "coco"] = "none"
    freeze: Literal["none", "early", "backbone"] = "none"
    backbone_lr: float = 1.0
    layer_decay: float = 1.0
    least_steps: int = 1000
    devices: int = 1
    nodes: int = 1
    device: str = "auto"
    workers: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "lr", "accumulate", "devices", "nodes"):
            if not getattr(self, name) > 0:
                raise ParameterError(f"{name} must be above 0, not {getattr(self, name)}")
        self.check_shares("warmup", "final_lr", "ema", "momentum", "layer_decay")
        self.check_sizes(
            "first_epochs", "weight_decay", "clip", "patience", "workers", "least_steps"
        )
        if parts(self.device)[1] is not None and self.devices * self.nodes > 1:
            raise ParameterError(f"device={self.device} is one device; several are device=cuda")
        if self.accumulate > self.batch_size:
            raise ParameterError(
                f"accumulate={self.accumulate} must be at most batch_size={self.batch_size}"
            )

    def check_shares(self, *names: str) -> None:
        """Refuse knobs that are not between 0 and 1.

        Raises
        ------
        ParameterError
        """
        for name in names:
            if not 0 <= getattr(self, name) <= 1:
                raise ParameterError(f"{name} must be between 0 and 1, not {getattr(self, name)}")

    def check_sizes(self, *names: str) -> None:
        """Refuse knobs that are negative.

        Raises
        ------
        ParameterError
        """
        for name in names:
            if not getattr(self, name) >= 0:
                raise ParameterError(f"{name} must not be negative, not {getattr(self, name)}")


def precision_of(recipe: Recipe) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
    """Return the precision of a training, auto as it is here."""
    if recipe.precision != "auto":
        return recipe.precision
    on_processor = present(recipe.device) == "cpu"
    return "bf16-mixed" if on_processor and multiplies_bfloat16() else "32-true"


def read(recipe: str | Path, kind: type[Recipe] = Recipe) -> dict[str, Any]:
    """Read a recipe's settings: of a name in `shipped`, or from a TOML file.

    Parameters
    ----------
    recipe : str or path
    kind : type of Recipe
        What its settings belong to.

    Raises
    ------
    ParameterError
        When it is no TOML or cannot be read.
    UnknownNameError
        When there is no recipe of that name, or a setting does not exist.
    """
    path = Path(recipe)
    if str(recipe) in shipped():
        path = SHIPPED / f"{recipe}.toml"
    elif path.suffix != ".toml" and not path.exists():
        raise UnknownNameError("recipe", str(recipe), shipped())
    try:
        settings = tomllib.loads(text.read(path))
    except DataError as error:
        raise ParameterError(f"cannot read {error}") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ParameterError(f"{path} is not TOML: {error}") from None
    check(settings, kind)
    return settings


def shipped() -> list[str]:
    """Return the names of the recipes that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def check(settings: Mapping[str, Any], kind: type[Recipe] = Recipe) -> None:
    """Refuse settings that no recipe has.

    Raises
    ------
    UnknownNameError
    """
    known = [f.name for f in dataclasses.fields(kind)]
    for name in settings:
        if name not in known:
            raise UnknownNameError("training knob", name, known)
