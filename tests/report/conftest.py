"""Pages of comparisons made by hand: any number of methods and classes."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from sightline.bench import compare as bench
from sightline.bench import worker
from sightline.bench.pick import pick
from sightline.bench.results import DataEntry, EnvironmentEntry, MethodEntry, Results
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.metrics.classify import Evaluation
from sightline.report import html
from sightline.training import run

NAMES = (
    "onnx:/home/me/models/flowers.onnx,pixels=unit", "torchvision:mobilenet_v3_small", "majority",
    "nearest-mean", "linear", "logistic", "knn", "mlp-numpy", "convnet-numpy", "mlp", "convnet",
    "resnet9", "resnet18", "vgg16_bn",
)  # fmt: skip


def made_data(classes):
    names = [f"类别 class {i}" if i % 2 else f"c{i}" for i in range(classes)]
    items = [
        Item(f"{i}.png", np.full((8, 8, 3), i % 256, np.uint8), i % classes)
        for i in range(6 * classes)
    ]
    thirds = np.array_split(np.arange(len(items)), 3)
    rows = dict(zip(("train", "val", "test"), thirds, strict=True))
    return Dataset("made", Source(items, "RGB"), rows, tuple(names))


def answers(data, split, accuracy, random):
    rows = np.repeat(data.split(split).rows, 10)
    y = np.array([data.source.items[int(row)].label for row in rows])
    p = random.dirichlet(np.full(len(data.classes), 0.3), len(y)).astype(np.float32)
    for i, right in enumerate(random.random(len(y)) < accuracy):
        wanted = y[i] if right else (y[i] + 1) % len(data.classes)
        top = p[i].argmax()
        p[i, [top, wanted]] = p[i, [wanted, top]]
    return Evaluation.of(y, p.argmax(1), p, rows)


def compared(folder, methods, classes, *, language=None):
    """Write a comparison that never ran, and return its page."""
    data, random = made_data(classes), np.random.default_rng(0)
    folder.mkdir(parents=True)
    command = "sightline compare 照片/ --budget 8m --margin 0.5 --cost latency"
    run.write_json(folder / bench.REQUEST, {
        "request": {}, "command": command, "started": run.now(), "environment": run.environment(0),
    })  # fmt: skip
    entries = []
    for i, name in enumerate(NAMES[:methods]):
        place = bench.place_of(folder, name)
        place.mkdir(parents=True)
        val, test = (answers(data, s, 0.97 - 0.06 * i, random) for s in ("val", "test"))
        worker._write_evaluation(place, val, test)
        run.write_json(place / run.CONFIG, {"options": {"k": i}})
        entries.append(MethodEntry(
            name=name, status="ok", metric="accuracy", headline=test.metrics.headline,
            interval=test.metrics.interval, validation=val.metrics.headline,
            metrics=dict(test.metrics), remarks=["it ended near chance"] if i == 1 else [],
            startup_seconds=1.5, threads=2, tune_seconds=3.0 * i, fit_seconds=100.0 / (i + 1),
            latency_ms=40 / 1.6**i, latency_spread_ms=0.01, images_per_second=1234.0, batch=256,
            peak_mb=300.0, parameters=11_000_000, device="cpu", bytes=45_000_000,
        ))  # fmt: skip
    if methods > 4:
        why = "out of memory (this process held 12,345 MiB); take a smaller batch, such as 64"
        entries[-1] = MethodEntry(name=entries[-1].name, status="failed", error=why)
    ok = [m for m in entries if m.status == "ok"]
    results = Results(
        data=DataEntry(**run.describe_data(data)), methods=entries,
        environment=EnvironmentEntry(device="cpu", threads=2, versions={}, seed=0),
        pick=pick(ok, bench.differences(folder, "classify", 0.01)),
    )  # fmt: skip
    run.write_json(folder / bench.RESULTS, results.model_dump(mode="json"))
    return html.comparison(folder, data, language=language)


@pytest.fixture(scope="session")
def page_of(tmp_path_factory):
    """Return a function of (methods, classes) that returns the page; each is made once."""

    @functools.cache
    def make(methods, classes):
        return compared(tmp_path_factory.mktemp("page") / "c", methods, classes)

    return make


@pytest.fixture(scope="session")
def embedded():
    """Thirty pictures in the plane, with a hostile name, two copies and wrong answers."""
    from sightline.explain.embedding import Embedding
    from sightline.explain.seen import Eye, Seen

    classes = ("猫", "<b>dog</b>")
    rng = np.random.default_rng(0)
    thumbnails = rng.integers(0, 256, (30, 8, 8, 3), np.uint8)
    items = [Item(f"图/{i}.png", thumbnails[i], i % 2) for i in range(30)]
    items[3].id = "</script><script>alert(1)</script>.png"
    data = Dataset("照片", Source(items, "RGB", (8, 8)), {"train": np.arange(30)}, classes)
    eye = Eye("runs/a", "what goes into the last layer", (8, 8), "crop", "RGB", np.asarray,
              classes=classes)  # fmt: skip
    said = [classes[0]] * 30
    rows = np.arange(30)
    seen = Seen(eye, rows, rows % 2, np.zeros((30, 4), np.float32), said,
                np.full(30, 0.9, np.float32), [])  # fmt: skip
    points = np.stack([rows % 6, rows // 6], 1).astype(np.float64)
    return Embedding(data, seen, points, "tsne", "scikit-learn", 0.9, 30, None, ["train"] * 30,
                     thumbnails, [(0, 1)])  # fmt: skip
