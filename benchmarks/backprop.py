"""Claim: the NumPy networks train no slower than 1.5x (perceptron) and 3x (conv net) eager PyTorch.

One process, the same number of threads for BLAS and PyTorch, the same layers, batches and
optimiser. Ours and theirs take turns, so that whatever else the machine does falls on both;
the ratio is the median of the ratios of the turns.

    python benchmarks/backprop.py [--data NAME_OR_PATH] [--threads 1] [--repeats 7]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import threadpoolctl
import torch
from torch import nn

from sightline.models.backprop.convnet import ConvNetClassifier
from sightline.models.backprop.layers import Layer
from sightline.models.backprop.mlp import MLPClassifier
from sightline.models.backprop.network import Network
from sightline.models.backprop.training import differentiate
from sightline.training import run

GOALS = {"mlp-numpy": 1.5, "convnet-numpy": 3.0}
RESULT = Path(__file__).parent / "results" / "backprop.json"


def twin(network: Network) -> nn.Module:
    """The same network in PyTorch; images NCHW, as PyTorch likes them."""
    shapes = itertools.pairwise(network.shapes)
    return nn.Sequential(
        *(_twin(layer, a, b) for layer, (a, b) in zip(network.layers, shapes, strict=True))
    )


def _twin(layer: Layer, shape: tuple[int, ...], out: tuple[int, ...]) -> nn.Module:
    match layer.name:
        case "Affine":
            return nn.Linear(shape[0], out[0])
        case "Conv2d":
            return nn.Conv2d(shape[2], out[2], 3, padding=1, bias=False)
        case "BatchNorm":
            return nn.BatchNorm2d(out[2])
        case "MaxPool2d":
            return nn.MaxPool2d(2)
        case "Dropout":
            return nn.Dropout(layer.rate)
        case name:
            return {"Flatten": nn.Flatten, "ReLU": nn.ReLU}[name]()


def ours(model, X, y):
    """An epoch of ours, without its measurement; gives a function that takes one."""
    network, loss = model.build(X.shape[1:], 10), model.make_loss()
    plan = model.plan(X.shape[1:])
    optimizer, batch = plan.make_optimizer(network), plan.usual_batch

    def epoch():
        for i in range(0, len(X), batch):
            rows = slice(i, i + batch)
            differentiate(network, loss, X[rows], y[rows])
            optimizer.step(network.theta, network.gradient)

    return network, batch, epoch


def theirs(network, batch, X, y):
    """The same epoch in eager PyTorch."""
    module = twin(network).train()
    X = torch.from_numpy(np.ascontiguousarray(X.transpose(0, 3, 1, 2)))
    y = torch.from_numpy(y)
    optimizer, loss = torch.optim.Adam(module.parameters(), 1e-3), nn.CrossEntropyLoss()

    def epoch():
        for i in range(0, len(X), batch):
            optimizer.zero_grad()
            loss(module(X[i : i + batch]), y[i : i + batch]).backward()
            optimizer.step()

    return epoch


def timed(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(name, model, X, y, repeats):
    network, batch, our_epoch = ours(model, X, y)
    their_epoch = theirs(network, batch, X, y)
    our_epoch(), their_epoch()  # warm-up
    turns = [(timed(our_epoch), timed(their_epoch)) for _ in range(repeats)]
    scale = 10_000 / len(X)
    row = {
        "model": name,
        "image": list(X.shape[1:]),
        "batch": batch,
        "parameters": int(network.theta.size),
        "images": len(X),
        "seconds_per_10000_images": scale * statistics.median(a for a, _ in turns),
        "pytorch_seconds_per_10000_images": scale * statistics.median(b for _, b in turns),
        "ratio": statistics.median(a / b for a, b in turns),
        "ratios": [round(a / b, 3) for a, b in turns],
        "goal": GOALS[name],
    }
    print(
        f"{name:14} {'x'.join(map(str, row['image'])):9} "
        f"{row['seconds_per_10000_images']:7.2f} s "
        f"{row['pytorch_seconds_per_10000_images']:7.2f} s "
        f"{row['ratio']:6.2f}x  (goal {row['goal']}x; {min(row['ratios'])} to {max(row['ratios'])})"
    )
    return row


def images(name: str | None, shape: tuple[int, ...], count: int):
    """Images of a data set, or random ones."""
    if name is None:
        rng = np.random.default_rng(0)
        return rng.normal(size=(count, *shape)).astype(np.float32), rng.integers(0, 10, count)
    import sightline

    train = sightline.load_data(name).train
    X, y, _ = train.take(np.arange(count) % len(train)).arrays(train.data.size or (32, 32), "crop")
    return ((X - X.mean()) / X.std()).astype(np.float32), y


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", help="name or path; default: random numbers of MNIST's, CIFAR's shape"
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--output", type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    load = os.getloadavg()[0]
    print(f"{'':14} {'image':9} {'NumPy':>9} {'PyTorch':>9} {'ratio':>7}  for 10,000 images")
    rows = []
    with threadpoolctl.threadpool_limits(options.threads):
        shapes = [None] if options.data else [(28, 28, 1), (32, 32, 3)]
        for shape in shapes:
            X, y = images(options.data, shape, 6400)
            rows.append(measure("mlp-numpy", MLPClassifier(), X, y, options.repeats))
            X, y = X[:1280], y[:1280]
            rows.append(measure("convnet-numpy", ConvNetClassifier(), X, y, options.repeats))
    document = {
        "claim": "epoch time against the same network in eager PyTorch",
        "command": " ".join(["python", "benchmarks/backprop.py", *sys.argv[1:]]),
        "threads": options.threads,
        "load_before": round(load, 2),
        "environment": run.environment(0),
        "written": run.now(),
        "rows": rows,
    }
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(json.dumps(document, indent=2) + "\n")
    return 0 if all(r["ratio"] <= r["goal"] for r in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
