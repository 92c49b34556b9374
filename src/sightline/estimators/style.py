"""Draw pictures in a style by one pass of a network: the estimator, and the network's training."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from sightline.data import images
from sightline.data.dataset import Dataset, Split
from sightline.data.transforms import Fitted
from sightline.errors import DataError, ParameterError
from sightline.estimators.base import Answers, Estimator, Fitting
from sightline.estimators.network import NetworkMethod, not_read, time_left
from sightline.estimators.predictions import check_split
from sightline.estimators.style_transfer import LEAST, perceive
from sightline.metrics import threads
from sightline.metrics.style import FIGURES, Evaluation
from sightline.training.style_recipe import StyleRecipe
from sightline.types import Frame, Generated, Progress, Task

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from sightline.training.engine import Judge, Training

KEPT = 512
"""Pixels of the longer side of the style's picture that a run keeps."""

HALF = 0.5
"""Mean and deviation that pictures are standardised by, so that they lie in [-1, 1]."""

PART = 8
"""Pictures that are drawn and measured at a time."""


class StyleNetwork(NetworkMethod):
    """A network that learns to draw in the style of one picture.

    Attributes
    ----------
    style_ : uint8 array, shape (H, W, 3)
        The picture whose style it has.
    """

    recipe_type = StyleRecipe
    share = False
    at_once = 4

    style_: NDArray[np.uint8]

    def built(self, channels: int) -> nn.Module:
        """Build the network; pictures are in colour.

        Raises
        ------
        DataError
            When they are grey, or too small.
        """
        if channels != 3:
            raise DataError(f"{self.card.name} draws in colour, and the pictures are grey")
        return super().built(channels)

    def learn(self, train: Split, val: Split | None, fitted: Fitted, how: Fitting) -> int:
        """Train on parts of a split's pictures; return how many pictures could be read.

        Raises
        ------
        ParameterError
            When no style is named.
        DataError, WeightsError, TrainingError, RunError
            When a picture cannot be read, there is no trained network to see it through, or
            training fails.
        """
        begun = time.perf_counter()
        training = self.training(train, fitted, val, how)
        self.run(training, how.progress, time_left(how.budget, begun), how.resume, how.on_epoch)
        feed: Any = training.feed
        self.remarks = [*self.remarks, *feed.remarks, *not_read(train, fitted, feed.unread)]
        return len(train) - len(feed.unread)

    def training(self, train: Split, fitted: Fitted, val: Split | None, how: Fitting) -> Training:
        """Build the network, ready to be trained; see `learn`."""
        from sightline.training.cuts import Cut
        from sightline.training.engine import Training
        from sightline.training.pixels import gathered
        from sightline.training.sample_feed import SampleFeed

        recipe = cast(StyleRecipe, self.suited(max(fitted.size), len(train)))
        self.style_ = self._style_of(recipe)
        self.classes_ = np.zeros(0, np.int64)
        self.mean_ = self.std_ = np.full(3, HALF, np.float32)
        fabric = self.start(recipe, fitted.size, fitted.shape[2])
        feed = SampleFeed(
            train, recipe.batch_size, self.seed, transform=Cut(recipe.part), collate=gathered,
            workers=recipe.workers or max(threads.available() - threads.in_use(), 0),
            rank=fabric.global_rank, world=fabric.world_size,
        )  # fmt: skip
        measure = self.measure(fabric.device)

        def loss(model: nn.Module, batch: tuple[Tensor, list[dict[str, Tensor]]]) -> Tensor:
            pictures = batch[0].to(fabric.device)
            x = self.standardised(pictures.permute(0, 2, 3, 1).cpu().numpy(), fabric.device)
            figures = measure(model(x).float(), pictures.float() / 255)
            return cast("Tensor", figures["loss"].mean())

        judges = {} if val is None else {"val": self.judge(val, fitted)}
        return Training(
            fabric, self.model, feed, recipe, loss, judges, higher_is_better=False,
            folder=how.folder,
        )  # fmt: skip

    def _style_of(self, recipe: StyleRecipe) -> NDArray[np.uint8]:
        """Read the picture whose style is learned."""
        if not recipe.style:
            raise ParameterError(
                f"{self.card.name} learns the style of a picture: name it with style=picture.jpg"
            )
        if hasattr(self, "style_"):
            return self.style_
        picture = images.decode(Path(recipe.style))
        if min(picture.size) < LEAST // 4:
            raise DataError(
                f"{recipe.style}: {picture.width} x {picture.height} pixels are too few to have a "
                "style"
            )
        picture = images.to_mode(picture, "RGB")
        picture.thumbnail((KEPT, KEPT))
        return images.as_array(picture)

    def measure(self, device: torch.device | str) -> Any:
        """Return what measures drawings (N, 3, H, W) against their pictures, both in [0, 1].

        Returns
        -------
        callable
            Gives ``content``, ``style``, ``variation`` and their weighed sum ``loss``, each of
            shape (N,).
        """
        import torch
        from torch.nn import functional

        from sightline.models.style.losses import (
            content_distance,
            gram,
            style_distance,
            total_variation,
        )

        recipe = cast(StyleRecipe, self.recipe(int(self.side_.max())))
        perception, _ = perceive(recipe.network)
        perception.to(device)
        side = recipe.part * recipe.style_size / max(self.style_.shape[:2])
        look = torch.from_numpy(self.style_.copy()).permute(2, 0, 1)[None].float() / 255
        look = functional.interpolate(
            look, scale_factor=side, mode="bilinear", antialias=True, align_corners=False
        ).clamp(0, 1)  # fmt: skip
        with torch.no_grad():
            aims = {
                name: gram(out)
                for name, out in perception(look.to(device)).items()
                if name in perception.layers.style
            }

        def measured(drawn: Tensor, pictures: Tensor) -> dict[str, Tensor]:
            # In float32 whatever the network computes in: Gram matrices are sums of many squares.
            with torch.autocast(drawn.device.type, enabled=False):
                with torch.no_grad():
                    aim = perception(pictures)
                seen = perception(drawn)
                singles = range(len(drawn))
                content = _mean(
                    [content_distance(seen[n][i, None], aim[n][i, None]) for i in singles]
                    for n in perception.layers.content
                )
                style = _mean(
                    [style_distance(gram(seen[n][i, None]), aims[n]) for i in singles] for n in aims
                )
                variation = torch.stack([total_variation(drawn[i, None]) for i in singles])
                figures = {"content": content, "style": style, "variation": variation}
                weighed = [
                    getattr(recipe, factor) * figures[name]
                    for factor, name in (
                        ("alpha", "content"), ("beta", "style"), ("variation", "variation"),
                    )
                ]  # fmt: skip
                return {"loss": torch.stack(weighed).sum(0), **figures}

        return measured

    def judge(self, split: Split, fitted: Fitted) -> Judge:
        """Return what measures the loss on a split, at the network's size."""
        X = split.arrays(fitted.size, fitted.resize).X
        measure = self.measure("cpu")

        def judge(model: nn.Module) -> dict[str, float]:
            import torch

            sums: list[dict[str, Tensor]] = []
            for start in range(0, len(X), PART):
                part = X[start : start + PART]
                with torch.inference_mode():
                    drawn = self._drawn(model, part).cpu()
                    sums.append(measure(drawn, _floats(part)))
            return {
                name: float(torch.cat([one[name] for one in sums]).mean())
                for name in ("loss", "style", "content")
            }

        return judge

    def drawn(self, X: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Draw images, uint8 (N, H, W, 3), as the same."""
        import torch

        made = []
        for start in range(0, len(X), self.batch):
            with torch.inference_mode():
                out = self._drawn(self.model, X[start : start + self.batch])
                made.append((out * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy())
        return np.concatenate(made) if made else X

    def _drawn(self, model: nn.Module, X: NDArray[np.uint8]) -> Tensor:
        device = next(model.parameters()).device
        model.eval()
        out: Tensor = model(self.standardised(X, device)).float()
        return out

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of any network, and the picture of the style."""
        return super().arrays() | {"style_": self.style_}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore the network from what `arrays` returned; see `NetworkMethod.restore`."""
        self.style_ = arrays["style_"]
        super().restore(arrays)


def _mean(by_layer: Iterable[list[Tensor]]) -> Tensor:
    """Return the mean over layers of a number for each picture, shape (N,)."""
    import torch

    return torch.stack([torch.stack(layer) for layer in by_layer]).mean(0)


def _floats(X: NDArray[np.uint8]) -> Tensor:
    import torch

    return torch.from_numpy(X.copy()).permute(0, 3, 1, 2).float() / 255


class Stylist(Estimator):
    """A network that draws pictures in a style; see `Estimator`."""

    task = Task.STYLE
    network = StyleNetwork
    whole = "which would not be drawn"

    @classmethod
    def check_serves(cls, data: Dataset) -> None:
        """Refuse data without a picture; nothing needs to be known of pictures."""
        if not data.source.items:
            raise DataError(f"{data.name} has no picture")

    @classmethod
    def classes_of(cls, data: Dataset) -> tuple[str, ...]:
        """Return no class: a picture has none here."""
        return ()

    def learn(self, train: Split, val: Split | None, how: Fitting) -> int:
        """Fit the method on the split's pictures; return how many could be read."""
        return cast(StyleNetwork, self.method_).learn(train, val, self.fitted_, how)

    def training_of(self, method: Any, train: Split, fitted: Fitted) -> Training:
        """Return the training of a network that was just made; see `training`."""
        return cast("Training", method.training(train, fitted, None, Fitting()))

    def answers(self, X: NDArray[np.uint8], frames: Sequence[Frame]) -> list[Generated]:
        """Draw prepared images, shape (N, H, W, 3), at the size of their pictures."""
        drawn = cast(StyleNetwork, self.method_).drawn(X)
        return [
            Generated(frame.picture_out(one)[None])
            for one, frame in zip(drawn, frames, strict=True)
        ]

    def evaluate(
        self, split: Split, progress: Progress | None = None, *, answers: Answers | None = None
    ) -> Evaluation:
        """Draw every picture, and measure the drawings at the network's size.

        Raises
        ------
        DataError
            When the split is empty.
        WeightsError
            When the network that styles are seen through cannot be had.
        """
        import torch

        check_split(split, "split")
        fitted = self.fitted()
        if not len(split):
            raise DataError(f"{split.data.name}/{split.name} has no image to measure on")
        measure = cast(StyleNetwork, self.method_).measure("cpu")
        unread: dict[int, str] = {}
        rows, kept = list[int](), list[dict[str, Any]]()
        for part in split.batches(fitted.size, fitted.resize, PART, unread=unread):
            given = (answers or self.answers)(part.X, part.frames)
            seen = np.stack([fitted.prepare(cast(Generated, one).images[0])[0] for one in given])
            with torch.inference_mode():
                kept.append(measure(_floats(seen), _floats(part.X)))
            rows += part.rows.tolist()
            if progress:
                progress(len(rows), len(split))
        self.note_unread(unread, len(split))
        if not rows:
            raise DataError(f"{split.data.name}/{split.name}: no picture can be read")
        figures = {name: torch.cat([one[name] for one in kept]).numpy() for name in FIGURES}
        return Evaluation.of(figures, np.array(rows, np.int64))
