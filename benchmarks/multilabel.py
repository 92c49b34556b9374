"""Which labels photographs have, by features of a trained network beside the labels' frequencies.

python benchmarks/multilabel.py coco --data DATA    # the classes of objects in photographs
python benchmarks/multilabel.py shapes              # which shapes are drawn, by a network

Measured on the validation images of the data, which nothing was learned from. Records stand in
benchmarks/results/.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import machine

import sightline

METHODS = {
    "coco": ("label-frequency", "labels-knn", "labels-logistic"),
    "shapes": ("label-frequency", "multilabel:resnet9"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=METHODS)
    parser.add_argument("--data", default="shapes:count=2000,size=64")
    parser.add_argument("--epochs", type=float, default=0.0)
    given = parser.parse_args()
    data = sightline.load_data(given.data)
    rows: list[dict[str, Any]] = []
    for name in METHODS[given.what]:
        knobs = {"epochs": given.epochs} if given.epochs and ":" in name else {}
        start = time.perf_counter()
        model = sightline.create_model(name, **knobs).fit(data.train)
        seconds = time.perf_counter() - start
        metrics = model.score(data.val)
        rows.append({"method": name, "fit_seconds": seconds, "images": len(data.train),
                     "measured_on": metrics.n, "interval": list(metrics.interval),
                     **dict(metrics)})  # fmt: skip
        print(rows[-1], flush=True)
    machine.record(f"multilabel-{given.what}", {"results": rows})


if __name__ == "__main__":
    main()
