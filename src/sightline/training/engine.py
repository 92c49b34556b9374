"""The loop: forward, backward, step, until the epochs are over or nothing gets better.

One loop for the processor, one card or many (Lightning Fabric). What a batch's loss is, the
task says; how long, how fast and with which optimiser, the recipe.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from sightline.errors import RunError, TrainingError
from sightline.models.head import head_of
from sightline.training import checkpoint, run, schedule
from sightline.training.feed import Feed
from sightline.training.recipe import Recipe

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""Loss of a batch: called with the network, the images and the targets."""

Judge = Callable[[nn.Module], Mapping[str, float]]
"""Validation: figures of the network as it is, the headline first."""

Progress = Callable[[int, int], None]

OnEpoch = Callable[[Mapping[str, Any]], None]
"""Called with the row of each epoch, also of those before a resumed training went on."""

NORMS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm)

_PILOT = 4  # steps that are timed to fit the epochs to a budget
_LOOK = 20  # steps between looks at the loss where looking costs (a card)


@dataclass
class Outcome:
    """What came of a training.

    Parameters
    ----------
    history : list of dict
        One an epoch: losses, validation figures, seconds, learning rate, images a second and
        the share of the time spent waiting for data.
    remarks : list of str
        What the reader should know, in words.
    recipe : Recipe
        As it was used: a budget changes its epochs.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    recipe: Recipe = field(default_factory=Recipe)


def launch(recipe: Recipe) -> Fabric:
    """Start Fabric on the device or devices that a recipe names.

    Raises
    ------
    TrainingError
        When there is no such device, or several were not started by torchrun.
    """
    from lightning_fabric import Fabric

    processes = recipe.devices * recipe.nodes
    if processes > 1 and "RANK" not in os.environ:
        raise TrainingError(
            f"{processes} devices need as many processes: start them with torchrun "
            f"--nproc-per-node {recipe.devices} -m sightline ..., see docs/scale.md"
        )
    try:
        fabric = Fabric(
            accelerator=recipe.accelerator, devices=recipe.devices, num_nodes=recipe.nodes,
            precision=recipe.precision,
            strategy="ddp" if processes > 1 else "auto",
        )  # fmt: skip
        fabric.launch()
    except (RuntimeError, ValueError, TypeError) as error:
        why = str(error).splitlines()[0]
        raise TrainingError(
            f"cannot train on {recipe.devices} x {recipe.accelerator}: {why}"
        ) from None
    return fabric


class Training:
    """One training of one network.

    Parameters
    ----------
    fabric : Fabric
        Launched.
    model : Module
        Changed in place.
    feed : Feed
    recipe : Recipe
    loss : callable
        Of a batch.
    judge : callable, optional
        Validation after each epoch.
    judge_train : callable, optional
        The same on some training images, without augmentation, to see overfitting.
    higher_is_better : bool
        Of the first figure that `judge` gives.
    folder : path, optional
        Where checkpoints go; without it only memory holds the best weights.
    """

    def __init__(
        self,
        fabric: Fabric,
        model: nn.Module,
        feed: Feed,
        recipe: Recipe,
        loss: Loss,
        judge: Judge | None = None,
        judge_train: Judge | None = None,
        *,
        higher_is_better: bool = True,
        folder: Path | None = None,
    ) -> None:
        self.fabric, self.feed, self.recipe, self.loss = fabric, feed, recipe, loss
        self.judge, self.sign = judge, 1 if higher_is_better else -1
        self.judge_train = judge_train
        self.folder = folder
        self.plain = model
        if recipe.channels_last:
            model = model.to(memory_format=torch.channels_last)
        self.optimizer = optimizer(model, recipe)
        self.base = [group["lr"] for group in self.optimizer.param_groups]
        wrapped: Any = torch.compile(model) if recipe.compile else model
        self.model, self.optimizer = fabric.setup(wrapped, self.optimizer)
        self.average = copy.deepcopy(model) if recipe.ema else None
        self.outcome = Outcome(recipe=recipe)
        if fabric.device.type == "cpu" and recipe.devices > run.threads():
            self.outcome.remarks.append(
                f"{recipe.devices} processes shared {run.threads()} cores: --devices "
                f"{run.threads()} would have been as fast"
            )
        self.step, self.best, self.since_best = 0, -math.inf, 0
        self.seconds = 0.0
        self.best_state: dict[str, Tensor] | None = None
        self.good: dict[str, Tensor] | None = None

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return max(1, round(self.recipe.epochs * self.feed.steps))

    def fit_to(self, budget: float) -> None:
        """Lower the epochs, if need be, so that the training ends within so many seconds.

        A few steps and a validation are timed on a copy, before anything is learned.
        """
        times = []
        with self.untouched():
            start = time.perf_counter()
            if self.judge:
                self.judge(self.plain)
            validation = time.perf_counter() - start
            for x, target in self.feed.epoch(0):
                start = time.perf_counter()
                self.advance(x, target, 0.0)
                self._synchronise()
                times.append(time.perf_counter() - start)
                if len(times) > _PILOT:
                    break
        step = sorted(times[1:] or times)[len(times[1:] or times) // 2]
        epoch = step * self.feed.steps + validation
        # A twentieth is left for what a pilot cannot foresee.
        epochs = max(0.95 * (budget - sum(times) - validation) / epoch, 1 / self.feed.steps)
        epochs = max(math.floor(100 * epochs) / 100, 0.01)
        epochs = min(self.recipe.epochs, epochs)
        self.recipe = dataclasses.replace(self.recipe, epochs=epochs)
        self.outcome.recipe = self.recipe

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Put weights, optimiser and chance back afterwards, as if nothing had been tried."""
        weights = copy.deepcopy(self.plain.state_dict())
        state = copy.deepcopy(self.optimizer.state_dict())
        random = torch.get_rng_state()
        try:
            yield
        finally:
            self.plain.load_state_dict(weights)
            self.optimizer.load_state_dict(state)
            torch.set_rng_state(random)

    def run(self, progress: Progress | None = None, on_epoch: OnEpoch | None = None) -> Outcome:
        """Train from where the state stands to the end.

        Raises
        ------
        TrainingError
            When the loss is not finite before the first epoch is over; later, the last
            good weights are kept and a remark says what happened.
        RunError
            When a checkpoint cannot be written.
        """
        tell = on_epoch if self.fabric.is_global_zero else None
        if tell:
            for row in self.outcome.history:
                tell(row)
        while self.step < self.steps:
            epoch, first = divmod(self.step, self.feed.steps)
            if not self._epoch(epoch, first, progress):
                break
            if tell:
                tell(self.outcome.history[-1])
            if self.recipe.patience and self.since_best >= self.recipe.patience:
                self.outcome.remarks.append(
                    f"stopped after epoch {epoch + 1}: no better validation for "
                    f"{self.since_best} epochs"
                )
                break
        if self.average is not None:
            self.plain.load_state_dict(self.average.state_dict())
        if self.recipe.patience and self.best_state is not None:
            self.plain.load_state_dict(self.best_state)
        return self.outcome

    def _epoch(self, epoch: int, first: int, progress: Progress | None) -> bool:
        start, self.feed.waited = time.perf_counter(), 0.0
        self.model.train()
        if self.recipe.freeze == "backbone":
            for layer in self.plain.modules():
                layer.train(not isinstance(layer, NORMS))
        total = torch.zeros((), device=self.fabric.device)
        count, images, lr = 0, 0, 0.0
        look = 1 if self.fabric.device.type == "cpu" else _LOOK
        for x, target in self.feed.epoch(epoch, first):
            lr = schedule.share(self.recipe, self.step, self.steps)
            loss = self.advance(x, target, lr)
            total += loss
            count += 1
            images += len(x)
            self.step += 1
            if self.step % look == 0 and not torch.isfinite(total):
                return self._diverged(epoch)
            if progress:
                progress(self.step, self.steps)
            if self.step >= self.steps:
                break
        mean = float(cast(Tensor, self.fabric.all_reduce(total / max(count, 1))))
        if not math.isfinite(mean):
            return self._diverged(epoch)
        learning = time.perf_counter() - start
        row: dict[str, Any] = {"epoch": epoch + 1, "step": self.step, "train_loss": mean}
        if self.judge:
            model = self.average if self.average is not None else self.plain
            judged = dict(self.judge(model))
            row |= {f"val_{name}": value for name, value in judged.items()}
            if self.judge_train:
                row["train_accuracy"] = next(iter(self.judge_train(model).values()))
            self._remember(self.sign * next(iter(judged.values())))
        self.seconds += time.perf_counter() - start
        row |= {
            "lr": lr * self.recipe.lr, "seconds": self.seconds,
            "images_per_second": images * self.fabric.world_size / learning,
            "waited": self.feed.waited / learning,
        }  # fmt: skip
        self.outcome.history.append(row)
        self.good = {k: v.detach().clone() for k, v in self.plain.state_dict().items()}
        self._save()
        return True

    def advance(self, x: Tensor, target: Tensor, lr: float) -> Tensor:
        """Take one step of the optimiser, at a share of the highest rate; gives the loss."""
        recipe = self.recipe
        for group, base in zip(self.optimizer.param_groups, self.base, strict=True):
            group["lr"] = base * lr
        parts = recipe.accumulate
        total = torch.zeros((), device=x.device)
        for i, (part, wanted) in enumerate(
            zip(x.chunk(parts), target.chunk(parts), strict=True), 1
        ):
            with self.fabric.no_backward_sync(self.model, enabled=i < parts):
                loss = self.loss(self.model, part, wanted) * (len(part) / len(x))
                self.fabric.backward(loss)
            total += loss.detach()
        if recipe.clip:
            self.fabric.clip_gradients(self.model, self.optimizer, max_norm=recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._follow()
        return total

    @torch.no_grad()
    def _follow(self) -> None:
        """Move the average of the weights towards them."""
        if self.average is None:
            return
        # Young averages are mostly their first value, so they follow faster.
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        own = self.plain.state_dict()
        for name, value in self.average.state_dict().items():
            if value.dtype.is_floating_point:
                value.lerp_(own[name].to(value.dtype), 1 - decay)
            else:
                value.copy_(own[name])

    def _remember(self, figure: float) -> None:
        if figure > self.best:
            self.best, self.since_best = figure, 0
            model = self.average if self.average is not None else self.plain
            self.best_state = {k: v.detach().clone() for k, v in model.state_dict().items()}
            if self.folder is not None and self.fabric.is_global_zero:
                checkpoint.write(
                    self.folder / checkpoint.FOLDER / checkpoint.BEST,
                    self.best_state, {"step": self.step, "figure": self.sign * figure},
                )  # fmt: skip
        else:
            self.since_best += 1

    def _diverged(self, epoch: int) -> bool:
        advice = f"try --lr {self.recipe.lr / 10:g}" + ("" if self.recipe.clip else " or --clip 1")
        what = f"the loss is not finite at step {self.step} (epoch {epoch + 1})"
        if self.good is None:
            raise TrainingError(f"{what}; {advice}")
        self.plain.load_state_dict(self.good)
        self.average = None
        self.outcome.remarks.append(
            f"{what}: stopped, with the weights after epoch {epoch}; {advice}"
        )
        return False

    def _synchronise(self) -> None:
        if self.fabric.device.type == "cuda":
            torch.cuda.synchronize()

    def _save(self) -> None:
        if self.folder is None or not self.fabric.is_global_zero:
            return
        tensors = {f"model.{k}": v for k, v in self.plain.state_dict().items()}
        if self.average is not None:
            tensors |= {f"average.{k}": v for k, v in self.average.state_dict().items()}
        if self.best_state is not None:
            tensors |= {f"best.{k}": v for k, v in self.best_state.items()}
        state, shape = checkpoint.flatten("optimizer", self.optimizer.state_dict())
        tensors |= state
        tensors["random"] = torch.get_rng_state()
        facts = {
            "step": self.step, "best": self.best if math.isfinite(self.best) else None,
            "since_best": self.since_best, "seconds": self.seconds,
            "history": self.outcome.history, "remarks": self.outcome.remarks,
            "recipe": dataclasses.asdict(self.recipe), "optimizer": shape,
            "seed": self.feed.seed, "data": self.feed.digest,
        }  # fmt: skip
        checkpoint.write(self.folder / checkpoint.FOLDER / checkpoint.LAST, tensors, facts)

    def resume(self) -> None:
        """Go back to the last checkpoint of the folder.

        Raises
        ------
        RunError
            When there is none, or it is damaged or of another model, data or recipe.
        """
        assert self.folder is not None
        path = self.folder / checkpoint.FOLDER / checkpoint.LAST
        tensors, facts = checkpoint.read(path)
        if facts["seed"] != self.feed.seed:
            raise RunError(f"{path} was trained with seed {facts['seed']}, not {self.feed.seed}")
        if facts.get("data") != self.feed.digest:
            raise RunError(f"{path} was trained on other images; name another folder with -o")
        part = {
            name: {k.partition(".")[2]: v for k, v in tensors.items() if k.startswith(f"{name}.")}
            for name in ("model", "average", "best")
        }
        checkpoint.load_into(self.plain, part["model"], path)
        given, kept = dataclasses.asdict(self.recipe), facts["recipe"]
        # A budget has changed the epochs, and more of them may be asked for.
        odd = [k for k in given if k != "epochs" and given[k] != kept.get(k)]
        if odd:
            raise RunError(
                f"{path} was trained with {odd[0]} {kept.get(odd[0])}, not {given[odd[0]]}"
            )
        if self.average is not None:
            checkpoint.load_into(self.average, part["average"], path)
        self.best_state = part["best"] or None
        self.optimizer.load_state_dict(checkpoint.unflatten(facts["optimizer"], tensors))
        torch.set_rng_state(tensors["random"])
        self.recipe = dataclasses.replace(self.recipe, epochs=kept["epochs"])
        self.step, self.since_best = facts["step"], facts["since_best"]
        self.best = -math.inf if facts["best"] is None else facts["best"]
        self.seconds = facts["seconds"]
        self.good = {k: v.clone() for k, v in part["model"].items()}
        self.outcome = Outcome(facts["history"], facts["remarks"], self.recipe)


def optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD or AdamW, with groups: weights, biases of normalisations, backbone and head."""
    _, head = head_of(model)
    of_norm = {id(p) for m in model.modules() if isinstance(m, NORMS) for p in m.parameters()}
    in_head = {id(p) for p in head.parameters()}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if id(parameter) not in in_head and recipe.freeze == "backbone":
            parameter.requires_grad = False
        if not parameter.requires_grad:
            continue
        lr = recipe.lr if id(parameter) in in_head else recipe.lr * recipe.backbone_lr
        lr *= recipe.bias_lr if id(parameter) in of_norm else 1
        decay = recipe.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((lr, decay), []).append(parameter)
    listed = [{"params": p, "lr": lr, "weight_decay": d} for (lr, d), p in groups.items()]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(listed, lr=recipe.lr, betas=(recipe.momentum, 0.999))
    return torch.optim.SGD(
        listed, lr=recipe.lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0
    )
