"""Make a semantic network of the registry a method: its training on pixels, and its scores."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from sightline.data.dataset import Split
from sightline.data.transforms import Fitted
from sightline.errors import DataError, ParameterError
from sightline.estimators.network import SAMPLE, NetworkMethod, mean_and_std, not_read, time_left
from sightline.metrics import bootstrap, threads
from sightline.metrics.segment_table import of_classes
from sightline.training.pixel_recipe import PixelRecipe
from sightline.types import IGNORE

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from sightline.estimators.base import Fitting
    from sightline.models.registry import ModelCard
    from sightline.models.weights import PublishedWeights
    from sightline.training.engine import Judge, Training


AT_ONCE = 8
"""Images that a network is asked about at once: each has a number a class and pixel."""


class SemanticNetwork(NetworkMethod):
    """A network of the registry that says the class of every pixel, of images of one size.

    Attributes
    ----------
    classes_ : int64 array, shape (K,)
        Of the data, whether they occur or not; the background's among them where there is one.
    ignored_ : int64 array
        Classes that do not count, and are never answered.
    """

    recipe_type = PixelRecipe
    at_once = AT_ONCE
    class_names: tuple[str, ...] = ()
    """Of the data that it is trained on."""

    ignored_: NDArray[np.int64]

    def learn(self, train: Split, val: Split | None, fitted: Fitted, how: Fitting) -> int:
        """Train on a split whose pictures are read as it learns; return how many were read.

        Parameters
        ----------
        train : Split
        val : Split, optional
            Judged after each epoch by the mean IoU, at the network's size.
        fitted : Fitted
        how : Fitting

        Raises
        ------
        DataError
            When the images are too small for the network, none can be read, or no pixel counts.
        ParameterError
            When the recipe's cuts are too small for the network.
        TrainingError, RunError
            See `sightline.training.engine.Training.run`.
        """
        begun = time.perf_counter()
        self._name_classes(train, fitted)
        check_counted(train, self.ignored_.tolist())
        judges = {"val": self.judge(val, fitted)} if val is not None else {}
        training = self.training(train, fitted, judges, how)
        left = time_left(how.budget, begun)
        self.run(training, how.progress, left, how.resume, how.on_epoch)
        feed: Any = training.feed
        unread = not_read(train, fitted, feed.unread)
        self.remarks = [*self.remarks, *feed.remarks, *unread]
        if len(self.ignored_):
            named = ", ".join(self.class_names[c] for c in self.ignored_.tolist())
            self.remarks.append(f"classes that do not count, and are never answered: {named}")
        return len(train) - len(feed.unread)

    def training(
        self, train: Split, fitted: Fitted, judges: Mapping[str, Judge], how: Fitting
    ) -> Training:
        """Build the network for these pictures, ready to be trained; see `learn`."""
        import torch

        from sightline.models.segment.losses import boundary_weights, with_auxiliary
        from sightline.training.cuts import check_cut
        from sightline.training.engine import Training
        from sightline.training.pixels import Changed, Gathered
        from sightline.training.sample_feed import SampleFeed

        self._name_classes(train, fitted)
        rows = np.sort(np.random.default_rng(self.seed).permutation(len(train))[:SAMPLE])
        some = train.take(rows).arrays(fitted.size, fitted.resize).X
        self.mean_, self.std_ = mean_and_std(some)
        recipe = cast(PixelRecipe, self.suited(max(fitted.size), len(train)))
        fabric = self.start(recipe, fitted.size, fitted.shape[2])
        weight = None
        if recipe.class_weights == "balanced":
            weight = torch.from_numpy(self._balanced(train)).to(fabric.device)
        changed = Changed(
            fitted.size, recipe.augment, fitted.resize, tuple(self.ignored_.tolist()), recipe.cut,
            recipe.zoom,
            functools.partial(boundary_weights, w0=recipe.boundary) if recipe.boundary else None,
        )  # fmt: skip
        check_cut(fitted.size, recipe.cut, self.card.name, self.card.smallest_side)
        feed = SampleFeed(
            train, recipe.batch_size, self.seed, transform=changed,
            collate=Gathered(recipe.paste),
            workers=recipe.workers or max(threads.available() - threads.in_use(), 0),
            rank=fabric.global_rank, world=fabric.world_size,
        )  # fmt: skip
        measured = functools.partial(_loss, losses=recipe.losses, weight=weight)

        def loss(model: nn.Module, batch: tuple[Tensor, list[dict[str, Tensor]]]) -> Tensor:
            images, targets = batch
            x = self.standardised(images.permute(0, 2, 3, 1).numpy(), fabric.device)
            labels, pixels = (
                torch.stack([t[name] for t in targets]).to(fabric.device)
                if name in targets[0] else None
                for name in ("labels", "weights")
            )  # fmt: skip
            known = functools.partial(measured, labels=labels, pixels=pixels)
            return with_auxiliary(model(x), known)

        return Training(
            fabric, self.model, feed, recipe, loss, judges, head=self.new_layers(),
            folder=how.folder,
        )  # fmt: skip

    def _name_classes(self, train: Split, fitted: Fitted) -> None:
        """Take over the classes of the data, and which of them do not count."""
        self.class_names = train.data.segmentation_classes
        self.classes_ = np.arange(len(self.class_names))
        recipe = cast(PixelRecipe, self.recipe(max(fitted.size)))
        out = recipe.ignored(self.class_names)
        self.ignored_ = np.array([self.class_names.index(name) for name in out], np.int64)

    def _balanced(self, train: Split) -> NDArray[np.float32]:
        """Weigh the classes by how many pixels of the training pictures they have."""
        from sightline.models.segment.losses import class_weights

        counts = np.zeros((len(train), len(self.classes_)), np.int64)
        for i, labels in enumerate(label_maps(train)):  # the feed tells what cannot be read
            known = labels[(labels != IGNORE) & ~np.isin(labels, self.ignored_)]
            counts[i] = np.bincount(known, minlength=len(self.classes_))
        return class_weights(counts)

    def begin_with(self, weights: str) -> PublishedWeights:
        """Load published weights into the network: of a classifier, or of a network on COCO."""
        if weights != "coco":
            return super().begin_with(weights)
        from sightline.models.segment.published import load_published

        name = self.card.name.removeprefix("coco:")
        return load_published(name, self.model, self.class_names)

    @classmethod
    def with_published(cls, card: ModelCard) -> Self:
        """Return a network as it was trained on COCO, with Pascal VOC's classes.

        Raises
        ------
        ParameterError
            When the card is of none.
        WeightsError
            When its weights cannot be fetched.
        """
        if not card.name.startswith("coco:"):
            raise ParameterError(f"{card.name} has to be trained; coco:deeplabv3, for one, is")
        from sightline.models.segment.published import outputs

        network = cls(card, {})
        network.side_ = np.array([card.largest_side] * 2, np.int64)
        network.class_names = outputs()
        network.classes_ = np.arange(len(network.class_names))
        network.ignored_ = np.zeros(0, np.int64)
        network.model = network.built(3)
        network.take_over(network.begin_with("coco"))
        network.model.eval()
        return network

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of any network, and the classes that do not count."""
        return super().arrays() | {"ignored_": self.ignored_}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore the network from what `arrays` returned; see `NetworkMethod.restore`."""
        self.ignored_ = arrays["ignored_"]
        super().restore(arrays)

    def judge(self, split: Split, fitted: Fitted) -> Judge:
        """Return what measures the mean IoU on a split, at the network's size."""
        X, _, rows = split.arrays(fitted.size, fitted.resize)
        truth = np.empty((len(X), *fitted.size), np.uint8)
        for i, frame in enumerate(split.frames(fitted.size, fitted.resize)):
            labels = split.data.segmentation(int(rows[i]), frame.size).label_map
            truth[i] = frame.map_into(labels, fitted.size, outside=IGNORE)
        ignored, classes = self.ignored_, len(self.classes_)

        def judge(model: nn.Module) -> dict[str, float]:
            sums = np.zeros((3, classes), np.int64)
            for labels, scores in zip(truth, self._scored(model, X), strict=True):
                known = (labels != IGNORE) & ~np.isin(labels, ignored)
                true, said = labels[known], scores.argmax(0)[known]
                for row, of in zip(sums, (true[true == said], true, said), strict=True):
                    row += np.bincount(of, minlength=classes)
            hits, true, said = sums
            return {
                "miou": float(np.nan_to_num(bootstrap.mean(of_classes(hits, true, said)["iou"]))),
                "pixel_accuracy": float(hits.sum() / max(int(true.sum()), 1)),
            }

        return judge

    def scores(self, X: NDArray[np.uint8]) -> Iterator[NDArray[np.float32]]:
        """Compute the scores of every pixel of images (N, H, W, C): of each (K, H, W), in turn."""
        return self._scored(self.model, X)

    def _scored(self, model: nn.Module, X: NDArray[np.uint8]) -> Iterator[NDArray[np.float32]]:
        import torch

        device = next(model.parameters()).device
        model.eval()
        for start in range(0, len(X), self.batch):
            with torch.inference_mode():
                part = self.standardised(X[start : start + self.batch], device)
                said = without(model(part), self.ignored_.tolist()).float().cpu().numpy()
            yield from said


