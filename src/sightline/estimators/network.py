"""Make a ``torch.nn.Module`` a method: its recipe, weights, training and arrays, for any task."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sightline.data.load import left_out_note
from sightline.data.transforms import exact_mean_and_std
from sightline.errors import DataError, ParameterError
from sightline.metrics.overfitting import Watched, far_behind, find_overfitting, watched
from sightline.models.device import present
from sightline.models.method import Method
from sightline.models.registry import SMALL, ModelCard, resolve
from sightline.training.recipe import Recipe, check
from sightline.types import Progress

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric
    from torch import Tensor, nn

    from sightline.data.dataset import Split
    from sightline.data.transforms import Fitted
    from sightline.models.weights import PublishedWeights
    from sightline.training.engine import OnEpoch, Training

STRETCH = 3.0
"""Times its recipe's epochs that a budget may give a network whose accuracy is bought by time."""

STRETCHED = 12_000
"""Steps that a budget may give such a network at least, if it begins with random weights: of few
images three times the epochs would leave most of a budget unused."""

BATCH, BATCH_SIDE = 256, 64
"""Images that a network is asked about at once, up to so many pixels a side."""

SAMPLE = 4096
"""Images that mean, deviation and data-dependent first weights are taken from."""


class NetworkMethod(Method):
    """A network with its training recipe as a method; a task's subclass adds loss and answers.

    Parameters
    ----------
    card : ModelCard
        Of kind ``module``.
    options : mapping
        Knobs of the training recipe that differ from the card's.
    seed : int

    Attributes
    ----------
    classes_ : int64 array, shape (C,)
    mean_, std_ : float32 array, shape (channels,)
        Of the training images, in units of [0, 1].
    side_ : int64 array, shape (2,)
        Height and width that it was built for.
    model : Module

    Raises
    ------
    UnknownNameError, ParameterError
        When a knob does not exist or cannot have the value.
    """

    takes = frozenset({"X_val", "progress", "budget", "folder", "resume", "on_epoch"})
    seeded = True
    recipe_type: ClassVar[type[Recipe]] = Recipe
    """Knobs of the task's training."""
    share: ClassVar[bool] = True
    """Whether the figure that its training watches is a share, in [0, 1]."""

    mean_: NDArray[np.float32]
    std_: NDArray[np.float32]
    side_: NDArray[np.int64]
    model: nn.Module

    def __init__(self, card: ModelCard, options: Mapping[str, Any], seed: int = 0) -> None:
        check(options, self.recipe_type)
        self.card, self.options, self.seed = card, dict(options), seed
        self.recipe(SMALL)

    def recipe(self, side: int) -> Recipe:
        """Return the recipe for images of so many pixels a side."""
        own = self.card.recipe if side <= SMALL else self.card.recipe_large
        try:
            recipe = self.recipe_type(**(dict(own) | self.options))
        except TypeError as error:
            raise ParameterError(f"{self.card.name}: {error}") from None
        if recipe.weights != "none" and recipe.weights not in self.card.weights:
            has = " or ".join(f"weights={name}" for name in ("none", *self.card.weights))
            raise ParameterError(
                f"{self.card.name} has no published weights={recipe.weights} to begin with: {has}"
            )
        return recipe

    def suited(self, side: int, images: int) -> Recipe:
        """Return the recipe for so many images of a size; unset knobs fit few of them.

        They get smaller batches and more epochs, so that there are at least the recipe's
        ``least_steps``. The learning rate falls with the square root of the batch, which keeps the
        variance of the steps (Krizhevsky, One weird trick for parallelizing convolutional neural
        networks, 2014, section 5).
        """
        recipe, given = self.recipe(side), self.options
        if "batch_size" not in given:
            batch = max(min(recipe.batch_size, max(16, images // 40)), recipe.accumulate)
            if "lr" not in given:
                lr = recipe.lr * (batch / recipe.batch_size) ** 0.5
                recipe = dataclasses.replace(recipe, lr=lr)
            recipe = dataclasses.replace(recipe, batch_size=batch)
        if "epochs" not in given:
            steps = -(-images // recipe.batch_size)
            epochs = max(recipe.epochs, float(-(-recipe.least_steps // steps)))
            recipe = dataclasses.replace(recipe, epochs=epochs)
        return recipe

    def start(self, recipe: Recipe, size: tuple[int, int], channels: int) -> Fabric:
        """Start the devices of a recipe, and build the network with its first weights.

        ``classes_``, ``mean_`` and ``std_`` must be set; published weights replace the last two.

        Parameters
        ----------
        recipe : Recipe
        size : (height, width)
        channels : int
            Of the images.

        Raises
        ------
        TrainingError
            When there is no such device.
        DataError
            When the images are too small for the network.
        WeightsError
            When published weights cannot be had.
        """
        import torch

        from sightline.training.engine import launch, used

        self.side_ = np.array(size, np.int64)
        fabric = launch(recipe)
        self.used = used(fabric, recipe)
        torch.manual_seed(self.seed)
        self.model = self.built(channels)
        if recipe.weights != "none":
            self.take_over(self.begin_with(recipe.weights))
        return fabric

    def begin_with(self, weights: str) -> PublishedWeights:
        """Load published weights into the network that was just built.

        Parameters
        ----------
        weights : str
            Where they come from, one of the card's.

        Raises
        ------
        WeightsError
            When they cannot be had.
        """
        from sightline.models.weights import load_published

        return load_published(
            self.card.pretrained or self.card.name, self.model, len(self.classes_)
        )

    def new_layers(self) -> list[str] | None:
        """Return the layers that published weights have left new; None: the network's head."""
        from sightline.models.head import fresh_layers

        return fresh_layers(self.model, self.published.get("fresh", ())) or None

    def run(
        self,
        training: Training,
        progress: Progress | None = None,
        budget: float | None = None,
        resume: bool = False,
        on_epoch: OnEpoch | None = None,
    ) -> None:
        """Train to the end, and keep the history and remarks.

        Raises
        ------
        TrainingError, RunError
            See `sightline.training.engine.Training.run`.
        """
        asked = training.recipe.epochs
        if resume:
            training.resume()
        elif budget is not None:
            training.fit_to(budget, self._stretch(training))
        outcome = training.run(progress, on_epoch)
        if budget is not None or outcome.recipe.epochs != asked:
            self.decided = {"epochs": outcome.recipe.epochs}
            if outcome.recipe.first_epochs:
                self.decided["first_epochs"] = outcome.recipe.first_epochs
        self.history_, self.remarks = outcome.history, outcome.remarks
        figure = self._watched(training)
        if outcome.kept and (behind := far_behind(self.history_, outcome.kept, figure)):
            self.remarks = [*self.remarks, behind]
        if seen := find_overfitting(self.history_, figure):
            self.remarks = [*self.remarks, str(seen)]
        self.model.eval()

    def _stretch(self, training: Training) -> float:
        """Return by what a budget may multiply the epochs that are planned."""
        if not self.card.costly or "epochs" in self.options:
            return 1.0
        scratch = training.recipe.weights == "none"
        return max(STRETCH, STRETCHED / max(training.steps, 1) if scratch else 0.0)

    def _watched(self, training: Training) -> Watched | None:
        """Return the figure that a training watched, with its unit and its direction."""
        seen = watched(self.history_)
        if seen is None or not training.judges:
            return seen
        first = next(k for k in self.history_[0] if k not in ("epoch", "step", "train_loss"))
        if first != f"{next(iter(training.judges))}_{seen.name}":
            return seen  # a loss is watched, and this figure is another
        return Watched(seen.name, self.share, training.sign > 0)

    @classmethod
    def with_published(cls, card: ModelCard) -> Self:
        """Return a network with published weights, as it was trained on ImageNet.

        Raises
        ------
        ParameterError
            When it has none.
        WeightsError
            When they cannot be fetched.
        """
        from sightline.models.weights import load_published

        if "imagenet" not in card.weights or card.pretrained:
            other = f"; {card.pretrained} has" if card.pretrained else ""
            raise ParameterError(f"there are no published weights of {card.name}{other}")
        network = cls(card, {})
        shape = card.shape or (3, 224, 224)
        network.side_ = np.array(shape[1:], np.int64)
        network.classes_ = np.arange(1000)
        network.model = network.built(shape[0])
        network.take_over(load_published(card.name, network.model, 1000))
        network.model.eval()
        return network

    @property
    def batch(self) -> int:
        """Return how many images to ask about at once: of large ones fewer, as caches are small."""
        side = max(int(self.side_.max()), getattr(self.model, "enlarge", 0), BATCH_SIDE)
        suits = max(16, BATCH * BATCH_SIDE**2 // side**2)
        return min(suits, self.at_once or suits)

    def compute_on(self, device: str) -> None:
        """Move the network to a device; see `Method.compute_on`."""
        there = present(device)
        self.model.to(there)

    def take_over(self, published: PublishedWeights) -> None:
        """Keep what published weights that were loaded are, and see images as they need it."""
        self.mean_ = np.array(published.mean, np.float32)
        self.std_ = np.array(published.std, np.float32)
        self.published = dataclasses.asdict(published)

    @property
    def parameters(self) -> int:
        """Return how many weights the network has; buffers do not count."""
        return sum(p.numel() for p in self.model.parameters())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return mean, deviation, size and classes, and the state dict under ``model.``."""
        learned = {n: getattr(self, n) for n in ("classes_", "mean_", "std_", "side_")}
        for name, tensor in self.model.state_dict().items():
            learned[f"model.{name}"] = tensor.detach().cpu().numpy()
        return learned

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore the network from what `arrays` returned.

        Raises
        ------
        RunError
            When the weights are another network's.
        """
        import torch

        from sightline.training.checkpoint import load_into

        for name in ("classes_", "mean_", "std_", "side_"):
            setattr(self, name, arrays[name])
        self.model = self.built(len(self.mean_))
        state = {
            name.removeprefix("model."): torch.tensor(array)
            for name, array in arrays.items()
            if name.startswith("model.")
        }
        load_into(self.model, state, "the run")
        self.model.eval()

    def built(self, channels: int) -> nn.Module:
        """Build the network for these classes, channels and sizes, with random weights.

        Raises
        ------
        DataError
            When the images are too small for it.
        """
        height, width = (int(side) for side in self.side_)
        if int(self.side_.min()) < self.card.smallest_side:
            raise DataError(
                f"{self.card.name} needs images of at least {self.card.smallest_side} pixels a "
                f"side, not {int(self.side_.min())}; scale them up with "
                f"size={self.card.smallest_side}"
            )
        build, form = resolve(self.card.entry), self.card.built_with((channels, height, width))
        network: nn.Module = build(num_classes=len(self.classes_), **form)
        return network

    def standardised(self, X: NDArray[np.uint8], device: torch.device) -> Tensor:
        """Return images, shape (M, H, W, C), as floats (M, C, H, W) of mean 0 and deviation 1."""
        import torch

        x = (
            torch.from_numpy(np.require(X, requirements=("C", "W")))
            .to(device)
            .permute(0, 3, 1, 2)
            .float()
        )
        mean = torch.tensor(self.mean_ * 255, device=device).view(1, -1, 1, 1)
        std = torch.tensor(self.std_ * 255, device=device).view(1, -1, 1, 1)
        return (x - mean) / std


def not_read(train: Split, fitted: Fitted, unread: Mapping[int, str]) -> list[str]:
    """Return a remark on the pictures and masks that could not be read, if there are any.

    Parameters
    ----------
    train : Split
    fitted : Fitted
    unread : mapping of int to str
        Why, by the row of the source. What packing the pictures could not read is told elsewhere.
    """
    packed = train.data.source.packed.get((*fitted.size, fitted.resize))
    told = packed.unreadable if packed else {}
    why = [reason for row, reason in unread.items() if row not in told]
    return [left_out_note(why, len(train))] if why else []


def time_left(budget: float | None, begun: float) -> float | None:
    """Return what is left of a budget of seconds that began at a ``time.perf_counter()``.

    At least a second; None: there is no budget.
    """
    return None if budget is None else max(budget - (time.perf_counter() - begun), 1.0)


def mean_and_std(X: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return mean and deviation of each channel, in units of [0, 1]; of large data, of a sample."""
    if X.nbytes > 2**30:
        X = X[np.sort(np.random.default_rng(0).permutation(len(X))[:SAMPLE])]
    return exact_mean_and_std(X)
