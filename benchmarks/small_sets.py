"""Every method of the ladder on ten small sets of pictures: none may end below the floor.

The sets are made from what is at hand without the internet: the embedded digits, drawn shapes, and
cuts of the two photographs that scikit-learn brings along. The floor is the test accuracy of always
naming the most frequent class. With --data, subsets of real images with one label each are added.

    python benchmarks/small_sets.py [--data NAME_OR_PATH] [--methods NAME ...] [--sets NAME ...]
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import machine
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_sample_images

import sightline
from sightline.bench import compare
from sightline.data.shapes import scene

Labelled = Iterator[tuple[str, NDArray[np.uint8]]]
"""Class and picture, one after the other."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="real images: a name or path")
    parser.add_argument(
        "--methods", nargs="*", help="default: the ladder, and resnet9 where it fits"
    )
    parser.add_argument("--sets", nargs="*", help="default: all ten")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    screen = Console(width=150)
    makers: dict[str, Callable[[np.random.Generator], Labelled]] = dict(SETS)
    if given.data:
        real = sightline.load_data(given.data).train
        makers |= {"real-grey": lambda r: drawn(real, r, 4, 60, grey=True),
                   "real-420": lambda r: drawn(real, r, 5, 84)}  # fmt: skip
    rows: dict[str, Any] = {}
    for name, make in makers.items():
        if given.sets and name not in given.sets:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / name
            write(make(np.random.default_rng(given.seed)), folder)
            rows[name] = measured(folder, Path(temporary) / "out", given.methods, given.seed)
        screen.print(table({name: rows[name]}))
    below = [
        f"{name}/{method}"
        for name, row in rows.items()
        for method, one in row["methods"].items()
        if method != "majority" and one["accuracy"] is not None and one["accuracy"] <= row["floor"]
    ]
    screen.print(f"not above the floor: {', '.join(below) or 'none'}")
    path = machine.record("small_sets", {"seed": given.seed, "sets": rows, "not_above": below})
    screen.print(f"recorded in {path.name}")


def measured(folder: Path, out: Path, methods: list[str] | None, seed: int) -> dict[str, Any]:
    data = sightline.load_data(folder, seed=seed)
    names = tuple(methods or compare.ladder(data)[0])
    if not methods and (data.size is None or min(data.size) >= 24) and "resnet9" not in names:
        names = (*names, "resnet9")
    request = compare.Request(str(folder), ("majority", *(n for n in names if n != "majority")),
                              seed=seed)  # fmt: skip
    results = compare.compare(data, request, out)
    floor = next(m.headline for m in results.methods if m.name == "majority")
    return {
        "counts": results.data.counts, "classes": len(results.data.classes), "floor": floor,
        "methods": {
            m.name: {
                "accuracy": m.headline, "validation": m.validation, "seconds": m.fit_seconds,
                "remarks": m.remarks, "error": m.error,
            }
            for m in results.methods
        },
    }  # fmt: skip


def table(rows: dict[str, Any]) -> Table:
    shown = Table("set", "images", "classes", "floor", title=None)
    methods = list(dict.fromkeys(m for row in rows.values() for m in row["methods"]))
    for method in methods:
        shown.add_column(method, justify="right")
    for name, row in rows.items():
        cells = []
        for method in methods:
            one = row["methods"].get(method, {}).get("accuracy")
            good = one is not None and one > row["floor"]
            said = "-" if one is None else f"{100 * one:.1f}"
            cells.append(said if good or method == "majority" else f"[red]{said}[/red]")
        shown.add_row(
            name, str(sum(row["counts"].values())), str(row["classes"]),
            f"{100 * row['floor']:.1f}", *cells,
        )  # fmt: skip
    return shown


def write(pictures: Labelled, folder: Path) -> None:
    for i, (label, pixels) in enumerate(pictures):
        (folder / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.squeeze()).save(folder / label / f"{i:05}.png")


