"""Run ``sightline plot FIGURE``: draw the pictures of the textbook."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_args

import numpy as np
from cyclopts import App, Parameter
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table as Grid

from sightline.cli import console
from sightline.cli.examples import under
from sightline.cli.plot_overfit import overfit
from sightline.cli.plot_style import style
from sightline.data import fonts
from sightline.data.table import Table, read_table
from sightline.errors import DataError, ParameterError, RunError, UnknownNameError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sightline.estimators.base import Estimator

app = App(name="plot", help="Draw the pictures of the textbook.", help_epilogue=under("plot"))
app.command(overfit, help_epilogue=under("plot overfit"))
app.command(style, help_epilogue=under("plot style"))

Output = Annotated[Path | None, Parameter(name=["--output", "-o"])]
Language = Literal["en", "zh"]

_FEES = np.array(
    [[1, 20, 2], [2, 25, 5], [4, 25, 7], [6, 20, 8], [8, 15, 9],
     [3, 40, 11], [5, 32, 8], [7, 40, 16], [2, 50, 8], [6, 50, 17], [8, 32, 11], [4, 15, 6]]
).astype(np.float64)  # fmt: skip
_NAMES: dict[Language, tuple[str, str, str]] = {
    "en": ("length of the pipe, m", "diameter of the pipe, mm", "fee, 100 yuan"),
    "zh": ("管道长度(米)", "管道直径(毫米)", "费用(百元)"),
}


@app.command(help_epilogue=under("plot line"))
def line(
    csv: Path | None = None,
    /,
    *,
    x: str | None = None,
    y: str | None = None,
    language: Language = "en",
    output: Output = None,
    json: console.Json = False,
) -> int:
    """Draw the least-squares line through two columns of CSV, with its residuals.

    Parameters
    ----------
    csv
        Table of numbers, names in the first line; default: a built-in example.
    x, y
        Columns to draw; default: the first and the second.
    language
        Of the built-in example's labels.
    output
        PNG to write; default line.png here.
    """
    from sightline.models.classic.linear import fit_line, mean_squared_error, r_squared
    from sightline.report import textbook

    table = _example(language, rows=5, columns=(0, 2)) if csv is None else read_table(csv)
    values, names = _columns(table, (x, y), csv)
    a, b = values.T
    slope, intercept = fit_line(a, b)
    fitted = slope * a + intercept
    figures = {
        "slope": slope, "intercept": intercept,
        "mse": mean_squared_error(b, fitted), "r_squared": r_squared(b, fitted),
    }  # fmt: skip
    drawing = textbook.line(a, b, slope, intercept, figures["r_squared"], names)
    target = _save(drawing, output, "line.png")
    return _tell(target, {"x": names[0], "y": names[1], "points": len(a)} | figures, json)


@app.command(help_epilogue=under("plot plane"))
def plane(
    csv: Path | None = None,
    /,
    *,
    x1: str | None = None,
    x2: str | None = None,
    y: str | None = None,
    language: Language = "en",
    output: Output = None,
    json: console.Json = False,
) -> int:
    """Draw the least-squares plane through three columns of CSV, with its residuals.

    Parameters
    ----------
    csv
        Table of numbers, names in the first line; default: a built-in example.
    x1, x2, y
        Columns to draw; default: the first, the second and the third.
    language
        Of the built-in example's labels.
    output
        PNG to write; default plane.png here.
    """
    from sightline.models.classic.linear import LinearRegression, mean_squared_error
    from sightline.report import textbook

    table = _example(language) if csv is None else read_table(csv)
    values, names = _columns(table, (x1, x2, y), csv)
    X, z = values[:, :2], values[:, 2]
    model = LinearRegression().fit(X, z)
    if model.rank_ < 2:
        raise DataError(
            f"{names[0]!r} and {names[1]!r} do not span a plane: one depends on the other, or "
            "there are fewer than 3 points; many planes fit equally well"
        )
    figures = {
        "coefficients": model.coef_.tolist(), "intercept": float(model.intercept_),
        "mse": mean_squared_error(z, model.predict(X)), "r_squared": model.score(X, z),
    }  # fmt: skip
    drawing = textbook.plane(
        X, z, model.coef_, float(model.intercept_), figures["r_squared"], names
    )
    target = _save(drawing, output, "plane.png")
    said = {"x1": names[0], "x2": names[1], "y": names[2], "points": len(z)}
    return _tell(target, said | figures, json)


@app.command(help_epilogue=under("plot sigmoid"))
def sigmoid(
    *, weight: float = 1.0, bias: float = 0.0, output: Output = None, json: console.Json = False
) -> int:
    """Draw the logistic curve, its slope, and the boundary where it decides.

    Parameters
    ----------
    weight, bias
        Of z = weight x + bias.
    output
        PNG to write; default sigmoid.png here.
    """
    from sightline.report import textbook

    target = _save(textbook.logistic_curve(weight, bias), output, "sigmoid.png")
    boundary = -bias / weight + 0.0
    return _tell(target, {"weight": weight, "bias": bias, "boundary": boundary}, json)


@app.command(help_epilogue=under("plot descent"))
def descent(
    *,
    function: str = "rosenbrock",
    methods: str = "gd,momentum,newton,cg",
    start: str | None = None,
    step: float | None = None,
    max_iter: int = 20_000,
    gif: Annotated[bool, Parameter(help="Write the animation, beside the PNG.")] = True,
    output: Output = None,
    json: console.Json = False,
) -> int:
    """Draw how optimisers come down on the contours of a function: PNG and animated GIF.

    Parameters
    ----------
    function
        rosenbrock, quadratic or himmelblau.
    methods
        Of gd, momentum, nesterov, newton, cg-linear, cg, cg-fr, lbfgs, parted by commas.
    start
        Where they begin, such as -1.2,1.
    step
        Fixed step of gd, momentum and nesterov; default: searched for.
    max_iter
        Iterations at most.
    output
        PNG to write; default descent.png here.
    """
    from sightline.models.classic.optimize import Method, minimize
    from sightline.models.classic.surfaces import SURFACES
    from sightline.report import descent as drawings

    if function not in SURFACES:
        raise UnknownNameError("function", function, SURFACES)
    surface = SURFACES[function]
    names = list(dict.fromkeys(m.strip() for m in methods.split(",") if m.strip()))
    if not names:
        raise ParameterError(f"--methods names none of: {', '.join(get_args(Method))}")
    begin = surface.start if start is None else _point(start)
    stepped = ("gd", "momentum", "nesterov")
    ways = {
        name: minimize(
            surface.f, surface.grad, begin, cast(Method, name), surface.hess,
            step=step if name in stepped else None, max_iter=max_iter,
        )
        for name in names
    }  # fmt: skip
    moving = (output or Path("descent.png")).with_suffix(".gif")
    if gif and moving == output:
        raise ParameterError(
            f"{moving} is the animation; name the still picture, such as -o {moving.stem}.png"
        )
    target = _save(drawings.paths(surface, ways), output, "descent.png")
    if gif:
        with console.writing(moving):
            drawings.animate(surface, ways, moving)
    rows = [
        {
            "method": name, "iterations": way.iterations, "evaluations": way.evaluations,
            "x": way.x.tolist(), "f": way.value, "gradient": way.gradient_norm,
            "converged": way.converged, "message": way.message,
        }
        for name, way in ways.items()
    ]  # fmt: skip
    if json:
        pictures = {"picture": str(target)} | ({"animation": str(moving)} if gif else {})
        console.print_json({"function": function, "start": list(begin), "methods": rows} | pictures)
        return 0
    table = Grid("method", "iterations", "f", "grad", "hess", "ended at", "f there", "why it ended")
    for name, way in ways.items():
        x = ", ".join(f"{value:.5g}" for value in way.x)
        counts = [f"{way.evaluations[kind]:,}" for kind in ("f", "grad", "hess")]
        table.add_row(
            name, f"{way.iterations:,}", *counts, f"({x})", f"{way.value:.3g}", way.message
        )
    screen = console.out()
    screen.print(table)
    screen.print(f"picture: {target}" + (f", animation: {moving}" if gif else ""), soft_wrap=True)
    return 0


@app.command(help_epilogue=under("plot weights"))
def weights(run: Path, /, *, output: Output = None, json: console.Json = False) -> int:
    """Draw the weights of each class of a linear or logistic RUN as pictures.

    Parameters
    ----------
    run
        Folder of a run of linear or logistic.
    output
        PNG to write; default weights.png here.
    """
    from sightline.estimators import load_model
    from sightline.report import textbook

    model = load_model(run)
    coef = getattr(model.method_, "coef_", None)
    if coef is None or np.ndim(coef) != 2:
        raise RunError(
            f"{model.name} does not have one weight image a class; linear and logistic do"
        )
    classes = [model.classes_[i] for i in model.method_.classes_]
    drawing = textbook.weight_images(coef, model.fitted_.size, classes, _named(model))
    target = _save(drawing, output, "weights.png")
    return _tell(target, {"model": model.name, "classes": classes}, json)


def _named(model: Estimator) -> str:
    """Return a model and the data that it was trained on in words."""
    data = model.config.get("data", {}).get("name", "")
    return f"{model.name}, trained on {data}," if data else model.name


def _example(
    language: Language, rows: int | None = None, columns: tuple[int, ...] = (0, 1, 2)
) -> Table:
    """Return the built-in table: a plumber's fee by length and diameter of the pipe."""
    names = tuple(_NAMES[language][i] for i in columns)
    fonts.require(*names)  # who asks for a language wants its letters, not marks in their place
    return Table(names, _FEES[:rows, columns])


