"""Semantic networks and masks of objects beside torchvision's own: steps, answers, memory.

A step and an answer: FCN and DeepLabV3 on ResNet-50 of the package and torchvision's under one
state dict, on the same pictures, in turns, one process. A step is one of each training loop on the
same batch, the auxiliary head's loss at half weight in both. An answer is a picture of 480 x 360
bytes to the class of each of its pixels: by the exported file (what `predict`, the server and the
page run), by the run itself, and by torchvision's network with its scores enlarged. Mask R-CNN: the
same, to masks of the picture. Last, what is made of the masks of 100 objects on a picture of 4000 x
3000: seconds, and how much more memory than before at the most, in a process of its own each.

    python benchmarks/segment.py [--parts fcn-resnet50 deeplabv3 mask-rcnn masks] [--repeats 9]
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn import functional
from torchvision.models import detection, segmentation
from torchvision.models.detection.roi_heads import paste_masks_in_image

import sightline
from sightline.data.pasting import paste
from sightline.deploy.export import export
from sightline.deploy.runtime import Runtime
from sightline.metrics import threads

PICTURE = (360, 480)
"""Height and width of the picture that is asked about."""

SIDE = 384
"""Pixels of the longer side of the networks' images."""

DATA = f"shapes:count=24,size={SIDE}"

LARGE, OBJECTS = (3000, 4000), 100

PEERS: dict[str, Callable[[int], nn.Module]] = {
    "fcn-resnet50": lambda n: segmentation.fcn_resnet50(
        weights=None, weights_backbone=None, num_classes=n, aux_loss=True
    ),
    "deeplabv3": lambda n: segmentation.deeplabv3_resnet50(
        weights=None, weights_backbone=None, num_classes=n, aux_loss=True
    ),
    "mask-rcnn": lambda n: detection.maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=n, min_size=SIDE, max_size=SIDE
    ),
}
"""torchvision's network beside each of ours."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", default=[*PEERS, "masks"],
                        choices=[*PEERS, "masks"])  # fmt: skip
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--name", default="segment")
    parser.add_argument("--masks-by", choices=list(MAKERS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.masks_by:
        print(json.dumps(masks_alone(given.masks_by)))
        return
    screen, rows = Console(width=110), []
    for name in given.parts:
        row = masks(given.repeats) if name == "masks" else measure(name, given.repeats, given.batch)
        rows.append(row)
        table = Table(title=f"{name}, {threads.available()} threads")
        for heading in ("", "this", "torchvision", "torchvision / this"):
            table.add_column(heading, justify="right" if heading else "left")
        for part, unit in (
            ("step", "ms"),
            ("answer", "ms"),
            ("seconds", "s"),
            ("mebibytes", "MiB"),
        ):
            for way, value in row.get(part, {}).items():
                if way != "torchvision":
                    theirs, by = row[part]["torchvision"], 1000 if unit == "ms" else 1
                    table.add_row(f"{part}: {way}", f"{value * by:.1f} {unit}",
                                  f"{theirs * by:.1f} {unit}", f"{theirs / value:.2f}")  # fmt: skip
        screen.print(table)
    path = machine.record(given.name, {"rows": rows}, "onnxruntime")
    screen.print(f"recorded in {path.name}")


def measure(name: str, repeats: int, batch: int) -> dict[str, Any]:
    data = sightline.load_data(DATA)
    knobs = {"epochs": 0.01, "batch_size": batch, "workers": 0, "device": "cpu",
             "precision": "32-true", "augment": "flip", "weights": "none"}  # fmt: skip
    model = sightline.create_model(name, data, size=SIDE, **knobs).fit(data.train)
    network = model.method_.model
    peer = PEERS[name](len(model.classes_) + (name == "mask-rcnn"))
    peer.load_state_dict(network.state_dict())
    row: dict[str, Any] = {"model": name, "batch": batch, "side": SIDE}
    row["step"] = machine.medians(steps(model, data, copy.deepcopy(peer), max(repeats // 3, 3)))
    network.eval()
    peer.eval()
    with tempfile.TemporaryDirectory() as folder:
        made = export(model.save(Path(folder) / "run"), Path(folder) / "model.onnx")
        runtime = Runtime(made.path)
        picture = np.random.default_rng(0).integers(0, 256, (*PICTURE, 3)).astype(np.uint8)
        answer = of_mask_rcnn if name == "mask-rcnn" else of_semantic
        calls: dict[str, Callable[[], Any]] = {
            "exported": lambda: runtime.predict([picture]),
            "run": lambda: model.predict([picture]),
            "torchvision": lambda: answer(peer, picture),
        }
        for call in calls.values():
            call()
        row["answer"] = machine.medians(machine.side_by_side(calls, repeats))
    return row


def of_semantic(peer: nn.Module, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The class of every pixel, as torchvision's reference scripts ask for it."""
    height, width = PICTURE
    size = (round(height * SIDE / width), SIDE)
    with torch.inference_mode():
        x = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
        x = functional.interpolate(x, size, mode="bilinear", antialias=True)
        said = peer(x)["out"]
        whole = functional.interpolate(said, PICTURE, mode="bilinear", align_corners=False)
        return np.asarray(whole.argmax(1)[0].byte())


