"""A ``torch.nn.Module`` as a classifier on arrays, with scikit-learn's contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data.transforms import channel_figures
from sightline.errors import DataError, NotFittedError, ParameterError
from sightline.metrics.overfitting import find_overfitting
from sightline.models.registry import SMALL, ModelCard, resolve
from sightline.training.recipe import Flip, Recipe, Tta, check

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from sightline.training.engine import Judge, OnEpoch, Training

LEAST_STEPS = 1000
"""Steps of a training where no epochs are given."""

SEEN = 1000
"""Training images that are judged as validation is, to see overfitting."""

_BATCH = 256
_SAMPLE = 4096
"""Images that mean, deviation and data-dependent first weights are taken from."""


class ModuleClassifier:
    """A network of the registry on arrays of images.

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
    history_ : list of dict
        One an epoch.
    remarks : list of str
        What the reader should know of the training.
    published : dict
        What published weights brought along: name, licence, figures, classes; else empty.
    decided : dict
        Knobs that the training has set itself, such as the epochs of a budget.

    Raises
    ------
    UnknownNameError, ParameterError
        When a knob does not exist or cannot have the value.
    """

    classes_: NDArray[np.int64]
    mean_: NDArray[np.float32]
    std_: NDArray[np.float32]
    side_: NDArray[np.int64]
    model: nn.Module

    def __init__(self, card: ModelCard, options: Mapping[str, Any], seed: int = 0) -> None:
        check(options)
        self.card, self.options, self.seed = card, dict(options), seed
        self.history_: list[dict[str, Any]] = []
        self.remarks: list[str] = []
        self.decided: dict[str, Any] = {}
        self.published: dict[str, Any] = {}
        self.recipe(SMALL)

    def recipe(self, side: int) -> Recipe:
        """Recipe for images of so many pixels a side."""
        own = self.card.recipe if side <= SMALL else self.card.recipe_large
        try:
            return Recipe(**(dict(own) | self.options))
        except TypeError as error:
            raise ParameterError(f"{self.card.name}: {error}") from None

    def suited(self, side: int, images: int) -> Recipe:
        """Recipe for so many images of a size: what is not given fits few or tiny ones.

        Few images get smaller batches and more epochs, so that there are at least
        `LEAST_STEPS` steps; tiny ones are moved by no more than an eighth of their side.
        """
        recipe, given = self.recipe(side), self.options
        changes: dict[str, Any] = {}
        if "batch_size" not in given:
            batch = min(recipe.batch_size, max(16, images // 40))
            changes["batch_size"] = max(batch, recipe.accumulate)
        if "shift" not in given:
            changes["shift"] = min(recipe.shift, side // 8)
        recipe = dataclasses.replace(recipe, **changes)
        if "epochs" not in given:
            steps = -(-images // recipe.batch_size)
            epochs = max(recipe.epochs, float(-(-LEAST_STEPS // steps)))
            recipe = dataclasses.replace(recipe, epochs=epochs)
        return recipe

    def fit(
        self,
        X: NDArray[np.uint8],
        y: NDArray[np.int64],
        *,
        X_val: NDArray[np.uint8] | None = None,
        y_val: NDArray[np.int64] | None = None,
        progress: Any = None,
        budget: float | None = None,
        folder: Path | None = None,
        resume: bool = False,
        on_epoch: OnEpoch | None = None,
    ) -> ModuleClassifier:
        """Train on images.

        Parameters
        ----------
        X : uint8 array, shape (N, H, W, C)
            May be memory-mapped.
        y : int64 array, shape (N,)
        X_val, y_val : arrays, optional
            Judged after every epoch.
        progress : callable, optional
            Called with (steps, steps in all).
        budget : float, optional
            Seconds; sets the epochs.
        folder : path, optional
            Of the run: checkpoints go there.
        resume : bool
            Go on from the folder's last checkpoint.
        on_epoch : callable, optional
            Called with each epoch's row of ``history_``, from the first, also when resumed.

        Raises
        ------
        DataError
            When the images are no bytes, or too small for the network.
        TrainingError, RunError
            See `sightline.training.engine.Training.run`.
        """
        self.classes_ = np.unique(y)
        judges: tuple[Judge, ...] = ()
        if X_val is not None and y_val is not None and len(y_val):
            some = np.sort(np.random.default_rng(self.seed).permutation(len(X))[:SEEN])
            judges = self._judge(X_val, y_val), self._judge(X[some], y[some])
        training = self.training(X, y, judges, folder)
        asked = training.recipe.epochs
        if resume:
            training.resume()
        elif budget is not None:
            training.fit_to(budget)
        if budget is not None or training.recipe.epochs != asked:
            self.decided = {"epochs": training.recipe.epochs}
        outcome = training.run(progress, on_epoch)
        self.history_, self.remarks = outcome.history, outcome.remarks
        if found := find_overfitting(self.history_):
            self.remarks.append(str(found))
        self.model.eval()
        return self

    def training(
        self,
        X: NDArray[np.uint8],
        y: NDArray[np.int64],
        judges: tuple[Judge, ...] = (),
        folder: Path | None = None,
    ) -> Training:
        """Build the network for these images, ready to be trained; see `fit`."""
        import torch

        from sightline.training.engine import Training, launch
        from sightline.training.feed import Feed

        if X.ndim != 4 or X.dtype != np.uint8:
            raise DataError("a network takes bytes of shape (N, H, W, C): use --scale none")
        recipe = self.suited(max(X.shape[1:3]), len(X))
        if recipe.flip == "auto":
            flip: Flip = "alternate" if X.shape[3] == 3 else "none"
            recipe = dataclasses.replace(recipe, flip=flip)
        self.classes_, positions = np.unique(y, return_inverse=True)
        self.side_ = np.array(X.shape[1:3], np.int64)
        self.mean_, self.std_ = figures(X)
        fabric = launch(recipe)
        torch.manual_seed(self.seed)
        self.model = self._built(X.shape[3])
        if recipe.weights == "imagenet":
            from sightline.models.classify.weights import load_published

            brought = load_published(self.card.name, self.model, len(self.classes_))
            self.mean_ = np.array(brought.mean, np.float32)
            self.std_ = np.array(brought.std, np.float32)
            self.published = dataclasses.asdict(brought)
        feed = Feed(
            X, positions.astype(np.int64), self.mean_, self.std_, len(self.classes_), recipe,
            fabric.device, self.seed, fabric.global_rank, fabric.world_size,
        )  # fmt: skip
        prepare = getattr(self.model, "prepare", None)
        if callable(prepare):  # first weights that depend on the images
            rows = np.random.default_rng(self.seed).permutation(len(X))[:_SAMPLE]
            prepare(feed.pixels(np.sort(rows)).cpu())
        weights = feed.class_weights()

        def loss(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
            return cross_entropy(model(x), target, weights)

        return Training(fabric, self.model, feed, recipe, loss, *judges, folder=folder)

    @classmethod
    def with_published(cls, card: ModelCard) -> ModuleClassifier:
        """Give a network with published weights, as it was trained on ImageNet.

        Raises
        ------
        ParameterError
            When it has none.
        WeightsError
            When they cannot be fetched.
        """
        network = cls(card, {})
        shape = card.shape or (3, 224, 224)
        network.side_ = np.array(shape[1:], np.int64)
        if card.name.startswith("timm:"):
            from sightline.models.classify.foreign import timm_published

            network.model, brought = timm_published(card.name.partition(":")[2])
            network.side_ = np.array([brought.crop, brought.crop], np.int64)
            network.classes_ = np.arange(len(brought.categories))
        elif "imagenet" in card.weights:
            from sightline.models.classify.weights import load_published

            network.classes_ = np.arange(1000)
            network.model = network._built(shape[0])
            brought = load_published(card.name, network.model, 1000)
        else:
            raise ParameterError(f"there are no published weights of {card.name}")
        network.mean_ = np.array(brought.mean, np.float32)
        network.std_ = np.array(brought.std, np.float32)
        network.model.eval()
        return network

    def features(self, X: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the last layer sees of images, shape (M, H, W, C): shape (M, D)."""
        from sightline.models.head import features

        device = next(self.model.parameters()).device
        self.model.eval()
        if X.shape[3] == 1 and len(self.mean_) == 3:
            X = np.repeat(X, 3, axis=3)
        found: NDArray[np.float32] = (
            features(self.model, self._standardised(X, device)).cpu().numpy()
        )
        return found

    def decide(self, X: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Labels, shape (M,), and probabilities, shape (M, C), of images (M, H, W, C)."""
        import torch

        if not hasattr(self, "model"):
            raise NotFittedError("fit the classifier before it predicts")
        if X.shape[1:3] != tuple(self.side_):
            raise DataError(f"trained on {tuple(self.side_)} pixels, asked about {X.shape[1:3]}")
        out = np.empty((len(X), len(self.classes_)), np.float32)
        device = next(self.model.parameters()).device
        self.model.eval()
        tta = self.recipe(int(self.side_.max())).tta
        with torch.inference_mode():
            for start in range(0, len(X), _BATCH):
                part = slice(start, start + _BATCH)
                x = self._standardised(X[part], device)
                p = torch.zeros((len(x), out.shape[1]), device=device)
                for weight, view in views(x, tta):
                    p += weight * torch.softmax(self.model(view).float(), 1)
                out[part] = p.cpu().numpy()
        return self.classes_[out.argmax(1)], out

    def predict(self, X: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Label of each image of X, shape (M, H, W, C): shape (M,)."""
        return self.decide(X)[0]

    def predict_proba(self, X: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities in the order of ``classes_``, shape (M, C)."""
        return self.decide(X)[1]

    def score(self, X: NDArray[np.uint8], y: NDArray[np.int64]) -> float:
        """Accuracy in [0, 1]."""
        return float((self.predict(X) == y).mean())

    @property
    def parameters(self) -> int:
        """Weights of the network; buffers do not count."""
        return sum(p.numel() for p in self.model.parameters())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What a run keeps: figures of the data, and the state dict under ``model.``."""
        learned = {n: getattr(self, n) for n in ("classes_", "mean_", "std_", "side_")}
        for name, tensor in self.model.state_dict().items():
            learned[f"model.{name}"] = tensor.detach().cpu().numpy()
        return learned

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `arrays` gave.

        Raises
        ------
        RunError
            When the weights are another network's.
        """
        import torch

        from sightline.training.checkpoint import load_into

        for name in ("classes_", "mean_", "std_", "side_"):
            setattr(self, name, arrays[name])
        self.model = self._built(len(self.mean_))
        state = {
            name.removeprefix("model."): torch.tensor(array)
            for name, array in arrays.items()
            if name.startswith("model.")
        }
        load_into(self.model, state, "the run")
        self.model.eval()

    def _built(self, channels: int) -> nn.Module:
        """The network for these classes, channels and sizes."""
        height, width = (int(side) for side in self.side_)
        if int(self.side_.min()) < self.card.smallest_side:
            raise DataError(
                f"{self.card.name} needs images of at least {self.card.smallest_side} pixels a "
                f"side, not {int(self.side_.min())}; scale them up with "
                f"--size {self.card.smallest_side}"
            )
        build, form = resolve(self.card.entry), self.card.built_with((channels, height, width))
        network: nn.Module = build(num_classes=len(self.classes_), **form)
        return network

    def _standardised(self, X: NDArray[np.uint8], device: torch.device) -> Tensor:
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

    def _judge(self, X: NDArray[np.uint8], y: NDArray[np.int64]) -> Judge:
        import torch

        positions = np.searchsorted(self.classes_, y)
        known = np.isin(y, self.classes_)

        def judge(model: nn.Module) -> dict[str, float]:
            right, loss = 0.0, 0.0
            device = next(model.parameters()).device
            model.eval()
            with torch.inference_mode():
                for start in range(0, len(X), _BATCH):
                    part = slice(start, start + _BATCH)
                    logits = model(self._standardised(X[part], device)).float().cpu()
                    wanted = torch.from_numpy(positions[part] * known[part])
                    loss += float(torch.nn.functional.cross_entropy(logits, wanted)) * len(wanted)
                    right += float((logits.argmax(1) == wanted)[known[part]].sum())
            return {"accuracy": right / len(X), "loss": loss / len(X)}

        return judge


def views(x: Tensor, tta: Tta) -> Iterator[tuple[float, Tensor]]:
    """Views of images, shape (N, C, H, W), that are asked in their place, with their weights.

    Source of ``multi-crop``: Jordan, 94% on CIFAR-10 in 3.29 seconds, 2024, section 3.5: the image
    counts one half, and its shifts by a pixel up left and down right one quarter each. There the
    logits are averaged, here the probabilities.
    """
    from torch.nn import functional

    crops = [(1.0, x)]
    if tta == "multi-crop":
        h, w = x.shape[2:]
        padded = functional.pad(x, (1,) * 4, "reflect")
        crops = [(0.5, x), (0.25, padded[:, :, :h, :w]), (0.25, padded[:, :, 2:, 2:])]
    for weight, crop in crops:
        if tta == "none":
            yield weight, crop
        else:
            yield weight / 2, crop
            yield weight / 2, crop.flip(3)


def cross_entropy(output: Any, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy of logits, shape (N, C), with probabilities as targets.

    Of a network with auxiliary heads (GoogLeNet: a tuple of logits), those count 0.3 each
    (Szegedy et al., Going deeper with convolutions, 2015, section 5).
    """
    import torch

    if isinstance(output, tuple):
        main, *others = (cross_entropy(o, target, weights) for o in output if o is not None)
        return main + 0.3 * sum(others, torch.zeros((), device=target.device))
    losses = -(target * torch.log_softmax(output.float(), 1))
    return (losses if weights is None else losses * weights).sum(1).mean()


def figures(X: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and deviation of each channel, in units of [0, 1]; of large data, of a sample."""
    if X.nbytes > 2**30:
        X = X[np.sort(np.random.default_rng(0).permutation(len(X))[:_SAMPLE])]
    return channel_figures(X)