def _columns(
    table: Table, wanted: tuple[str | None, ...], csv: Path | None
) -> tuple[NDArray[np.float64], list[str]]:
    """Return columns by name or, where none is given, by place; refuse a constant one."""
    if len(table.names) < len(wanted):
        raise DataError(f"{csv} has {len(table.names)} columns; {len(wanted)} are needed")
    places = [i if name is None else table.column(name) for i, name in enumerate(wanted)]
    values, names = table.values[:, places], [table.names[i] for i in places]
    for column, name in zip(values.T[:-1], names, strict=False):
        if column.min() == column.max():
            raise DataError(f"column {name!r} is {column[0]:g} in every row: nothing can be fitted")
    return values, names


def _point(text: str) -> tuple[float, ...]:
    try:
        point = tuple(float(part) for part in text.split(","))
    except ValueError:
        point = ()
    if len(point) != 2:
        raise ParameterError(f"--start must be two numbers such as -1.2,1, not {text!r}")
    return point


def _save(drawing: Figure, output: Path | None, default: str) -> Path:
    return console.save_picture(drawing, output or Path(default))


def _tell(target: Path, said: dict[str, Any], json: bool) -> int:
    """Print what was fitted and where the picture is."""
    if json:
        console.print_json(said | {"picture": str(target)})
        return 0
    screen = console.out()
    for name, value in said.items():
        values = value if isinstance(value, list) else [value]
        text = escape(", ".join(f"{v:.7g}" if isinstance(v, float) else str(v) for v in values))
        screen.print(f"{name.replace('_', ' ')}: {text}", soft_wrap=True)
    screen.print(f"picture: {target}", soft_wrap=True)
    return 0
