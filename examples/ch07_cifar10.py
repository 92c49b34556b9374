"""A shallow and a deep network on colour images: drawn shapes, or CIFAR-10.

Run: python examples/ch07_cifar10.py [PICTURE.png [DATA [EPOCHS]]], with DATA such as cifar10.
Without DATA, single shapes stand in for it: embedded, and learned in a minute.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

import sightline
from sightline.report import curves


def main(picture: str = "ch07_cifar10.png", name: str = "", epochs: str = "2") -> None:
    with tempfile.TemporaryDirectory() as scratch:
        data = sightline.load_data(name or drawn(Path(scratch)))
        for network in ("convnet", "resnet9"):
            model = sightline.create_model(network, data, epochs=float(epochs), batch_size=64)
            model.fit(data.train, data.val)
            score = model.score(data.test)
            print(f"{network}: {model.parameters:,} weights, test {score}")
        assert score.headline > 1.2 / len(data.classes)
        title = f"resnet9 on {data.name}: {score.headline:.1%} on test images"
        curves.training_curves(model.history, title).savefig(picture)
    print(f"picture: {picture}")


def drawn(folder: Path, each: int = 40) -> Path:
    """One folder a shape, of 32 x 32 pictures cut out of drawn scenes."""
    scenes = sightline.load_data("shapes:count=300,size=64,objects=2")
    counts = dict.fromkeys(scenes.classes, 0)
    for sample in (s for split in scenes.splits.values() for s in split):
        for box, label in zip(sample.objects.boxes, sample.objects.labels, strict=True):
            kind = scenes.classes[label]
            if counts[kind] < each:
                (folder / kind).mkdir(exist_ok=True)
                cut = Image.fromarray(sample.image).crop(tuple(box.round().astype(int).tolist()))
                cut.resize((32, 32)).save(folder / kind / f"{counts[kind]:03d}.png")
                counts[kind] += 1
    return folder


if __name__ == "__main__":
    main(*sys.argv[1:4])
