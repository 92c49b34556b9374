"""Run ``sightline style CONTENT STYLE``: draw a picture in the style of others."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray
from rich.markup import escape

from sightline.cli import console
from sightline.cli.animation import animate, check_animation
from sightline.counting import counted
from sightline.data import images
from sightline.errors import ParameterError, RunError
from sightline.estimators.style_transfer import Drawn, Wanted, transfer
from sightline.metrics.duration import human
from sightline.report import style_plots
from sightline.training import run

SECONDS = 2.0
"""From one picture of the way on the disk to the next."""

FRAMES, FRAME_SIDE = 32, 360
"""Pictures of the animation at most, and pixels of their longer side."""

Output = Annotated[Path | None, Parameter(name=["--output", "-o"])]


def style(
    content: Path,
    styles: Annotated[list[Path], Parameter(name="STYLE")],
    /,
    *,
    output: Output = None,
    alpha: float = 1.0,
    beta: float = 30.0,
    variation: Annotated[float, Parameter(name=["--variation", "--tv"])] = 10.0,
    weights: str = "",
    layers: str = "",
    content_layers: str = "",
    network: str = "auto",
    size: int = 512,
    steps: int = 200,
    optimizer: Literal["auto", "adam", "lbfgs"] = "auto",
    lr: float = 0.03,
    start: Literal["content", "style", "noise"] = "content",
    style_size: float = 1.0,
    preserve_color: Annotated[bool, Parameter(negative="")] = False,
    mask: tuple[Path, ...] = (),
    balance: Literal["own", "paper"] = "own",
    gif: Path | None = None,
    losses: Path | None = None,
    preview: Annotated[bool, Parameter(negative="")] = False,
    device: console.Device = "auto",
    seed: Annotated[int, Parameter(help="Of a start from noise.")] = 0,
    json: console.Json = False,
) -> int:
    """Draw CONTENT in the style of one or several pictures (Gatys, Ecker & Bethge, 2015).

    The picture is written every two seconds while it is drawn.

    Parameters
    ----------
    content
        The picture that is drawn.
    styles
        The pictures whose style is taken.
    output
        PNG, JPEG or WebP to write; default CONTENT-STYLE.png here.
    alpha
        How much the content counts.
    beta
        How much the style counts. What matters is beta / alpha: 3 keeps the photograph, 300 leaves
        little but the style.
    variation
        How much neighbouring pixels are to be alike: more is smoother.
    weights
        Of several styles, such as 2,1; default: all alike.
    layers, content_layers
        Layers of the network that style and content are compared at, such as act,blocks.2.1;
        default: those that suit it.
    network
        That pictures are seen through: imagenet:NAME, torchvision:NAME, timm:NAME or a run's
        folder. auto: VGG19 if its weights are here, else the bundled EfficientNet-Lite0.
    size
        Pixels of the longer side, 64 to 4096. Beyond 320 the picture is drawn coarse to fine.
    steps
        At the coarsest size; half as many at each finer one.
    optimizer
        auto is Adam; L-BFGS is taken up to 700 pixels.
    lr
        Of Adam: about how far a pixel moves in a step.
    start
        What the picture is at first.
    style_size
        Size of the style's strokes: 0.5 makes them half as large.
    preserve_color
        Keep the colours of the content: only the brightness takes the style.
    mask
        A picture of the content's size: the style goes where it is white. One for all styles, or
        one for each.
    balance
        own: each layer counts alike. paper: as the equations of the paper have it, with which beta
        is thousands of times alpha.
    gif
        Write the way of the picture as an animation.
    losses
        Write a drawing of the losses.
    preview
        Write a page beside the picture that shows it as it is drawn.
    """
    wanted = Wanted(
        alpha, beta, variation, _names(content_layers), _names(layers), network, size, steps,
        optimizer, lr, start, style_size, preserve_color, balance, _numbers(weights), device, seed,
    )  # fmt: skip
    target = _target(content, styles, output)
    for other in (gif, losses):
        _check_place(other, [content, *styles, *mask])
    check_animation(gif, "--gif")
    page = target.with_suffix(".html") if preview else None
    watch = _Watch(target, page, gif is not None)
    began = time.perf_counter()
    with console.bar("drawing") as report:

        def on_step(done: int, total: int, picture: Callable[[], NDArray[np.uint8]]) -> None:
            report(done, total)
            watch.see(done, total, picture)

        drawn = transfer(content, styles, wanted, masks=mask, on_step=on_step)
    seconds = time.perf_counter() - began
    _write(drawn.pixels, target)
    if page is not None:
        run.write_text(page, _page(target, waiting=False))
    if gif is not None:
        animate([_small(one) for one in (*watch.frames, drawn.pixels)], gif)
    drawing = None if losses is None else console.save_picture(
        style_plots.losses(drawn.history), losses
    )  # fmt: skip
    files = {"picture": target, "page": page, "animation": gif, "losses": drawing}
    written = {what: str(file) for what, file in files.items() if file is not None}
    if json:
        console.print_json(_document(drawn, wanted, seconds) | written)
        return 0
    _tell(drawn, seconds, written)
    return 0


class _Watch:
    """Write the picture now and then, and keep some for the animation."""

    def __init__(self, target: Path, page: Path | None, animated: bool) -> None:
        self.target, self.page, self.animated = target, page, animated
        self.frames: list[NDArray[np.uint8]] = []
        self.last = time.monotonic()

    def see(self, done: int, total: int, picture: Callable[[], NDArray[np.uint8]]) -> None:
        """Look at the picture after a step."""
        if self.animated and (done == 1 or done * FRAMES // total > (done - 1) * FRAMES // total):
            self.frames.append(_small(picture()))
        if time.monotonic() - self.last < SECONDS:
            return
        first = self.page is not None and not self.page.exists()
        _write(picture(), self.target)
        if self.page is not None and first:
            run.write_text(self.page, _page(self.target, waiting=True))
            console.note(f"preview: {self.page}")
        self.last = time.monotonic()


def _tell(drawn: Drawn, seconds: float, written: dict[str, str]) -> None:
    screen = console.out()
    for note in drawn.notes:
        console.note(note)
    first, last = drawn.history[0], drawn.history[-1]
    sides = " then ".join(
        f"{counted(s.steps, 'step')} at {s.size[1]:,} x {s.size[0]:,}" for s in drawn.stages
    )
    screen.print(f"seen through {drawn.network}: {sides}, {human(seconds)}", highlight=False)
    screen.print(
        f"content {first['content']:.4g} -> {last['content']:.4g}, style {first['style']:.4g} -> "
        f"{last['style']:.4g}"
    )
    for what, file in written.items():
        screen.print(f"{what}: {escape(file)}", soft_wrap=True)


def _document(drawn: Drawn, wanted: Wanted, seconds: float) -> dict[str, Any]:
    return {
        "network": drawn.network, "content_layers": drawn.layers.content,
        "style_layers": drawn.layers.style, "wanted": dataclasses.asdict(wanted),
        "stages": [dataclasses.asdict(stage) for stage in drawn.stages], "seconds": seconds,
        "first": drawn.history[0], "last": drawn.history[-1], "notes": drawn.notes,
    }  # fmt: skip


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in _names(text))
    except ValueError:
        raise ParameterError(f"--weights are numbers, such as 2,1, not {text!r}") from None


def _target(content: Path, styles: list[Path], output: Path | None) -> Path:
    """Return where the picture goes: never over a picture that is looked at."""
    target = output or Path(f"{content.stem}-{'-'.join(one.stem for one in styles)}.png")
    if not target.suffix:
        target = target.with_name(f"{target.name}.png")
    if target.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise ParameterError(f"{target}: the picture is written as .png, .jpg or .webp")
    _check_place(target, [content, *styles])
    return target


def _check_place(target: Path | None, given: list[Path]) -> None:
    if target is None:
        return
    if not target.parent.is_dir():
        raise RunError(f"cannot write {target}: there is no folder {target.parent}")
    for picture in given:
        if target.exists() and picture.exists() and target.samefile(picture):
            raise ParameterError(f"{target} is one of the pictures given; name another file")


def _write(pixels: NDArray[np.uint8], target: Path) -> None:
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}.get(target.suffix.lower(), "PNG")
    with run.replacing(target) as part:
        images.as_picture(pixels).save(part, kind, quality=95)


def _small(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    picture = images.as_picture(pixels)
    picture.thumbnail((FRAME_SIDE, FRAME_SIDE))
    return images.as_array(picture)


def _page(target: Path, *, waiting: bool) -> str:
    """Return a page that shows the picture, and looks for the next while it is drawn."""
    import html
    from urllib.parse import quote

    again = '<meta http-equiv="refresh" content="2">' if waiting else ""
    name = html.escape(target.name)
    return (
        f'<!doctype html><html><head><meta charset="utf-8">{again}<title>{name}</title><style>'
        "body{margin:0;background:#111;display:grid;place-items:center;min-height:100vh}"
        "img{max-width:100vw;max-height:100vh}</style></head>"
        f'<body><img alt="{name}" src="{quote(target.name)}?{time.time_ns()}"></body></html>\n'
    )
