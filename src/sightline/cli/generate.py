"""Run ``sightline generate RUN``: make pictures, and look at how they come about."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray
from rich.markup import escape

from sightline.cli import console
from sightline.cli.animation import animate, check_animation
from sightline.counting import counted
from sightline.data import images
from sightline.errors import DataError, ParameterError, RunError
from sightline.estimators import load_model
from sightline.metrics import figure_text
from sightline.metrics.duration import human
from sightline.report import generate_plots
from sightline.report.words import say
from sightline.training import run as runs
from sightline.types import Task

if TYPE_CHECKING:
    from sightline.estimators.generate import Generator

FRAMES = 24
"""Pictures of an animation from one to the next."""

STOPS = 5
"""Made pictures that an animation goes between."""

LOOKED_AT = 16
"""Made pictures whose nearest training pictures are drawn."""

Output = Annotated[Path | None, Parameter(name=["--output", "-o"])]


def generate(
    run: Path,
    pictures: Annotated[list[Path] | None, Parameter(name="PICTURE")] = None,
    /,
    *,
    n: Annotated[int, Parameter(name=["-n", "--count"])] = 64,
    output: Output = None,
    of_class: Annotated[str | None, Parameter(name="--class")] = None,
    steps: int | None = None,
    sampler: Literal["euler", "heun"] | None = None,
    guidance: float | None = None,
    seed: Annotated[int, Parameter(help="The same gives the same pictures.")] = 0,
    between: Path | None = None,
    from_noise: Path | None = None,
    arithmetic: Path | None = None,
    mask: Path | None = None,
    nearest: Path | None = None,
    data: str | None = None,
    device: console.Device = "cpu",
    json: console.Json = False,
) -> int:
    """Make pictures with a RUN of autoencoder, vae, dcgan or flow, as one sheet.

    With PICTUREs it draws these again, under the originals; with --mask it makes a part of them
    anew.

    Parameters
    ----------
    run
        Folder of the run.
    pictures
        To be drawn again instead, or to go between.
    n
        How many are made.
    output
        PNG, JPEG or WebP to write; default RUN-generated.png here.
    of_class
        Class that all are of; default: each class in turn, where the run knows classes.
    steps
        Of a flow: from noise to picture; default: the run's own, 10.
    sampler
        Of a flow: how a step is taken.
    guidance
        Of a flow: how far pictures are pushed towards their class; 1 is the class alone.
    between
        GIF of the way between pictures: those given, or made ones.
    from_noise
        GIF of the way of pictures from noise.
    arithmetic
        GIF of the way from the first of three PICTUREs to it less the second plus the third, by
        their noise.
    mask
        A picture of PICTURE's size: the part that is white is made anew.
    nearest
        Drawing of made pictures with the training pictures that are nearest to each, and a figure
        for copying.
    data
        The data of the run, where it is no longer where it was.
    """
    model = _generator(run, device)
    target = _target(output, f"{run.resolve().name}-generated.png", pictures or [])
    for file, option in (
        (between, "--between"), (from_noise, "--from-noise"), (arithmetic, "--arithmetic"),
    ):  # fmt: skip
        check_animation(file, option)
        _check_folder(file)
    _check_folder(nearest)
    if arithmetic is not None and len(pictures or []) != 3:
        raise ParameterError("--arithmetic takes 3 PICTUREs: A - B + C")
    if mask is not None and not pictures:
        raise ParameterError("--mask makes a part of PICTUREs anew: name some")
    how = {"steps": steps, "sampler": sampler, "guidance": guidance}
    said: dict[str, Any] = {"run": str(run), "model": model.name, "seed": seed}
    files: dict[str, Path] = {}
    X = model.prepared_all(pictures) if pictures else None
    if X is not None:
        sheet, figures = _given(model, X, mask, seed)
        said |= figures
    else:
        start = time.perf_counter()
        with console.bar(f"making {counted(n, 'picture')}") as report:
            made = model.generate(n, seed=seed, name=of_class, progress=report, **how)
        seconds = time.perf_counter() - start
        said |= {"pictures": n, "seconds": seconds, "per_second": n / seconds}
        sheet = generate_plots.sheet(made)
        if nearest is not None:
            said |= _nearest(model, made[:LOOKED_AT], data, run, nearest, files)
    _write(sheet, target)
    files["sheet"] = target
    if between is not None:
        _between(model, X, of_class, seed, how, between)
        files["between"] = between
    if from_noise is not None:
        _from_noise(model, min(n, 64), of_class, seed, how, from_noise)
        files["from noise"] = from_noise
    if arithmetic is not None and X is not None:
        from sightline.estimators.generate_ways import arithmetic as sum_of

        animate([_large(one) for one in sum_of(model.method_, X, FRAMES)], arithmetic)
        files["arithmetic"] = arithmetic
    written = {what: str(file) for what, file in files.items()}
    if json:
        console.print_json(said | {"files": written})
        return 0
    _tell(said, written)
    return 0


def _generator(run: Path, device: str) -> Generator:
    """Load a run, and refuse that of another task."""
    model = load_model(run, device)
    if model.task != Task.GENERATE:
        raise ParameterError(
            f"{run} is a run of {model.name}, for the task {model.task}: it makes no pictures; "
            "train autoencoder, vae, dcgan or flow"
        )
    return cast("Generator", model)


def _given(
    model: Generator, X: NDArray[np.uint8], mask: Path | None, seed: int
) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """Draw given pictures again, or a part of them anew: the sheet, and its figures."""
    from sightline.metrics.generate import psnr, ssim

    method = model.method_
    if mask is None:
        with console.bar(f"drawing {counted(len(X), 'picture')} again") as report:
            again = method.reconstructed(X, progress=report)
        figures = {"psnr": float(psnr(X, again).mean()), "ssim": float(ssim(X, again).mean())}
        return generate_plots.pairs(X, again), {"drawn_again": len(X)} | figures
    from sightline.estimators.generate_ways import inpainted

    white = np.asarray(images.prepare(mask, X.shape[1:3], "L", "stretch")[0])[:, :, 0] >= 128
    given = images.decode(mask)
    if (given.height, given.width) != X.shape[1:3]:
        console.note(
            f"{mask}: {given.width} x {given.height} scaled to {X.shape[2]} x {X.shape[1]}, which "
            "the run's pictures have"
        )
    with console.bar("making a part anew") as report:
        report(0, 1)
        made = inpainted(method, X, white, seed=seed)
        report(1, 1)
    holes = np.where(white[None, :, :, None], np.uint8(128), X)
    return generate_plots.pairs(X, holes, made), {"made_anew": len(X)}


def _nearest(
    model: Generator, made: NDArray[np.uint8], data: str | None, run: Path, target: Path,
    files: dict[str, Path],
) -> dict[str, Any]:  # fmt: skip
    """Draw the training pictures nearest to made ones, and return what they say of copying."""
    where = data or model.config.get("data", {}).get("path") or model.config["data"]["name"]
    loaded = console.load(str(where), seed=model.config["environment"]["seed"], quiet=True)
    with console.bar("looking for the nearest training pictures") as report:
        report(0, 1)
        near = model.nearest(made, loaded)
        report(1, 1)
    share = figure_text(near.copying, True, 0)
    title = say("{name}: nearest training pictures", name=run.resolve().name)
    under = say("{share} of pairs nearer than unseen pictures", share=share)
    drawing = generate_plots.neighbours(made, near.pictures, near.distances, f"{title}\n{under}")
    files["nearest"] = console.save_picture(drawing, target)
    return {
        "copying": near.copying, "judge": near.judge,
        "nearest": [
            {"rows": rows.tolist(), "distances": distances.tolist()}
            for rows, distances in zip(near.rows, near.distances, strict=True)
        ],
    }  # fmt: skip


def _between(
    model: Generator, X: NDArray[np.uint8] | None, of_class: str | None, seed: int,
    how: dict[str, Any], target: Path,
) -> None:  # fmt: skip
    """Write the way between pictures, or between made ones, as an animation."""
    from sightline.estimators.generate_ways import between, drawn_again

    method = model.method_
    if X is None:
        stops = method.noise(STOPS, seed)
        labels = model.labels_for(1, of_class).repeat(STOPS)
    elif len(X) < 2:
        raise ParameterError(
            "--between goes from one PICTURE to the next: name at least 2, or none"
        )
    else:
        stops = method.codes(X, np.full(len(X), -1, np.int64))
        labels = np.full(len(X), -1, np.int64)
    stops = np.concatenate([stops, stops[:1]])
    frames = []
    shares = np.linspace(0, 1, FRAMES, endpoint=False).tolist()
    with console.bar("going between pictures") as report:
        for i in range(len(stops) - 1):
            noise = between(stops[i], stops[i + 1], shares)
            if X is None:
                given = {k: v for k, v in how.items() if v is not None}
                frames += list(method.draw(noise, labels[:1].repeat(len(noise)), **given))
            else:
                frames += list(drawn_again(method, noise))
            report(i + 1, len(stops) - 1)
    animate([_large(frame) for frame in frames], target)


def _from_noise(
    model: Generator, n: int, of_class: str | None, seed: int, how: dict[str, Any], target: Path
) -> None:
    """Write the way of made pictures from noise as an animation."""
    from sightline.estimators.generate_ways import from_noise

    method = model.method_
    steps = from_noise(method, method.noise(n, seed), model.labels_for(n, of_class), FRAMES, **how)
    animate([generate_plots.sheet(step) for step in steps], target)


def _large(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(generate_plots.enlarged(picture[None])[0])


def _tell(said: dict[str, Any], written: dict[str, str]) -> None:
    screen = console.out()
    if "per_second" in said:
        screen.print(
            f"{counted(said['pictures'], 'picture')} in {human(said['seconds'])}: "
            f"{said['per_second']:,.1f} a second"
        )
    if "psnr" in said:
        screen.print(f"drawn again: PSNR {said['psnr']:.1f} dB, SSIM {said['ssim']:.3f}")
    if "copying" in said:
        share = figure_text(said["copying"], True, 0)
        screen.print(
            f"copying: in {share} of pairs a made picture is nearer to a training picture than an "
            f"unseen real one is; 50% is as near (by {escape(said['judge'])})",
            soft_wrap=True,
        )
    for what, file in written.items():
        screen.print(f"{what}: {escape(file)}", soft_wrap=True)


def _target(output: Path | None, default: str, given: list[Path]) -> Path:
    """Return where the sheet goes: never over a picture that was given."""
    target = output or Path(default)
    if not target.suffix:
        target = target.with_name(f"{target.name}.png")
    if target.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise ParameterError(f"{target}: the sheet is written as .png, .jpg or .webp")
    _check_folder(target)
    for picture in given:
        console.place_beside(picture, target, default)
        if not picture.exists():
            raise DataError(f"{picture}: no such file")
    return target


def _check_folder(target: Path | None) -> None:
    if target is not None and not target.parent.is_dir():
        raise RunError(f"cannot write {target}: there is no folder {target.parent}")


def _write(pixels: NDArray[np.uint8], target: Path) -> None:
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}.get(target.suffix.lower(), "PNG")
    with runs.replacing(target) as part:
        images.as_picture(pixels).save(part, kind, quality=95)
