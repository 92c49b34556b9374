"""Pictures a second of bulk prediction beside the loop that everybody writes.

The plain loop opens a picture, prepares it, asks ONNX Runtime, writes a line of CSV; bulk
prediction reads ahead in threads, asks in batches and writes Parquet shards. Same model file, same
pictures, in turns, one process; Ray, where asked for, with its start, which is most of a short job.

    python benchmarks/bulk.py RUN [--pictures 2000] [--side 320] [--repeats 3] [--ray]
"""

from __future__ import annotations

import argparse
import csv
import itertools
import tempfile
from pathlib import Path

import machine
import numpy as np
from PIL import Image, ImageFilter
from rich.console import Console
from rich.table import Table

from sightline.deploy.bulk import predict
from sightline.deploy.export import exported
from sightline.deploy.runtime import Runtime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--side", type=int, default=320)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ray", action="store_true")
    given = parser.parse_args()
    model = exported(given.run)
    numbers = itertools.count()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "pictures"
        draw(source, given.pictures, given.side)

        def plain() -> None:
            runtime = Runtime(model)
            with (folder / f"{next(numbers)}.csv").open("w", newline="") as file:
                lines = csv.writer(file)
                for path in sorted(source.rglob("*.jpg")):
                    (answer,) = runtime.predict([path])
                    lines.writerow([path.name, answer.name, answer.score])

        def bulk(engine: str = "local") -> None:
            predict(model, str(source), str(folder / f"{next(numbers)}.parquet"), engine=engine)

        calls = {"plain loop": plain, "bulk": bulk}
        if given.ray:
            calls["bulk, Ray"] = lambda: bulk("ray")
        for call in calls.values():
            call()
        times = machine.side_by_side(calls, given.repeats)
    took = machine.medians(times)
    rates = {name: given.pictures / seconds for name, seconds in took.items()}
    method = Runtime(model).about.method
    table = Table(title=f"{method}, {given.pictures:,} JPEGs of {given.side} pixels")
    for heading in ("way", "pictures/s", "ratio"):
        table.add_column(heading)
    for name, rate in rates.items():
        table.add_row(name, f"{rate:,.0f}", f"{rate / rates['plain loop']:.2f}")
    Console(width=100).print(table)
    machine.record(
        "bulk",
        {
            "method": method, "pictures": given.pictures, "side": given.side,
            "pictures_per_second": rates, "ratio": rates["bulk"] / rates["plain loop"],
        },
        "onnxruntime", "pyarrow",
    )  # fmt: skip


def draw(folder: Path, count: int, side: int) -> None:
    """Write smooth random pictures as JPEG files."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for i in range(count):
        pixels = random.integers(0, 256, (side * 3 // 4, side, 3), dtype=np.uint8)
        picture = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(3))
        picture.save(folder / f"{i:06d}.jpg", quality=85)


if __name__ == "__main__":
    main()
