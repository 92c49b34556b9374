"""Measure learning curves from Python: what the command does, as a result to work with."""

from __future__ import annotations

import html as markup
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.bench import curve as bench
from sightline.bench.curve_results import CurveEntry, CurveResults, read
from sightline.data import notebook
from sightline.data.load import load_data
from sightline.errors import RunError, wrong_kind
from sightline.metrics import figure_text
from sightline.report import html, learning_page, learning_said
from sightline.report.comparison import DATA, handed, names_of, new_folder, seconds_of
from sightline.report.learning_plot import learning_curves
from sightline.training import run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURE = "curve.png"


class LearningCurve:
    """The learning curves of methods, in a folder.

    Parameters
    ----------
    folder : path
        That `curve`, or the command, has written.

    Raises
    ------
    RunError
        When it holds no results.

    Attributes
    ----------
    folder : Path
    results : CurveResults
        The document ``results.json``.
    """

    def __init__(self, folder: str | Path) -> None:
        if not isinstance(folder, str | Path):
            raise wrong_kind("folder is that of learning curves", folder)
        self.folder = Path(folder)
        self.results: CurveResults = read(self.folder / bench.RESULTS)

    def __repr__(self) -> str:
        reached = [m for m in self.methods if m.measured]
        said = ", ".join(
            f"{m.name} {figure_text(m.measured[-1].mean, self.results.share, 1)}"
            for m in reached[:6]
        )
        more = ", ..." if len(reached) > 6 else ""
        sizes = self.results.sizes
        return (
            f"LearningCurve({self.results.data.name}, {sizes[0]:,} to {sizes[-1]:,} images: "
            f"{said}{more})"
        )

    def _repr_html_(self) -> str:
        columns, rows = learning_page.table(self.results)
        cells = [[name, *(text for text, _ in row)] for name, row in rows]
        said = "".join(f"<p>{markup.escape(line)}</p>" for line in (self.answer, *self.lines))
        return notebook.table(["method", *columns], cells) + said

    @property
    def methods(self) -> list[CurveEntry]:
        """Return the curve of each method."""
        return self.results.methods

    @property
    def answer(self) -> str:
        """Return whether more training images would help, and with which method most."""
        return learning_said.answer(self.results)

    @property
    def lines(self) -> list[str]:
        """Return what else is to be known, a sentence each."""
        return learning_said.lines(self.results)

    @property
    def report(self) -> Path:
        """Return the page of the curves."""
        return self.folder / html.REPORT

    def to_frame(self) -> Any:
        """Return every fit as a row of a `pandas.DataFrame`.

        Returns
        -------
        pandas.DataFrame
            With the columns ``method`` and ``size``, and the fields of `FitEntry`. What is
            extrapolated is not among them.

        Raises
        ------
        MissingExtraError
            When pandas is not installed.
        """
        pandas = notebook.pandas("a data frame of learning curves")
        return pandas.DataFrame(
            {"method": m.name, "size": point.size} | fit.model_dump()
            for m in self.methods for point in m.points for fit in point.fits
        )  # fmt: skip

    def plot(self) -> Figure:
        """Draw the headline of each method against the number of training images.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        RunError
            When no fit ran to the end.
        """
        if not any(m.measured for m in self.methods):
            raise RunError(f"{self.folder}: no fit ran to the end, so there is nothing to draw")
        return learning_curves(self.results, self.results.data.name)


def curve(
    data: Any,
    methods: Sequence[str] | str | None = None,
    *,
    sizes: Sequence[int] | None = None,
    seeds: int = bench.SEEDS,
    budget: float | str | None = None,
    task: str | None = None,
    group: str | None = None,
    layout: str | None = None,
    allow_outside: bool = False,
    threads: int | None = None,
    device: str = "auto",
    seed: int = 0,
    folder: str | Path | None = None,
    progress: Callable[[str, str, int, int], None] | None = None,
) -> LearningCurve:
    """Measure how good methods become with more training images, and where that would go.

    Every method is fitted on nested, stratified parts of the training split, several draws of each
    size, and measured on the whole test split; the validation images shrink along. Each fit runs in
    a process of its own.

    Parameters
    ----------
    data : name, path, Dataset, arrays, table or data set of another library
        See `load_data`.
    methods : sequence of str, optional
        Default: all that suit the data, without the floor.
    sizes : sequence of int, optional
        Numbers of training images; default: about six, from a few a class to all.
    seeds : int
        Draws of each size.
    budget : float or str, optional
        Time for each fit, in seconds or such as ``"2m"``.
    task : str, optional
        Of data that serves several; default: the first that there are methods for.
    group, layout : str, optional
    allow_outside : bool
        See `load_data`.
    threads : int, optional
        Of the processor; default: what the work suits, of the cores that are idle.
    device : str
        Where to compute: cpu, cuda, cuda:1, mps or auto.
    seed : int
        Of the splits, and of the first draw's training.
    folder : path, optional
        Default ``runs/curve-DATA-TIME``. Fits that ran to the end in it are not done again.
    progress : callable, optional
        Called with (fit, stage, done, total).

    Returns
    -------
    LearningCurve
        With `answer`, `to_frame`, `plot`, and the page `report`.

    Raises
    ------
    UnknownNameError
        When a method does not exist; nothing is started.
    DataError
        When the data cannot teach the methods' task, or have no test split.
    RunError
        When the folder cannot be written, or holds other curves.
    ParameterError
        When an argument is of another kind, or a size is too small.
    """
    names, limit = names_of(methods), seconds_of(budget)
    bench.check_seeds(seeds)
    if progress is not None and not callable(progress):
        raise wrong_kind("progress is a function", progress)
    if task is not None and not isinstance(task, str):
        raise wrong_kind("task is the name of one", task)
    if folder is not None and not isinstance(folder, str | Path):
        raise wrong_kind("folder is a folder to write to", folder)
    if isinstance(sizes, str | bytes) or (sizes is not None and not isinstance(sizes, Sequence)):
        raise wrong_kind("sizes are whole numbers, such as [100, 300, 1000]", sizes)
    loaded = load_data(data, seed=seed, group=group, layout=layout, allow_outside=allow_outside)
    notes: list[str] = []
    if names is None:
        names, notes = bench.ladder(loaded, limit, task)
    bench.check(loaded, names)
    place = new_folder(loaded, "curve") if folder is None else Path(folder)
    known = str(data) if isinstance(data, str | Path) else None
    if known is None:
        run.create(place)
        loaded = handed(loaded, place, "learning curves")
        known, group, layout = str((place / DATA).resolve()), None, None
    chosen, more = bench.sizes_of(loaded.train, sizes)
    request = bench.Request(
        known, names, chosen, seeds, group=group, layout=layout, seed=seed, budget=limit,
        threads=threads, device=device, allow_outside=allow_outside,
    )  # fmt: skip
    loaded.notes += [note for note in (*notes, *more) if note not in loaded.notes]
    bench.curve(loaded, request, place, progress)
    learning_page.write(place, loaded)
    return LearningCurve(place)