def without(logits: Tensor, ignored: list[int]) -> Tensor:
    """Return logits (N, K, H, W) by which classes that do not count are never the best."""
    if not ignored:
        return logits
    closed = logits.new_zeros(1, logits.shape[1], 1, 1)
    closed[:, ignored] = -1e4
    return logits + closed


def label_maps(
    split: Split, unread: dict[int, str] | None = None
) -> Iterator[NDArray[np.integer[Any]]]:
    """Yield the class of every pixel of each picture of a split.

    Parameters
    ----------
    split : Split
    unread : dict of int to str, optional
        Takes the row of the source of each picture and mask that cannot be read, with the reason;
        these are left out, as pictures are of whose pixels nothing is known.
    """
    for place, row in enumerate(split.rows.tolist()):
        try:
            known = split[place].segmentation
        except DataError as error:
            if unread is not None:
                unread[row] = str(error)
            continue
        if known is not None:
            yield known.label_map


def check_counted(train: Split, ignored: Sequence[int] = ()) -> None:
    """Refuse pictures to learn from of which no pixel counts; it ends at the first that does.

    Raises
    ------
    DataError
    """
    unread: dict[int, str] = {}
    out = [IGNORE, *ignored]
    if any(not np.isin(labels, out).all() for labels in label_maps(train, unread)):
        return
    where = f"{train.data.name}/{train.name}"
    if unread:
        raise DataError(
            f"no mask of {where} can be learned from; {len(unread)} of {len(train)} cannot be "
            f"read, first {next(iter(unread.values()))}"
        )
    raise DataError(
        f"no pixel of {where} counts: all are {IGNORE} or of classes that are ignored, so that "
        "there is nothing to learn"
    )


def _loss(
    logits: Tensor, *, labels: Tensor, pixels: Tensor | None, losses: tuple[str, ...],
    weight: torch.Tensor | None,
) -> Tensor:  # fmt: skip
    """Add up the losses that are asked for."""
    from sightline.models.segment import losses as known

    total = logits.new_zeros(())
    for name in losses:
        if name == "cross-entropy":
            total = total + known.cross_entropy(logits, labels, weight=weight, pixels=pixels)
        elif name == "focal":
            total = total + known.focal(logits, labels, weight=weight)
        else:
            total = total + {"dice": known.dice, "lovasz": known.lovasz_softmax}[name](
                logits, labels
            )
    return total
