"""Run ``sightline explain WHAT RUN [IMAGE]``: show why a model answers as it does."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.markup import escape

from sightline.cli import console, tables
from sightline.cli.examples import under
from sightline.cli.explain_cam import cam
from sightline.cli.explain_embedding import embedding
from sightline.cli.explain_filters import dream, features, filters
from sightline.counting import counted
from sightline.estimators import load_model
from sightline.explain import anchors as placed
from sightline.explain import gradients as slopes
from sightline.explain import neighbours as near
from sightline.metrics.duration import human

app = App(name="explain", help="Show why a RUN answers as it does.", help_epilogue=under("explain"))
app.command(cam, help_epilogue=under("explain cam"))
app.command(embedding, help_epilogue=under("explain embedding"))
app.command(filters, help_epilogue=under("explain filters"))
app.command(features, help_epilogue=under("explain features"))
app.command(dream, help_epilogue=under("explain dream"))


@app.command(help_epilogue=under("explain neighbours"))
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
    target = console.place_beside(image, output, f"{image.stem}-neighbours.png")
    model = load_model(run_folder)
    explanation = near.explain(model, image)
    target = console.save_picture(near.draw(explanation), target)
    answer = explanation.answer
    if json:
        console.print_json(
            {
                "image": str(image), "label": answer.name, "score": answer.score,
                "metric": explanation.metric, "tied": explanation.tied(),
                "neighbours": explanation.rows(), "picture": str(target),
            }
        )  # fmt: skip
        return 0
    screen = console.out()
    screen.print(f"{escape(str(image))}: [bold]{escape(answer.name)}[/bold] {answer.score:.2f}")
    columns = (
        tables.Column("rank", 2), tables.Column("class", text=True),
        tables.Column(f"distance ({explanation.metric})"), tables.Column("vote"),
        tables.Column("training row", 1),
    )  # fmt: skip
    rows = [
        (
            str(row["rank"]), row["class"], f"{row['distance']:.6g}", f"{row['votes']:.1%}",
            str(row["row"]),
        )
        for row in explanation.rows()
    ]  # fmt: skip
    tables.show(screen, columns, rows)
    if tie := explanation.tie():
        screen.print(escape(tie), soft_wrap=True)
    screen.print(f"picture: {target}", soft_wrap=True)
    return 0


@app.command(help_epilogue=under("explain anchors"))
def anchors(
    model: str,
    image: str,
    /,
    *,
    data: str | None = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    json: console.Json = False,
) -> int:
    """Show which anchors are to answer for which object of IMAGE (PNG), and why others are not.

    Parameters
    ----------
    model
        Run of a detector with anchors or cells, or the name of a method that is not trained yet.
    image
        An annotated picture: its file, its name in the data, or the end of that.
    data
        Data that the picture belongs to; default: what the run was trained on.
    output
        PNG to write; default IMAGE-anchors.png here.
    """
    explanation = placed.explain(model, image, data)
    name = f"{Path(explanation.name).stem}-anchors.png"
    target = console.place_beside(Path(image), output, name)
    written = console.save_picture(placed.draw(explanation), target)
    rows = explanation.rows()
    if json:
        console.print_json(
            {"image": explanation.name, "anchors": len(explanation.assignment.anchors),
             "objects": rows, "picture": str(written)}
        )  # fmt: skip
        return 0
    screen = console.out()
    columns = (
        tables.Column("object", 1), tables.Column("class", text=True),
        tables.Column("anchors"), tables.Column("best overlap"),
        tables.Column("on map", 2, text=True), tables.Column("why no more", 1, text=True),
    )  # fmt: skip
    cells = [
        (
            str(row["object"]), row["class"], f"{row['anchors']:,}", f"{row['best']:.2f}",
            row["map"], row["why"],
        )
        for row in rows
    ]  # fmt: skip
    tables.show(screen, columns, cells)
    screen.print(f"picture: {written}", soft_wrap=True)
    return 0


@app.command(help_epilogue=under("explain gradients"))
def gradients(
    run_folder: Path,
    /,
    *,
    images: int = 8,
    samples: int = 40,
    seed: int = 0,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    json: console.Json = False,
) -> int:
    """Check backpropagation against numeric differentiation, layer by layer; time both.

    Exit status 1 when a layer's relative error is 1e-6 or more.

    Parameters
    ----------
    run_folder
        Run of mlp-numpy or convnet-numpy.
    images
        Random images in the batch.
    samples
        Derivatives compared in each array of numbers.
    seed
        Of the images and of the choice.
    output
        PNG to write; default RUN-gradients.png here.
    """
    model = load_model(run_folder)
    with console.bar("checking layers") as report:
        check = slopes.explain(model, images=images, samples=samples, seed=seed, progress=report)
    name = run_folder.resolve().name
    target = output or Path(f"{name}-gradients.png")
    target = console.save_picture(slopes.draw(check, name), target)
    if json:
        console.print_json(check.document() | {"picture": str(target)})
        return 0 if check.agrees else 1
    screen = console.out()
    columns = (
        tables.Column("layer", text=True), tables.Column("output", 5),
        tables.Column("parameters", 3), tables.Column("error at parameters"),
        tables.Column("error at input"), tables.Column("at kinks", 6),
        tables.Column("backward", 2), tables.Column("numeric", 4), tables.Column("speed-up", 1),
    )  # fmt: skip
    rows = []
    for layer in check.layers:
        own = layer.parameters > 0
        rows.append((
            layer.name, "x".join(map(str, layer.shape)), f"{layer.parameters:,}",
            f"{layer.parameter_error:.1e}" if own else "", f"{layer.input_error:.1e}",
            str(layer.at_kinks or ""), f"{1e3 * layer.backward_seconds:.3f} ms",
            human(layer.numeric_seconds) if own else "",
            f"{layer.numeric_seconds / layer.backward_seconds:,.0f}x" if own else "",
        ))  # fmt: skip
    tables.show(screen, columns, rows)
    screen.print(
        f"all of {counted(check.parameters, 'derivative')}: "
        f"{1e3 * check.backprop_seconds:.2f} ms by backpropagation, "
        f"{human(check.numeric_seconds)} by differences (two forward passes each, scaled up from "
        f"those tried): {check.speedup:,.0f} times faster"
    )
    worst = check.worst
    screen.print(
        f"backpropagation agrees in every layer; the largest relative error is {worst.error:.1e}"
        if check.agrees
        else f"[bold]backpropagation is wrong in {worst.name}[/bold]: error {worst.error:.1e}"
    )
    screen.print(f"picture: {target}", soft_wrap=True)
    return 0 if check.agrees else 1


@app.command(help_epilogue=under("explain proposals"))
def proposals(
    data: str = "shapes",
    /,
    *,
    split: str = "test",
    images: int = 50,
    most: int = 2000,
    seed: console.Seed = 0,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    json: console.Json = False,
) -> int:
    """Show how many of the objects of DATA selective search proposes, and some of them (PNG).

    Parameters
    ----------
    data
        Name, folder or archive of pictures with boxes.
    split
        Of the data: train, val or test.
    images
        Pictures that are searched, drawn at random.
    most
        Proposals of a picture at most.
    output
        PNG to write; default proposals-DATA.png here.
    """
    # By its name, as all that belongs to one task.
    figure = importlib.import_module("sightline.explain.detect_proposals")
    loaded = console.load(data, seed=seed, quiet=json)
    with console.bar("searching pictures") as report:
        study = figure.study(loaded, split, images=images, most=most, seed=seed, progress=report)
    target = console.save_picture(
        figure.draw(study), output or Path(f"proposals-{loaded.name}.png")
    )
    if json:
        console.print_json(
            {
                "data": loaded.name, "split": split, "images": study.images,
                "objects": study.best.shape[1], "seconds": study.seconds, "rows": study.rows(),
                "notes": study.notes, "picture": str(target),
            }
        )  # fmt: skip
        return 0
    screen = console.out()
    for line in study.notes:
        console.note(line)
    rows = study.rows()
    names = [name for name in rows[0] if name != "proposals"]
    wanted = {1, 10, 100, 500, 1000, most}
    shown = [min(rows, key=lambda row: abs(row["proposals"] - n)) for n in sorted(wanted)]
    tables.show(
        screen,
        (tables.Column("proposals"), *(tables.Column(name) for name in names)),
        [
            (f"{row['proposals']:,}", *(f"{row[name]:.1%}" for name in names))
            for i, row in enumerate(shown)
            if row not in shown[:i]
        ],
    )
    screen.print(
        f"{counted(study.images, 'picture')}, {counted(study.best.shape[1], 'object')}, "
        f"{study.proposals / study.images:,.0f} proposals and {study.seconds:.2f} s a picture"
    )
    screen.print(f"picture: {target}", soft_wrap=True)
    return 0
