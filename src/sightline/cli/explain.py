"""``sightline explain WHAT RUN [IMAGE]``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.markup import escape
from rich.table import Table

from sightline.cli import console
from sightline.errors import RunError
from sightline.estimators import load_model
from sightline.explain import neighbours as near

app = App(name="explain", help="Show why a RUN answers as it does.")


@app.command
def neighbours(
    run_folder: Path,
    image: Path,
    /,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    json: console.Json = False,
) -> int:
    """Show the training images that decide about IMAGE (PNG), with distances and votes.

    Parameters
    ----------
    run_folder
        Run of a method that compares, such as knn.
    image
        The picture in question.
    output
        PNG to write; default IMAGE-neighbours.png here.
    """
    model = load_model(run_folder)
    found = near.explain(model, image)
    target = output or Path(f"{image.stem}-neighbours.png")
    try:
        near.draw(found).savefig(target)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"cannot write {target}: {reason}") from None
    answer = found.answer
    if json:
        console.print_json(
            {
                "image": str(image), "label": answer.name, "score": answer.score,
                "neighbours": found.rows(), "picture": str(target),
            }
        )  # fmt: skip
        return 0
    screen = console.out()
    screen.print(f"{escape(str(image))}: [bold]{escape(answer.name)}[/bold] {answer.score:.2f}")
    table = Table("rank", "class", "distance", "vote", "training row")
    for row in found.rows():
        table.add_row(
            str(row["rank"]), escape(row["class"]), f"{row['distance']:.6g}",
            f"{row['votes']:.1%}", str(row["row"]),
        )  # fmt: skip
    screen.print(table)
    screen.print(f"picture: {target}", soft_wrap=True)
    return 0
