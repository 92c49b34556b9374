"""Run ``sightline train MODEL DATA``: train a method and keep the run."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.markup import escape

from sightline.cli import console
from sightline.cli.options import dispatch
from sightline.counting import counted
from sightline.errors import SightlineError
from sightline.estimators import create_model, estimator_for
from sightline.metrics import duration
from sightline.metrics.duration import human
from sightline.report import curves, html
from sightline.training import recipe as recipes
from sightline.training import run
from sightline.training import tensorboard as board

CURVES = "curves.png"


def train(*tokens: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> int:
    """Train MODEL on DATA and keep the run."""
    return dispatch(train_model, tokens)


def train_model(
    model: str,
    data: str,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    recipe: str | None = None,
    budget: str | None = None,
    resume: Annotated[bool, Parameter(negative="")] = False,
    tensorboard: Annotated[bool, Parameter(negative="")] = False,
    find_lr: Annotated[bool, Parameter(negative="")] = False,
    overfit_batch: Annotated[bool, Parameter(negative="")] = False,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    group: console.Group = None,
    layout: console.Layout = None,
    allow_outside: console.AllowOutside = False,
    threads: console.Threads = None,
    seed: console.Seed = 0,
    lang: console.Lang = None,
    json: console.Json = False,
    given: dict[str, Any],
) -> int:
    """Train MODEL on DATA and keep the run. `sightline train MODEL --help` lists its knobs.

    Parameters
    ----------
    model
        Name of a method: sightline models.
    data
        Name, folder or archive of images.
    output
        Folder of the run; default runs/MODEL-DATA.
    recipe
        Knobs as a TOML file, or the name of a recipe: speedrun (CIFAR-10 in seconds, with
        resnet9 on a graphics processor). Options given here win.
    budget
        Longest time to train, such as 10m: lowers the epochs to fit.
    resume
        Go on from the run's last checkpoint.
    tensorboard
        Write each epoch's figures to the run's folder tensorboard, too.
    find_lr
        Do not train: raise the learning rate until the loss explodes, and draw it.
    overfit_batch
        Do not train: check that one batch can be learned by heart.
    dry_run
        Do not train: say shapes, memory and time.
    """
    seconds = None if budget is None else duration.seconds(budget)
    kind = estimator_for(model).knobs(model)
    knobs = ({} if recipe is None else recipes.read(recipe, kind)) | given
    estimator = create_model(model, seed=seed, **knobs)
    if tensorboard:
        board.require()
    loaded = console.load(data, seed=seed, group=group, layout=layout, allow_outside=allow_outside)
    console.prepare(model, loaded, estimator.preprocess, threads)
    if find_lr or overfit_batch or dry_run:
        from sightline.cli import look

        if dry_run:
            return look.dry_run(estimator, loaded.train, json=json)
        if overfit_batch:
            plain = create_model(model, seed=seed, **(knobs | look.without_regularisers(kind)))
            return look.overfit_batch(plain, loaded.train, json=json)
        return look.find_lr(estimator, loaded.train, output, json=json)
    folder = run.create(output or run.free_folder(run.folder_name(model, data=loaded.name), loaded))
    start = time.perf_counter()
    with console.bar(f"training {model}") as report:
        val = loaded.val if "val" in loaded.rows else None
        estimator.fit(
            loaded.train, val, progress=report, budget=seconds, folder=folder, resume=resume,
            on_epoch=board.Scalars(folder) if tensorboard else None,
        )  # fmt: skip
    seconds = time.perf_counter() - start
    if not run.is_first():
        return 0
    try:
        evaluation = None if val is None else estimator.tune_thresholds(estimator.evaluate(val))
    except SightlineError:
        estimator.save(folder, fit_seconds=seconds)  # what was trained is not lost with its figures
        console.note(f"the run was kept, without figures: {folder}")
        raise
    metrics = None if evaluation is None else evaluation.metrics
    estimator.save(folder, fit_seconds=seconds)
    if evaluation is not None:
        html.training(folder, estimator, loaded, evaluation, seconds, language=lang)
    if len(estimator.history) > 1:
        drawing = curves.training_curves(estimator.history, f"{model} on {loaded.name}", metrics)
        console.save_picture(drawing, folder / CURVES)
    if metrics is not None:
        run.write_metrics(folder, metrics, "val")
    speed = run.speed(estimator.history)
    if json:
        console.print_json(
            {
                "run": str(folder),
                "model": model,
                "options": estimator.options,
                "fit_seconds": seconds,
                "speed": speed,
                "remarks": estimator.remarks,
                "validation": None if metrics is None else dict(metrics),
            }
        )
        return 0
    screen = console.out()
    images = counted(len(loaded.train), "image")
    screen.print(f"trained {model} on {images} in {human(seconds)}", soft_wrap=True)
    if speed is not None:
        screen.print(
            f"{speed['images_per_second']:,.0f} images/s, {speed['waited']:.1%} of the time "
            "waiting for data"
        )
    for remark in estimator.remarks:
        screen.print(f"note: {escape(console.as_options(remark))}", soft_wrap=True)
    if evaluation is not None:
        screen.print(f"validation: {metrics}")
        console.say_beside(evaluation)
    screen.print(f"run: {folder}", soft_wrap=True)
    return 0
