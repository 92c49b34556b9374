"""From a run to a file that answers without us, and what that costs in each place.

Run: python examples/ch13_deployment.py [PICTURE.png]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

import sightline
from sightline.deploy import cost
from sightline.deploy.export import export, samples
from sightline.deploy.runtime import Runtime
from sightline.report.cost import cost_against_volume


def main(picture: str = "ch13_deployment.png") -> None:
    data = sightline.load_data("digits")
    with tempfile.TemporaryDirectory() as folder:
        run = sightline.create_model("logistic", data, max_iter=50).fit(data.train)
        path = run.save(Path(folder) / "logistic")
        done = export(path, Path(folder) / "model.onnx")
        print(f"{done.path.name}: {done.files['model.onnx'] / 1024:.0f} KiB, largest difference "
              f"from the run {done.difference:.1e} on {done.checked_on}")  # fmt: skip
        assert done.difference < 1e-4

        runtime = Runtime(done.path)  # no torch from here on
        X = np.array(data.test.arrays((8, 8), "crop").X)
        right = np.mean([a.label for a in runtime.answer(X)] == data.test.labels)
        print(f"accuracy of the file: {right:.1%}")
        assert right > 0.94

        measured = cost.measure(done.path, samples(path), seconds=0.5)
        prices = cost.read_prices()  # placeholders: yours go into a file
        rows = cost.rows(measured, prices, rate=20, target_ms=150)
        for row in rows:
            print(f"{row.title:16} {row.latency_ms:6.1f} ms, {row.machines} machines")
        print(cost.advice(rows, prices, 150))
        cost_against_volume(measured, prices, 150, 10e6).savefig(picture)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:])
