"""Run ``sightline explain embedding SOURCE [DATA]``: lay out a data set in the plane."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sightline.cli import console
from sightline.counting import counted
from sightline.errors import MissingExtraError, ParameterError
from sightline.explain import embedding as figure
from sightline.explain import seen


def embedding(
    source: str,
    data: str | None = None,
    /,
    *,
    method: figure.Method = "tsne",
    split: str | None = None,
    images: int = figure.IMAGES,
    group: console.Group = None,
    layout: console.Layout = None,
    allow_outside: console.AllowOutside = False,
    seed: console.Seed = 0,
    lang: console.Lang = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    json: console.Json = False,
) -> int:
    """Project DATA into the plane by what a model sees: a page, a PNG and a table (Parquet).

    On the page a picture shows under the pointer, and a lasso lists files: label errors lie among
    pictures of another class.

    Parameters
    ----------
    source
        Whose features: a classifier's run, a network such as imagenet:efficientnet_lite0, or
        pixels. With @LAYER behind a network those of that layer.
    data
        Name, folder or archive of images; default: what the run was trained on.
    method
        How: tsne (by openTSNE where it is installed, else by scikit-learn), pca, or umap and
        pacmap, which are extras.
    split
        train, val or test; default: all of them.
    images
        At most; of more a sample is drawn.
    output
        Page to write, the PNG and the table beside it; default embedding-DATA.html here.
    """
    from sightline.report import embedding_page as page

    if output is not None and output.suffix.lower() not in ("", ".html", ".htm"):
        raise ParameterError(f"--output {output} is the page to write: end it in .html")
    figure.library(method)
    loaded = console.load(
        data or seen.data_of(source),
        seed=seed,
        group=group,
        layout=layout,
        allow_outside=allow_outside,
        quiet=json,
    )
    made = figure.embed(
        source, loaded, method=method, split=split, images=images, seed=seed, stage=console.bar
    )
    target = output or Path(f"embedding-{loaded.name}.html")
    target = target if target.suffix else target.with_name(f"{target.name}.html")
    written = page.write(target, made, language=lang)
    picture = console.save_picture(page.draw(made), target.with_suffix(".png"))
    table: Path | None = target.with_suffix(".parquet")
    try:
        figure.write_table(made, target.with_suffix(".parquet"))
    except MissingExtraError as error:
        table = None
        made.notes.append(str(error))
    if json:
        files = {"page": str(written), "picture": str(picture), "table": table and str(table)}
        console.print_json(made.document() | files)
        return 0
    for line in made.notes:
        console.note(line)
    screen = console.out()
    said = f"{counted(len(made.points), 'image')} by {figure.NAMES[method]} ({made.by})"
    near = f"{counted(len(made.near), 'pair')} of near-duplicates"
    wrong = ""
    if made.seen.predicted is not None:
        wrong = f", {counted(int(made.mistakes.sum()), 'mistake')}"
    screen.print(f"{said}: trustworthiness {made.trust:.3f}{wrong}, {near}", soft_wrap=True)
    mebibytes = written.stat().st_size / 2**20
    screen.print(f"page: {written} ({mebibytes:.1f} MiB)", soft_wrap=True)
    screen.print(f"picture: {picture}", soft_wrap=True)
    if table is not None:
        screen.print(f"table: {table}", soft_wrap=True)
    return 0
