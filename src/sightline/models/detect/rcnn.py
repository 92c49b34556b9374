r"""Detect objects by R-CNN: warp each proposed region, compute features of it, and classify those.

Girshick, Donahue, Darrell & Malik, Rich feature hierarchies for accurate object detection and
semantic segmentation, CVPR 2014 (equations as numbered in its fifth version, arXiv:1311.2524).
Three steps, none of which knows the next (section 2.1): selective search proposes regions
(`proposals`); each is cut out with some context, warped to a square, and sent through a network;
one linear classifier a class scores the features.

**The crop** (appendix A): a region is widened so that 16 of 227 pixels on every side are context;
what lies outside the image is its mean.

**The network** has learned on ImageNet; where its weights are not installed, a small one learns
here to tell the crops of objects from background (section 2.3: those that overlap an object by at
least 0.5, 32 of 128 in a batch).

**The classifiers** (section 2.3): a support vector machine a class, whose positive examples are the
objects (and their mirror images), whose negative ones overlap no object of the class by 0.3 or
more. There are far too many of those: only *hard negatives* are kept, which lie on the wrong side
of the margin. Appendix B tried a softmax in their place, which is the other choice here.

**The box** (appendix C) is moved by a ridge regression of a class on the same features,

.. math:: \hat G_x = P_w d_x(P) + P_x, \quad \hat G_y = P_h d_y(P) + P_y, \quad
    \hat G_w = P_w e^{d_w(P)}, \quad \hat G_h = P_h e^{d_h(P)}

(equations 1 to 4), which is `boxes.decode`, with

.. math:: w = \arg\min_w \sum_i \left(t^i - w^T \phi(P^i)\right)^2 + \lambda \lVert w \rVert^2

(equation 5), learned from proposals that overlap an object by at least 0.6.

What is not the paper's: features are those of EfficientNet-Lite0's last stage on 3 x 3 places, so
that they tell whether a crop holds an object or a part of it; an answer's score is a probability,
by a logistic function of the margin (Platt, 1999), as the scores of all classes and methods are.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ParameterError, RunError, UnknownNameError
from sightline.models import carried
from sightline.models.detect.baselines import Given
from sightline.models.method import Method
from sightline.types import Detections, Progress

if TYPE_CHECKING:
    from torch import Tensor, nn

Network = Literal["auto", "imagenet", "own"]
Classifier = Literal["svm", "softmax"]
Search = Callable[[NDArray[np.uint8], int], Sequence[NDArray[np.float32]]]

CONTEXT = 16 / 227
"""Share of a crop's side that is context, on every side."""

IS_OBJECT, IS_BACKGROUND, IS_NEAR = 0.5, 0.3, 0.6
"""IoU from which on a region is one of its object's class, below which it is a negative example of
a class, and from which on its box is learned from."""

LENGTH = 20.0
"""Of the features of a crop, as in the paper's code, which C and lambda were chosen for."""

AT_ONCE = 16
"""Crops that go through the network at once: their maps stay in the processor's cache."""

EARLY = 0.05
"""Share of the images after which the classifiers are learned first, to tell what is hard."""

HARDEST, ENOUGH = 20, 6000
"""Hard negatives of an image and class at most, and those after which classifiers are renewed."""

MOST = 30_000
"""Regions that overlap an object, or none, of which features are kept; of each kind."""