def of_mask_rcnn(peer: nn.Module, picture: NDArray[np.uint8]) -> Any:
    with torch.inference_mode():
        [said] = peer([torch.from_numpy(picture).permute(2, 0, 1).float() / 255])
        return said["masks"] > 0.5


def steps(model: Any, data: Any, peer: nn.Module, repeats: int) -> dict[str, list[float]]:
    """Seconds of a training step of both, on one batch."""
    training = model.training(data.train)
    training.model.load_state_dict(model.method_.model.state_dict())
    given = next(iter(training.feed.epoch(0)))
    images, targets = given
    pixels = torch.stack([image.float() / 255 for image in images])
    optimizer = torch.optim.SGD(
        [p for p in peer.parameters() if p.requires_grad], lr=1e-3, momentum=0.9, weight_decay=1e-4
    )
    peer.train()
    training.model.train()
    if "masks" in targets[0]:
        known = [
            {"boxes": t["boxes"], "labels": t["labels"] + 1, "masks": t["masks"].byte()}
            for t in targets
        ]
        loss: Callable[[], Any] = lambda: sum(peer(list(pixels), known).values())  # noqa: E731
    else:
        labels = torch.stack([t["labels"] for t in targets]).long()

        def loss() -> Any:
            said = peer(pixels)
            out, aux = (
                functional.cross_entropy(said[name], labels, ignore_index=255)
                for name in ("out", "aux")
            )
            return out + 0.5 * aux

    def reference() -> None:
        now = loss()
        optimizer.zero_grad()
        now.backward()
        optimizer.step()

    calls = {"package": lambda: training.advance(given, 0.01), "torchvision": reference}
    for call in calls.values():
        call()
    return machine.side_by_side(calls, repeats)


def objects() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Masks of 28 x 28 and boxes from 100 to 1,000 pixels a side."""
    rng = np.random.default_rng(0)
    height, width = LARGE
    sides = rng.uniform(100, 1000, (OBJECTS, 2))
    corner = rng.uniform(0, 1, (OBJECTS, 2)) * (np.array([width, height]) - sides)
    return (
        rng.random((OBJECTS, 28, 28)).astype(np.float32),
        np.concatenate([corner, corner + sides], 1).astype(np.float32),
    )


def theirs_pasted(masks: NDArray[np.float32], boxes: NDArray[np.float32]) -> Any:
    with torch.inference_mode():
        whole = paste_masks_in_image(
            torch.from_numpy(masks)[:, None], torch.from_numpy(boxes), LARGE
        )
        return whole > 0.5


MAKERS: dict[str, Callable[[NDArray[np.float32], NDArray[np.float32]], Any]] = {
    "package": lambda masks, boxes: paste(masks, boxes, LARGE),
    "torchvision": theirs_pasted,
}


def masks(repeats: int) -> dict[str, Any]:
    """Seconds in turns in this process, and memory in a process of its own each."""
    given = objects()
    calls = {name: (lambda make=make: make(*given)) for name, make in MAKERS.items()}
    for call in calls.values():
        call()
    seconds = machine.medians(machine.side_by_side(calls, max(repeats // 3, 3)))
    alone = {}
    for name in MAKERS:
        said = subprocess.run(
            [sys.executable, __file__, "--masks-by", name],
            capture_output=True,
            text=True,
            check=True,
        )
        alone[name] = json.loads(said.stdout)
    return {"model": "masks", "objects": OBJECTS, "picture": LARGE, "seconds": seconds,
            "mebibytes": alone}  # fmt: skip


def masks_alone(name: str) -> float:
    """Make the masks once, and tell by how many mebibytes this process grew at the most."""
    given = objects()
    MAKERS[name](given[0][:2], given[1][:2])  # what a first call needs is not the masks'
    process, most, done = psutil.Process(), list[int](), threading.Event()
    before = process.memory_info().rss

    def watch() -> None:
        while not done.is_set():
            most.append(process.memory_info().rss)
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    kept = MAKERS[name](*given)
    done.set()
    watcher.join()
    most.append(process.memory_info().rss)
    assert len(kept) == OBJECTS
    return max((max(most) - before) / 2**20, 0.1)


if __name__ == "__main__":
    main()
