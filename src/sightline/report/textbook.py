"""Draw the textbook's pictures of linear and logistic regression."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.data.fonts import figure
from sightline.errors import DataError
from sightline.models.classic.likelihood import sigmoid
from sightline.report.plots import PALETTE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, RED, GREEN = PALETTE[:3]


def line(
    x: NDArray[np.float64], y: NDArray[np.float64], slope: float, intercept: float,
    r_squared: float, names: Sequence[str],
) -> Figure:  # fmt: skip
    """Draw points, the least-squares line, and the residual of each point.

    Parameters
    ----------
    x, y : float64 array, shape (n,)
    slope, intercept, r_squared : float
    names : (x, y)
        Labels of the axes.
    """
    drawing = figure(6.4, 4.4)
    axes = drawing.add_subplot()
    pad = 0.06 * float(np.ptp(x))
    ends = np.array([x.min() - pad, x.max() + pad])
    axes.vlines(
        x, y, slope * x + intercept, color=RED, linewidth=1.5, linestyle=(0, (3, 2)),
        label="residuals",
    )  # fmt: skip
    axes.plot(ends, slope * ends + intercept, color=BLUE, linewidth=2, label="least-squares line")
    axes.plot(x, y, "o", color="black", markersize=6, label="data")
    sign = "+" if intercept >= 0 else "−"
    axes.set_title(f"y = {slope:.4g} x {sign} {abs(intercept):.4g}    R² = {r_squared:.3f}")
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    axes.grid(visible=True, color="0.92")
    axes.legend(frameon=False)
    return drawing


def plane(
    X: NDArray[np.float64], y: NDArray[np.float64], coef: NDArray[np.float64], intercept: float,
    r_squared: float, names: Sequence[str],
) -> Figure:  # fmt: skip
    """Draw points in 3-D, the least-squares plane, and the residual of each point.

    Parameters
    ----------
    X : float64 array, shape (n, 2)
    y : float64 array, shape (n,)
    coef : float64 array, shape (2,)
    intercept, r_squared : float
    names : (x₁, x₂, y)
        Labels of the axes.
    """
    drawing = figure(7.2, 5.6)
    axes: Any = drawing.add_subplot(projection="3d")
    axes.view_init(elev=22, azim=-125)
    grid = np.meshgrid(*(np.linspace(X[:, j].min(), X[:, j].max(), 12) for j in range(2)))
    height = coef[0] * grid[0] + coef[1] * grid[1] + intercept
    axes.plot_surface(*grid, height, color=BLUE, alpha=0.28, edgecolor=BLUE, linewidth=0.3)
    fitted = X @ coef + intercept
    for (a, b), top, foot in zip(X, y, fitted, strict=True):
        axes.plot([a, a], [b, b], [foot, top], color=RED, linewidth=2)
    above = y >= fitted
    axes.scatter(
        *X[above].T, y[above], color="black", s=32, depthshade=False, label="above the plane"
    )
    axes.scatter(
        *X[~above].T, y[~above], color="white", edgecolor="black", s=32, depthshade=False,
        label="below the plane",
    )  # fmt: skip
    terms = f"{coef[0]:.4g} x₁ {'+' if coef[1] >= 0 else '−'} {abs(coef[1]):.4g} x₂"
    sign = "+" if intercept >= 0 else "−"
    axes.set_title(f"y = {terms} {sign} {abs(intercept):.4g}    R² = {r_squared:.3f}")
    axes.set_xlabel(names[0], labelpad=8)
    axes.set_ylabel(names[1], labelpad=8)
    axes.set_zlabel(names[2], labelpad=6)
    axes.set_box_aspect(None, zoom=0.92)
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, 0.95), frameon=False)
    return drawing


def logistic_curve(weight: float, bias: float) -> Figure:
    """Draw the sigmoid of weight x + bias with its slope, and where it decides.

    Raises
    ------
    DataError
        When the weight is 0: the curve is flat and decides nothing.
    """
    if not weight or not np.isfinite([weight, bias]).all():
        raise DataError(f"the weight must be a number other than 0, not {weight} (bias {bias})")
    middle, reach = -bias / weight, 8 / abs(weight)
    x = np.linspace(middle - reach, middle + reach, 401)
    p = sigmoid(weight * x + bias)
    drawing = figure(6.4, 4.2)
    axes = drawing.add_subplot()
    axes.axhline(0.5, color="0.75", linewidth=1)
    axes.axvline(middle, color="0.75", linewidth=1)
    axes.plot(x, p, color=BLUE, linewidth=2.2, label="p = σ(z) = 1 / (1 + e⁻ᶻ)")
    axes.plot(
        x, p * (1 - p), color=RED, linewidth=1.8, linestyle="--",
        label="dp/dz = p (1 − p), at most ¼",
    )  # fmt: skip
    axes.plot([middle], [0.5], "o", color="black", markersize=6)
    axes.annotate(
        f"decision boundary\nx = {middle + 0.0:.4g}", (middle, 0.5), textcoords="offset points",
        xytext=(12, -32), fontsize=9,
    )  # fmt: skip
    sign = "+" if bias >= 0 else "−"
    axes.set_title(f"z = {weight:.4g} x {sign} {abs(bias):.4g}")
    axes.set_xlabel("x")
    axes.set_ylabel("probability")
    axes.set_ylim(-0.04, 1.04)
    axes.grid(visible=True, color="0.94")
    axes.legend(loc="upper left" if weight > 0 else "upper right", frameon=False)
    return drawing


def weight_images(
    coef: NDArray[np.float64], size: tuple[int, int], classes: Sequence[str], name: str = ""
) -> Figure:
    """Draw the weights of each class as a picture: pixels that speak for it, and against it.

    Parameters
    ----------
    coef : float64 array, shape (C, H W) or (C, H W 3), or one row for two classes
    size : (height, width)
    classes : sequence of str
        Names, one a row; two for one row.
    name : str, optional
        Of the model and its data, for the title.
    """
    if len(coef) == 1 and len(classes) == 2:
        coef = np.concatenate([-coef, coef])
    images = coef.reshape(len(coef), *size, -1)
    columns = min(len(images), 5)
    lines = -(-len(images) // columns)
    drawing = figure(1.65 * columns + 1.0, 1.85 * lines + 0.6)
    grid = np.atleast_1d(np.asarray(drawing.subplots(lines, columns, squeeze=False))).ravel()
    # A few border pixels that were hardly ever inked can have enormous weights: beyond the scale.
    limit = float(np.quantile(np.abs(images), 0.95)) or float(np.abs(images).max()) or 1.0
    shown: Any = None
    for axes in grid:
        axes.axis("off")
    for axes, image, label in zip(grid, images, classes, strict=False):
        if image.shape[2] == 1:
            shown = axes.imshow(image[:, :, 0], cmap="RdBu_r", vmin=-limit, vmax=limit)
        else:
            axes.imshow(np.clip(0.5 + image / (2 * limit), 0, 1))
        axes.set_title(label if len(label) <= 18 else label[:17] + "…", fontsize=10)
    title = f"What {name or 'a linear model'} looks for in each class\n"
    if shown is not None:
        bar = drawing.colorbar(shown, ax=grid.tolist(), shrink=0.8, pad=0.02, extend="both")
        bar.set_label("weight of the pixel: against ←  → for")
        title += "Where it is red a bright pixel speaks for the class, where it is blue against it."
    else:
        title += (
            "Each pixel has the colour that speaks for the class there; grey is of no importance."
        )
    letters = int(10 * drawing.get_figwidth())
    lines_of = (textwrap.fill(line, letters) for line in title.splitlines())
    drawing.suptitle("\n".join(lines_of), fontsize=11)
    return drawing
