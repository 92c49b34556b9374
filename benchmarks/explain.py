"""Grad-CAM and Score-CAM of 64 pictures beside the package grad-cam: seconds, in one process.

The same network, pictures, layer and classes for both, in turns, to maps of the pictures' size that
are equal (the largest difference is recorded; the package enlarges Score-CAM's masks with aligned
corners, and is told to do as its own maps do). The network is the bundled EfficientNet-Lite0, its
last activation a layer of its own, as the package cannot watch one that is used twice; pictures are
drawn shapes. Score-CAM asks about 1,280 maps of each, and so is measured on smaller ones; maps that
are zero everywhere are not asked about here. grad-cam is in no extra, as it brings OpenCV along:

    pip install grad-cam==1.5.7
    python benchmarks/explain.py [--pictures 64] [--side 224] [--score-side 96] [--repeats 5]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import machine
import numpy as np
import pytorch_grad_cam
import torch
from numpy.typing import NDArray
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn import functional

import sightline
from sightline.explain import maps
from sightline.explain.opened import evaluating, open_network
from sightline.metrics import threads

NETWORK, LAYER = "imagenet:efficientnet_lite0", "bn2"

GOALS = {"grad-cam": 1.0, "score-cam": 2.0}
"""Times as fast as the package."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--score-side", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--name", default="explain")
    parser.add_argument("--dry", action="store_true", help="print only, record nothing")
    given = parser.parse_args()
    rows = [
        measure("grad-cam", given.pictures, given.side, given.repeats),
        measure("score-cam", given.pictures, given.score_side, given.repeats),
    ]
    table = Table(title=f"{given.pictures} pictures, {threads.available()} threads")
    for heading in ("method", "side", "this, s", "grad-cam, s", "times as fast", "goal", "differ"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            row["method"], str(row["side"]), f"{row['this']:.3f}", f"{row['grad-cam']:.3f}",
            f"{row['grad-cam'] / row['this']:.2f}", f"{row['goal']:g}", f"{row['differ']:.1e}",
        )  # fmt: skip
    Console(width=110).print(table)
    if not given.dry:
        print(f"recorded in {machine.record(given.name, {'rows': rows}, 'grad-cam').name}")


def measure(method: str, pictures: int, side: int, repeats: int) -> dict[str, Any]:
    opened, plain = (open_network(NETWORK) for _ in range(2))
    for model in (opened.model, plain.model):
        model.bn2 = nn.Sequential(model.bn2, nn.ReLU6()).eval()
    plain.model.to(memory_format=torch.contiguous_format)  # as whoever uses the package has it
    data = sightline.load_data(f"shapes:count={max(pictures, 8) * 4},size={max(side, 48)}")
    drawn = [data.sample(row).image for row in range(pictures)]
    x = torch.cat([opened.picture(image).x for image in drawn])
    x = functional.interpolate(x, (side, side), mode="bilinear", antialias=True)
    with torch.no_grad():
        classes = opened.said(x).argmax(1)

    def value(said: torch.Tensor) -> torch.Tensor:
        return said.gather(1, classes[:, None])[:, 0]

    def ours() -> NDArray[np.float32]:
        with evaluating(opened.model):
            A, (G,) = maps.activations(opened, x, LAYER, [value])
            if method == "grad-cam":
                return maps.scaled(maps.weighed(method, A, G), (side, side))[0]
            each = [
                maps.score_cam(opened, x[i : i + 1], A[i : i + 1], lambda said, c=c: said[:, c])
                for i, c in enumerate(classes.tolist())
            ]
            return maps.scaled(torch.cat(each), (side, side))[0]

    kind: Any = {"grad-cam": pytorch_grad_cam.GradCAM, "score-cam": pytorch_grad_cam.ScoreCAM}
    targets = [ClassifierOutputTarget(c) for c in classes.tolist()]

    def theirs() -> NDArray[np.float32]:
        with kind[method](model=plain.model, target_layers=[plain.model.bn2]) as cam:
            if method == "score-cam":  # all masks of a batch of pictures would not fit the memory
                parts = [
                    cam(input_tensor=x[i : i + 1], targets=targets[i : i + 1])
                    for i in range(pictures)
                ]
                return np.concatenate(parts)
            return np.asarray(cam(input_tensor=x, targets=targets))

    torch.nn.UpsamplingBilinear2d = lambda size: (
        lambda part: functional.interpolate(  # type: ignore
            part, size, mode="bilinear"
        )
    )
    calls: dict[str, Callable[[], Any]] = {"this": ours, "grad-cam": theirs}
    differ = float(np.abs(ours() - theirs()).max())
    seconds = machine.medians(machine.side_by_side(calls, repeats))
    return {"method": method, "network": NETWORK, "side": side, "pictures": pictures,
            "repeats": repeats, "goal": GOALS[method], "differ": differ, **seconds}  # fmt: skip


if __name__ == "__main__":
    main()
