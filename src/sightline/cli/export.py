"""``sightline export RUN``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.markup import escape
from rich.table import Table

from sightline.cli import console

if TYPE_CHECKING:
    from sightline.deploy.export import Exported

FORMS = {"onnx": "model.onnx", "edge": "bundle"}
"""Form -> where it is written by default."""


def export(
    run_folder: Path,
    /,
    *,
    to: Literal["onnx", "edge"] = "onnx",
    quantize: Literal["int8", "fp16"] | None = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    data: str | None = None,
    json: console.Json = False,
) -> int:
    """Write a RUN as files that run without Sightline, checked against the run.

    Parameters
    ----------
    run_folder
        Folder that train or compare wrote.
    to
        onnx: the model with scaling and softmax in it, and the resize beside it; edge: these in a
        folder with a runner that needs only NumPy, Pillow and ONNX Runtime.
    quantize
        int8: a third of the time on a processor with VNNI; fp16: half the size.
    output
        Where to write; default model.onnx, or the folder bundle, here.
    data
        Name or path of the run's data, for the check and for int8, where it has moved.
    """
    from sightline.deploy import edge
    from sightline.deploy import export as deploy

    place, precision = output or Path(FORMS[to]), quantize or "fp32"
    with console.bar("calibrating") as report:
        if to == "edge":
            made = edge.bundle(run_folder, place, precision=precision, data=data, progress=report)
            done, files = made.exported, made.files
        else:
            done = deploy.export(run_folder, place, precision=precision, data=data, progress=report)
            files = done.files
    if json:
        console.print_json(document(done, files))
    else:
        show(done, files)
    return 0


def document(done: Exported, files: dict[str, int]) -> dict[str, object]:
    """What was exported, for a program."""
    return {
        "model": str(done.path), "name": done.about.name, "version": done.about.version,
        "precision": done.about.precision, "files": files, "checked_on": done.checked_on,
        "largest_difference": done.difference, "same_label": done.agreement,
        "accuracy_before": done.before, "accuracy_after": done.after,
        "test_images": done.test_images or None,
    }  # fmt: skip


def show(done: Exported, files: dict[str, int]) -> None:
    """What was exported, for a person."""
    table = Table("file", "size")
    for name, size in files.items():
        table.add_row(escape(str(done.path.parent / name)), f"{size / 2**20:,.2f} MiB")
    screen = console.out()
    screen.print(table)
    screen.print(
        f"checked on {escape(done.checked_on)}: largest difference of a probability "
        f"{done.difference:.1e}, same label {done.agreement:.1%}"
    )
    if done.before is not None and done.after is not None:
        screen.print(
            f"accuracy on {done.test_images:,} test images: {done.before:.2%} as trained, "
            f"{done.after:.2%} in {done.about.precision}"
        )
