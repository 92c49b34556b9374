"""Make a network of the registry a classifier on arrays, with scikit-learn's contract."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError, NotFittedError
from sightline.estimators.network import SAMPLE, NetworkMethod, mean_and_std, time_left
from sightline.metrics.calibration import calibrate
from sightline.training.labelled_recipe import Flip, LabelledRecipe
from sightline.training.views import views
from sightline.types import Progress

if TYPE_CHECKING:
    import torch
    from lightning_fabric import Fabric
    from torch import Tensor, nn

    from sightline.models.registry import ModelCard
    from sightline.training.engine import Judge, OnEpoch, Training
    from sightline.training.labelled_feed import LabelledFeed

SEEN = 1000
"""Training images that are judged as validation is, to see overfitting."""

HEAD_L2 = 0.1
"""Penalty of the last layer where it is fitted first, on features of mean square 1."""

CALIBRATED = 10_000
"""Validation images that the temperature is fitted on, at most."""


class ModuleClassifier(NetworkMethod):
    """A network of the registry as a classifier of images of one size.

    Attributes
    ----------
    classes_ : int64 array, shape (C,)
        The labels that occur, in rising order.
    temperature_ : float64 array, shape ()
        What logits are divided by, so that probabilities are true; see `metrics.calibration`.
    """

    recipe_type = LabelledRecipe
    higher_is_better: ClassVar[bool] = True
    """Whether the figure that its training watches is better when higher."""
    temperature_ = np.array(1.0)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a network keeps, and the temperature."""
        return super().arrays() | {"temperature_": self.temperature_}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore the network; runs of before temperatures were fitted have none, which is 1."""
        super().restore(arrays)
        self.temperature_ = np.asarray(arrays.get("temperature_", 1.0), np.float64)

    def fit(
        self,
        X: NDArray[np.uint8],
        y: NDArray[np.int64],
        *,
        X_val: NDArray[np.uint8] | None = None,
        y_val: NDArray[np.int64] | None = None,
        progress: Progress | None = None,
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
        begun = time.perf_counter()
        self.classes_ = np.unique(y)
        judges: dict[str, Judge] = {}
        if X_val is not None and y_val is not None and len(y_val):
            some = np.sort(np.random.default_rng(self.seed).permutation(len(X))[:SEEN])
            judges = {
                "val": self.judge(functools.partial(self._in_parts, X_val, y_val)),
                "train": self.judge(functools.partial(self._in_parts, X[some], y[some])),
            }
        training = self.training(X, y, judges, folder)
        self.run(training, progress, time_left(budget, begun), resume, on_epoch)
        if X_val is not None and y_val is not None:
            self.calibrate(self._in_parts(X_val, y_val))
        self.note_if_guessing(y)
        return self

    def calibrate(self, parts: Iterable[tuple[NDArray[np.uint8], NDArray[np.int64]]]) -> None:
        """Fit the temperature on validation images and labels, given in parts.

        Images of classes that training has not seen, and those beyond `CALIBRATED`, play no part.
        """
        import torch

        weights: Sequence[float] = (1.0,)
        logits, labels, count = [], [], 0
        device = next(self.model.parameters()).device
        tta = self.recipe(int(self.side_.max())).tta
        self.model.eval()
        with torch.inference_mode():
            for X, y in parts:
                known = np.isin(y, self.classes_)
                weights, seen = zip(*views(self.standardised(X[known], device), tta), strict=True)
                logits.append(np.stack([self.model(v).float().cpu().numpy() for v in seen]))
                labels.append(np.searchsorted(self.classes_, y[known]))
                count += int(known.sum())
                if count >= CALIBRATED:
                    break
        if not count:
            return
        fitted = calibrate(np.concatenate(logits, axis=1), np.concatenate(labels), weights)
        if fitted is not None:
            self.temperature_ = np.array(fitted.temperature)
            self.calibration = fitted.plain()

    def note_if_guessing(self, y: NDArray[np.int64]) -> None:
        """Add a remark where the loss never fell below that of guessing by class frequencies."""
        losses = [row["train_loss"] for row in self.history_]
        shares = np.unique(y, return_counts=True)[1] / max(len(y), 1)
        guessing = float(-(shares * np.log(shares)).sum())
        if losses and min(losses) > 0.98 * guessing:
            self.remarks = [
                *self.remarks,
                f"has learned next to nothing: its loss on training images, {min(losses):.3g}, is "
                f"that of guessing by how frequent each class is, {guessing:.3g}",
            ]

    @classmethod
    def with_published(cls, card: ModelCard) -> Self:
        """Return a network with published weights, of timm's too; see `NetworkMethod`."""
        if not card.name.startswith("timm:"):
            return super().with_published(card)
        from sightline.models.classify.foreign import timm_published

        network = cls(card, {})
        network.model, published = timm_published(card.name.partition(":")[2])
        network.side_ = np.array([published.crop, published.crop], np.int64)
        network.classes_ = np.arange(len(published.categories))
        network.take_over(published)
        network.model.eval()
        return network

    def recipe(self, side: int) -> LabelledRecipe:
        """Return the recipe for images of so many pixels a side."""
        return cast(LabelledRecipe, super().recipe(side))

    def suited(self, side: int, images: int) -> LabelledRecipe:
        """Return the recipe for so many images of a size; unset knobs fit few or tiny ones.

        See `NetworkMethod.suited`; tiny images are moved by no more than an eighth of their side.
        """
        recipe = cast(LabelledRecipe, super().suited(side, images))
        if "shift" not in self.options:
            recipe = dataclasses.replace(recipe, shift=min(recipe.shift, side // 8))
        return recipe

    def training(
        self,
        X: NDArray[np.uint8],
        y: NDArray[np.int64],
        judges: Mapping[str, Judge] | None = None,
        folder: Path | None = None,
    ) -> Training:
        """Build the network for these images, ready to be trained; see `fit`."""
        from sightline.training.packed_feed import PackedFeed

        if X.ndim != 4 or X.dtype != np.uint8:
            raise DataError("a network takes bytes of shape (N, H, W, C): use scale=none")
        self.mean_, self.std_ = mean_and_std(X)
        rows = np.sort(np.random.default_rng(self.seed).permutation(len(X))[:SAMPLE])

        def feed(
            positions: NDArray[np.int64], recipe: LabelledRecipe, fabric: Fabric
        ) -> LabelledFeed:
            return PackedFeed(
                X, positions, self.mean_, self.std_, len(self.classes_), recipe, fabric.device,
                self.seed, fabric.global_rank, fabric.world_size,
            )  # fmt: skip

        recipe = self.suited(max(X.shape[1:3]), len(X))
        shape = (X.shape[1], X.shape[2], X.shape[3])
        return self.ready(recipe, y, shape, feed, lambda: (X[rows], y[rows]), judges, folder)

    def ready(
        self,
        recipe: LabelledRecipe,
        y: NDArray[np.int64],
        shape: tuple[int, int, int],
        feed_of: Callable[[NDArray[np.int64], LabelledRecipe, Fabric], LabelledFeed],
        some: Callable[[], tuple[NDArray[np.uint8], NDArray[np.int64]]],
        judges: Mapping[str, Judge] | None = None,
        folder: Path | None = None,
    ) -> Training:
        """Build the network and its training; ``mean_`` and ``std_`` must be set.

        Parameters
        ----------
        recipe : LabelledRecipe
        y : int64 array, shape (N,)
            Labels of all images.
        shape : (height, width, channels)
            Of an image.
        feed_of : callable
            Makes the feed of class numbers from 0, shape (N,), once the network is built.
        some : callable
            Gives images, shape (M, H, W, C), and their labels, shape (M,), that first weights may
            depend on.
        judges : mapping, optional
        folder : path, optional
            See `sightline.training.engine.Training`.
        """
        import torch

        from sightline.training.engine import Training

        if len(y) < 2:
            raise DataError("a network learns from at least 2 images, not 1")
        if recipe.flip == "auto":
            flip: Flip = "alternate" if shape[2] == 3 else "none"
            recipe = dataclasses.replace(recipe, flip=flip)
        numbers = self._numbered(y)
        fabric = self.start(recipe, shape[:2], shape[2])
        feed = feed_of(numbers, recipe, fabric)
        prepare = getattr(self.model, "prepare", None)
        if callable(prepare):  # first weights that depend on the images
            images = torch.from_numpy(np.require(some()[0], requirements=("C", "W")))
            prepare(feed.standardised(images.to(fabric.device)).cpu())
        if recipe.head_first:
            self._fit_head(*some(), fabric.device)
        loss = self._loss(feed)
        return Training(
            fabric, self.model, feed, recipe, loss, judges,
            higher_is_better=self.higher_is_better, folder=folder,
        )  # fmt: skip

    def _numbered(self, y: NDArray[Any]) -> NDArray[np.int64]:
        """Keep the labels that occur as classes; return the number of each image's among them."""
        self.classes_, positions = np.unique(y, return_inverse=True)
        return positions.astype(np.int64)

    def _loss(self, feed: LabelledFeed) -> Callable[[nn.Module, tuple[Tensor, Tensor]], Tensor]:
        """Return what a batch of the feed is learned by."""
        weights = feed.class_weights()
        return lambda model, batch: cross_entropy(model(batch[0]), batch[1], weights)

    def _in_parts(
        self, X: NDArray[np.uint8], y: NDArray[Any]
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[Any]]]:
        for start in range(0, len(X), self.batch):
            yield X[start : start + self.batch], y[start : start + self.batch]

    def _fit_head(self, X: NDArray[np.uint8], y: NDArray[np.int64], device: torch.device) -> None:
        """Fit the last layer on what the network sees in images, (M, H, W, C), as it is."""
        import torch

        from sightline.models.classic.logistic import LogisticClassifier
        from sightline.models.features import FeatureExtractor
        from sightline.models.head import head_of

        known = np.unique(y)
        if len(known) < 2:
            return
        model = self.model.to(device).eval()
        extractor, seen = FeatureExtractor(model), []
        with torch.inference_mode():
            for part, _ in self._in_parts(X, y):
                seen.append(extractor.pooled(self.standardised(part, device)).float().cpu())
        rows = torch.cat(seen).numpy()
        scale = float(np.sqrt((rows**2).mean())) or 1.0
        fitted = LogisticClassifier(l2=HEAD_L2).fit(rows / scale, y)
        weight, bias = fitted.coef_ / scale, fitted.intercept_
        if len(known) == 2:  # one logit, of the second class against the first
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        head: Any = head_of(model)[1]
        places = np.searchsorted(self.classes_, known)
        with torch.no_grad():
            for own, given in ((head.weight, weight), (head.bias, bias)):
                new = torch.as_tensor(given, dtype=torch.float32, device=device)
                own[torch.from_numpy(places)] = new.reshape(len(places), *own.shape[1:])

    def decide(self, X: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return labels, shape (M,), and probabilities, shape (M, C), of images (M, H, W, C)."""
        import torch

        if not hasattr(self, "model"):
            raise NotFittedError("fit the classifier before it predicts")
        if X.shape[1:3] != tuple(self.side_):
            raise DataError(f"trained on {tuple(self.side_)} pixels, asked about {X.shape[1:3]}")
        out = np.empty((len(X), len(self.classes_)), np.float32)
        device = next(self.model.parameters()).device
        self.model.eval()
        tta = self.recipe(int(self.side_.max())).tta
        temperature = float(self.temperature_)
        with torch.inference_mode():
            for start in range(0, len(X), self.batch):
                part = slice(start, start + self.batch)
                x = self.standardised(X[part], device)
                p = torch.zeros((len(x), out.shape[1]), device=device)
                for weight, view in views(x, tta):
                    p += weight * torch.softmax(self.model(view).float() / temperature, 1)
                out[part] = p.cpu().numpy()
        return self.classes_[out.argmax(1)], out

    def predict(self, X: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return the label of each image of X, shape (M, H, W, C): shape (M,)."""
        return self.decide(X)[0]

    def predict_proba(self, X: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return probabilities in the order of ``classes_``, shape (M, C)."""
        return self.decide(X)[1]

    def score(self, X: NDArray[np.uint8], y: NDArray[np.int64]) -> float:
        """Return the accuracy, in [0, 1]."""
        return float((self.predict(X) == y).mean())

    def judge(
        self, parts: Callable[[], Iterable[tuple[NDArray[np.uint8], NDArray[np.int64]]]]
    ) -> Judge:
        """Return what measures accuracy and loss on images and labels, given in parts.

        An image of a class that training has not seen is answered wrongly; it has no loss.
        """
        import torch

        def judge(model: nn.Module) -> dict[str, float]:
            right, loss, seen, counted = 0.0, 0.0, 0, 0
            device = next(model.parameters()).device
            model.eval()
            with torch.inference_mode():
                for X, y in parts():
                    known = np.isin(y, self.classes_)
                    logits = model(self.standardised(X, device)).float().cpu()[known]
                    wanted = torch.from_numpy(np.searchsorted(self.classes_, y)[known])
                    total = torch.nn.functional.cross_entropy(logits, wanted) * len(wanted)
                    loss += float(total) if len(wanted) else 0.0
                    right += float((logits.argmax(1) == wanted).sum())
                    seen, counted = seen + len(y), counted + len(wanted)
            return {"accuracy": right / seen} | ({"loss": loss / counted} if counted else {})

        return judge


def cross_entropy(output: Any, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean cross-entropy of logits, shape (N, C), with probabilities as targets.

    Of a network with auxiliary heads (GoogLeNet: a tuple of logits), those count 0.3 each
    (Szegedy et al., Going deeper with convolutions, 2015, section 5).
    """
    import torch

    if isinstance(output, tuple):
        main, *others = (cross_entropy(o, target, weights) for o in output if o is not None)
        return main + 0.3 * sum(others, torch.zeros((), device=target.device))
    losses = -(target * torch.log_softmax(output.float(), 1))
    return (losses if weights is None else losses * weights).sum(1).mean()
