"""Run ``sightline plot style CONTENT STYLE``: draw what content and style ask for."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sightline.cli import console


def style(
    content: Path,
    look: Annotated[Path, Parameter(name="STYLE")],
    /,
    *,
    network: str = "auto",
    size: int = 192,
    steps: int = 100,
    seed: Annotated[int, Parameter(help="Of the noise that layers are shown from.")] = 0,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    json: console.Json = False,
) -> int:
    """Draw CONTENT in a STYLE by several balances, and what each layer keeps of both.

    Parameters
    ----------
    content
        A photograph.
    look
        The picture whose style is taken.
    network
        That pictures are seen through; see sightline style.
    size
        Pixels of the longer side of each picture.
    steps
        Of each picture.
    output
        PNG to write; default style-CONTENT.png here.
    """
    # By its name, as all that belongs to one task.
    figure = importlib.import_module("sightline.explain.style_layers")
    with console.bar("drawing pictures") as report:
        shown = figure.study(
            content, look, network=network, size=size, steps=steps, seed=seed, progress=report
        )
    target = console.save_picture(figure.draw(shown), output or Path(f"style-{content.stem}.png"))
    if json:
        rows = {what: [label for label, _ in row] for what, row in shown.rows}
        console.print_json({"network": shown.network, "rows": rows, "picture": str(target)})
        return 0
    console.out().print(f"seen through {shown.network}; picture: {target}", soft_wrap=True)
    return 0
