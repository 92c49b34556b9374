"""Features of a network trained on ImageNet: how fast they are had, and what they are worth.

    python benchmarks/features.py speed --data PHOTOGRAPHS
    python benchmarks/features.py few --data IMAGES [--images 1000] [--seeds 3]
    python benchmarks/features.py crops --data BOXES [--budget 2m]

`speed`: from files to rows of features, decoding included, beside a plain loop around ONNX Runtime
on the same graph and one around eager PyTorch; and of the graph alone in float32 and int8. `few`:
the test accuracy of logistic regression on the features of few training images, in float32 and
int8; the penalty is chosen by cross-validation among them. `crops`: the objects of an annotated
set, cut out at their natural size, by class, at most 40 of each, so that no class is the answer to
half of them; every method of the ladder, split by photograph.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import machine
import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.model_selection import StratifiedKFold

import sightline
from sightline.bench import compare
from sightline.data.images import prepare
from sightline.deploy import quantize
from sightline.estimators import backbone
from sightline.estimators.backbone import BATCH, Backbone
from sightline.metrics import duration, threads
from sightline.models import onnx_graph
from sightline.models.classic.logistic import LogisticClassifier
from sightline.models.classify.cards import FEATURES
from sightline.models.registry import card

PENALTIES = card("features+logistic").grid["l2"]
LEAST_SIDE, LEAST_CROPS, MOST_CROPS, LEAST_CLASSES = 16, 15, 40, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("speed", "few", "crops"))
    parser.add_argument("--data", required=True, help="a name or path")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--budget", default=None, help="of each method on crops")
    given = parser.parse_args()
    measure = {"speed": speed, "few": few, "crops": crops}[given.what]
    document = measure(given)
    print(document)
    path = machine.record(f"features-{given.what}", document, "torch", "onnxruntime")
    print(f"recorded in {path.name}")


def speed(given: argparse.Namespace) -> dict[str, Any]:
    source = sightline.load_data(given.data)
    files = [item.image for item in source.train.items[: given.images]]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "pictures"
        for place, file in enumerate(files):
            (folder / str(place % 2)).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, folder / str(place % 2) / f"{place:06}{Path(file).suffix}")
        paths = sorted(folder.rglob("*.*"))
        ready, size = fitted(folder)
        graph, small = Path(temporary) / "features.onnx", Path(temporary) / "int8.onnx"
        some = pixels(paths[:256], size)
        write(ready, some, graph)
        quantize.to_int8(graph, small, some)
        sessions = {name: session(path) for name, path in (("fp32", graph), ("int8", small))}
        calls = {
            "ours": lambda: ours(folder),
            "onnxruntime loop": lambda: loop(paths, size, sessions["fp32"]),
            "eager loop": lambda: loop(paths, size, ready._eager),
            "graph alone": lambda: run(sessions["fp32"], some),
            "graph alone, int8": lambda: run(sessions["int8"], some),
        }
        calls["ours"]()  # writes the graph that later ones find
        seconds = machine.medians(machine.side_by_side(calls, given.repeats))
    images = {name: len(some) if "alone" in name else len(paths) for name in calls}
    rates = {name: images[name] / seconds[name] for name in calls}
    return {
        "images": len(paths), "size": size, "features": FEATURES, "enlarged_to": ready.enlarge,
        "threads": threads.in_use(), "images_per_second": rates,
        "of_onnxruntime_loop": rates["ours"] / rates["onnxruntime loop"],
        "of_eager_loop": rates["ours"] / rates["eager loop"],
        "int8_of_fp32": rates["graph alone, int8"] / rates["graph alone"],
    }  # fmt: skip


def fitted(folder: Path) -> tuple[Backbone, tuple[int, int]]:
    data = sightline.load_data(folder)
    kind = sightline.create_model("features+logistic").preprocess
    made = backbone.fit(kind, data.train, card("features+logistic"))
    assert isinstance(made.embed, Backbone)
    return made.embed, made.size


def ours(folder: Path) -> None:
    """From a folder to features, as `train` does it, with nothing packed or kept before."""
    with tempfile.TemporaryDirectory() as home:
        before = os.environ.get("SIGHTLINE_HOME")
        graphs = Path(before or Path.home() / ".cache" / "sightline") / "graphs"
        os.environ["SIGHTLINE_HOME"] = home
        try:
            if graphs.is_dir():
                shutil.copytree(graphs, Path(home) / "graphs")
            data = sightline.load_data(folder)
            kind = sightline.create_model("features+logistic").preprocess
            made = backbone.fit(kind, data.train, card("features+logistic"))
            for split in data.splits.values():
                made(split.arrays(made.size, made.resize).X)
            shutil.copytree(Path(home) / "graphs", graphs, dirs_exist_ok=True)
        finally:
            os.environ.pop("SIGHTLINE_HOME")
            if before is not None:
                os.environ["SIGHTLINE_HOME"] = before


def loop(paths: list[Path], size: tuple[int, int], compute: Any) -> None:
    for start in range(0, len(paths), BATCH):
        compute(pixels(paths[start : start + BATCH], size))


def run(compute: Any, X: NDArray[np.uint8]) -> None:
    for start in range(0, len(X), BATCH):
        compute(X[start : start + BATCH])


def pixels(paths: list[Path], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.stack([prepare(Image.open(path).convert("RGB"), size)[0] for path in paths])


def write(ready: Backbone, some: NDArray[np.uint8], path: Path) -> None:
    axes = {0: onnx_graph.dynamic()}
    example = torch.from_numpy(some[:2])
    onnx_graph.write(ready.module(), example, ["images"], ["features"], axes, path)


def session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads.in_use()
    opened = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda X: opened.run(None, {"images": X})[0]


def few(given: argparse.Namespace) -> dict[str, Any]:
    data = sightline.load_data(given.data)
    kind = sightline.create_model("features+logistic").preprocess
    made = backbone.fit(kind, data.train, card("features+logistic"))
    ready = made.embed
    assert isinstance(ready, Backbone)
    (X, y, _), (X_test, y_test, _) = (
        split.arrays(made.size, made.resize) for split in (data.train, data.test)
    )
    seeds = []
    with tempfile.TemporaryDirectory() as temporary:
        graph, small = Path(temporary) / "features.onnx", Path(temporary) / "int8.onnx"
        chosen = [subset(y, given.images, seed) for seed in range(given.seeds)]
        write(ready, np.array(X[:2]), graph)
        quantize.to_int8(graph, small, np.array(X[chosen[0][:256]]))
        bytes_ = session(small)
        test = {"fp32": ready(X_test), "int8": parts(bytes_, X_test)}
        for seed, rows in enumerate(chosen):
            seen = {"fp32": ready(X[rows]), "int8": parts(bytes_, X[rows])}
            scores = {}
            for name in seen:
                l2 = penalty(seen[name], y[rows], seed)
                model = LogisticClassifier(l2=l2).fit(seen[name], y[rows])
                scores[name] = {"accuracy": model.score(test[name], y_test), "l2": l2}
            seeds.append({"seed": seed} | scores)
            print(seeds[-1], flush=True)
    found = {n: [one[n]["accuracy"] for one in seeds] for n in ("fp32", "int8")}
    return {
        "data": data.name, "training_images": given.images, "test_images": len(y_test),
        "features": FEATURES, "enlarged_to": ready.enlarge, "seeds": seeds,
        "mean": {n: mean(values) for n, values in found.items()},
        "deviation": {n: stdev(values) for n, values in found.items() if len(values) > 1},
        "int8_loses_points": 100 * (mean(found["fp32"]) - mean(found["int8"])),
    }  # fmt: skip


def parts(compute: Any, X: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.concatenate([compute(X[i : i + BATCH]) for i in range(0, len(X), BATCH)])


def subset(y: NDArray[np.int64], images: int, seed: int) -> NDArray[np.int64]:
    """As many rows of each class, drawn by chance."""
    random, classes = np.random.default_rng(seed), np.unique(y)
    each = images // len(classes)
    drawn = [random.permutation(np.flatnonzero(y == c))[:each] for c in classes]
    return np.sort(np.concatenate(drawn))


def penalty(X: NDArray[np.float32], y: NDArray[np.int64], seed: int) -> float:
    """The penalty that is best on parts that were held out, five in turn."""
    folds = list(StratifiedKFold(5, shuffle=True, random_state=seed).split(X, y))
    scores = {
        l2: mean(LogisticClassifier(l2=l2).fit(X[a], y[a]).score(X[b], y[b]) for a, b in folds)
        for l2 in PENALTIES
    }
    return max(scores, key=lambda l2: scores[l2])


def crops(given: argparse.Namespace) -> dict[str, Any]:
    data = sightline.load_data(given.data)
    with tempfile.TemporaryDirectory() as temporary:
        table = cut_out(data, Path(temporary))
        seconds = None if given.budget is None else duration.seconds(given.budget)
        loaded = sightline.load_data(str(table))
        names = compare.ladder(loaded, seconds)[0]
        request = compare.Request(str(table), names, budget=seconds)
        results = compare.compare(loaded, request, Path(temporary) / "out")
    methods = {
        m.name: {
            "test": m.headline, "interval": m.interval, "validation": m.validation,
            "seconds": (m.tune_seconds or 0) + (m.fit_seconds or 0), "error": m.error,
        }
        for m in results.methods
    }  # fmt: skip
    scratch = {
        n: m["test"] for n, m in methods.items()
        if not card(n).pretrained and m["test"] is not None
    }  # fmt: skip
    best = max(scratch, key=lambda n: scratch[n])
    ours_ = methods["features+logistic"]["test"] or 0.0
    return {
        "data": data.name, "counts": results.data.counts, "classes": list(results.data.classes),
        "methods": methods, "best_from_scratch": best,
        "points_ahead": 100 * (ours_ - scratch[best]),
    }  # fmt: skip


def cut_out(data: sightline.Dataset, folder: Path) -> Path:
    """Write the objects of photographs as pictures, and a table of them, by photograph."""
    rows = []
    for split in data.splits.values():
        for number in range(len(split)):
            sample = split[number]
            if sample.objects is None:
                continue
            photograph = f"{split.name}-{number}"
            for place, (box, label) in enumerate(
                zip(sample.objects.boxes, sample.objects.labels, strict=True)
            ):
                left, top, right, bottom = (int(v) for v in np.rint(box))
                if min(right - left, bottom - top) < LEAST_SIDE:
                    continue
                name = f"{photograph}-{place}.png"
                part = np.repeat(sample.image, 3 // sample.image.shape[2], axis=2)
                Image.fromarray(part[top:bottom, left:right]).save(folder / name)
                rows.append((name, data.classes[int(label)], photograph))
    counts = Counter(label for _, label, _ in rows)
    kept = {label for label, n in counts.items() if n >= LEAST_CROPS}
    if len(kept) < LEAST_CLASSES:
        raise SystemExit(f"only {len(kept)} classes have {LEAST_CROPS} crops, not {LEAST_CLASSES}")
    chance = np.random.default_rng(0).permutation(len(rows))
    taken = dict.fromkeys(kept, 0)
    drawn = []
    for number in chance.tolist():
        label = rows[number][1]
        if label in kept and taken[label] < MOST_CROPS:
            taken[label] += 1
            drawn.append(rows[number])
    table = folder / "crops.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("image", "label", "group"))
        writer.writerows(sorted(drawn))
    return table


if __name__ == "__main__":
    main()
