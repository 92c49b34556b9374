"""Run the training loop: forward, backward, step, until the epochs end or nothing improves.

One loop for the processor, one graphics processor or many (Lightning Fabric), and for every task:
it never looks inside a batch. The feed makes the batches; the task defines the loss and the step;
the recipe says how long and how fast.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from sightline.errors import RunError, TrainingError
from sightline.metrics import threads
from sightline.training import checkpoint, schedule
from sightline.training.budget import Budget
from sightline.training.feed import Batch, Feed
from sightline.training.launch import launch, used
from sightline.training.optimizers import NORMS, is_frozen, optimizer
from sightline.training.recipe import Recipe
from sightline.types import Progress

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["Judge", "Loss", "OnEpoch", "Outcome", "Step", "Training", "descend", "launch", "used"]

Loss = Callable[[nn.Module, Batch], Tensor]
"""Mean loss of a batch, or of a part of one: called with the network and the batch."""

Judge = Callable[[nn.Module], Mapping[str, float]]
"""Figures of the network as it is, the headline first."""

Step = Callable[["Training", Batch], Tensor]
"""Takes one step on a batch, and returns its loss, detached."""

OnEpoch = Callable[[Mapping[str, Any]], None]
"""Called with the row of each epoch, also of those before a resumed training went on."""

_LOOK = 20  # steps between looks at the loss where looking costs (a graphics processor)


@dataclass
class Outcome:
    """The result of a training: its history, remarks and recipe.

    Parameters
    ----------
    history : list of dict
        One an epoch: losses, validation figures, seconds, learning rate, images a second and
        the share of the time spent waiting for data.
    remarks : list of str
        Notes on the training, in words.
    recipe : Recipe
        As it was used: a budget changes its epochs.
    kept : int, optional
        The epoch whose weights the network has in the end; None: the last.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    recipe: Recipe = field(default_factory=Recipe)
    kept: int | None = None


