"""Images a second of the training engine beside a plain PyTorch loop.

The plain loop is what torchvision's reference scripts do: a Dataset of decoded images,
torchvision.transforms, a DataLoader with workers, SGD. Both train resnet18 on the same images in
the same batches, in turns, one process: at 32 pixels in its small form, at 224 as published.

    python benchmarks/engine.py [--steps 6] [--repeats 3] [--sides 32 224]
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from statistics import median

import machine
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from sightline.estimators.network import cross_entropy, figures
from sightline.models.classify.resnet import resnet18
from sightline.training import run
from sightline.training.engine import Training, launch
from sightline.training.feed import Feed
from sightline.training.recipe import Recipe

BATCH = {32: 128, 224: 16}


class Decoded(Dataset):
    """Images in memory, changed and standardised one by one, as torchvision's examples do."""

    def __init__(self, X: np.ndarray, y: np.ndarray, mean: np.ndarray, std: np.ndarray) -> None:
        self.X, self.y = torch.from_numpy(X).permute(0, 3, 1, 2), torch.from_numpy(y)
        side = X.shape[1]
        self.change = v2.Compose([
            v2.RandomCrop(side, padding=side // 8, padding_mode="reflect"),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(mean.tolist(), std.tolist()),
        ])  # fmt: skip

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.change(self.X[i]), self.y[i]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sides", type=int, nargs="+", default=[32, 224])
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    table = Table(title=f"resnet18, {run.threads()} threads, float32")
    for heading in ("pixels", "batch", "engine", "plain loop", "ratio", "engine waits"):
        table.add_column(heading, justify="right")
    rows = []
    for side in given.sides:
        row = measure(side, given.steps, given.repeats, given.workers)
        rows.append(row)
        table.add_row(
            str(side), str(row["batch"]), f"{row['engine']:.1f}/s",
            f"{row['plain']:.1f}/s ({row['workers']} workers)", f"{row['ratio']:.2f}",
            f"{row['waited']:.1%}",
        )  # fmt: skip
    Console(width=110).print(table)
    machine.record("engine", {"rows": rows}, "lightning-fabric")


def measure(side: int, steps: int, repeats: int, workers: list[int]) -> dict[str, float]:
    batch = BATCH.get(side, 32)
    random = np.random.default_rng(0)
    X = random.integers(0, 256, (batch * steps, side, side, 3), dtype=np.uint8)
    y = random.integers(0, 10, len(X))
    mean, std = figures(X)
    recipe = Recipe(epochs=1000, batch_size=batch, shift=side // 8, flip="random")
    torch.manual_seed(0)
    fabric = launch(recipe)
    feed = Feed(X, y, mean, std, 10, recipe, fabric.device, 0)
    training = Training(
        fabric, resnet18(num_classes=10, small=side <= 64), feed, recipe,
        lambda m, x, t: cross_entropy(m(x), t),
    )  # fmt: skip
    epochs = itertools.count()

    def ours() -> None:
        training.model.train()
        for x, target in feed.epoch(next(epochs)):
            training.advance(x, target, 0.01)

    loops = {n: plain(Decoded(X, y, mean, std), batch, n, side) for n in workers}
    ours()
    best = min(workers, key=lambda n: (loops[n](), seconds(loops[n]))[1])
    feed.waited = 0.0
    times = machine.side_by_side({"engine": ours, "plain": loops[best]}, repeats)
    took = machine.medians(times)
    return {
        "side": side, "batch": batch, "workers": best,
        "engine": len(X) / took["engine"], "plain": len(X) / took["plain"],
        "ratio": median(b / a for a, b in zip(times["engine"], times["plain"], strict=True)),
        "waited": feed.waited / sum(times["engine"]),
    }  # fmt: skip


def plain(images: Dataset, batch: int, workers: int, side: int) -> Callable[[], None]:
    """An epoch of the loop that everybody writes."""
    torch.manual_seed(0)
    model = resnet18(num_classes=10, small=side <= 64).train()
    sgd = torch.optim.SGD(
        model.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    loss = nn.CrossEntropyLoss()
    loader = DataLoader(
        images, batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )

    def epoch() -> None:
        for x, labels in loader:
            sgd.zero_grad(set_to_none=True)
            loss(model(x), labels).backward()
            sgd.step()

    return epoch


def seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
