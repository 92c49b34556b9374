"""Run ``sightline explain cam NETWORK IMAGE``: show which pixels an answer comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.markup import escape

from sightline.cli import console, tables
from sightline.explain.methods import METHODS, Method


def cam(
    network: str,
    image: Path,
    /,
    *,
    method: Method | Literal["all"] | None = None,
    layer: str | None = None,
    class_name: Annotated[str | None, Parameter(name="--class")] = None,
    box: int | None = None,
    randomise: Annotated[bool, Parameter(negative="")] = False,
    untrained: Annotated[bool, Parameter(negative="")] = False,
    seed: int = 0,
    device: console.Device = "cpu",
    lang: console.Lang = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    json: console.Json = False,
) -> int:
    """Show which pixels of IMAGE an answer comes from, and whether that is true: a PNG and a page.

    Parameters
    ----------
    network
        Run of a classifier, detector or segmenter; or imagenet:NAME, torchvision:NAME, timm:NAME,
        coco:NAME.
    image
        The picture in question.
    method
        How; all: every method, beside each other. Default: grad-cam; of boxes layer-cam, as
        Grad-CAM averages over places and forgets where the box is.
    layer
        Whose maps are weighed, as named in the network; default: the last one with places.
    class_name
        What is explained, whether it is the answer or not; default: the likeliest class, the surest
        box, or the largest class of pixels but the background.
    box
        Of detectors: which of the answered objects, the surest being 1.
    randomise
        Also draw the weights anew, from the head down: a map that stays the same shows the picture
        and not what was learned.
    untrained
        The network with random weights, by its name.
    seed
        Of random maps, weights and noise.
    output
        PNG to write, beside which the page lies; default IMAGE-cam.png here.
    """
    from sightline.explain import maps, truth
    from sightline.explain.opened import open_network
    from sightline.report import maps as shown

    target = console.place_beside(image, output, f"{image.stem}-cam.png")
    opened = open_network(network, untrained=untrained, device=device)
    picture = opened.picture(image)
    targets = opened.targets(picture, class_name, box)
    methods = METHODS if method == "all" else (method or opened.method_of_choice,)
    layer = maps.layer_for(opened, picture, targets[0], methods, layer)
    with console.bar("asking about pixels") as report:
        explanation = truth.explain(
            opened, picture, targets, methods, layer=layer, randomise=randomise, seed=seed,
            progress=report,
        )  # fmt: skip
    written = console.save_picture(shown.draw(explanation), target)
    page = shown.write(explanation, written.with_suffix(".html"), language=lang)
    if json:
        places = {"picture": str(written), "page": str(page)}
        console.print_json(explanation.document() | places)
        return 0
    screen = console.out()
    screen.print(
        f"{escape(str(image))}: [bold]{escape(explanation.target.name)}[/bold] "
        f"{explanation.target.score:.2f}"
    )
    if explanation.others:
        named = ", ".join(f"{o.name} {o.score:.2f}" for o in explanation.others[:4])
        screen.print(f"[dim]also: {escape(named)}[/dim]", soft_wrap=True)
    columns = (
        tables.Column("map", text=True), tables.Column("layer", 2, text=True),
        tables.Column("deletion"), tables.Column("insertion"),
    )  # fmt: skip
    rows = [
        (shown.null_name(one.name) if one.name in truth.NULLS else one.name,
         one.map.layer, f"{one.score('deletion'):.3f}", f"{one.score('insertion'):.3f}")
        for one in [*explanation.maps, *explanation.nulls]
    ]  # fmt: skip
    tables.show(screen, columns, rows)
    for line in shown.remarks(explanation):
        screen.print(escape(str(line)), soft_wrap=True)
    screen.print(f"picture: {escape(str(written))}", soft_wrap=True)
    screen.print(f"page: {escape(str(page))}", soft_wrap=True)
    return 0
