"""Train networks on CIFAR-10 and record accuracy, epochs and seconds.

Without ``--runs`` each network is trained once, in its recipe or within ``--budget``. With it,
training is repeated with as many seeds, and mean and deviation are recorded; the first run warms up
and does not count. The JPEG files of some distributions of CIFAR-10 are lossy: say which were used.

    python benchmarks/cifar10.py --data NAME_OR_PATH [--models resnet9] [--budget 30m] [--runs 40]
"""

from __future__ import annotations

import argparse
import time
from statistics import mean, stdev
from typing import Any

import machine
from rich.console import Console
from rich.progress import Progress

import sightline
from sightline.bench.budget import human, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--models", nargs="+", default=["resnet9"])
    parser.add_argument("--budget")
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--runs", type=int, default=0)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--name", default="cifar10")
    given = parser.parse_args()
    data = sightline.load_data(given.data)
    screen, rows = Console(), []
    for name in given.models:
        runs = [
            trained(name, data, given, seed) for seed in range(1 + given.runs if given.runs else 1)
        ]
        counted = runs[1:] or runs
        accuracies = [run["accuracy"] for run in counted]
        row: dict[str, Any] = {
            "model": name, "runs": counted, "accuracy": mean(accuracies),
            "deviation": stdev(accuracies) if len(accuracies) > 1 else None,
            "seconds": mean(run["seconds"] for run in counted), "epochs": counted[-1]["epochs"],
        }  # fmt: skip
        rows.append(row)
        screen.print(
            f"{name}: {row['accuracy']:.2%} on test in {human(row['seconds'])}, "
            f"{row['epochs']:g} epochs, {len(counted)} runs"
        )
    path = machine.record(given.name, {"data": data.name, "rows": rows}, "lightning-fabric")
    screen.print(f"recorded in {path.name}")


def trained(name: str, data: Any, given: argparse.Namespace, seed: int) -> dict[str, Any]:
    knobs: dict[str, Any] = {"compile": given.compile, "precision": given.precision}
    if given.epochs:
        knobs["epochs"] = given.epochs
    model = sightline.create_model(name, data, seed=seed, **knobs)
    start = time.perf_counter()
    with Progress(transient=True) as progress:
        task = progress.add_task(name)
        model.fit(
            data.train, data.val,
            lambda done, total: progress.update(task, completed=done, total=total),
            budget=seconds(given.budget) if given.budget else None,
        )  # fmt: skip
    took = time.perf_counter() - start
    score = model.score(data.test)
    last = model.history[-1]
    return {
        "seed": seed, "accuracy": score.headline, "interval": score.interval, "seconds": took,
        "epochs": model.method_.recipe(32).epochs if not given.budget else model.options["epochs"],
        "images_per_second": last["images_per_second"], "waited": last["waited"],
        "validation": [row["val_accuracy"] for row in model.history],
    }  # fmt: skip


if __name__ == "__main__":
    main()
