"""Compare methods from Python: what the command does, as a result to look at and work with."""

from __future__ import annotations

import datetime
import html as markup
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.bench import compare as bench
from sightline.bench.pick import check_cost
from sightline.bench.results import Cost, MethodEntry, PickEntry, Results, read
from sightline.data import notebook, packed
from sightline.data.dataset import Dataset
from sightline.data.load import load_data
from sightline.errors import ParameterError, RunError, UnknownNameError, wrong_kind
from sightline.estimators import estimator, load_model
from sightline.metrics import duration, figure_text
from sightline.metrics.paired import check_margin
from sightline.report import html, plots
from sightline.training import run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sightline.estimators.base import Estimator

RUNS = Path("runs")

DATA = "data"
"""Folder of a comparison that holds what its processes read, where the data has no name."""


class Comparison:
    """The results of a comparison, in a folder.

    Parameters
    ----------
    folder : path
        That `compare`, or the command, has written.

    Raises
    ------
    RunError
        When it holds no results.

    Attributes
    ----------
    folder : Path
    results : Results
        The document ``results.json``.
    """

    def __init__(self, folder: str | Path) -> None:
        if not isinstance(folder, str | Path):
            raise wrong_kind("folder is that of a comparison", folder)
        self.folder = Path(folder)
        self.results: Results = read(self.folder / bench.RESULTS)

    def __repr__(self) -> str:
        said = ", ".join(f"{m.name} {_headline(m)}" for m in self.methods[:6])
        more = ", ..." if len(self.methods) > 6 else ""
        picked = f"; take {self.pick.name}" if self.pick else ""
        return f"Comparison({self.results.data.name}: {said}{more}{picked})"

    def _repr_html_(self) -> str:
        columns = [c for c in html.columns(self.results.task) if not c.page_only]
        rows = [
            [m.name, *(("failed",) if m.status == "failed" else (c.cell(m) for c in columns))]
            for m in self.methods
        ]
        table = notebook.table(["method", *(c.heading for c in columns)], rows)
        reason = f"<p><b>Take {markup.escape(self.pick.reason)}.</b></p>" if self.pick else ""
        failed = "".join(
            f"<p>{markup.escape(m.name)} failed: {markup.escape(m.error or '')}</p>"
            for m in self.methods if m.status == "failed"
        )  # fmt: skip
        return table + failed + reason

    @property
    def methods(self) -> list[MethodEntry]:
        """Return the methods in the order in which they ran, with their figures."""
        return self.results.methods

    @property
    def pick(self) -> PickEntry | None:
        """Return which method to take and why; None where none ran to the end."""
        return self.results.pick

    @property
    def report(self) -> Path:
        """Return the page of the comparison."""
        return self.folder / html.REPORT

    def to_frame(self) -> Any:
        """Return the methods and their figures as a `pandas.DataFrame`.

        Returns
        -------
        pandas.DataFrame
            A row a method, by its name; the columns are the fields of `MethodEntry`, the interval
            as ``low`` and ``high``, then the other metrics by their names.

        Raises
        ------
        MissingExtraError
            When pandas is not installed.
        """
        pandas = notebook.pandas("a data frame of a comparison")
        rows = []
        for m in self.methods:
            row = m.model_dump(exclude={"metrics", "interval", "remarks"})
            row["low"], row["high"] = m.interval or (None, None)
            rows.append(row | {k: v for k, v in m.metrics.items() if k != m.metric})
        return pandas.DataFrame(rows).set_index("name")

    def plot(self) -> Figure:
        """Draw the headline of each method against the time of one image.

        Returns
        -------
        matplotlib Figure

        Raises
        ------
        RunError
            When no method ran to the end.
        """
        if not self.results.ok:
            raise RunError(f"{self.folder}: no method ran to the end, so there is nothing to draw")
        picked = self.pick.name if self.pick else None
        return plots.headline_against_latency(self.results.ok, picked)

    def load(self, method: str | None = None) -> Estimator:
        """Load a fitted model of the comparison.

        Parameters
        ----------
        method : str, optional
            Its name; default: the one that was picked.

        Raises
        ------
        UnknownNameError
            When no method of that name ran to the end.
        """
        ok = [m.name for m in self.results.ok]
        name = method if method is not None else (self.pick.name if self.pick else "")
        if name not in ok:
            raise UnknownNameError("method of the comparison", str(name), ok)
        return load_model(bench.place_of(self.folder, name))


