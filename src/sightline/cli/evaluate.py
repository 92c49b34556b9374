"""Run ``sightline eval RUN DATA``: measure a run on a split."""

from __future__ import annotations

from pathlib import Path

from sightline import tasks
from sightline.cli import console, tables
from sightline.data.dataset import SplitName
from sightline.estimators import load_model
from sightline.training import run
from sightline.training.labelled_recipe import Tta


def evaluate(
    run_folder: Path,
    data: str,
    /,
    *,
    split: SplitName = "test",
    tta: Tta | None = None,
    device: console.Device = "auto",
    group: console.Group = None,
    layout: console.Layout = None,
    allow_outside: console.AllowOutside = False,
    seed: console.Seed | None = None,
    json: console.Json = False,
) -> int:
    """Measure a RUN on a split of DATA.

    Parameters
    ----------
    run_folder
        Folder that train or compare wrote; or imagenet:NAME or onnx:FILE, trained elsewhere.
    data
        Name, folder or archive of images.
    split
        Which part of the data.
    tta
        Views of an image that a network is asked about; default: as it was trained to.
    seed
        Of splits; default: the one that the run was trained with.
    """
    model = load_model(run_folder, device)
    if tta is not None:
        model.answer_with(tta)
    trained = model.config.get("data", {})
    loaded = console.load(
        data,
        seed=int(trained.get("seed", 0)) if seed is None else seed,
        group=group,
        layout=layout,
        allow_outside=allow_outside,
    )
    same = trained.get("fingerprint") == loaded.fingerprint()
    if trained.get("name") == loaded.name and not same:
        console.note(
            "  these are not the images or splits of training: test images may have been seen"
        )
    with console.bar(f"measuring on {split}") as progress:
        result = model.evaluate(loaded.split(split), progress)
    report = tasks.module("report", model.task)
    document = {
        "run": str(run_folder),
        "data": loaded.name,
        "split": split,
        "images": result.metrics.n,
        "headline": result.metrics.headline_name,
        "interval": list(result.metrics.interval),
        "share": result.metrics.share,
        "metrics": dict(result.metrics),
        "remarks": [*model.remarks, *result.remarks],
        **report.details(result, model.classes_),
    }
    if split == "test" and same and tta is None:
        run.write_json(run_folder / run.TEST, document)
    if json:
        console.print_json(document)
        return 0
    for line in model.remarks:
        console.note(line)
    screen = console.out()
    screen.print(f"{model.name} on {loaded.name}/{split}: {result.metrics}")
    console.say_beside(result)
    headings, rows = report.table(result, model.classes_)
    tables.show(screen, tables.columns_of(headings, rows), rows)
    return 0
