"""How well odd pictures are told, having seen good ones alone.

python benchmarks/anomaly.py textures      # every method on the embedded set
python benchmarks/anomaly.py layers        # PatchCore and PaDiM by layers of the network
python benchmarks/anomaly.py cifar10 --data DATA   # each class in turn is the good one, mean of ten

The protocol of CIFAR-10 is that of the papers: the 5,000 training images of one class are good, and
all 10,000 test images are graded; one of ten good training images is held back for the threshold.
Records stand in benchmarks/results/.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import Any

import machine
import numpy as np

import sightline
from sightline.data.dataset import Dataset, Source
from sightline.types import Task

METHODS = ("pixel-mean", "knn-features", "patchcore", "padim", "anomaly-autoencoder")
LAYERS = ("blocks.2", "blocks.1+blocks.2", "blocks.2+blocks.3", "blocks.2+blocks.4",
          "blocks.3+blocks.4", "blocks.2+blocks.5")  # fmt: skip
HELD = 10
"""One of so many good training images is held back for the threshold."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("textures", "layers", "cifar10"))
    parser.add_argument("--data", help="folder, file or name of CIFAR-10")
    parser.add_argument("--methods", nargs="*", default=None)
    parser.add_argument("--test", type=int, default=0, help="test images at most; 0: all")
    parser.add_argument("--good", type=int, default=0, help="good images to learn from at most")
    given = parser.parse_args()
    if given.what == "cifar10":
        rows = one_against_the_rest(given.data or "cifar10", given.methods or ["knn-features"],
                                    (given.good, given.test))  # fmt: skip
    elif given.what == "layers":
        network = "imagenet:efficientnet_lite0@"
        rows = [
            measured(name, textures := sightline.load_data("textures"), features=network + layers)
            | {"layers": layers, "images": len(textures.train)}
            for name in ("patchcore", "padim")
            for layers in LAYERS
        ]
    else:
        data = sightline.load_data("textures")
        rows = [measured(name, data) for name in given.methods or METHODS]
    machine.record(f"anomaly-{given.what}", {"results": rows})


def measured(name: str, data: Dataset, **knobs: Any) -> dict[str, Any]:
    """Fit a method, and measure it on the test images."""
    model = sightline.create_model(name, **knobs)
    start = time.perf_counter()
    model.fit(data.train, data.val)
    fitted = time.perf_counter() - start
    evaluation = model.evaluate(data.test)
    row = {
        "method": name, "fit_seconds": fitted, "ask_seconds": time.perf_counter() - start - fitted,
        "interval": list(evaluation.metrics.interval), "test_images": evaluation.metrics.n,
        **dict(evaluation.metrics),
    }  # fmt: skip
    print(row, flush=True)
    return row


def one_against_the_rest(
    where: str, methods: list[str], most: tuple[int, int]
) -> list[dict[str, Any]]:
    """Take each class as the good one; the last row of a method is the mean of ten."""
    whole = sightline.load_data(where)
    rows: list[dict[str, Any]] = []
    for name in methods:
        own = [
            measured(name, good_is(whole, number, most))
            | {"good": label, "good_images": most[0] or "all"}
            for number, label in enumerate(whole.classes)
        ]
        mean = float(np.mean([row["auroc"] for row in own]))
        print(f"{name}: mean AUROC {mean:.4f}", flush=True)
        rows += [*own, {"method": name, "mean_auroc": mean}]
    return rows


def good_is(whole: Dataset, number: int, most: tuple[int, int] = (0, 0)) -> Dataset:
    """One class as the good one, all others as odd: so many to learn from, and to grade."""
    items = [replace(item, label=int(item.label != number)) for item in whole.source.items]
    source = Source(items, whole.source.mode, whole.source.size, whole.source.packed)
    train = np.concatenate([whole.rows["train"], whole.rows.get("val", np.zeros(0, np.int64))])
    good = np.sort(np.array([row for row in train if not items[row].label]))
    test = whole.rows["test"]
    if most[0]:
        good = np.sort(np.random.default_rng(0).permutation(good)[: most[0]])
    if most[1]:
        test = np.sort(np.random.default_rng(0).permutation(test)[: most[1]])
    rows = {"train": np.delete(good, slice(HELD - 1, None, HELD)), "val": good[HELD - 1 :: HELD],
            "test": test}  # fmt: skip
    return Dataset(whole.name, source, rows, ("good", "other"), (Task.CLASSIFY,))


if __name__ == "__main__":
    main()
