"""Make a detector of the registry a method: its training on boxes, and its answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from sightline.data.dataset import Split
from sightline.data.transforms import Fitted
from sightline.errors import ParameterError
from sightline.estimators.detect_untaught import untaught
from sightline.estimators.network import SAMPLE, NetworkMethod, mean_and_std, not_read, time_left
from sightline.metrics import detect_precision as precision
from sightline.metrics import threads
from sightline.metrics.detect_table import Answers, Objects, Table
from sightline.training.boxed_recipe import BoxedRecipe
from sightline.types import Detections

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sightline.estimators.base import Fitting
    from sightline.models.detect.baselines import Given
    from sightline.models.registry import ModelCard
    from sightline.models.weights import PublishedWeights
    from sightline.training.engine import Judge, Training
    from sightline.training.sample_feed import Transform


class DetectionNetwork(NetworkMethod):
    """A network of the registry as a detector of objects on images of one size.

    Attributes
    ----------
    classes_ : int64 array, shape (C,)
        Of the data, whether they occur or not.
    """

    recipe_type = BoxedRecipe
    class_names: tuple[str, ...] = ()
    """Of the data that it is trained on."""

    @property
    def at_once(self) -> int:
        """Return how many images to ask about at once; 0: any number."""
        return int(getattr(getattr(self, "model", None), "at_once", 0))

    def learn(self, train: Split, val: Split | None, fitted: Fitted, how: Fitting) -> int:
        """Train on a split whose pictures are read as it learns; return how many were read.

        Parameters
        ----------
        train : Split
        val : Split, optional
            Judged after each epoch by COCO's average precision.
        fitted : Fitted
        how : Fitting

        Raises
        ------
        DataError
            When the images are too small for the network, or none can be read.
        TrainingError, RunError
            See `sightline.training.engine.Training.run`.
        """
        begun = time.perf_counter()
        judges = {"val": self.judge(val, fitted)} if val is not None else {}
        training = self.training(train, fitted, judges, how)
        left = time_left(how.budget, begun)
        self.run(training, how.progress, left, how.resume, how.on_epoch)
        feed: Any = training.feed
        unread = not_read(train, fitted, feed.unread)
        self.remarks = [*self.remarks, *feed.remarks, *unread, *self.left_out(train, fitted)]
        return len(train) - len(feed.unread)

    def training(
        self, train: Split, fitted: Fitted, judges: Mapping[str, Judge], how: Fitting
    ) -> Training:
        """Build the network for these pictures, ready to be trained; see `learn`."""
        import torch

        from sightline.training.engine import Training
        from sightline.training.sample_feed import SampleFeed

        self.classes_, self.class_names = np.arange(len(train.data.classes)), train.data.classes
        rows = np.sort(np.random.default_rng(self.seed).permutation(len(train))[:SAMPLE])
        some = train.take(rows).arrays(fitted.size, fitted.resize).X
        self.mean_, self.std_ = mean_and_std(some)
        recipe = self.suited(max(fitted.size), len(train))
        fabric = self.start(recipe, fitted.size, fitted.shape[2])
        prepare = getattr(self.model, "prepare", None)
        if callable(prepare):  # first weights that depend on the images
            prepare(self.standardised(some, torch.device("cpu")))
        workers = recipe.workers or max(threads.available() - threads.in_use(), 0)
        feed = SampleFeed(
            train, recipe.batch_size, self.seed, **self.fed(train, fitted, recipe),
            workers=workers, rank=fabric.global_rank, world=fabric.world_size,
        )  # fmt: skip

        def loss(model: nn.Module, batch: tuple[Tensor, list[dict[str, Tensor]]]) -> Tensor:
            images, targets = batch
            if hasattr(self.model, "closing"):
                cast(Any, self.model).closing = feed.is_closing
            there = [{k: v.to(fabric.device) for k, v in t.items()} for t in targets]
            x = self.standardised(images.permute(0, 2, 3, 1).numpy(), fabric.device)
            parts: dict[str, Tensor] = model(x, there)
            return cast("Tensor", sum(parts.values()))

        return Training(
            fabric, self.model, feed, recipe, loss, judges, head=self.new_layers(),
            folder=how.folder,
        )  # fmt: skip

    def left_out(self, train: Split, fitted: Fitted) -> list[str]:
        """Return remarks on the objects of a split that teach nothing; see `untaught`."""
        return untaught(train, self.model, fitted.size)

    def fed(self, train: Split, fitted: Fitted, recipe: Any) -> dict[str, Any]:
        """Return how pictures change and become batches, as keywords of `SampleFeed`."""
        from sightline.training.boxes import Gathered
        from sightline.training.sample_feed import Closing

        changed = self.changed(train, fitted, recipe)
        together = Gathered(fitted.size, recipe.augment == "mosaic", recipe.multi_scale)
        closing = Closing(1 - recipe.closing, changed, Gathered(fitted.size))
        return {"transform": changed, "collate": together, "closing": closing}

    def begin_with(self, weights: str) -> PublishedWeights:
        """Load published weights into the network: of a classifier, or of one trained on COCO."""
        if weights != "coco":
            return super().begin_with(weights)
        return self.from_coco(self.card.name.removeprefix("coco:"))

    def from_coco(self, name: str) -> PublishedWeights:
        """Load the weights of a network that was trained on COCO, by the name that it has here."""
        from sightline.models.detect.published import load_published

        return load_published(name, self.model, self.class_names)

    @classmethod
    def with_published(cls, card: ModelCard) -> Self:
        """Return a detector as it was trained on COCO, with its 80 classes.

        Raises
        ------
        ParameterError
            When the card is of none.
        WeightsError
            When its weights cannot be fetched.
        """
        if not card.name.startswith("coco:"):
            raise ParameterError(f"{card.name} has to be trained; coco:ssd300, for one, is")
        from sightline.models.detect.published import coco_classes

        network = cls(card, {})
        side = card.side or card.largest_side
        network.side_, network.class_names = np.array([side] * 2, np.int64), coco_classes()
        network.classes_ = np.arange(len(network.class_names))
        network.model = network.built(3)
        network.take_over(network.begin_with("coco"))
        network.model.eval()
        return network

    def changed(self, train: Split, fitted: Fitted, recipe: BoxedRecipe) -> Transform:
        """Return what changes a picture of a split and its boxes before the network sees them."""
        from sightline.training.boxes import Changed

        return Changed(fitted.size, recipe.augment, fitted.resize)

    def asked(self, model: nn.Module, x: Tensor, X: NDArray[np.uint8]) -> Any:
        """Return a network's answers for images: `x`, standardised, and `X`, their bytes."""
        return model(x)

    def judge(self, split: Split, fitted: Fitted) -> Judge:
        """Return what measures COCO's average precision on a split, at the network's size."""
        X, _, rows = split.arrays(fitted.size, fitted.resize)
        frames = split.frames(fitted.size, fitted.resize)
        truth = [
            _moved(split.data.objects(int(row), frame.size), frame.into)
            for row, frame in zip(rows, frames, strict=True)
        ]
        objects, classes = Objects.of(truth), split.data.classes

        def judge(model: nn.Module) -> dict[str, float]:
            said = [
                Detections(boxes, labels, classes, scores)
                for boxes, scores, labels in self._detected(model, X)
            ]
            table = Table(objects, Answers.of(said), len(X), len(classes))
            figures = precision.coco_figures(table)
            return {n: float(np.nan_to_num(precision.mean(figures[n]))) for n in ("ap", "ap50")}

        return judge

    def detect(self, X: NDArray[np.uint8]) -> list[Given]:
        """Answer for images, shape (N, H, W, C): boxes in their pixels, scores and labels."""
        return self._detected(self.model, X)

    def _detected(self, model: nn.Module, X: NDArray[np.uint8]) -> list[Given]:
        import torch

        device = next(model.parameters()).device
        model.eval()
        answers: list[Given] = []
        with torch.inference_mode():
            for start in range(0, len(X), self.batch):
                part = X[start : start + self.batch]
                for one in self.asked(model, self.standardised(part, device), part):
                    boxes, scores, labels = (
                        one[name].cpu().numpy() for name in ("boxes", "scores", "labels")
                    )
                    answers.append((boxes, scores, labels))
        return answers


def _moved(
    objects: Detections, move: Callable[[NDArray[np.float32]], NDArray[np.float32]]
) -> Detections:
    """Return objects with their boxes moved."""
    return Detections(
        move(objects.boxes), objects.labels, objects.classes, objects.scores, None, objects.crowd,
        objects.difficult,
    )  # fmt: skip


def within(
    given: Sequence[Given], frames: Sequence[Any], classes: tuple[str, ...]
) -> list[Detections]:
    """Return answers in the pixels of their pictures, cut to them; what is outside goes.

    Parameters
    ----------
    given : sequence of (boxes, scores, labels)
        Of each image, in the network's pixels.
    frames : sequence of Frame
    classes : tuple of str
    """
    answers = []
    for (boxes, scores, labels), frame in zip(given, frames, strict=True):
        moved = frame.out(boxes)
        kept = (moved[:, 2] > moved[:, 0]) & (moved[:, 3] > moved[:, 1])
        answers.append(Detections(moved[kept], labels[kept], classes, scores[kept]))
    return answers
