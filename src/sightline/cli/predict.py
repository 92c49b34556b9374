"""Run ``sightline predict RUN IMAGE...``: answer for pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, cast

from cyclopts import Parameter
from rich.markup import escape
from rich.text import Text

from sightline import tasks
from sightline.cli import console, predict_video, tables
from sightline.cli.asked import Asked
from sightline.counting import counted
from sightline.data import images, naming, scan, unused, video
from sightline.errors import DataError, ParameterError, UnknownNameError
from sightline.estimators import load_model
from sightline.metrics.duration import human
from sightline.models.device import check as check_device
from sightline.training import run

if TYPE_CHECKING:
    from PIL import Image

    from sightline.deploy.runtime import Runtime
    from sightline.deploy.tracks import Following
    from sightline.deploy.units import PixelSize
    from sightline.estimators.base import Estimator
    from sightline.types import Prediction

NONE = "none of these"

ANSWERS = "answers"
"""Folder of files for other programs: in one of its own, they stand in nobody's place."""

_BATCH = 64


def predict(
    run_folder: Path,
    pictures: Annotated[list[str], Parameter(name="IMAGE")],
    /,
    *,
    top: int = 5,
    reject: float = 0.0,
    threshold: Literal["auto"] | float | None = None,
    tile: int = 0,
    scale: str | None = None,
    save: tuple[str, ...] | None = None,
    track: Annotated[bool, Parameter(negative="")] = False,
    tracker: str = "bytetrack",
    count_line: tuple[str, ...] = (),
    zone: tuple[str, ...] = (),
    output: Annotated[str | None, Parameter(name=["--output", "-o"])] = None,
    engine: Literal["local", "ray"] = "local",
    workers: int = 0,
    allow_schemes: tuple[str, ...] = (),
    raw: Annotated[bool, Parameter(negative="")] = False,
    device: console.Device = "auto",
    json: console.Json = False,
) -> int:
    """Say what a RUN sees in images and videos. What cannot be read is named; the others go on.

    Parameters
    ----------
    run_folder
        Folder that train or compare wrote, or an .onnx file that export wrote; or imagenet:NAME,
        which knows ImageNet's 1,000 classes, or onnx:FILE.
    pictures
        Image files, folders of them, or videos (.mp4, .mov, .avi, .mkv, .webm); for an output in
        bulk one folder, Parquet file or URL such as s3://BUCKET/FOLDER.
    top
        How many classes to name, the most probable first.
    reject
        Below this score the answer is none of the classes.
    threshold
        auto: below the threshold of its class, which training chose on validation images, the
        answer is none of the classes, and an object is not told; detectors do so by themselves,
        where the run has thresholds. A number: one for all, as --reject.
    tile
        Not of classifiers: cut each picture into tiles of so many pixels a side, which overlap, and
        see each at the size of the network: for what is small in large pictures, such as 640. 0:
        whole.
    scale
        Of segmentation: the length of a pixel's side, such as 0.5um; the CSV tells areas in
        its unit, too.
    save
        Not of classifiers: what the output folder gets in a folder answers/ beside the pictures:
        json, coco, csv, of boxes yolo, of segmentation png (masks), or none; default: all of them.
    track
        Of objects in videos: follow each from frame to frame; the output folder gets tables of the
        tracks (CSV, and the text of the MOT Challenge) and of the counts.
    tracker
        bytetrack, ocsort or sort.
    count_line
        With --track: x1,y1,x2,y2 in pixels, or NAME=x1,y1,x2,y2: count who crosses it; in is to the
        left of who walks from the first point to the second.
    zone
        With --track: x1,y1,x2,y2,x3,y3 and so on, or NAME= these: count who is inside, and for how
        long.
    output
        Folder for the pictures with the answer written on them, in the folders of the images, and
        for videos; NAME.parquet: a folder of shards with all answers, restartable, for any number
        of pictures.
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
        raise ParameterError("--threshold and --reject exclude each other; give one of them")
    if not (threshold is None or isinstance(threshold, str)):
        if not 0 <= threshold <= 1:
            raise ParameterError(f"--threshold must be between 0 and 1, or auto, not {threshold}")
        reject = max(threshold, 1e-9)  # 0 is asked for: all of them, not the run's own
    auto = threshold == "auto"
    if output is not None and output.endswith(".parquet"):
        if tile or scale is not None or save is not None or track:
            raise ParameterError(
                "--tile, --scale, --save and --track are for an output folder: -o FOLDER"
            )
        least: float | Literal["auto"] = "auto" if auto else reject
        return _bulk(
            run_folder, pictures, output, top, least, engine, workers, allow_schemes, raw, json
        )
    following = _following(track, tracker, count_line, zone)
    check_device(device)
    if engine != "local" or workers or allow_schemes or raw:
        raise ParameterError(
            "--engine, --workers, --allow-schemes and --raw need an output in bulk: -o NAME.parquet"
        )
    given = [Path(picture) for picture in pictures]
    every = expand(given)
    films = [path for path in every if video.is_video(path)]
    paths = [path for path in every if not video.is_video(path)]
    model, task, classes = _loaded(run_folder, device)
    says = tasks.module("deploy", task)
    if (reject or auto) and not getattr(says, "SCORED", True):
        raise ParameterError(
            f"--reject and --threshold are for answers with scores; those of the task {task} have "
            "none: each pixel has its best class"
        )
    many = getattr(says, "MANY", False)
    asked = Asked(
        model, task, top if many else min(top, max(len(classes), 1)),
        _limits(model, task, run_folder, reject, auto=auto), tile, _kinds(task, save, output),
        _pixel_size(task, scale, output),
    )  # fmt: skip
    if tile and not hasattr(asked.says, "tiled"):
        raise ParameterError(
            f"--tile is for objects and segmentation; {run_folder} is for the task {task}"
        )
    if following is not None and not hasattr(asked.says, "boxed"):
        raise ParameterError(
            f"--track follows objects, and {run_folder} is for the task {task}, which has none"
        )
    if following is not None and not films:
        raise ParameterError(
            "--track follows objects through videos, and none is among what is named"
        )
    target = None if output is None else run.create(output)
    places = {} if target is None else _places(paths, films, target, given)
    answers = _answered(asked, paths, places)
    told = [predict_video.answer(asked, film, places.get(film), following) for film in films]
    files = _files(asked, answers, places, target)
    bad = sum(one.answer is None for one in answers) + sum(one.failed for one in told)
    if json:
        console.print_json([*(_page(asked, one, places) for one in answers),
                            *(one.page() for one in told)])  # fmt: skip
        return 2 if bad else 0
    if answers:
        _print(asked, answers, places)
    for one in told:
        one.print()
    if target is not None:
        console.out().print(f"pictures: {target}", soft_wrap=True)
        for file in files:
            console.out().print(f"answers: {escape(str(file))}", soft_wrap=True)
    return 2 if bad else 0


def _following(
    track: bool, tracker: str, lines: tuple[str, ...], zones: tuple[str, ...]
) -> Following | None:
    """Return what is asked about objects that are followed.

    Raises
    ------
    ParameterError, UnknownNameError, MissingExtraError
    """
    if not track:
        if lines or zones:
            raise ParameterError("--count-line and --zone need --track")
        return None
    from sightline.deploy.tracks import Following, Place

    return Following(
        tracker,
        *(
            tuple(Place.parse(given, what, i + 1) for i, given in enumerate(several))
            for what, several in (("line", lines), ("zone", zones))
        ),
    )


class One(NamedTuple):
    """A picture that was asked about; without an answer, why."""

    path: Path
    answer: Prediction | None
    why: str
    size: tuple[int, int]


def _answered(asked: Asked, paths: list[Path], places: dict[Path, Path]) -> list[One]:
    """Answer for pictures, and draw the answers where places are given."""
    made: list[One] = []
    side, small = _side(asked.model), list[str]()
    step = 1 if asked.tile else _BATCH
    with console.bar("predicting") as report:
        for start in range(0, len(paths), step):
            part = paths[start : start + step]
            good, failed = _readable(part)
            sizes = {path: image.size for path, image in good.items()}
            small += [f"{p} ({w} x {h})" for p, (w, h) in sizes.items() if 2 * min(w, h) < side]
            alone = report if len(paths) == 1 else None  # of one picture the tiles are shown
            said = dict(zip(good, asked.of(list(good.values()), alone), strict=True))
            for path in part:
                width, height = sizes.get(path, (0, 0))
                made.append(One(path, said.get(path), failed.get(path, ""), (height, width)))
                if path in said and path in places:
                    places[path].parent.mkdir(parents=True, exist_ok=True)
                    asked.drawn(good[path], said[path]).save(places[path])
            report(start + len(part), len(paths))
    if small:
        console.note(
            f"{counted(len(small), 'picture is', 'pictures are')} small for a network of {side} "
            f"pixels a side, and enlarged for it: {', '.join(small[:3])}"
            f"{' ...' if len(small) > 3 else ''}"
        )
    return made


def _page(asked: Asked, one: One, places: dict[Path, Path]) -> dict[str, Any]:
    if one.answer is None:
        return {"image": str(one.path), "error": one.why}
    page = {"image": str(one.path), **asked.page(one.answer)}
    return page | ({"picture": str(places[one.path])} if places else {})


def _kinds(task: str, save: tuple[str, ...] | None, output: str | None) -> Sequence[str]:
    """Return the formats of files that are written beside the pictures.

    Raises
    ------
    ParameterError, UnknownNameError
        When there are none of the task, or none of that name.
    """
    known: Sequence[str] = getattr(tasks.module("deploy", task), "FILES", ())
    if save is None:
        return known if output is not None else ()
    if output is None:
        raise ParameterError("--save needs a folder for the files: -o FOLDER")
    if not known:
        raise ParameterError(f"--save is for objects and segmentation, not for the task {task}")
    wanted = [kind for part in save for kind in part.replace(",", " ").split()]
    for kind in wanted:
        if kind not in (*known, "none"):
            raise UnknownNameError("--save", kind, (*known, "none"))
    return [kind for kind in known if kind in wanted]


def _pixel_size(task: str, scale: str | None, output: str | None) -> PixelSize | None:
    """Return how large a pixel is, where that is said.

    Raises
    ------
    ParameterError
        When the task tells no areas, there is no file for them, or it is no length.
    """
    if scale is None:
        return None
    if not getattr(tasks.module("deploy", task), "AREAS", False):
        raise ParameterError(f"--scale is for segmentation, not for the task {task}")
    if output is None:
        raise ParameterError("--scale needs a folder for the areas: -o FOLDER")
    from sightline.deploy.units import PixelSize

    return PixelSize.parse(scale)


def _files(
    asked: Asked, answers: list[One], places: dict[Path, Path], target: Path | None
) -> list[Path]:
    """Write the answers in the formats that are asked for."""
    good = {one.path: one for one in answers if one.answer is not None}
    if target is None or not asked.kinds or not good:
        return []
    known = getattr(asked.model, "config", {}).get("data", {})
    rows = [
        (
            places[path].relative_to(target).with_name(path.name).as_posix(), one.size,
            asked.says.told(one.answer, asked.limit(cast("Prediction", one.answer))),
        )
        for path, one in good.items()
    ]  # fmt: skip
    more = {} if asked.scale is None else {"scale": asked.scale}
    written: list[Path] = asked.says.write_files(
        target / ANSWERS, rows, asked.kinds, known.get("category_ids", ()), **more
    )
    return written


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
    model: Estimator | Runtime, task: str, place: Path, reject: float, *, auto: bool
) -> Callable[[Prediction], Any]:
    """Return a function that says below which score an answer is none of the classes."""
    from sightline.deploy.runtime import Runtime, limit_of, limits_in, own_limits

    own = model.about.thresholds if isinstance(model, Runtime) else model.thresholds
    limit = limits_in(own, place) if auto else own_limits(task, own, reject)
    return lambda answer: limit_of(answer, limit)


def expand(paths: list[Path]) -> list[Path]:
    """Replace folders by the images and videos in them, sorted; keep files as they are.

    Videos are taken where what reads them is installed; else they are named as not read.

    Raises
    ------
    DataError
        When a folder holds neither.
    """
    files: list[Path] = []
    readable = video.installed()
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        listed = scan.tree(path)
        films = {f for f in listed.others if readable and video.is_video(Path(f))}
        inside = sorted(path / file for file in [*listed.images, *films])
        left = unused.by_ending(scan.Tree(listed.root, [f for f in listed.files if f not in films]))
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


def _print(asked: Asked, answers: list[One], places: dict[Path, Path]) -> None:
    draw = asked.draw
    headings = ("image", *draw.headings(asked.top), *(["picture"] if places else []))
    rows: list[list[tables.Cell]] = []
    for path, answer, why, _ in answers:
        if answer is None:
            rows.append([str(path), Text(why.removeprefix(f"{path}: "), style="red")])
            continue
        said, *rest = draw.cells(answer, top=asked.top, threshold=asked.limit(answer))
        given = Text(NONE, style="dim") if said is None else Text(said, style="bold")
        rows.append([str(path), given, *rest, *([str(places[path])] if places else [])])
    tables.show(console.out(), tables.columns_of(headings, rows), rows)


def _places(
    paths: list[Path], films: list[Path], target: Path, given: list[Path]
) -> dict[Path, Path]:
    """Return where the picture of each image goes, and the video of each video.

    What is named twice has one. No place is that of what is looked at.
    """
    places: dict[Path, Path] = {}
    for several, ending in ((paths, ".png"), (films, ".mp4")):
        once = list(dict.fromkeys(several))
        named = naming.pictures(once, target, ending, given) if once else []
        places |= dict(zip(once, named, strict=True))
    return places
