"""Run ``sightline predict RUN IMAGE...``: answer for pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from rich.markup import escape
from rich.text import Text

from sightline import tasks
from sightline.cli import console, tables
from sightline.counting import counted
from sightline.data import images, naming, scan, unused
from sightline.errors import DataError, ParameterError
from sightline.estimators import load_model
from sightline.metrics.duration import human
from sightline.models.device import check as check_device
from sightline.training import run

if TYPE_CHECKING:
    from PIL import Image

    from sightline.deploy.runtime import Runtime
    from sightline.estimators.base import Estimator
    from sightline.types import Prediction

NONE = "none of these"

_BATCH = 64


def predict(
    run_folder: Path,
    pictures: Annotated[list[str], Parameter(name="IMAGE")],
    /,
    *,
    top: int = 5,
    reject: float = 0.0,
    threshold: Literal["auto"] | None = None,
    output: Annotated[str | None, Parameter(name=["--output", "-o"])] = None,
    engine: Literal["local", "ray"] = "local",
    workers: int = 0,
    allow_schemes: tuple[str, ...] = (),
    raw: Annotated[bool, Parameter(negative="")] = False,
    device: console.Device = "auto",
    json: console.Json = False,
) -> int:
    """Say what a RUN sees in images. A file that cannot be read is named; the others go on.

    Parameters
    ----------
    run_folder
        Folder that train or compare wrote, or an .onnx file that export wrote; or imagenet:NAME,
        which knows ImageNet's 1,000 classes, or onnx:FILE.
    pictures
        Image files, or folders of them; for an output in bulk one folder, Parquet file or URL such
        as s3://BUCKET/FOLDER.
    top
        How many classes to name, the most probable first.
    reject
        Below this score the answer is none of the classes.
    threshold
        auto: below the threshold of its class, which training chose on validation images, the
        answer is none of the classes.
    output
        Folder for the pictures with the answer written on them, in the folders of the images;
        NAME.parquet: a folder of shards with all answers, restartable, for any number of pictures.
    engine
        Of bulk prediction: this process, or a Ray cluster.
    workers
        Of Ray; 0: as many as it has cores.
    allow_schemes
        In bulk: schemes of URLs that are opened where the rows of a table name them, such as https;
        file is any path of this machine. Paths below the table's folder always are.
    raw
        In bulk: leave cells as they are that a spreadsheet would compute, as a class called =1+1;
        else an apostrophe stands before them.
    """
    if top < 1:
        raise ParameterError(f"--top must be at least 1, not {top}")
    if not 0 <= reject <= 1:
        raise ParameterError(f"--reject must be between 0 and 1, not {reject}")
    if threshold is not None and reject:
        raise ParameterError("--threshold auto and --reject exclude each other; give one of them")
    if output is not None and output.endswith(".parquet"):
        least = reject if threshold is None else threshold
        return _bulk(
            run_folder, pictures, output, top, least, engine, workers, allow_schemes, raw, json
        )
    check_device(device)
    if engine != "local" or workers or allow_schemes or raw:
        raise ParameterError(
            "--engine, --workers, --allow-schemes and --raw need an output in bulk: -o NAME.parquet"
        )
    paths = expand([Path(picture) for picture in pictures])
    model, task, classes = _loaded(run_folder, device)
    limit = _limits(model, run_folder, reject, auto=threshold is not None)
    top = min(top, max(len(classes), 1))
    draw, say = tasks.module("report", task), tasks.module("deploy", task).document
    target = None if output is None else run.create(output)
    places = {} if target is None else _places(paths, target, [Path(p) for p in pictures])
    answers: list[tuple[Path, Prediction | None, str]] = []
    side, small = _side(model), list[str]()
    with console.bar("predicting") as report:
        for start in range(0, len(paths), _BATCH):
            part = paths[start : start + _BATCH]
            good, failed = _readable(part)
            sizes = {path: image.size for path, image in good.items()}
            small += [f"{p} ({w} x {h})" for p, (w, h) in sizes.items() if 2 * min(w, h) < side]
            said = iter(model.predict(list(good.values())))
            for path in part:
                answer = next(said) if path in good else None
                answers.append((path, answer, failed.get(path, "")))
                if answer is not None and target is not None:
                    pixels = images.to_mode(images.decode(path), "RGB")
                    places[path].parent.mkdir(parents=True, exist_ok=True)
                    draw.annotate(pixels, answer, top=top, threshold=limit(answer)).save(
                        places[path]
                    )
            report(start + len(part), len(paths))
    if small:
        console.note(
            f"{counted(len(small), 'picture is', 'pictures are')} small for a network of {side} "
            f"pixels a side, and enlarged for it: {', '.join(small[:3])}"
            f"{' ...' if len(small) > 3 else ''}"
        )
    bad = sum(answer is None for _, answer, _ in answers)
    if json:
        console.print_json(
            [
                {"image": str(path), "error": why}
                if answer is None
                else {
                    "image": str(path),
                    **say(answer, top=top, threshold=limit(answer)).model_dump(exclude_none=True),
                }
                | ({"picture": str(places[path])} if places else {})
                for path, answer, why in answers
            ]
        )
    else:
        _print(draw, answers, places, top, limit)
        if target is not None:
            console.out().print(f"pictures: {target}", soft_wrap=True)
    return 2 if bad else 0


def _bulk(
    run_folder: Path, pictures: list[str], output: str, top: int, reject: float | Literal["auto"],
    engine: Literal["local", "ray"], workers: int, schemes: tuple[str, ...], raw: bool,
    json: bool,
) -> int:  # fmt: skip
    from sightline.deploy import bulk

    if len(pictures) != 1:
        raise ParameterError(f"-o {output} takes one folder, Parquet file or URL of pictures")
    with console.bar("predicting") as report:
        done = bulk.predict(
            run_folder, pictures[0], output, engine=engine, top=top, reject=reject,
            workers=workers, allow_schemes=schemes, raw=raw, progress=report,
        )  # fmt: skip
    if json:
        console.print_json(dataclasses.asdict(done))
    else:
        kept = f", {done.kept} of them from before" if done.kept else ""
        console.out().print(
            f"{counted(done.pictures, 'picture')} in {human(done.seconds)}, {done.errors:,} could "
            f"not be read; {counted(done.shards, 'shard')}{kept}: {escape(output)}",
            soft_wrap=True,
        )
    return 2 if done.errors else 0


def _loaded(place: Path, device: str) -> tuple[Estimator | Runtime, str, tuple[str, ...]]:
    """Load a run or an exported file; return it with its task and classes."""
    if place.suffix == ".onnx":
        from sightline.deploy.runtime import Runtime

        runtime = Runtime(place)
        return runtime, runtime.about.task, runtime.about.classes
    model = load_model(place, device)
    return model, model.task, model.classes_


def _limits(
    model: Estimator | Runtime, place: Path, reject: float, *, auto: bool
) -> Callable[[Prediction], float]:
    """Return a function that says below which score an answer is none of the classes."""
    from sightline.deploy.runtime import Runtime, limit_of, limits_in

    own = model.about.thresholds if isinstance(model, Runtime) else model.thresholds
    limit = limits_in(own, place) if auto else reject
    return lambda answer: limit_of(answer, limit)


def expand(paths: list[Path]) -> list[Path]:
    """Replace folders by the images in them, sorted; keep files as they are.

    Raises
    ------
    DataError
        When a folder holds no image.
    """
    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        listed = scan.tree(path)
        inside = sorted(path / file for file in listed.images)
        left = unused.by_ending(listed)
        if not inside:
            raise DataError("; ".join([f"{path}: the folder holds no image", *left]))
        for line in left:
            console.note(f"{path}: {line}")
        files += inside
    return files


def _side(model: Estimator | Runtime) -> int:
    """Return the side of the images of a model that was trained elsewhere; of others 0."""
    from sightline.deploy.runtime import Runtime

    if isinstance(model, Runtime) or not model.method_.elsewhere:
        return 0
    return min(model.fitted().size)


def _readable(paths: list[Path]) -> tuple[dict[Path, Image.Image], dict[Path, str]]:
    good: dict[Path, Image.Image] = {}
    failed: dict[Path, str] = {}
    for path in paths:
        try:
            good[path] = images.decode(path)
        except DataError as error:
            failed[path] = str(error)
    return good, failed


def _print(
    draw: ModuleType, answers: list[tuple[Path, Prediction | None, str]],
    places: dict[Path, Path], top: int, limit: Callable[[Prediction], float],
) -> None:  # fmt: skip
    headings = ("image", *draw.headings(top), *(["picture"] if places else []))
    rows: list[list[tables.Cell]] = []
    for path, answer, why in answers:
        if answer is None:
            rows.append([str(path), Text(why.removeprefix(f"{path}: "), style="red")])
            continue
        said, *rest = draw.cells(answer, top=top, threshold=limit(answer))
        given = Text(NONE, style="dim") if said is None else Text(said, style="bold")
        rows.append([str(path), given, *rest, *([str(places[path])] if places else [])])
    tables.show(console.out(), tables.columns_of(headings, rows), rows)


def _places(paths: list[Path], target: Path, given: list[Path]) -> dict[Path, Path]:
    """Return where each image's picture goes; an image that is named twice has one picture."""
    once = list(dict.fromkeys(paths))
    return dict(zip(once, naming.pictures(once, target, given=given), strict=True))
