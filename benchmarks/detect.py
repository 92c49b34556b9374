"""Detectors beside torchvision's own: a training step, and a picture's answer.

A step: SSD300 and Faster R-CNN (ResNet-50, pyramid) of the package in its training loop, and
torchvision's under the same weights in the loop of its reference scripts, on the same batch, in
turns, one process. An answer: a picture of 640 x 480 bytes to boxes in its pixels, by the exported
file (what `predict`, the server and the page run), by the run itself, and by torchvision's network.
The networks answer under one state dict, shifted towards the background so that they answer with a
few dozen boxes, as trained ones do, and not with thousands. Last, yolo-tiny at 416 pixels beside
torchvision's SSDLite320 on MobileNetV3, by the same path, and RF-DETR nano where it is installed.

    python benchmarks/detect.py [--models ssd300 faster-rcnn yolo-tiny] [--repeats 15] [--batch 4]
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import machine
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import detection as theirs

import sightline
from sightline.deploy.export import export
from sightline.deploy.runtime import Runtime
from sightline.metrics import threads

PICTURE = (480, 640)
"""Height and width of the picture that is asked about."""

DATA = "shapes:count=24,size=320"

PEERS: dict[str, Callable[..., nn.Module]] = {
    "ssd300": lambda n: theirs.ssd300_vgg16(weights=None, weights_backbone=None, num_classes=n),
    "faster-rcnn": lambda n: theirs.fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=n, min_size=640, max_size=640,
    ),
    "yolo-tiny": lambda n: theirs.ssdlite320_mobilenet_v3_large(
        weights=None, weights_backbone=None, num_classes=n
    ),
}  # fmt: skip
"""torchvision's network beside each of ours; the last one is another network."""

SAME = ("ssd300", "faster-rcnn")
"""Those whose weights fit the peer."""

SIZES = {"faster-rcnn": 640, "yolo-tiny": 416}
"""Pixels of the longer side, where the method's own is another."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--name", default="detect")
    given = parser.parse_args()
    screen, rows = Console(width=110), []
    for name in given.models:
        row = measure(name, given.repeats, given.batch)
        rows.append(row)
        table = Table(title=f"{name} beside {row['peer']}, {threads.available()} threads")
        for heading in ("", "milliseconds", "torchvision / this"):
            table.add_column(heading, justify="right" if heading else "left")
        for part in ("step", "answer"):
            for way, seconds in row.get(part, {}).items():
                ratio = row[part]["torchvision"] / seconds
                table.add_row(f"{part}: {way}", f"{seconds * 1000:.1f}", f"{ratio:.2f}")
        screen.print(table)
        screen.print(f"answers: {row['boxes']}")
    path = machine.record(given.name, {"rows": rows}, "onnxruntime")
    screen.print(f"recorded in {path.name}")


def measure(name: str, repeats: int, batch: int) -> dict[str, Any]:
    data = sightline.load_data(DATA)
    size = {"size": SIZES[name]} if name in SIZES else {}
    knobs = {"epochs": 0.01, "batch_size": batch, "workers": 0, "device": "cpu"}
    model = sightline.create_model(name, data, **size, **knobs).fit(data.train)
    peer = PEERS[name](1 + len(data.classes))
    quieten(name, model.method_.model, peer)
    if name in SAME:  # bytes come to both networks by the same scale
        scaled: Any = peer.transform
        scaled.image_mean, scaled.image_std = model.method_.mean_, model.method_.std_
    row: dict[str, Any] = {"model": name, "peer": type(peer).__name__, "batch": batch}
    if name in SAME:
        row["step"] = machine.medians(
            steps(model, data, copy.deepcopy(peer), batch, max(repeats // 3, 3))
        )
    model.method_.model.eval()
    with tempfile.TemporaryDirectory() as folder:
        made = export(model.save(Path(folder) / "run"), Path(folder) / "model.onnx")
        runtime = Runtime(made.path)
        picture = np.asarray(
            np.random.default_rng(0).integers(0, 256, (*PICTURE, 3)), dtype=np.uint8
        )
        peer.eval()

        def of_peer() -> Any:
            with torch.inference_mode():
                x = torch.from_numpy(picture).permute(2, 0, 1).float() / 255
                return peer([x])

        calls: dict[str, Callable[[], Any]] = {
            "exported": lambda: runtime.predict([picture]),
            "run": lambda: model.predict([picture]),
            "torchvision": of_peer,
        }
        row["boxes"] = {
            "exported": len(calls["exported"]()[0]), "run": len(calls["run"]()[0]),
            "torchvision": len(calls["torchvision"]()[0]["scores"]),
        }  # fmt: skip
        if name == "yolo-tiny" and find_spec("rfdetr"):
            calls["rf-detr nano"] = rf_detr_nano(picture, len(data.classes))
        for call in calls.values():
            call()
        row["answer"] = machine.medians(machine.side_by_side(calls, repeats))
    return row


def rf_detr_nano(picture: NDArray[np.uint8], classes: int) -> Callable[[], Any]:
    """RF-DETR's smallest network at its own size, with weights by chance: its time is the same."""
    from sightline.models.detect.rf_detr import SIDES, rf_detr

    network, side = rf_detr(classes).eval(), SIDES["nano"]

    def answer() -> Any:
        with torch.inference_mode():
            x = torch.from_numpy(picture).permute(2, 0, 1).float()[None] / 255
            return network(functional.interpolate(x, (side, side), mode="bilinear"))

    return answer


def quieten(name: str, ours: nn.Module, peer: nn.Module) -> None:
    """Give both the same weights, where they fit, and a bias against objects."""
    if name in SAME:
        peer.load_state_dict(ours.state_dict())
    with torch.no_grad():
        for network in (ours, peer):
            for key, tensor in network.state_dict().items():
                _against_objects(key, tensor)


def _against_objects(key: str, tensor: Tensor) -> None:
    """Raise the background's bias, or lower that of objects, in a network's own tensor."""
    if "obj_preds" in key and key.endswith("bias"):
        tensor.fill_(-3.5)
    elif "cls_preds" in key and key.endswith("bias"):
        tensor.fill_(0.0)
    elif "classification_head" in key and key.endswith("bias") and tensor.ndim == 1:
        classes = 7
        if len(tensor) % classes == 0:
            tensor.view(-1, classes)[:, 0] += 3.0
    elif key.endswith("cls_score.bias"):
        tensor[0] += 3.0


def steps(
    model: Any, data: Any, peer: nn.Module, batch: int, repeats: int
) -> dict[str, list[float]]:
    """Seconds of a training step of both, on one batch."""
    training = model.training(data.train)
    training.model.load_state_dict(model.method_.model.state_dict())
    given = next(iter(training.feed.epoch(0)))
    images, targets = given
    pixels = [image.float() / 255 for image in images]
    known = [{"boxes": t["boxes"], "labels": t["labels"] + 1} for t in targets]
    learned = [p for p in peer.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learned, lr=1e-3, momentum=0.9, weight_decay=5e-4)
    peer.train()
    training.model.train()

    def reference() -> None:
        loss = sum(peer(pixels, known).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    calls = {"package": lambda: training.advance(given, 0.01), "torchvision": reference}
    for call in calls.values():
        call()
    return machine.side_by_side(calls, repeats)


if __name__ == "__main__":
    main()
