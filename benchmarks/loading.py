"""Reading a folder of small images: the first time, from the cache, and as others do it.

The peers decode the same files: torchvision's ImageFolder in one process, and through a
DataLoader with a worker a core. Without ``--data``, 60,000 random 32x32 JPEGs are written to a
temporary folder.

    python benchmarks/loading.py [--data FOLDER]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import machine
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision.transforms.v2 import functional

from sightline.metrics import threads

OURS = (
    "import sys, time; from sightline.data.load import load_data; t = time.perf_counter(); "
    "d = load_data(sys.argv[1]); n = sum(len(d.splits[s].arrays().X) for s in d.rows); "
    "print(n, time.perf_counter() - t)"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.data or written(Path(scratch) / "images")
        rows = measure(folder, Path(scratch) / "home", given.repeats)
    table = Table(title=f"{rows['images']:,} images, {threads.available()} cores")
    table.add_column("what")
    table.add_column("seconds", justify="right")
    for name, seconds in rows["seconds"].items():
        table.add_row(name, f"{seconds:.2f}")
    Console().print(table)
    machine.record("loading", {"data": str(given.data.name) if given.data else "random"} | rows)


def measure(folder: Path, home: Path, repeats: int) -> dict[str, object]:
    """Each of ours in a process of its own, after the import; peers here, warmed up."""
    first, again = [], []
    images = 0
    for i in range(repeats):
        environment = os.environ | {"SIGHTLINE_HOME": str(home / str(i))}
        for times in (first, again):
            done = subprocess.run(
                [sys.executable, "-c", OURS, str(folder)],
                env=environment, capture_output=True, text=True, check=True,
            )  # fmt: skip
            count, seconds = done.stdout.split()
            images = int(count)
            times.append(float(seconds))
    parts = [p for p in (folder / "train", folder / "test") if p.is_dir()] or [folder]
    sets = [datasets.ImageFolder(p, functional.pil_to_tensor) for p in parts]
    torch.set_num_threads(1)

    def loop(workers: int) -> float:
        start = time.perf_counter()
        for images_of in sets:
            for _ in DataLoader(images_of, 256, num_workers=workers):
                pass
        return time.perf_counter() - start

    loop(0)
    return {
        "images": images,
        "seconds": {
            "sightline, first time": median(first),
            "sightline, from its cache": median(again),
            "torchvision ImageFolder": median(loop(0) for _ in range(repeats)),
            "torchvision ImageFolder, DataLoader": median(
                loop(threads.available()) for _ in range(repeats)
            ),
        },
    }


def written(folder: Path) -> Path:
    random = np.random.default_rng(0)
    for split, count in (("train", 5000), ("test", 1000)):
        for label in range(10):
            place = folder / split / str(label)
            place.mkdir(parents=True)
            for i in range(count):
                coarse = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(coarse).resize((32, 32)).save(place / f"{i:04d}.jpg", quality=90)
    return folder


if __name__ == "__main__":
    main()
