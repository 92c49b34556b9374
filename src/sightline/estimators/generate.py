"""Make pictures like those of a data set: the estimator, and how its pictures are measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from sightline.data.dataset import Dataset, Split
from sightline.data.load import left_out_note
from sightline.data.transforms import Fitted
from sightline.errors import DataError, ParameterError, UnknownNameError
from sightline.estimators.base import Answers, Estimator, Fitting
from sightline.estimators.generate_judge import Judge, judge_of, train_rows
from sightline.estimators.generate_network import NETWORKS, GenerativeNetwork, VaeNetwork
from sightline.estimators.network import NetworkMethod
from sightline.estimators.predictions import check_split
from sightline.metrics.generate import Evaluation, copying, psnr, ssim
from sightline.models import registry
from sightline.models.classic.search import search_in
from sightline.models.generate.noise import LARGEST_SEED
from sightline.types import Frame, Generated, Progress, Task

if TYPE_CHECKING:
    from sightline.training.engine import Training

MEASURED = 2000
"""Pictures of a split that made ones are compared with, at most."""

DRAWN_AGAIN = 256
"""Pictures of a split that are drawn again, and whose likelihood is bounded, at most ..."""

BOUNDED = 2000
"""... this many."""

SAMPLES = 50
"""Codes of the importance bound (Burda et al., 2016)."""

SHOWN = 64
"""Made pictures that an evaluation keeps, to be looked at."""


@dataclass(frozen=True)
class Nearest:
    """The training pictures nearest to made ones, and what they say of copying.

    Parameters
    ----------
    pictures : uint8 array, shape (N, k, H, W, C)
        The nearest first.
    distances : float64 array, shape (N, k)
        In the features of the judge.
    rows : int64 array, shape (N, k)
        Of the data's source.
    copying : float
        See `sightline.metrics.generate.copying`, against pictures that were not trained on.
    judge : str
        What the features are of.
    """

    pictures: NDArray[np.uint8]
    distances: NDArray[np.float64]
    rows: NDArray[np.int64]
    copying: float
    judge: str


class Generator(Estimator):
    """A network that makes pictures; see `Estimator`.

    Its answer to a picture is that picture drawn again: what the network can say of it.
    """

    task = Task.GENERATE
    network = GenerativeNetwork

    @classmethod
    def network_of(cls, name: str) -> type[NetworkMethod]:
        """Return the class that makes a network a method, by its builder."""
        entry = registry.card(name).entry.rpartition(":")[2]
        return NETWORKS.get(entry, GenerativeNetwork)

    @classmethod
    def check_serves(cls, data: Dataset) -> None:
        """Refuse data without a picture; nothing needs to be known of pictures."""
        if not data.source.items:
            raise DataError(f"{data.name} has no picture")

    @classmethod
    def classes_of(cls, data: Dataset) -> tuple[str, ...]:
        """Return the classes of pictures with one label each; of others there are none here."""
        return data.classes if Task.CLASSIFY in data.tasks else ()

    def learn(self, train: Split, val: Split | None, how: Fitting) -> int:
        """Fit the method on the split's pictures; return how many could be read."""
        fitted, method = self.fitted_, self._network()
        X, y, _ = train.arrays(fitted.size, fitted.resize, how.progress)
        more = how.for_method(method)
        if val is not None:
            X_val, y_val, _ = val.arrays(fitted.size, fitted.resize)
            more |= {"X_val": X_val, "y_val": self._numbers(y_val, val.data)}
        method.fit(X, self._numbers(y, train.data), len(self.classes_), **more)
        return len(y)

    def training_of(self, method: Any, train: Split, fitted: Fitted) -> Training:
        """Return the training of a network that was just made; see `training`."""
        X, y, _ = train.arrays(fitted.size, fitted.resize)
        classes = self.classes_of(train.data)
        return cast("Training", method.training(X, y if classes else y * 0 - 1, len(classes)))

    def _numbers(self, y: NDArray[np.int64], data: Dataset) -> NDArray[np.int64]:
        """Return labels as numbers of the run's classes; -1 where there are none."""
        if not self.classes_:
            return np.full(len(y), -1, np.int64)
        if data.classes == self.classes_:
            return y
        known = {name: i for i, name in enumerate(self.classes_)}
        places = np.array([known.get(name, -1) for name in data.classes] + [-1])
        return places[y].astype(np.int64)

    def _network(self) -> GenerativeNetwork:
        return cast(GenerativeNetwork, self.method_)

    # ---- making

    def class_number(self, name: str) -> int:
        """Return the number of a class that this run can be asked for.

        Raises
        ------
        ParameterError
            When the network knows no classes.
        UnknownNameError
            When there is no such class.
        """
        self.fitted()
        if not self._network().model.classes:
            train = f"train {self.name} with conditional=True"
            raise ParameterError(
                f"this run of {self.name} knows no classes"
                + (f": {train}" if hasattr(self._network().asked, "conditional") else "")
            )
        if name not in self.classes_:
            raise UnknownNameError("class", name, self.classes_)
        return self.classes_.index(name)

    def labels_for(self, n: int, name: str | None = None) -> NDArray[np.int64]:
        """Return the classes that n pictures are asked for: one, or each in turn."""
        if name is not None:
            return np.full(n, self.class_number(name), np.int64)
        return np.arange(n, dtype=np.int64) % max(self._network().model.classes, 1)

    def generate(
        self, n: int = 64, *, seed: int = 0, name: str | None = None,
        progress: Progress | None = None, **how: Any,
    ) -> NDArray[np.uint8]:  # fmt: skip
        """Make pictures of noise.

        Parameters
        ----------
        n : int
        seed : int
            The same gives the same pictures.
        name : str, optional
            Class that all are of; default: each in turn, where the network knows classes.
        progress : callable, optional
            Called with (pictures made, pictures in all).
        **how
            Of a flow: ``steps``, ``sampler``, ``guidance``.

        Returns
        -------
        uint8 array, shape (n, H, W, C)

        Raises
        ------
        ParameterError, UnknownNameError
            When there is no such class, or the method takes no such option.
        """
        self.fitted()
        if not 1 <= n <= 100_000:
            raise ParameterError(f"n must be from 1 to 100,000 pictures, not {n}")
        if not isinstance(seed, int) or not 0 <= seed <= LARGEST_SEED:
            raise ParameterError(f"seed must be a whole number from 0 to 2^32 - 1, not {seed!r}")
        method = self._network()
        given = {k: v for k, v in how.items() if v is not None}
        if odd := set(given) - set(method.how()):
            raise ParameterError(f"{self.name} makes pictures without {', '.join(sorted(odd))}")
        noise = method.noise(n, seed)
        return method.draw(noise, self.labels_for(n, name), progress, **given)

    def prepared_all(self, images: Sequence[Any]) -> NDArray[np.uint8]:
        """Return pictures of any accepted form at the network's size, shape (N, H, W, C)."""
        X, _ = self.prepared(list(images))
        if X is None:
            raise DataError("no picture is given")
        return X

    # ---- answering

    def answers(self, X: NDArray[np.uint8], frames: Sequence[Frame]) -> list[Generated]:
        """Draw prepared images, shape (N, H, W, C), again, at the size of their pictures."""
        drawn = self._network().reconstructed(X)
        return [
            Generated(frame.picture_out(one)[None])
            for one, frame in zip(drawn, frames, strict=True)
        ]

    def evaluate(
        self, split: Split, progress: Progress | None = None, *, answers: Answers | None = None
    ) -> Evaluation:
        """Make as many pictures as a split has, up to 2,000, and compare both.

        Parameters
        ----------
        split, progress
            See `Estimator.evaluate`.
        answers
            Not looked at: made pictures are measured, which are no answers to the split's.

        Raises
        ------
        DataError
            When the split is empty, or has fewer pictures than the judge has features.
        ParameterError, WeightsError
            When the judge cannot be had.
        """
        check_split(split, "split")
        fitted, method = self.fitted(), self._network()
        if not len(split):
            raise DataError(f"{split.data.name}/{split.name} has no image to measure on")
        # Not in the data's order, often that of the classes: the first ones are looked at.
        some = split.take(np.random.default_rng(0).permutation(len(split))[:MEASURED])
        X, y, rows = some.arrays(fitted.size, fitted.resize)
        if left := len(some) - len(X):
            packed = split.data.source.packed[(*fitted.size, fitted.resize)]
            note = left_out_note(
                [packed.unreadable[int(r)] for r in set(some.rows) - set(rows)], left
            )
            self.remarks += [note] * (note not in self.remarks)
        labels = self._numbers(y, split.data)
        judge = judge_of(self._judge(), split.data, fitted, len(X))
        asked = labels if labels.min() >= 0 else self.labels_for(len(X))
        made = method.draw(method.noise(len(X), 0), asked, progress)
        real_rows, made_rows = judge.features(X), judge.features(made)
        T, _, _ = split.data.train.arrays(fitted.size, fitted.resize)
        known, at = train_rows(judge, T)
        near, which = nearest(known, made_rows, 1)
        random = np.random.default_rng(0)
        floor = known[np.sort(random.permutation(len(known))[: len(X)])]
        errors, about = self._errors(X, labels)
        return Evaluation.of(
            real=real_rows, made=made_rows, floor=floor,
            chances=judge.chances(made) if judge.chances else np.zeros((len(X), 0), np.float32),
            near=near[:, 0], unseen=nearest(known, real_rows, 1)[0][:, 0],
            errors=errors, shown=made[:SHOWN], nearest=T[at[which[:SHOWN, 0]]], rows=rows,
            judge=judge.name, about=about,
        )  # fmt: skip

    def _judge(self) -> str:
        return str(getattr(self._network().asked, "judge", "auto"))

    def _errors(
        self, X: NDArray[np.uint8], y: NDArray[np.int64]
    ) -> tuple[dict[str, NDArray[np.float64]], list[str]]:
        """Return figures of each picture, and what the likelihood is of."""
        method = self._network()
        labels = y
        some, theirs = X[:DRAWN_AGAIN], labels[:DRAWN_AGAIN]
        again = method.reconstructed(some, theirs)
        errors = {"psnr": psnr(some, again), "ssim": ssim(some, again)}
        if not isinstance(method, VaeNetwork):
            return errors, []
        model: Any = method.model
        elbo, bound = method.bounds(X[:BOUNDED], labels[:BOUNDED], SAMPLES)
        return errors | {"elbo": elbo, "bound": bound}, [likelihood(model)]

    def nearest(self, made: NDArray[np.uint8], data: Dataset, k: int = 3) -> Nearest:
        """Return the training pictures nearest to made ones, by exact search on features.

        Parameters
        ----------
        made : uint8 array, shape (N, H, W, C)
        data : Dataset
            That the run was trained on.
        k : int
        """
        fitted = self.fitted()
        # Features, whatever the number of pictures: their distances need no covariance.
        judge: Judge = judge_of(self._judge(), data, fitted, 2**31)
        T, _, rows = data.train.arrays(fitted.size, fitted.resize)
        known, at = train_rows(judge, T)
        k = min(k, len(known))
        distances, which = nearest(known, judge.features(made), k)
        other = "val" if "val" in data.rows and len(data.val) else "test"
        unseen = data.split(other).arrays(fitted.size, fitted.resize).X[:MEASURED]
        theirs = nearest(known, judge.features(unseen), 1)[0][:, 0]
        places = at[which]
        return Nearest(
            T[places], distances, rows[places], copying(distances[:, 0], theirs), judge.name
        )


def nearest(
    known: NDArray[np.float32], asked: NDArray[np.float32], k: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return distances and positions of the k nearest rows, each of shape (N, k)."""
    search = search_in(np.ascontiguousarray(known), "l2", "exact", "cpu", 256)
    return search(np.ascontiguousarray(asked), k)


def likelihood(model: Any) -> str:
    """Return what a network's likelihood is of, in words."""
    if model.likelihood == "logistic":
        return (
            f"a lower bound of log p(x) in nats, by {SAMPLES} samples, of the 256 levels of all "
            "pixels and channels"
        )
    how = {
        "sampled": "each pixel 1 with the chance of its grey level, by a fixed seed",
        "threshold": "each pixel 1 above one half",
    }[model.binarised]
    return f"a lower bound of log p(x) in nats, by {SAMPLES} samples, of binarised pictures: {how}"
