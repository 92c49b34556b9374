"""Wrong labels, planted and found again: precision of the first 50 and 100 labels in doubt.

    python benchmarks/labels.py --data IMAGES [--images 3000] [--flipped 0.05] [--seeds 1]
        [--model features+logistic]

Some of the labels of training images are replaced by another class, drawn at random; then each
label is judged as `sightline data audit --labels RUN` does, by fits that have not seen the image.
Precision at k: how many of the k most suspicious labels were planted. Real data has wrong labels of
its own, which count as false alarms here. Knobs are tuned as `compare`
does, on wrong labels, too.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path
from statistics import mean
from typing import Any

import machine
import numpy as np

import sightline
from sightline.data import splits
from sightline.data.dataset import Dataset, Source
from sightline.estimators import tuning
from sightline.explain import labels

AT = (50, 100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="a name or path")
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--flipped", type=float, default=0.05)
    parser.add_argument("--folds", type=int, default=labels.FOLDS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--model", default="features+logistic")
    parser.add_argument("--plain", action="store_true", help="knobs as they are, not tuned")
    given = parser.parse_args()
    data = sightline.load_data(given.data)
    rows = [measure(data, given, seed) for seed in range(given.seeds)]
    document = {
        "data": given.data.rstrip("/").rpartition("/")[2], "images": given.images,
        "flipped": given.flipped, "model": given.model, "folds": given.folds, "seeds": rows,
        "mean": {f"precision_at_{k}": mean(row[f"precision_at_{k}"] for row in rows) for k in AT},
    }  # fmt: skip
    print(document["mean"])
    path = machine.record("labels", document, "scikit-learn", "onnxruntime")
    print(f"recorded in {path.name}")


def measure(data: Dataset, given: argparse.Namespace, seed: int) -> dict[str, Any]:
    spoiled, wrong = planted(data, given.images, given.flipped, seed)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        knobs = {} if given.plain else tuned(spoiled, given.model, seed)
        sightline.create_model(given.model, seed=seed, **knobs).fit(spoiled.train).save(run)
        doubts = labels.doubt(str(run), spoiled, folds=given.folds, seed=seed)
    first = [int(doubts.rows[i]) in wrong for i in doubts.suspects]
    row = {
        "seed": seed, "knobs": knobs, "planted": len(wrong), "in_doubt": len(first),
        "accuracy": doubts.accuracy, "estimated_share_wrong": doubts.learned.share,
        "recall": sum(first) / len(wrong), "seconds": doubts.seconds, "notes": doubts.notes,
        **{f"precision_at_{k}": mean(first[:k]) for k in AT},
    }  # fmt: skip
    print(row)
    return row


def tuned(data: Dataset, model: str, seed: int) -> dict[str, Any]:
    """The best knobs on a fifth of the images, whose labels are as wrong as the others'."""
    learn, held = splits.folds(data.rows["train"], data.train.labels, 5, seed)[0]
    parts = data.with_rows({"train": learn, "val": held})
    before = sightline.create_model(model).preprocess
    return tuning.on_validation(model, parts.train, parts.val, {}, before, seed=seed).best.options


def planted(data: Dataset, count: int, share: float, seed: int) -> tuple[Dataset, set[int]]:
    """Training images as a data set of its own, some with another label; and which these are."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(data.rows["train"])[:count])
    items = [data.source.items[int(row)] for row in rows]
    wrong = set(rng.permutation(count)[: round(share * count)].tolist())
    for i in wrong:
        other = (items[i].label + rng.integers(1, len(data.classes))) % len(data.classes)
        items[i] = dataclasses.replace(items[i], label=int(other))
    source = Source(items, data.mode, data.size)
    return Dataset(data.name, source, {"train": np.arange(count)}, data.classes), wrong


if __name__ == "__main__":
    main()