class RCNN(Method):
    """Classify the features of each proposed region.

    Parameters
    ----------
    regions : int
        Regions of an image that selective search proposes at most.
    crop : int
        Pixels a side of a warped region.
    network : {"auto", "imagenet", "own"}
        What computes features: EfficientNet-Lite0 with its published weights, or a small network
        that learns on the crops; auto: the first one where its weights are installed.
    classifier : {"svm", "softmax"}
        A linear support vector machine a class, or one softmax over all.
    penalty : float
        C of the classifiers: the larger, the less they are regularised.
    ridge : float
        Lambda of the box regression; 0: boxes stay as proposed.
    overlap : float
        IoU above which of two answers of a class the better one is kept.
    steps : int
        Batches that a network of its own learns from.
    seed : int

    Attributes
    ----------
    classes_ : int64 array, shape (C,)
        Of the data, whether they occur or not.
    mean_, std_ : float32 array, shape (channels,)
        Of the training images, or what the published weights need, in units of [0, 1].
    own_ : bool array, shape ()
        Whether the network was learned here.
    weights_ : float32 array, shape (C, D)
    biases_ : float32 array, shape (C,)
    curves_ : float32 array, shape (C, 2)
        Slope and offset of the margin's logistic function; of a softmax 1 and 0.
    moves_ : float32 array, shape (C, 4, D + 1)
        The ridge regression of each class, its offset last.
    """

    takes = frozenset({"progress"})
    seeded: ClassVar[bool] = True

    classes_: NDArray[np.int64]
    mean_: NDArray[np.float32]
    std_: NDArray[np.float32]
    own_: NDArray[np.bool_]
    weights_: NDArray[np.float32]
    biases_: NDArray[np.float32]
    curves_: NDArray[np.float32]
    moves_: NDArray[np.float32]
    model: nn.Module

    def __init__(
        self, regions: int = 500, crop: int = 96, network: Network = "auto",
        classifier: Classifier = "svm", penalty: float = 1e-3, ridge: float = 1000.0,
        overlap: float = 0.3, steps: int = 1000, seed: int = 0,
    ) -> None:  # fmt: skip
        if network not in get_args(Network):
            raise UnknownNameError("network", network, get_args(Network))
        if classifier not in get_args(Classifier):
            raise UnknownNameError("classifier", classifier, get_args(Classifier))
        if regions < 1 or steps < 1 or not 32 <= crop <= 512:
            raise ParameterError("regions and steps must be at least 1, crop 32 to 512 pixels")
        if penalty <= 0 or ridge < 0 or not 0 <= overlap <= 1:
            raise ParameterError(
                "penalty must be above 0, ridge at least 0, and overlap between 0 and 1"
            )
        self.regions, self.crop, self.network, self.classifier = regions, crop, network, classifier
        self.penalty, self.ridge, self.overlap = penalty, ridge, overlap
        self.steps, self.seed = steps, seed
        self.search: Search = search

    def require(self) -> None:
        """Refuse ImageNet's weights where they are not installed.

        Raises
        ------
        WeightsError
        """
        if self.network == "imagenet":
            carried.read(carried.EXTRA)

    def fit(
        self, X: NDArray[np.uint8], truth: Sequence[Detections], progress: Progress | None = None
    ) -> Self:
        """Learn classifiers and box regressions from the regions of training images.

        Parameters
        ----------
        X : uint8 array, shape (N, H, W, C)
        truth : sequence of Detections
            Of each image, in its pixels.
        progress : callable, optional
            Called with (images done, images in all).
        """
        self.classes_ = np.arange(len(truth[0].classes))
        examples = [
            Example.of(image, one, proposed)
            for image, one, proposed in zip(X, truth, self.search(X, self.regions), strict=True)
        ]
        self._prepare(X, examples)
        self._settle()
        learner = Learner(self, len(self.classes_))
        for example in examples:
            rows = self.features(example.image, example.objects, mirrored=True)
            learner.add_objects(rows, np.tile(example.labels, 2))
        early = math.ceil(len(examples) * EARLY)
        for i, example in enumerate(examples, 1):
            learner.add_regions(self.features(example.image, example.regions), example)
            due = i == early or learner.waiting > ENOUGH
            if i == len(examples) or (due and self.classifier == "svm"):
                learner.learn()
            if progress:
                progress(i, len(examples))
        self.weights_, self.biases_ = learner.weights, learner.biases
        self.curves_, self.moves_ = learner.curves(), learner.moves()
        return self

    def detect(self, X: NDArray[np.uint8]) -> list[Given]:
        """Answer for images, shape (N, H, W, C): boxes in their pixels, scores and labels."""
        return [
            self._answer(image, regions)
            for image, regions in zip(X, self.search(X, self.regions), strict=True)
        ]

    def _answer(self, image: NDArray[np.uint8], regions: NDArray[np.float32]) -> Given:
        import torch
        from torchvision import ops

        from sightline.models.detect import boxes as coding
        from sightline.models.detect.answers import Answering, kept

        rows = self.features(image, regions)
        scores = torch.from_numpy(self._scores(rows))
        moves = np.einsum("nd,ckd->nck", rows, self.moves_[..., :-1]) + self.moves_[..., -1]
        moved = coding.decode(
            torch.from_numpy(moves.astype(np.float32)), torch.from_numpy(regions)[:, None],
            coding.RPN_WEIGHTS,
        )  # fmt: skip
        moved = ops.clip_boxes_to_image(moved, (image.shape[0], image.shape[1]))
        rules = Answering(0.02, self.overlap, len(regions), 100)
        one = kept(moved, scores.T.contiguous(), rules)
        return one["boxes"].numpy(), one["scores"].numpy(), one["labels"].numpy()

    def _scores(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probability of each class for rows of features, shape (N, C)."""
        margins = rows @ self.weights_.T + self.biases_
        if self.classifier == "svm":
            raised = margins * self.curves_[:, 0] + self.curves_[:, 1]
            return np.asarray(1 / (1 + np.exp(-raised.clip(-80, 80))), np.float32)
        # The background's logit is 0.
        top = np.maximum(margins.max(1, keepdims=True), 0)
        powers = np.exp(margins - top)
        return np.asarray(powers / (powers.sum(1, keepdims=True) + np.exp(-top)), np.float32)

    # ---- features

    def features(
        self, image: NDArray[np.uint8], boxes: NDArray[np.floating], *, mirrored: bool = False
    ) -> NDArray[np.float32]:
        """Compute features of regions of an image.

        Parameters
        ----------
        image : uint8 array, shape (H, W, C)
        boxes : float array, shape (K, 4)
        mirrored : bool
            Whether those of the mirror images follow.

        Returns
        -------
        float32 array, shape (K, D) or (2 K, D)
            Each of the length `LENGTH`.
        """
        import torch

        rows = []
        with torch.inference_mode():
            crops = warped(self._standardised(image), boxes, self.crop)
            for part in [crops, crops.flip(3)] if mirrored else [crops]:
                rows += [self._rows(part[i : i + AT_ONCE]) for i in range(0, len(part), AT_ONCE)]
            whole: NDArray[np.float32] = torch.cat([*rows, self._rows(crops[:0])]).numpy()
        return whole

    def _rows(self, crops: Tensor) -> Tensor:
        import torch

        maps = self.model(crops.contiguous(memory_format=torch.channels_last))
        rows: Tensor = torch.nn.functional.adaptive_avg_pool2d(maps, 3).flatten(1)
        length = torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp(min=1e-6)
        scaled: Tensor = rows * (LENGTH / length)
        return scaled

    def _standardised(self, image: NDArray[np.uint8]) -> Tensor:
        """Return an image as floats (1, C, H, W) of mean 0 and deviation 1."""
        import torch

        x = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
        mean, std = (torch.from_numpy(v).view(1, -1, 1, 1) for v in (self.mean_, self.std_))
        return (x - mean) / std

    def _prepare(self, X: NDArray[np.uint8], examples: Sequence[Example]) -> None:
        """Load the network with published weights, or let one learn."""
        import torch

        from sightline.data.transforms import exact_mean_and_std

        self.own_ = np.array(
            self.network == "own"
            or (self.network == "auto" and not carried.installed(carried.EXTRA))
        )
        torch.manual_seed(self.seed)
        if self.own_:
            some = X[np.sort(np.random.default_rng(0).permutation(len(X))[:1024])]
            self.mean_, self.std_ = exact_mean_and_std(some)
            self.model = self._learned(examples)
            return
        from sightline.models.classify.efficientnet_lite import efficientnet_lite0
        from sightline.models.weights import load_published

        whole = efficientnet_lite0(1000, X.shape[3])
        brought = load_published(carried.EXTRA, whole, 1000)
        self.mean_, self.std_ = (np.array(v, np.float32) for v in (brought.mean, brought.std))
        self.published = dataclasses.asdict(brought)
        self.model = _stages(whole)

    def _learned(self, examples: Sequence[Example]) -> nn.Module:
        """Let a network tell crops of objects from those of background (section 2.3)."""
        import torch
        from torch import nn

        network = small_network(len(self.mean_))
        head = nn.Sequential(
            nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Dropout(0.3),
            nn.Linear(9 * 128, 1 + len(self.classes_)),
        )  # fmt: skip
        both = nn.Sequential(network, head).train()
        optimizer = torch.optim.AdamW(both.parameters(), lr=2e-3, weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=self.steps)
        chance = np.random.default_rng(self.seed)
        for _ in range(self.steps):
            crops, labels = self._batch(examples, chance)
            loss: Any = nn.functional.cross_entropy(both(crops), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        return network

    def _batch(
        self, examples: Sequence[Example], chance: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw 128 crops, at most 32 of them of objects, from eight images."""
        import torch

        crops, labels = [], []
        for place in chance.integers(len(examples), size=8):
            example = examples[place]
            classes = 1 + example.classes
            objects, others = np.flatnonzero(classes), np.flatnonzero(classes == 0)
            rows = np.concatenate(
                (chance.permutation(objects)[:4], chance.permutation(others)[:12])
            )
            drawn = warped(self._standardised(example.image), example.all[rows], self.crop)
            crops.append(drawn.flip(3) if chance.random() < 0.5 else drawn)
            labels.append(classes[rows])
        return torch.cat(crops), torch.from_numpy(np.concatenate(labels))

    # ---- keeping

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what was learned, and the network's state dict under ``network.``."""
        state = self.model.state_dict().items()
        return super().arrays() | {f"network.{n}": t.cpu().numpy() for n, t in state}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `arrays` gave.

        Raises
        ------
        RunError
            When the weights are another network's.
        """
        import torch

        super().restore({n: a for n, a in arrays.items() if not n.startswith("network.")})
        channels = len(self.mean_)
        if self.own_:
            self.model = small_network(channels)
        else:
            from sightline.models.classify.efficientnet_lite import efficientnet_lite0

            self.model = _stages(efficientnet_lite0(1, channels))
        state = {
            n.removeprefix("network."): torch.tensor(a)
            for n, a in arrays.items()
            if n.startswith("network.")
        }
        try:
            self.model.load_state_dict(state)
        except RuntimeError as error:
            raise RunError(f"the run has another network: {str(error).splitlines()[0]}") from None
        self._settle()

    def _settle(self) -> None:
        """Arrange the network as it computes fastest, and end its learning."""
        import torch

        memory: Any = {"memory_format": torch.channels_last}
        self.model.eval().to(**memory)


@dataclasses.dataclass(frozen=True)
class Example:
    """An image with its objects and regions, and how they overlap.

    Parameters
    ----------
    image : uint8 array, shape (H, W, C)
    objects : float32 array, shape (G, 4)
    labels : int64 array, shape (G,)
    regions : float32 array, shape (K, 4)
    overlaps : float32 array, shape (G, K)
    """

    image: NDArray[np.uint8]
    objects: NDArray[np.float32]
    labels: NDArray[np.int64]
    regions: NDArray[np.float32]
    overlaps: NDArray[np.float32]

    @classmethod
    def of(
        cls, image: NDArray[np.uint8], truth: Detections, regions: NDArray[np.float32]
    ) -> Example:
        """Compute the overlaps; a crowd, and what has no area, is no object."""
        import torch

        from sightline.models.detect.boxes import iou

        real = (truth.boxes[:, 2:] > truth.boxes[:, :2]).all(1)
        if truth.crowd is not None:
            real &= ~truth.crowd
        objects = np.asarray(truth.boxes[real], np.float32).reshape(-1, 4)
        overlaps = iou(torch.from_numpy(objects), torch.from_numpy(regions)).numpy()
        return cls(image, objects, truth.labels[real], regions, overlaps)

    @property
    def nearest(self) -> NDArray[np.int64]:
        """Return the object that each region overlaps most, shape (K,); needs an object."""
        return np.asarray(self.overlaps.argmax(0), np.int64)

    @property
    def all(self) -> NDArray[np.float32]:
        """Return objects and regions, shape (G + K, 4)."""
        return np.concatenate((self.objects, self.regions))

    @property
    def classes(self) -> NDArray[np.int64]:
        """Return the class of each of `all`, shape (G + K,); -1 of the background."""
        if not len(self.objects):
            return np.full(len(self.regions), -1)
        of_each = np.where(self.overlaps.max(0) >= IS_OBJECT, self.labels[self.nearest], -1)
        return np.concatenate((self.labels, of_each))

    def overlap_of(self, label: int) -> NDArray[np.float32]:
        """Return the largest IoU of each region with an object of a class, shape (K,)."""
        of_class = self.overlaps[self.labels == label]
        return np.asarray(of_class.max(0, initial=0), np.float32)


class Learner:
    """Collect the features of regions, and learn the classifiers and box regressions from them.

    Parameters
    ----------
    method : RCNN
        Gives the knobs.
    classes : int
    """

    def __init__(self, method: RCNN, classes: int) -> None:
        self.method, self.classes = method, classes
        self.weights: NDArray[np.float32] = np.zeros((classes, 0), np.float32)
        self.biases: NDArray[np.float32] = np.full(classes, -1, np.float32)
        self.objects: list[list[NDArray[np.float32]]] = [[] for _ in range(classes)]
        self.hard: list[list[NDArray[np.float32]]] = [[] for _ in range(classes)]
        self.near: list[NDArray[np.float16]] = []
        self.near_labels: list[NDArray[np.int64]] = []
        self.near_codes: list[NDArray[np.float32]] = []
        self.others: list[NDArray[np.float16]] = []
        self.waiting = 0
        self.chance = np.random.default_rng(method.seed)

    def add_objects(self, rows: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        """Add features of objects."""
        self.width = rows.shape[1]
        for label in np.unique(labels):
            self.objects[label].append(rows[labels == label])

    def add_regions(self, rows: NDArray[np.float32], example: Example) -> None:
        """Add features of an image's regions: hard negatives of each class, and near ones."""
        drawn = self.chance.permutation(len(rows))
        if self.method.classifier == "svm":
            self._add_hard(rows, example, drawn)
        if not len(example.objects):
            self._add_others(rows[drawn[:20]])
            return
        best = example.overlaps.max(0)
        self._add_others(rows[drawn[best[drawn] < IS_BACKGROUND][:20]])
        chosen = drawn[best[drawn] >= IS_OBJECT][:60]
        if sum(map(len, self.near)) < MOST and len(chosen):
            nearest = example.nearest[chosen]
            self.near.append(_halved(rows[chosen]))
            self.near_labels.append(example.labels[nearest])
            self.near_codes.append(
                _codes(example.objects[nearest], example.regions[chosen], best[chosen])
            )

    def _add_hard(
        self, rows: NDArray[np.float32], example: Example, drawn: NDArray[np.int64]
    ) -> None:
        margins = rows @ self.weights.T + self.biases if self.weights.size else None
        for label in range(self.classes):
            far = drawn[example.overlap_of(label)[drawn] < IS_BACKGROUND]
            if margins is not None:  # those that are answered wrongly, or nearly
                far = far[margins[far, label] > -1]
                far = far[np.argsort(-margins[far, label], kind="stable")]
            self.hard[label].append(rows[far[:HARDEST]])
            self.waiting += len(self.hard[label][-1])

    def _add_others(self, rows: NDArray[np.float32]) -> None:
        if sum(map(len, self.others)) < MOST:
            self.others.append(_halved(rows))

    def learn(self) -> None:
        """Learn the classifiers from what was added, and let go of negatives that are easy now."""
        self.waiting = 0
        if self.method.classifier == "softmax":
            self._learn_softmax()
            return
        weights = np.zeros((self.classes, self.width), np.float32)
        for label in range(self.classes):
            positive = [rows for rows in self.objects[label] if len(rows)]
            negative = [rows for rows in self.hard[label] if len(rows)]
            if not positive or not negative:
                continue  # a class without an object is never the answer
            far = np.concatenate(negative)
            weights[label], self.biases[label] = _machine(
                np.concatenate(positive), far, self.method.penalty, self.method.seed
            )
            easy = far @ weights[label] + self.biases[label] < -1.2
            self.hard[label] = [far[~easy]]
        self.weights = weights

    def _learn_softmax(self) -> None:
        from sklearn.linear_model import LogisticRegression

        own = [np.concatenate(rows) for rows in self.objects if rows]
        known = np.repeat([c for c in range(self.classes) if self.objects[c]], list(map(len, own)))
        X = np.concatenate([*own, *self.near, *self.others]).astype(np.float32)
        y = np.concatenate((
            known, *self.near_labels, np.full(sum(map(len, self.others)), self.classes)
        ))  # fmt: skip
        model = LogisticRegression(C=self.method.penalty, max_iter=300).fit(X, y)
        coefficients, offsets = model.coef_, model.intercept_
        if len(model.classes_) == 2:  # scikit-learn keeps the one that tells the second apart
            coefficients = np.stack((np.zeros_like(coefficients[0]), coefficients[0]))
            offsets = np.array([0.0, offsets[0]])
        self.weights = np.zeros((self.classes, X.shape[1]), np.float32)
        self.biases = np.full(self.classes, -80, np.float32)
        background = int(np.flatnonzero(model.classes_ == self.classes)[0])
        for row, label in enumerate(model.classes_):
            if label < self.classes:
                self.weights[label] = coefficients[row] - coefficients[background]
                self.biases[label] = offsets[row] - offsets[background]

    def curves(self) -> NDArray[np.float32]:
        """Return slope and offset of the margin's logistic function of each class, (C, 2)."""
        from sklearn.linear_model import LogisticRegression

        curves = np.tile(np.array([1.0, 0.0], np.float32), (self.classes, 1))
        if self.method.classifier == "softmax":
            return curves
        others = _together(self.others, self.weights.shape[1])
        near = _together(self.near, self.weights.shape[1])
        labels = np.concatenate([np.zeros(0, np.int64), *self.near_labels])
        for label in range(self.classes):
            rows = np.concatenate((near[labels == label], near[labels != label], others))
            is_own = np.arange(len(rows)) < (labels == label).sum()
            if not self.objects[label] or not 0 < is_own.sum() < len(rows):
                curves[label] = 0, -80
                continue
            margins = rows.astype(np.float32) @ self.weights[label] + self.biases[label]
            line = LogisticRegression(C=1e3).fit(margins[:, None], is_own)
            curves[label] = line.coef_[0, 0], line.intercept_[0]
        return curves

    def moves(self) -> NDArray[np.float32]:
        """Return the ridge regression of each class, shape (C, 4, D + 1)."""
        from sklearn.linear_model import Ridge

        width = self.weights.shape[1]
        moves = np.zeros((self.classes, 4, width + 1), np.float32)
        near, labels = _together(self.near, width), np.concatenate([np.zeros(0), *self.near_labels])
        codes = np.concatenate([np.zeros((0, 4), np.float32), *self.near_codes])
        for label in range(self.classes):
            rows = (labels == label) & ~np.isnan(codes[:, 0])
            if self.method.ridge and rows.sum() > 1:
                model = Ridge(self.method.ridge).fit(near[rows].astype(np.float32), codes[rows])
                moves[label] = np.column_stack((model.coef_, model.intercept_))
        return moves


def search(X: NDArray[np.uint8], most: int) -> list[NDArray[np.float32]]:
    """Propose regions of images, shape (N, H, W, C), by selective search."""
    from sightline.models.detect.proposals import selective_search

    return [selective_search(image, most) for image in X]


def warped(image: Tensor, boxes: NDArray[np.floating], side: int) -> Tensor:
    """Cut regions with their context out of an image, each warped to a square (appendix A).

    Parameters
    ----------
    image : float Tensor, shape (1, C, H, W)
        Standardised, so that 0 is its mean.
    boxes : float array, shape (K, 4)
    side : int

    Returns
    -------
    float Tensor, shape (K, C, side, side)
        0 outside the image.
    """
    import torch
    from torchvision import ops

    corner, opposite = torch.from_numpy(np.asarray(boxes, np.float32)).view(-1, 4).chunk(2, 1)
    wide = (opposite - corner) / (1 - 2 * CONTEXT)
    middle = (corner + opposite) / 2
    regions = torch.cat((middle - wide / 2, middle + wide / 2), 1)
    # RoIAlign repeats the edge for a pixel and gives 0 beyond it.
    crops: Tensor = ops.roi_align(image, [regions], side, 1.0, 2, True)
    return crops


def small_network(channels: int) -> nn.Module:
    """Build a few convolutions, each of which halves the side: (N, C, H, W) to (N, 128, h, w)."""
    from torch import nn

    layers: list[nn.Module] = []
    inputs = channels
    for width in (24, 48, 96, 128):
        layers += [nn.Conv2d(inputs, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers)


def _stages(whole: Any) -> nn.Module:
    """Return EfficientNet-Lite0 up to its last stage."""
    from torch import nn

    return nn.Sequential(whole.conv_stem, whole.bn1, whole.act, whole.blocks)


def _machine(
    positive: NDArray[np.float32], negative: NDArray[np.float32], penalty: float, seed: int
) -> tuple[NDArray[np.float32], float]:
    """Learn a linear support vector machine: its weights and its offset."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    X = np.concatenate((positive, negative))
    y = np.arange(len(X)) < len(positive)
    model = LinearSVC(
        C=penalty, intercept_scaling=10, class_weight={True: 2.0}, random_state=seed, dual="auto"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly there is good enough
        model.fit(X, y)
    return model.coef_[0].astype(np.float32), float(model.intercept_[0])


def _codes(
    objects: NDArray[np.float32], regions: NDArray[np.float32], overlaps: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Encode objects by their regions; nan where those overlap too little to be learned from."""
    import torch

    from sightline.models.detect import boxes as coding

    codes = coding.encode(
        torch.from_numpy(objects), torch.from_numpy(regions), coding.RPN_WEIGHTS
    ).numpy()
    return np.where(overlaps[:, None] >= IS_NEAR, codes, np.nan)


def _halved(rows: NDArray[np.float32]) -> NDArray[np.float16]:
    """Return numbers in half the memory; what is too small for it becomes 0."""
    with np.errstate(under="ignore"):
        return rows.astype(np.float16)


def _together(parts: Sequence[NDArray[np.float16]], width: int) -> NDArray[np.float16]:
    return np.concatenate([np.zeros((0, width), np.float16), *(p for p in parts if len(p))])
