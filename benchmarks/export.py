"""Time of a picture: eager PyTorch, ONNX Runtime in float32, and in int8, of the same trained run.

The three answer the same batches in turns, one process, one core each. Accuracy is of the run's
test split, as `sightline export --quantize int8` measures it.

    python benchmarks/export.py RUN [--data NAME_OR_PATH] [--batches 1 64] [--repeats 30]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import machine
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from sightline.data.load import load_data
from sightline.deploy.export import export
from sightline.deploy.graphs import graph
from sightline.deploy.runtime import Runtime
from sightline.estimators import load_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--repeats", type=int, default=30)
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(given.run)
    known = model.config["data"]
    data = load_data(given.data or known.get("path") or known["name"], seed=known["seed"])
    X = np.array(data.test[: max(given.batches)].arrays(model.fitted_.size, "crop").X)
    with tempfile.TemporaryDirectory() as folder:
        whole = export(given.run, Path(folder) / "fp32.onnx", data=given.data)
        small = export(given.run, Path(folder) / "int8.onnx", precision="int8", data=given.data)
        fp32, int8 = (Runtime(done.path, threads=1) for done in (whole, small))
    module = graph(model)
    rows = []
    for batch in given.batches:
        x = X[:batch]
        tensor = torch.from_numpy(x)

        def eager(tensor: torch.Tensor = tensor) -> None:
            with torch.inference_mode():
                module(tensor)

        times = machine.side_by_side(
            {
                "eager PyTorch": eager,
                "ONNX Runtime": lambda x=x: fp32.outputs(x),
                "int8": lambda x=x: int8.outputs(x),
            },
            given.repeats,
        )
        took = machine.medians(times)
        rows.append(
            {
                "batch": batch,
                **{f"{name} ms": 1e3 * t / batch for name, t in took.items()},
                "int8 against ONNX Runtime": took["ONNX Runtime"] / took["int8"],
                "int8 against eager PyTorch": took["eager PyTorch"] / took["int8"],
            }
        )
    result = {
        "method": model.name, "data": data.name, "test_images": small.test_images,
        "accuracy": small.before, "accuracy_int8": small.after, "rows": rows,
        "mebibytes": [done.files[done.path.name] / 2**20 for done in (whole, small)],
    }  # fmt: skip
    table = Table(title=f"{model.name}: {small.before:.2%} as trained, {small.after:.2%} in int8")
    for heading in rows[0]:
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()))
    Console(width=110).print(table)
    machine.record("export", result, "onnxruntime")


if __name__ == "__main__":
    main()