class Training:
    """The training of one network.

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
    judges : mapping of str to callable
        What is measured after each epoch; the figures become ``NAME_FIGURE`` in its row. The first
        figure of the first one is watched: for the best weights, and for patience.
    head : sequence of str, optional
        Names of the layers, or of single weights, that ``freeze``, ``backbone_lr`` and
        ``layer_decay`` leave out; default: what the network says its head is.
    optimizers : sequence of Optimizer, optional
        Default: the recipe's, over all weights. A GAN has two.
    step : callable
        Takes a step; default `descend`.
    higher_is_better : bool
        Of the figure that is watched.
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
        judges: Mapping[str, Judge] | None = None,
        *,
        head: Sequence[str] | None = None,
        optimizers: Sequence[torch.optim.Optimizer] | None = None,
        step: Step | None = None,
        higher_is_better: bool = True,
        folder: Path | None = None,
    ) -> None:
        self.fabric, self.feed, self.recipe, self.loss = fabric, feed, recipe, loss
        self.judges, self.sign = dict(judges or {}), 1 if higher_is_better else -1
        self.take_step = step or descend
        self.folder = folder
        self.plain = model
        if recipe.channels_last:
            model = model.to(memory_format=torch.channels_last)
        given = optimizers or [optimizer(model, recipe, head)]
        self.base = [[group["lr"] for group in one.param_groups] for one in given]
        wrapped: Any = torch.compile(model) if recipe.compile else model
        self.model, *ready = fabric.setup(wrapped, *given)
        self.optimizers: list[Any] = ready
        self.average = copy.deepcopy(model) if recipe.ema else None
        self.outcome = Outcome(recipe=recipe)
        if fabric.device.type == "cpu" and recipe.devices > threads.available():
            self.outcome.remarks.append(
                f"{recipe.devices} processes shared {threads.available()} cores: devices="
                f"{threads.available()} would have been as fast"
            )
        self.step, self.best, self.since_best = 0, -math.inf, 0
        self.best_epoch: int | None = None
        self.budget: Budget | None = None
        self.seconds = 0.0
        self.best_state: dict[str, Tensor] | None = None
        self.good: dict[str, Tensor] | None = None

    @property
    def steps(self) -> int:
        """Return the number of steps of the whole training."""
        return max(1, round(self.recipe.epochs * self.feed.steps))

    @property
    def planned(self) -> int:
        """Return the steps that the learning rate is now planned for."""
        early = self.recipe.first_epochs and self.step < self.feed.steps
        return max(1, round(self.recipe.first_epochs * self.feed.steps)) if early else self.steps

    def fit_to(self, budget: float, stretch: float = 1.0) -> None:
        """Set the epochs so that the training ends within so many seconds; see `Budget`."""
        self.budget = Budget(self, budget, stretch)

    def last_for(self, epochs: float) -> None:
        """Set the epochs of the whole training; of several processes the first one's count."""
        last, first = self.fabric.broadcast(epochs), self.recipe.epochs if self.step else 0.0
        self.recipe = dataclasses.replace(self.recipe, epochs=last, first_epochs=first)
        self.outcome.recipe = self.recipe

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Restore weights, optimiser and random state afterwards, as if nothing had been tried."""
        weights = copy.deepcopy(self.plain.state_dict())
        states = [copy.deepcopy(one.state_dict()) for one in self.optimizers]
        random = torch.get_rng_state()
        try:
            yield
        finally:
            self.plain.load_state_dict(weights)
            for one, state in zip(self.optimizers, states, strict=True):
                one.load_state_dict(state)
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
            start = time.perf_counter()
            if not self._epoch(epoch, first, progress):
                break
            if epoch == first == 0 and self.budget and self.step < self.steps:
                self.budget.look_again(time.perf_counter() - start)
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
        if self.recipe.keep == "best" and self.best_state is not None:
            self.plain.load_state_dict(self.best_state)
            self.outcome.kept = self.best_epoch
        self.fabric.barrier()  # none leaves while another still sends
        return self.outcome

    def _epoch(self, epoch: int, first: int, progress: Progress | None) -> bool:
        start, self.feed.waited = time.perf_counter(), 0.0
        self.feed.done = self.step / self.steps
        self.model.train()
        if self.recipe.freeze != "none":
            for layer in self.plain.modules():
                layer.train(not (isinstance(layer, NORMS) and is_frozen(layer, self.recipe)))
        total = torch.zeros((), device=self.fabric.device)
        count, images, lr = 0, 0, 0.0
        look = 1 if self.fabric.device.type == "cpu" else _LOOK
        for batch in self.feed.epoch(epoch, first):
            lr = schedule.share(self.recipe, self.step, self.planned)
            total += self.advance(batch, lr)
            count += 1
            images += self.feed.size(batch)
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
        model = self.average if self.average is not None else self.plain
        judged = {name: dict(judge(model)) for name, judge in self.judges.items()}
        for name, figures in judged.items():
            for figure, value in figures.items():
                row.setdefault(f"{name}_{figure}", value)
        if judged:
            self._remember(self.sign * next(iter(next(iter(judged.values())).values())), epoch + 1)
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

    def advance(self, batch: Batch, lr: float) -> Tensor:
        """Take one step on a batch and return its loss.

        Parameters
        ----------
        batch
            From the feed.
        lr : float
            Learning rate, as a share of each group's own.
        """
        for one, base in zip(self.optimizers, self.base, strict=True):
            for group, own in zip(one.param_groups, base, strict=True):
                group["lr"] = own * lr
        loss = self.take_step(self, batch)
        self._follow()
        return loss

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

    def _remember(self, figure: float, epoch: int) -> None:
        """Keep the weights if none were better; patience asks for more than an equal figure."""
        self.since_best = 0 if figure > self.best else self.since_best + 1
        if figure >= self.best:
            self.best, self.best_epoch = figure, epoch
            model = self.average if self.average is not None else self.plain
            self.best_state = {k: v.detach().clone() for k, v in model.state_dict().items()}
            if self.folder is not None and self.fabric.is_global_zero:
                checkpoint.write(
                    self.folder / checkpoint.FOLDER / checkpoint.BEST,
                    self.best_state, {"step": self.step, "figure": self.sign * figure},
                )  # fmt: skip

    def _diverged(self, epoch: int) -> bool:
        advice = f"try lr={self.recipe.lr / 10:g}" + ("" if self.recipe.clip else " or clip=1")
        what = f"the loss is not finite at step {self.step} (epoch {epoch + 1})"
        if self.good is None:
            raise TrainingError(f"{what}; {advice}")
        self.plain.load_state_dict(self.good)
        self.average = None
        self.outcome.remarks.append(f"{what}: stopped, and epoch {epoch + 1} is lost; {advice}")
        return False

    def synchronise(self) -> None:
        """Wait for what a graphics processor still computes."""
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
        shapes = []
        for i, one in enumerate(self.optimizers):
            name = "optimizer" if i == 0 else f"optimizer{i}"
            state, shape = checkpoint.flatten(name, one.state_dict())
            tensors |= state
            shapes.append(shape)
        tensors["random"] = torch.get_rng_state()
        facts = {
            "step": self.step, "best": self.best if math.isfinite(self.best) else None,
            "best_epoch": self.best_epoch, "since_best": self.since_best, "seconds": self.seconds,
            "history": self.outcome.history, "remarks": self.outcome.remarks,
            "recipe": dataclasses.asdict(self.recipe), "optimizers": shapes,
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
            raise RunError(f"{path} was trained on other images; name another folder for the run")
        part = {
            name: {k.partition(".")[2]: v for k, v in tensors.items() if k.startswith(f"{name}.")}
            for name in ("model", "average", "best")
        }
        checkpoint.load_into(self.plain, part["model"], path)
        given, kept = dataclasses.asdict(self.recipe), facts["recipe"]
        # A budget has changed the epochs, and more of them may be asked for; who reads the images
        # changes nothing.
        free = ("epochs", "first_epochs", "workers")
        odd = [k for k in given if k not in free and given[k] != kept.get(k)]
        if odd:
            raise RunError(
                f"{path} was trained with {odd[0]} {kept.get(odd[0])}, not {given[odd[0]]}"
            )
        if self.average is not None:
            checkpoint.load_into(self.average, part["average"], path)
        self.best_state = part["best"] or None
        shapes = facts.get("optimizers") or [facts["optimizer"]]
        for one, shape in zip(self.optimizers, shapes, strict=True):
            one.load_state_dict(checkpoint.unflatten(shape, tensors))
        torch.set_rng_state(tensors["random"])
        planned = {name: kept.get(name, 0.0) for name in ("epochs", "first_epochs")}
        self.recipe = dataclasses.replace(self.recipe, **planned)
        self.step, self.since_best = facts["step"], facts["since_best"]
        self.best_epoch = facts.get("best_epoch")
        self.best = -math.inf if facts["best"] is None else facts["best"]
        self.seconds = facts["seconds"]
        self.good = {k: v.clone() for k, v in part["model"].items()}
        self.outcome = Outcome(facts["history"], facts["remarks"], self.recipe)


def descend(training: Training, batch: Batch) -> Tensor:
    """Take one step down the gradient of the loss, in as many parts as the recipe says.

    Source: stochastic gradient descent; the parts' losses are weighed by their size, so that the
    gradient is the whole batch's.
    """
    recipe, fabric = training.recipe, training.fabric
    parts, size = training.feed.parts(batch, recipe.accumulate), training.feed.size(batch)
    total = torch.zeros((), device=fabric.device)
    for i, part in enumerate(parts, 1):
        with fabric.no_backward_sync(training.model, enabled=i < len(parts)):
            loss = training.loss(training.model, part) * (training.feed.size(part) / size)
            fabric.backward(loss)
        total += loss.detach()
    for one in training.optimizers:
        if recipe.clip:
            fabric.clip_gradients(training.model, one, max_norm=recipe.clip)
        one.step()
        one.zero_grad(set_to_none=True)
    return total
