"""Run ``sightline explain filters|features|dream``: look inside a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from sightline.cli import console, tables
from sightline.data import images
from sightline.errors import ParameterError
from sightline.explain import dream as dreaming
from sightline.explain import feature_maps as maps
from sightline.explain import filters as kernels
from sightline.explain.opened import open_network
from sightline.explain.synthesis import Ascent

DEFAULT = Ascent()

Untrained = Annotated[
    bool, Parameter(negative="", help="Random weights, of a network by its name.")
]
Output = Annotated[Path | None, Parameter(name=["--output", "-o"])]
Layers = Annotated[list[str] | None, Parameter(name="--layer", negative="")]


def filters(
    network: str,
    /,
    *,
    layer: Layers = None,
    filters: int = kernels.FILTERS,
    inputs: Annotated[bool, Parameter(negative="")] = False,
    size: int = kernels.SIDE,
    steps: int = DEFAULT.steps,
    jitter: float = DEFAULT.jitter,
    blur: float = DEFAULT.blur,
    variation: float = DEFAULT.variation,
    untrained: Untrained = False,
    seed: Annotated[int, Parameter(help="Of the noise that images begin with.")] = 0,
    lang: console.Lang = None,
    output: Output = None,
    json: console.Json = False,
) -> int:
    """Show what the filters of NETWORK look for: kernels, and images they answer to most (PNG, page).

    Parameters
    ----------
    network
        A run, or a network such as imagenet:efficientnet_lite0 or torchvision:resnet18.
    layer
        Convolution, as models show --input lists them; may be given several times. Default: the
        kernels of the first, and images for three deeper ones.
    filters
        Of each layer that images are made for.
    inputs
        Kernels with many input channels: each channel alone, instead of principal components.
    size
        Pixels a side of the images.
    steps
        That each image is changed in.
    jitter
        Share of the side that images are moved by at each step.
    blur
        Weight of what a blur takes away.
    variation
        Weight of the total variation.
    output
        PNG to write, the page beside it; default filters-NETWORK.png here.
    """  # noqa: E501
    ascent = Ascent(steps=steps, jitter=jitter, blur=blur, variation=variation, seed=seed)
    opened = open_network(network, untrained=untrained)
    with console.bar("making images") as report:
        made = kernels.look(
            opened, layer or (), filters=filters, side=size, inputs=inputs, ascent=ascent,
            progress=report,
        )  # fmt: skip
    target = _target(output, f"filters-{_plain(network)}.png")
    target = console.save_picture(kernels.draw(made), target)
    from sightline.report import looking_page

    page = looking_page.write_filters(target.with_suffix(".html"), made, language=lang)
    if json:
        console.print_json(made.document() | {"picture": str(target), "page": str(page)})
        return 0
    screen = console.out()
    for title in (*(k.title for k in made.kernels), *(f.title for f in made.favourites)):
        screen.print(title, soft_wrap=True, markup=False)
    return _written(made.notes, target, page)


def features(
    network: str,
    image: Path,
    /,
    *,
    layer: Layers = None,
    channels: int = maps.CHANNELS,
    untrained: Untrained = False,
    lang: console.Lang = None,
    output: Output = None,
    json: console.Json = False,
) -> int:
    """Show IMAGE on its way through NETWORK: the most active channels of its layers (PNG, page).

    Parameters
    ----------
    network
        A run, or a network such as imagenet:efficientnet_lite0 or torchvision:resnet18.
    image
        A picture.
    layer
        Layer that puts out maps; may be given several times. Default: convolutions from the first
        to the last.
    channels
        Of each layer, the most active first.
    output
        PNG to write, the page beside it; default IMAGE-features.png here.
    """
    opened = open_network(network, untrained=untrained)
    way = maps.follow(opened, opened.picture(image), tuple(layer or ()), channels=channels)
    target = _target(output, f"{image.stem}-features.png", image)
    target = console.save_picture(maps.draw(way), target)
    from sightline.report import looking_page

    page = looking_page.write_maps(target.with_suffix(".html"), way, language=lang)
    if json:
        console.print_json(way.document() | {"picture": str(target), "page": str(page)})
        return 0
    columns = (
        tables.Column("layer", text=True), tables.Column("maps"),
        tables.Column("most active channels", text=True), tables.Column("silent", 1),
    )  # fmt: skip
    rows = [
        (one.layer, " x ".join(map(str, one.shape)), ", ".join(map(str, one.numbers)),
         f"{one.silent:,}")
        for one in way.layers
    ]  # fmt: skip
    tables.show(console.out(), columns, rows)
    return _written(way.notes, target, page)


def dream(
    network: str,
    image: Path | None = None,
    /,
    *,
    class_name: Annotated[str | None, Parameter(name="--class")] = None,
    layer: str | None = None,
    steps: int | None = None,
    octaves: int = dreaming.OCTAVES,
    size: int | None = None,
    untrained: Untrained = False,
    seed: Annotated[int, Parameter(help="Of the noise, and of the shifts.")] = 0,
    lang: console.Lang = None,
    output: Output = None,
    json: console.Json = False,
) -> int:
    """Let NETWORK dream of a class or a layer, in IMAGE or from noise (PNG, page).

    Parameters
    ----------
    network
        A run, or a network such as imagenet:efficientnet_lite0 or torchvision:resnet18.
    image
        A picture to begin with; default: noise.
    class_name
        To make likelier.
    layer
        Convolution whose maps are to be large; default, with an IMAGE: one of middle depth.
    steps
        Default: 128 from noise, 12 in each octave of an IMAGE.
    octaves
        Scales that an IMAGE is changed at, the smallest first.
    size
        Pixels of the longer side; default: 160 from noise, 384 of an IMAGE.
    output
        PNG to write, the page beside it; default dream-NETWORK.png, or IMAGE-dream.png, here.
    """
    opened = open_network(network, untrained=untrained)
    start = None if image is None else images.decode(image)
    with console.bar("dreaming") as report:
        dreamt = dreaming.dream(
            opened, start, class_name=class_name, layer=layer, steps=steps, octaves=octaves,
            side=size, seed=seed, progress=report,
        )  # fmt: skip
    name = f"dream-{_plain(network)}.png" if image is None else f"{image.stem}-dream.png"
    target = _target(output, name, image)
    target = target if target.suffix else target.with_name(f"{target.name}.png")
    with console.writing(target):
        images.as_picture(dreamt.pixels).save(target)
    from sightline.report import looking_page

    page = looking_page.write_dream(target.with_suffix(".html"), dreamt, language=lang)
    if json:
        console.print_json(dreamt.document() | {"picture": str(target), "page": str(page)})
        return 0
    before, after = dreamt.answers
    console.out().print(
        f"{dreamt.of}: from {before:.3g} to {after:.3g}", soft_wrap=True, markup=False
    )
    return _written(dreamt.notes, target, page)


def _plain(network: str) -> str:
    """Return the name of a network or a run as part of a file's name."""
    path = Path(network)
    return path.resolve().name if path.is_dir() else network.replace(":", "-").replace("/", "-")


def _target(output: Path | None, default: str, image: Path | None = None) -> Path:
    target = (
        output or Path(default) if image is None else console.place_beside(image, output, default)
    )
    if target.suffix.lower() in (".html", ".htm"):
        raise ParameterError(f"--output {target} is the picture to write: end it in .png")
    return target


def _written(notes: Sequence[Any], picture: Path, page: Path) -> int:
    for line in notes:
        console.note(str(line))
    screen = console.out()
    screen.print(f"picture: {picture}", soft_wrap=True)
    screen.print(f"page: {page}", soft_wrap=True)
    return 0
