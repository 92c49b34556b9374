"""Networks that make pictures, trained within a budget and measured on the test split.

Each is trained with its own recipe, or with as many epochs as fit into a budget, and measured as
`compare` does: the bound of a VAE's likelihood with its binarisation, the Fréchet distance with the
training pictures' as its floor, the confidence of a classifier in the class of a made
picture, the rarest and the commonest class (1 is uniform), copying. Then pictures a second, and of
a flow the same figures at more steps. The classifier that judges is trained first, once.

    python benchmarks/generate.py --data DATA [--methods vae flow] [--budget 20m] [--name NAME]

DATA is what `sightline.load_data` takes. `--knobs vae.form=convolutional dcgan.conditional=True`
changes knobs of a method.
"""

from __future__ import annotations

import argparse
import ast
import time
from typing import Any

import machine
from rich.console import Console
from rich.table import Table

import sightline
from sightline.cli.progress import one
from sightline.metrics import duration, threads

METHODS = ("autoencoder", "vae", "dcgan", "flow")
STEPS = (1, 2, 5, 10, 100)
"""Steps that a flow is measured at."""

TIMED = 256
"""Pictures whose making is timed."""

SHOWN = (
    "frechet", "floor", "coverage", "confidence", "rarest", "commonest", "copying", "bound", "psnr",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--budget", type=duration.seconds, default=None)
    parser.add_argument("--knobs", nargs="*", default=[], help="METHOD.KNOB=VALUE")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--name", default="generate")
    given = parser.parse_args()
    screen, rows = Console(width=132), []
    threads.use(threads.available())
    data = sightline.load_data(given.data, seed=given.seed)
    knobs: dict[str, dict[str, Any]] = {name: {} for name in given.methods}
    for word in given.knobs:
        name, _, rest = word.partition(".")
        knob, _, value = rest.partition("=")
        try:
            knobs[name][knob] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            knobs[name][knob] = value
    for name in given.methods:
        rows += measure(name, data, knobs[name], given.budget, given.seed)
    table = Table(title=f"{data.name}, {threads.available()} threads")
    for heading in ("", "trained in", "pictures/s", *SHOWN):
        table.add_column(heading, justify="right" if heading else "left")
    for row in rows:
        cells = [f"{row['metrics'][n]:.3g}" if n in row["metrics"] else "-" for n in SHOWN]
        steps = f", {row['steps']} steps" if row.get("steps") else ""
        table.add_row(f"{row['method']}{steps}", duration.human(row["fit_seconds"]),
                      f"{row['per_second']:,.0f}", *cells)  # fmt: skip
    screen.print(table)
    for row in rows:
        for line in [*row["remarks"], *([row["bound_of"]] if row["bound_of"] else [])]:
            screen.print(f"{row['method']}: {line}", soft_wrap=True)
    found = {"data": data.name, "images": len(data.train), "budget": given.budget, "rows": rows}
    path = machine.record(given.name, found, "torch")
    screen.print(f"recorded in {path.name}")


def measure(
    name: str, data: Any, knobs: dict[str, Any], budget: float | None, seed: int
) -> list[dict[str, Any]]:
    """Train a method, and measure it; of a flow a row for each number of steps."""
    screen = Console(stderr=True)
    model = sightline.create_model(name, data, seed=seed, device="cpu", **knobs)
    start = time.perf_counter()
    with one(f"training {name}", screen) as report:
        model.fit(data.train, data.val, report, budget=budget)
    seconds = time.perf_counter() - start
    rows = []
    for steps in STEPS if name == "flow" else (None,):
        if steps is not None:
            model.method_.options["steps"] = steps
        with one(f"measuring {name}", screen) as report:
            measured = model.evaluate(data.test, report)
        model.generate(8)
        start = time.perf_counter()
        model.generate(TIMED)
        rows.append({
            "method": name, "knobs": knobs, "steps": steps, "fit_seconds": seconds,
            "epochs": model.history[-1]["epoch"], "metrics": dict(measured.metrics),
            "interval": measured.metrics.interval, "pictures": measured.metrics.n,
            "judge": measured.judge, "bound_of": measured.beside.get("bound", ""),
            "per_second": TIMED / (time.perf_counter() - start), "parameters": model.parameters,
            "remarks": [*model.remarks, *measured.remarks],
        })  # fmt: skip
    return rows


if __name__ == "__main__":
    main()
