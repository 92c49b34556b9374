"""Run ``sightline plot overfit DATA``: draw accuracy against a network's width."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sightline.cli import console, tables
from sightline.errors import ParameterError
from sightline.explain import overfit as figure


def overfit(
    data: str = "digits",
    /,
    *,
    images: int = figure.IMAGES,
    noise: float = figure.NOISE,
    epochs: int = 80,
    seeds: int = 3,
    seed: console.Seed = 0,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    json: console.Json = False,
) -> int:
    """Train networks of growing width with and without each regulariser; draw both accuracies.

    Parameters
    ----------
    data
        Name, folder or archive of images.
    images
        Training images; few, so that a wide network can learn them by heart.
    noise
        Share of the training labels made wrong.
    epochs
        Passes over them.
    seeds
        Networks averaged in each point.
    output
        PNG to write; default overfit-DATA.png here.
    """
    if images < 20 or epochs < 1 or seeds < 1 or not 0 <= noise < 1:
        raise ParameterError(
            "--images must be at least 20, --epochs and --seeds at least 1, --noise in [0, 1)"
        )
    loaded = console.load(data, seed=seed, quiet=json)
    with console.bar("training networks") as report:
        study = figure.study(
            loaded, images=images, noise=noise, epochs=epochs, seeds=seeds, progress=report
        )
    target = output or Path(f"overfit-{loaded.name}.png")
    target = console.save_picture(figure.draw(study), target)
    if json:
        console.print_json(asdict(study) | {"picture": str(target)})
        return 0
    screen = console.out()
    widths = sorted({p.width for p in study.points})
    columns = [
        tables.Column("validation accuracy (training)", text=True),
        # The narrowest and the widest networks tell most.
        *(tables.Column(f"{w} units", min(i, len(widths) - 1 - i)) for i, w in enumerate(widths)),
    ]
    rows = [
        [name, *(f"{p.val_accuracy:.1%} ({p.train_accuracy:.0%})" for p in study.line(name))]
        for name in figure.REGULARISERS
    ]
    tables.show(screen, columns, rows)
    screen.print(f"picture: {target}", soft_wrap=True)
    return 0
