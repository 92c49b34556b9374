"""Train networks that make pictures by the one engine, and ask them for pictures."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataError, ParameterError
from sightline.estimators.network import NetworkMethod, time_left
from sightline.models.card import resolve
from sightline.models.generate.noise import normal
from sightline.training.generate_recipe import (
    AutoencoderRecipe,
    FlowRecipe,
    GanRecipe,
    GenerateRecipe,
    VaeRecipe,
)
from sightline.types import Progress

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from sightline.models.generate.network import Generative
    from sightline.training.engine import Judge, OnEpoch, Training

JUDGED = 2048
"""Validation pictures that a training is judged by after each epoch, at most."""

LOST = 0.99
"""Share of pictures that a discriminator tells right when its generator no longer learns."""

SETTLED = 16_384
"""Training pictures that `Generative.settle` sees, at most."""


class GenerativeNetwork(NetworkMethod):
    """A network that makes pictures, as a method.

    Attributes
    ----------
    classes_ : int64 array, shape (C,)
        Classes that it can be asked for; of a network that knows none empty.
    """

    recipe_type = GenerateRecipe
    share = False
    at_once = 64

    model: Generative

    @property
    def asked(self) -> Any:
        """Return the recipe of this network as it was built."""
        side = int(self.side_.max()) if hasattr(self, "side_") else 0
        return self.recipe(side)

    def built(self, channels: int) -> nn.Module:
        """Build the network; its builder takes knobs of the recipe by their names.

        Raises
        ------
        DataError
            When the images are too small for it.
        """
        least = self.card.smallest_side
        if int(self.side_.min()) < least:
            raise DataError(
                f"{self.card.name} needs images of at least {least} pixels a side, not "
                f"{int(self.side_.min())}; scale them up with size={least}"
            )
        build, recipe = resolve(self.card.entry), self.asked
        knows = inspect.signature(build).parameters
        knobs = {name: getattr(recipe, name) for name in knows if hasattr(recipe, name)}
        height, width = (int(side) for side in self.side_)
        network: nn.Module = build(
            num_classes=len(self.classes_), in_channels=channels, side=(height, width), **knobs
        )
        return network

    @property
    def conditional(self) -> bool:
        """Return whether it is to be told the classes."""
        return bool(getattr(self.asked, "conditional", False))

    def fit(
        self,
        X: NDArray[np.uint8],
        y: NDArray[np.int64],
        classes: int,
        *,
        X_val: NDArray[np.uint8] | None = None,
        y_val: NDArray[np.int64] | None = None,
        progress: Progress | None = None,
        budget: float | None = None,
        folder: Path | None = None,
        resume: bool = False,
        on_epoch: OnEpoch | None = None,
    ) -> GenerativeNetwork:
        """Train on pictures.

        Parameters
        ----------
        X : uint8 array, shape (N, H, W, C)
        y : int64 array, shape (N,)
            Classes; -1 where none is known.
        classes : int
        X_val, y_val : arrays, optional
            Judged after every epoch.
        progress, budget, folder, resume, on_epoch
            See `Estimator.fit`.

        Raises
        ------
        DataError
            When there are fewer than two pictures, or they are too small.
        ParameterError
            When classes are to be told, and there are none.
        TrainingError, RunError
            See `sightline.training.engine.Training.run`.
        """
        begun = time.perf_counter()
        judges: dict[str, Judge] = {}
        if X_val is not None and y_val is not None and len(X_val):
            some = np.random.default_rng(self.seed).permutation(len(X_val))[:JUDGED]
            judges = {"val": self.judge(X_val[some], y_val[some])}
        training = self.training(X, y, classes, judges, folder)
        self.run(training, progress, time_left(budget, begun), resume, on_epoch)
        self._settle(X)
        self.watch()
        return self

    def _settle(self, X: NDArray[np.uint8]) -> None:
        rows = np.sort(np.random.default_rng(self.seed).permutation(len(X))[:SETTLED])
        device = next(self.model.parameters()).device
        self.model.settle(self.standardised(X[rows], device))

    def watch(self) -> None:
        """Add remarks on how the training went, beside the engine's."""

    def training(
        self,
        X: NDArray[np.uint8],
        y: NDArray[np.int64],
        classes: int,
        judges: Mapping[str, Judge] | None = None,
        folder: Path | None = None,
    ) -> Training:
        """Build the network, ready to be trained; see `fit`."""
        from sightline.training.engine import Training
        from sightline.training.labelled_recipe import LabelledRecipe
        from sightline.training.packed_feed import PackedFeed

        if len(X) < 2:
            raise DataError("a network learns from at least 2 images, not 1")
        self.side_ = np.array(X.shape[1:3], np.int64)
        known = y.min(initial=0) >= 0 and classes > 1
        asked = "conditional" in self.options and self.options["conditional"]
        if asked and not known:
            raise ParameterError(
                "conditional=True tells the network classes, and these images have none"
            )
        told = self.conditional and known
        self.classes_ = np.arange(classes if told else 0)
        recipe = cast(GenerateRecipe, self.suited(max(X.shape[1:3]), len(X)))
        channels = X.shape[3]
        fabric = self.start(recipe, (X.shape[1], X.shape[2]), channels)
        centre, spread = self.model.pixels
        self.mean_ = np.full(channels, centre, np.float32)
        self.std_ = np.full(channels, spread, np.float32)
        plain = LabelledRecipe(
            batch_size=recipe.batch_size, flip=recipe.flip, channels_last=recipe.channels_last
        )
        numbers = y if told else np.zeros(len(X), np.int64)
        feed = PackedFeed(
            X, numbers, self.mean_, self.std_, max(len(self.classes_), 1), plain, fabric.device,
            self.seed, fabric.global_rank, fabric.world_size,
        )  # fmt: skip
        return Training(
            fabric, self.model, feed, recipe, self.loss, judges, higher_is_better=False,
            folder=folder, **self.steps(recipe),
        )  # fmt: skip

    def steps(self, recipe: Any) -> dict[str, Any]:
        """Return optimisers and step, where one of each would not do."""
        return {}

    def loss(self, model: Any, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return the mean loss of a batch of pictures and their classes."""
        x, target = batch
        return self.model.objective(model, x, target.argmax(1)).mean()

    def judge(self, X: NDArray[np.uint8], y: NDArray[np.int64]) -> Judge:
        """Return what measures the loss on pictures, by the same draws each time."""
        import torch

        def judge(model: nn.Module) -> dict[str, float]:
            judged = cast("Generative", model)
            device = next(model.parameters()).device
            model.eval()
            total = 0.0
            with torch.random.fork_rng(devices=[]), torch.inference_mode():
                torch.manual_seed(self.seed)
                for start in range(0, len(X), self.at_once):
                    x = self.standardised(X[start : start + self.at_once], device)
                    labels = self.labels(y[start : start + self.at_once], device)
                    total += float(judged.objective(model, x, labels).sum())
            return {"loss": total / len(X)}

        return judge

    def labels(self, y: NDArray[np.int64], device: torch.device) -> Tensor:
        """Return classes as a network takes them; an unknown one is the number behind the last."""
        import torch

        known = np.where(y < 0, self.model.classes, y) if self.model.classes else np.zeros_like(y)
        return torch.from_numpy(known).to(device)

    # ---- asking

    def noise(self, n: int, seed: int) -> NDArray[np.float32]:
        """Return the noise of so many pictures, shape (n, *latent), the same for the same seed."""
        return normal(n, self.model.latent, seed)

    def draw(
        self, noise: NDArray[np.float32], y: NDArray[np.int64],
        progress: Progress | None = None, **how: Any,
    ) -> NDArray[np.uint8]:  # fmt: skip
        """Make pictures, uint8 (N, H, W, C), of noise (N, *latent) and classes (N,).

        Parameters
        ----------
        noise : float32 array
        y : int64 array
            Not looked at where the network knows no classes.
        progress : callable, optional
            Called with (pictures made, pictures in all).
        **how
            Of a flow: ``steps``, ``sampler``, ``guidance``.
        """
        own = self.how() | {k: v for k, v in how.items() if v is not None}

        def part(z: Tensor, labels: Tensor) -> Tensor:
            return self.model.draw(z, labels, **own)

        return self._in_parts(part, noise, y, progress)

    def standard(self, X: NDArray[np.uint8]) -> Tensor:
        """Return pictures (N, H, W, C) as the network sees them, on its device."""
        return self.standardised(X, next(self.model.parameters()).device)

    def how(self) -> dict[str, Any]:
        """Return what the recipe says of making pictures."""
        return {}

    def reconstructed(
        self, X: NDArray[np.uint8], y: NDArray[np.int64] | None = None,
        progress: Progress | None = None,
    ) -> NDArray[np.uint8]:  # fmt: skip
        """Return pictures (N, H, W, C) as the network draws them again from their noise."""
        y = np.full(len(X), -1, np.int64) if y is None else y

        def part(x: Tensor, labels: Tensor) -> Tensor:
            return self.again(self.model.encode(x, labels), labels)

        return self._in_parts(part, X, y, progress)

    def again(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Return the pictures of noise that was found for pictures."""
        return self.model.draw(noise, labels)

    def codes(self, X: NDArray[np.uint8], y: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the noise of pictures, shape (N, *latent)."""
        import torch

        device = next(self.model.parameters()).device
        self.model.eval()
        with torch.inference_mode():
            out = [
                self.model.encode(
                    self.standardised(X[i : i + self.at_once], device),
                    self.labels(y[i : i + self.at_once], device),
                )
                for i in range(0, len(X), self.at_once)
            ]
        return torch.cat(out).float().cpu().numpy()

    def bytes_of(self, x: Tensor) -> NDArray[np.uint8]:
        """Return standardised pictures (N, C, H, W) as bytes (N, H, W, C)."""
        import torch

        mean = torch.tensor(self.mean_, device=x.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std_, device=x.device).view(1, -1, 1, 1)
        pixels = ((x.float() * std + mean) * 255).round().clamp(0, 255).byte()
        return pixels.permute(0, 2, 3, 1).contiguous().cpu().numpy()

    def _in_parts(
        self, make: Callable[[Tensor, Tensor], Tensor], given: NDArray[Any], y: NDArray[np.int64],
        progress: Progress | None = None,
    ) -> NDArray[np.uint8]:  # fmt: skip
        import torch

        device = next(self.model.parameters()).device
        self.model.eval()
        made = []
        for start in range(0, len(given), self.at_once):
            part = given[start : start + self.at_once]
            if part.dtype == np.uint8:
                x = self.standardised(part, device)
            else:
                x = torch.from_numpy(np.ascontiguousarray(part)).to(device)
            with torch.inference_mode():
                out = make(x, self.labels(y[start : start + self.at_once], device))
            made.append(self.bytes_of(out))
            if progress:
                progress(min(start + self.at_once, len(given)), len(given))
        height, width = (int(side) for side in self.side_)
        empty = np.zeros((0, height, width, len(self.mean_)), np.uint8)
        return np.concatenate(made) if made else empty


class AutoencoderNetwork(GenerativeNetwork):
    """An autoencoder as a method."""

    recipe_type = AutoencoderRecipe


class VaeNetwork(GenerativeNetwork):
    """A variational autoencoder as a method."""

    recipe_type = VaeRecipe

    def bounds(
        self, X: NDArray[np.uint8], y: NDArray[np.int64], samples: int = 50
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the two bounds of log p(x) of pictures, in nats; see `models.generate.vae`."""
        import torch

        model: Any = self.model
        device = next(model.parameters()).device
        model.eval()
        elbo, importance = [], []
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            torch.manual_seed(0)
            for start in range(0, len(X), 256):
                x = model.target(self.standardised(X[start : start + 256], device))
                a, b = model.bounds(x, self.labels(y[start : start + 256], device), samples)
                elbo.append(a.double().cpu().numpy())
                importance.append(b.double().cpu().numpy())
        return np.concatenate(elbo), np.concatenate(importance)


class FlowNetwork(GenerativeNetwork):
    """A rectified flow as a method."""

    recipe_type = FlowRecipe

    def how(self) -> dict[str, Any]:
        """Return steps, sampler and guidance of the recipe."""
        recipe = self.asked
        return {name: getattr(recipe, name) for name in ("steps", "sampler", "guidance")}

    def again(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Go forwards along the flow as it was gone back: without guidance."""
        return self.model.draw(noise, labels, steps=10, guidance=1.0)


class GanNetwork(GenerativeNetwork):
    """A generator and a discriminator as a method."""

    recipe_type = GanRecipe

    def steps(self, recipe: Any) -> dict[str, Any]:
        """Return an optimiser for each of the two networks, and the step that takes both."""
        from sightline.training.optimizers import optimizer

        model: Any = self.model
        two = [optimizer(part, recipe, ()) for part in (model.generator, model.discriminator)]
        return {"optimizers": two, "step": alternate}

    def loss(self, model: Any, batch: tuple[Tensor, Tensor]) -> Tensor:
        """Return the discriminator's loss, by which batches are examined; see `alternate`."""
        import torch

        from sightline.models.generate.dcgan import discriminator_loss

        plain: Any = self.model
        x, y = batch[0], batch[1].argmax(1)
        made = model(torch.randn(len(x), *plain.latent).to(x.device), y)
        return discriminator_loss(plain.told(x, y), plain.told(made, y), plain.loss)

    def judge(self, X: NDArray[np.uint8], y: NDArray[np.int64]) -> Judge:
        """Return what measures a training of two: who wins, and whether pictures stay different.

        ``told_apart``: share of real and made pictures that the discriminator tells right.
        ``spread``: variance of made pictures' pixels, as a share of the real ones'.
        """
        import torch

        def judge(model: nn.Module) -> dict[str, float]:
            plain: Any = model
            device = next(model.parameters()).device
            model.eval()
            real, made = [], []
            right = 0
            noise = torch.from_numpy(self.noise(len(X), self.seed))
            with torch.inference_mode():
                for start in range(0, len(X), self.at_once):
                    part = slice(start, start + self.at_once)
                    x = self.standardised(X[part], device)
                    labels = self.labels(y[part], device)
                    drawn = plain(noise[part].to(device), labels)
                    right += int((plain.told(x, labels) > 0).sum())
                    right += int((plain.told(drawn, labels) <= 0).sum())
                    real.append(x.float())
                    made.append(drawn.float())
            variances = [float(torch.cat(of).var(0).sum()) for of in (made, real)]
            return {
                "told_apart": right / (2 * len(X)),
                "spread": variances[0] / max(variances[1], 1e-12),
            }

        return judge

    def watch(self) -> None:
        """Say where the discriminator has won, or the pictures have become alike."""
        last = [row for row in self.history_ if "val_told_apart" in row][-3:]
        if len(last) == 3 and min(row["val_told_apart"] for row in last) >= LOST:
            self.remarks = [
                *self.remarks,
                "diverged: in the last 3 epochs the discriminator told all made pictures from real "
                "ones, so that the generator had nothing to learn from; try a lower lr, "
                "spectral_norm=True or loss=hinge",
            ]


def alternate(training: Training, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Take one step of the discriminator, then one of the generator, on the same made pictures.

    Source: Goodfellow et al., Generative adversarial nets, 2014, algorithm 1 with k = 1.

    Returns
    -------
    Tensor
        The sum of both losses, so that neither can become infinite unseen.
    """
    import torch

    from sightline.models.generate.dcgan import discriminator_loss, generator_loss

    model: Any = training.plain
    maker, teller = training.optimizers
    x, y = batch[0], batch[1].argmax(1)
    noise = torch.randn(len(x), *model.latent).to(x.device)
    with training.fabric.autocast():
        made = training.model(noise, y)
        real, fake = model.told(x, y), model.told(made.detach(), y)
    first = discriminator_loss(real.float(), fake.float(), model.loss)
    teller.zero_grad(set_to_none=True)
    training.fabric.backward(first)
    _limited(training, model.discriminator, teller)
    teller.step()
    # The discriminator only passes the gradient on: what it gathers is thrown away above.
    with training.fabric.autocast():
        fooled = model.told(made, y)
    second = generator_loss(fooled.float(), model.loss)
    maker.zero_grad(set_to_none=True)
    training.fabric.backward(second)
    _limited(training, model.generator, maker)
    maker.step()
    return (first + second).detach()


def _limited(training: Training, part: nn.Module, optimizer: Any) -> None:
    """Clip the gradient of one of the networks, where the recipe says so."""
    if training.recipe.clip:
        training.fabric.clip_gradients(part, optimizer, max_norm=training.recipe.clip)


NETWORKS: Mapping[str, type[GenerativeNetwork]] = {
    "autoencoder": AutoencoderNetwork, "vae": VaeNetwork, "dcgan": GanNetwork, "flow": FlowNetwork,
}  # fmt: skip
"""What makes a network a method, by the last part of its card's entry."""