def compare(
    data: Any,
    methods: Sequence[str] | str | None = None,
    *,
    budget: float | str | None = None,
    margin: float | None = None,
    cost: Cost = "latency",
    task: str | None = None,
    group: str | None = None,
    layout: str | None = None,
    allow_outside: bool = False,
    seed: int = 0,
    folder: str | Path | None = None,
    progress: Callable[[str, str, int, int], None] | None = None,
) -> Comparison:
    """Train and measure many methods on one data set, and choose one.

    All see the same splits, are tuned on validation only, and meet the test split once; each runs
    in a process of its own, which is given the data by its name or, where it has none, as a file in
    the folder of the comparison.

    Parameters
    ----------
    data : name, path, Dataset, arrays, table or data set of another library
        See `load_data`.
    methods : sequence of str, optional
        Default: all that suit the data, the simplest first.
    budget : float or str, optional
        Time for each method, in seconds or such as ``"10m"``.
    margin : float, optional
        By how much a cheaper method may be worse than the best and still be taken, in the unit of
        the headline: 0.01 is one point of accuracy (the default for shares).
    cost : {"latency", "size", "training"}
        What is to be cheap.
    task : str, optional
        Of data that serves several; default: the first that there are methods for.
    group, layout : str, optional
    allow_outside : bool
        See `load_data`.
    seed : int
    folder : path, optional
        Of the comparison; default ``runs/compare-DATA-TIME``. Methods that ran to the end in it
        are not done again.
    progress : callable, optional
        Called with (method, stage, done, total).

    Returns
    -------
    Comparison
        With `to_frame`, `plot`, `load`, and the page `report`.

    Raises
    ------
    UnknownNameError
        When a method does not exist; nothing is started.
    DataError
        When the data cannot teach the methods' task.
    RunError
        When the folder cannot be written, or holds another comparison.
    ParameterError
        When an argument is of another kind, or the methods are for several tasks.
    """
    names = names_of(methods)
    limit = seconds_of(budget)
    if margin is not None:
        if isinstance(margin, bool) or not isinstance(margin, int | float):
            raise wrong_kind("margin is a number", margin)
        check_margin(margin)
    if progress is not None and not callable(progress):
        raise wrong_kind("progress is a function", progress)
    if not isinstance(cost, str):
        raise wrong_kind("cost is latency, size or training", cost)
    check_cost(cost)
    if task is not None and not isinstance(task, str):
        raise wrong_kind("task is the name of one", task)
    if folder is not None and not isinstance(folder, str | Path):
        raise wrong_kind("folder is a folder to write to", folder)
    loaded = load_data(data, seed=seed, group=group, layout=layout, allow_outside=allow_outside)
    notes: list[str] = []
    if names is None:
        names, notes = bench.ladder(loaded, limit, task)
    estimator(bench.task_of(names)).check(loaded.train)
    place = new_folder(loaded) if folder is None else Path(folder)
    known = str(data) if isinstance(data, str | Path) else None
    if known is None:
        run.create(place)
        loaded = handed(loaded, place)
        known, group, layout = str((place / DATA).resolve()), None, None
    request = bench.Request(
        known, tuple(names), group=group, layout=layout, seed=seed, budget=limit, margin=margin,
        cost=cost, allow_outside=allow_outside,
    )  # fmt: skip
    loaded.notes += [note for note in notes if note not in loaded.notes]
    bench.compare(loaded, request, place, progress)
    html.comparison(place, loaded)
    return Comparison(place)


def new_folder(data: Dataset, verb: str = "compare") -> Path:
    """Return the folder of a new comparison or curve: ``runs/VERB-DATA-TIME``."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return RUNS / f"{verb}-{run.folder_name(data.name)}-{stamp}"


def handed(data: Dataset, folder: Path, what: str = "a comparison") -> Dataset:
    """Write data that has no name into the folder of results, once; return it as it is there.

    Raises
    ------
    RunError
        When the folder holds other data.
    """
    place = folder / DATA
    if packed.why_not(place) is None:
        kept = load_data(place)
        if kept.fingerprint() != _once_packed(data, folder):
            raise RunError(f"{folder} holds {what} of other data; name another folder")
        return kept
    packed.write(data, place)
    return load_data(place)


def _once_packed(data: Dataset, folder: Path) -> str:
    """Return the fingerprint that data will have when it is written; it is written for that."""
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        packed.write(data, Path(beside))
        return load_data(beside).fingerprint()


def names_of(methods: Any) -> tuple[str, ...] | None:
    """Return the methods that were given, one or several; None where none were.

    Raises
    ------
    ParameterError
        When they are no names.
    """
    if methods is None:
        return None
    names = (methods,) if isinstance(methods, str) else methods
    if isinstance(names, Mapping) or not isinstance(names, Sequence) or isinstance(names, bytes):
        raise wrong_kind("methods are names, such as ['knn', 'resnet9']", methods)
    for name in names:
        if not isinstance(name, str):
            raise wrong_kind("a method is given by its name, such as 'knn'", name)
    if not names:
        raise ParameterError("methods is empty; leave it out for all that suit the data")
    return tuple(names)


def seconds_of(budget: Any) -> float | None:
    """Return a time that was given as a number or a text, in seconds; None where none was.

    Raises
    ------
    ParameterError
        When it is no time.
    """
    if budget is None:
        return None
    if isinstance(budget, str):
        return duration.seconds(budget)
    if isinstance(budget, bool) or not isinstance(budget, int | float):
        raise wrong_kind("budget is a number of seconds, or text such as '10m'", budget)
    if not budget > 0:
        raise ParameterError(f"budget must be positive, not {budget}")
    return float(budget)


def _headline(entry: MethodEntry) -> str:
    return "failed" if entry.status == "failed" else figure_text(entry.headline, entry.share, 1)
