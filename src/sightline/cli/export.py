"""Run ``sightline export RUN``: write a run as files that run without Sightline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.markup import escape

from sightline import tasks
from sightline.cli import console, tables
from sightline.counting import counted
from sightline.errors import ParameterError
from sightline.metrics import figure_text

if TYPE_CHECKING:
    from sightline.deploy.export import Exported
    from sightline.deploy.site import Site

FORMS = {"onnx": "model.onnx", "edge": "bundle", "web": "site"}
"""Form -> where it is written by default."""


def export(
    run_folder: Path,
    /,
    *others: Path,
    to: Literal["onnx", "edge", "web"] = "onnx",
    quantize: Literal["int8", "fp16"] | None = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    data: str | None = None,
    json: console.Json = False,
) -> int:
    """Write a RUN as files that run without Sightline, checked against the run.

    Parameters
    ----------
    run_folder
        Folder that train or compare wrote, or imagenet:NAME.
    others
        More of them, for one site that shows them side by side.
    to
        onnx: the model with scaling and softmax in it, and the resize beside it; edge: these in a
        folder with a runner that needs only NumPy, Pillow and ONNX Runtime; web: a folder for any
        static host, whose page answers in the visitor's browser.
    quantize
        int8: a third of the time on a processor with VNNI; fp16: half the size.
    output
        Where to write; default model.onnx, or the folder bundle or site, here.
    data
        Name or path of the run's data, for the check and for int8, where it has moved.
    """
    from sightline.deploy import edge
    from sightline.deploy import export as deploy
    from sightline.deploy import site as web

    if others and to != "web":
        raise ParameterError(f"--to {to} takes one RUN; several go side by side with --to web")
    place, precision = output or Path(FORMS[to]), quantize or "fp32"
    with console.bar("calibrating") as report:
        if to == "web":
            site = web.site(
                [run_folder, *others], place, precision=precision, data=data, progress=report
            )
        elif to == "edge":
            made = edge.bundle(run_folder, place, precision=precision, data=data, progress=report)
            done, files = made.exported, made.files
        else:
            done = deploy.export(run_folder, place, precision=precision, data=data, progress=report)
            files = done.files
    if to == "web":
        return told(site, json)
    if json:
        console.print_json(document(done, files))
    else:
        show(done, files)
    return 0


def told(site: Site, json: bool) -> int:
    """Print what a site is made of."""
    if json:
        models = [document(done, {}) | {"files": None} for done in site.exported]
        console.print_json({"site": str(site.folder), "files": site.files, "models": models})
        return 0
    parts: dict[str, int] = {}
    for name, size in site.files.items():
        part = "static/ort" if name.startswith("static/ort/") else "page"
        for done in site.exported:
            folder = done.path.parent.relative_to(site.folder).as_posix()
            part = f"{folder}  {done.about.name}" if name.startswith(f"{folder}/") else part
        parts[part] = parts.get(part, 0) + size
    screen = console.out()
    sizes(parts, total=True)
    for done in site.exported:
        screen.print(f"{escape(done.about.name)}: {agreement(done)}")
    screen.print(
        f"look at it: python3 -m http.server --directory {escape(str(site.folder))}",
        soft_wrap=True,
    )
    return 0


def document(done: Exported, files: dict[str, int]) -> dict[str, object]:
    """Return what was exported, as JSON has it."""
    metric = done.before.headline_name if done.before else done.about.metric
    measured = {
        f"{metric}_before": done.before and done.before.headline,
        f"{metric}_after": done.after and done.after.headline,
    }
    return {
        "model": str(done.path), "name": done.about.name, "version": done.about.version,
        "precision": done.about.precision, "files": files, "checked_on": done.checked_on,
        "largest_difference": done.difference, "same_label": done.agreement,
        **(measured if metric else {}),
        "test_images": done.test_images or None,
    }  # fmt: skip


def show(done: Exported, files: dict[str, int]) -> None:
    """Print what was exported."""
    screen = console.out()
    sizes({str(done.path.parent / name): size for name, size in files.items()})
    screen.print(agreement(done))


def sizes(files: dict[str, int], *, total: bool = False) -> None:
    """Print a table of the files' sizes, with their sum where `total` is set."""
    columns = (tables.Column("file", text=True), tables.Column("size"))
    rows = [(name, f"{size / 2**20:,.2f} MiB") for name, size in files.items()]
    foot = ("in all", f"{sum(files.values()) / 2**20:,.2f} MiB") if total else ()
    tables.show(console.out(), columns, rows, footer=foot)


def agreement(done: Exported) -> str:
    """Describe how well an exported file agrees with its run."""
    said = (
        f"checked on {escape(done.checked_on)}: largest difference "
        f"{tasks.module('deploy', done.about.task).DIFFERENCE} {done.difference:.1e}, same answer "
        f"{done.agreement:.1%}"
    )
    if done.before is not None and done.after is not None:
        name, share = done.before.headline_name.replace("_", " "), done.before.share
        before, after = (figure_text(m.headline, share) for m in (done.before, done.after))
        said += (
            f"\n{name} on {counted(done.test_images, 'test image')}: {before} as trained, "
            f"{after} in {done.about.precision}"
        )
    return said