def digits(
    random: np.random.Generator, counts: dict[int, int], *, side: int = 8, colour: bool = False
) -> Labelled:
    """Embedded digits; in colour the ink and the ground are of two colours, with noise."""
    train = sightline.load_data("digits").train
    X, y, _ = train.arrays()
    for label, count in counts.items():
        for row in random.permutation(np.flatnonzero(y == label))[:count]:
            pixels = np.asarray(Image.fromarray(X[row, :, :, 0]).resize((side, side)))
            if colour:
                ink, ground = random.integers(0, 256, (2, 3))
                share = pixels[..., None] / 255
                mixed = share * ink + (1 - share) * ground + random.normal(0, 12, (side, side, 3))
                pixels = mixed.clip(0, 255).astype(np.uint8)
            yield str(label), pixels


def pairs(random: np.random.Generator, each: int) -> Labelled:
    """A hundred classes: two digits side by side."""
    X, y, _ = sightline.load_data("digits").train.arrays()
    rows = [np.flatnonzero(y == d) for d in range(10)]
    for a in range(10):
        for b in range(10):
            for _ in range(each):
                both = [X[random.choice(rows[d]), :, :, 0] for d in (a, b)]
                yield f"{a}{b}", np.pad(np.hstack(both), ((4, 4), (0, 0)))


def cuts(
    random: np.random.Generator, counts: dict[str, int], low: int, high: int, *, grey: bool = False
) -> Labelled:
    """Cuts of two photographs, by what they show: a sky, a roof, a park, petals, leaves."""
    china, flower = load_sample_images().images
    regions = {
        "sky": china[:110, 330:], "roof": china[110:270, 40:560], "park": china[270:],
        "petals": flower[90:330, 210:460], "leaves": flower[:, :190],
    }  # fmt: skip
    for label, count in counts.items():
        region = regions[label]
        for _ in range(count):
            side = int(random.integers(low, high + 1))
            top, left = (int(random.integers(0, edge - side + 1)) for edge in region.shape[:2])
            piece = Image.fromarray(region[top : top + side, left : left + side])
            yield label, np.asarray(piece.convert("L") if grey else piece)


def shapes(random: np.random.Generator, each: int, side: int) -> Labelled:
    """Pictures of one drawn shape, of six classes."""
    counts = [0] * 6
    index = 0
    while min(counts) < each:
        one = scene(int(random.integers(2**31)), index, side, 1)
        label = int(one.annotation.labels[0])
        index += 1
        if counts[label] < each:
            counts[label] += 1
            yield f"shape {label}", one.image


def drawn(
    split: Any, random: np.random.Generator, classes: int, each: int, *, grey: bool = False
) -> Labelled:
    for label in range(classes):
        for row in random.permutation(np.flatnonzero(split.labels == label))[:each]:
            pixels = split[int(row)].image
            shown = Image.fromarray(pixels.squeeze())
            yield split.data.classes[label], np.asarray(shown.convert("L") if grey else shown)


SETS: dict[str, Callable[[np.random.Generator], Labelled]] = {
    "digits, 20 an class": lambda r: digits(r, dict.fromkeys(range(10), 20)),
    "two digits": lambda r: digits(r, {3: 40, 8: 40}),
    "unbalanced digits": lambda r: digits(r, {0: 120, 1: 90, 2: 60, 3: 24, 4: 16, 5: 12}),
    "coloured digits": lambda r: digits(r, dict.fromkeys(range(10), 42), side=32, colour=True),
    "100 pairs of digits": lambda r: pairs(r, 10),
    "cuts": lambda r: cuts(
        r, dict.fromkeys(("sky", "roof", "park", "petals", "leaves"), 84), 48, 48
    ),
    "grey cuts": lambda r: cuts(
        r, dict.fromkeys(("roof", "park", "petals"), 60), 32, 32, grey=True
    ),
    "cuts of many sizes": lambda r: cuts(r, {"roof": 150, "park": 50, "leaves": 20}, 40, 90),
    "few cuts of two": lambda r: cuts(r, {"roof": 20, "park": 20}, 64, 64),
    "shapes": lambda r: shapes(r, 50, 48),
}


if __name__ == "__main__":
    main()
