"""Run ``sightline tune MODEL DATA``: choose a method's knobs by cross-validation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

from cyclopts import Parameter

from sightline.cli import console, tables
from sightline.cli.options import dispatch
from sightline.counting import counted
from sightline.data.transforms import Preprocess, Scale
from sightline.errors import ParameterError
from sightline.estimators import create_model, tuning
from sightline.estimators.base import PREPROCESS
from sightline.metrics import figure_text
from sightline.metrics.duration import human
from sightline.models import registry
from sightline.report import plots
from sightline.training import run


def tune(*tokens: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> int:
    """Find the best knobs of MODEL by cross-validation."""
    return dispatch(tune_model, tokens)


def tune_model(
    model: str,
    data: str,
    /,
    *,
    folds: int = 5,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    group: console.Group = None,
    layout: console.Layout = None,
    allow_outside: console.AllowOutside = False,
    threads: console.Threads = None,
    seed: console.Seed = 0,
    json: console.Json = False,
    given: dict[str, Any],
) -> int:
    """Find the best knobs of MODEL by cross-validation on DATA's training split.

    The curve is drawn, the best setting is fitted on the whole training split, and the
    test split is looked at once. `sightline tune MODEL --help` lists the knobs; those given
    are not tuned.

    Parameters
    ----------
    model
        Name of a method: sightline models.
    data
        Name, folder or archive of images.
    folds
        Parts of the training split, each held out once.
    output
        Folder of the run; default runs/tune-MODEL-DATA.
    """
    card = registry.card(model)
    estimator = create_model(model, seed=seed, **given)
    if not [knob for knob in card.grid if knob not in given]:
        raise ParameterError(f"the method {model} has no knob left to tune")
    loaded = console.load(data, seed=seed, group=group, layout=layout, allow_outside=allow_outside)
    console.prepare(model, loaded, estimator.preprocess, threads)
    folder = run.create(
        output or run.free_folder(run.folder_name(model, before="tune", data=loaded.name), loaded)
    )
    before = {k: v for k, v in given.items() if k in PREPROCESS}
    scales = (cast(Scale, before.pop("scale")),) if "scale" in before else _scales(model)
    fixed = {k: v for k, v in given.items() if k not in PREPROCESS}
    with console.bar(f"tuning {model}") as report:
        tuned = tuning.cross_validated(
            model, loaded.train, fixed, [Preprocess(**before, scale=s) for s in scales],
            folds=folds, seed=seed, progress=report,
        )  # fmt: skip
    best = tuned.best
    estimator = create_model(model, seed=seed, **best.options, **tuning.plain(best.preprocess))
    with console.bar("fitting the best on the whole training split") as report:
        estimator.fit(loaded.train, progress=report)
    with console.bar("one look at the test split") as report:
        test = estimator.evaluate(loaded.test, report).metrics
    estimator.save(folder, tuning={"folds": folds, "settings": len(tuned.trials)})
    run.write_metrics(folder, test, "test")
    trials = [
        t.options | tuning.plain(t.preprocess) | {tuned.metric: t.figure, "folds": t.figures}
        for t in tuned.trials
    ]
    run.write_json(folder / "tuning.json", trials)
    knob = next(iter(card.grid))
    picture = folder / "tuning.png"
    title = f"{model} on {loaded.name}: {folds}-fold cross-validation on the training split"
    console.save_picture(plots.tuning_curve(tuned, knob, title), picture)
    if json:
        console.print_json(
            {
                "run": str(folder), "best": best.options | tuning.plain(best.preprocess),
                "metric": tuned.metric, "cross_validation": best.figure, "seconds": tuned.seconds,
                "test": dict(test), "interval": list(test.interval), "trials": trials,
                "picture": str(picture),
            }
        )  # fmt: skip
        return 0
    _print(tuned)
    screen = console.out()
    screen.print(
        f"{counted(len(tuned.trials), 'setting')} in {human(tuned.seconds)}; test: {test}",
        soft_wrap=True,
    )
    screen.print(f"run: {folder}, curve: {picture}", soft_wrap=True)
    return 0


def _print(tuned: tuning.Tuned, rows: int = 8) -> None:
    metric = tuned.metric.replace("_", " ")
    columns = [
        *(tables.Column(knob, text=True, least=8) for knob in tuned.best.options),
        tables.Column("pixels", 1, text=True), tables.Column(metric),
        tables.Column("worst fold", 2), tables.Column("best fold", 3),
    ]  # fmt: skip
    lines = []
    for trial in tuned.ranked[:rows]:
        worst, best = tuned.worst_and_best(trial)
        knobs = [str(v) for v in trial.options.values()]
        figures = [figure_text(v, tuned.share) for v in (trial.figure, worst, best)]
        lines.append([*knobs, trial.preprocess.scale, *figures])
    tables.show(console.out(), columns, lines)


def _scales(model: str) -> tuple[Scale, ...]:
    """Return the scales to try: the method's own first; raw pixels only where they are its own."""
    own = registry.card(model).scale
    return cast(tuple[Scale, ...], tuple(dict.fromkeys((own, "standardise", "mean-image"))))
