"""Methods as estimators on data sets: one file a task."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.data import load_data
from sightline.data.dataset import Dataset
from sightline.errors import RunError
from sightline.models import registry
from sightline.training import run
from sightline.types import Task

if TYPE_CHECKING:
    from sightline.estimators.classify import Classifier

ESTIMATORS: dict[Task, str] = {Task.CLASSIFY: "sightline.estimators.classify:Classifier"}
"""The class that makes a method of a task an estimator; a new task is one line here."""


def create_model(
    name: str, data: Dataset | str | Path | None = None, *, seed: int = 0, **options: Any
) -> Classifier:
    """Make an unfitted estimator.

    Parameters
    ----------
    name : str
        See `sightline.list_models`.
    data : Dataset, name or path, optional
        Checked to allow the method's task.
    seed : int
    **options
        The method's knobs and those of preprocessing (``size``, ``resize``, ``scale``).

    Raises
    ------
    UnknownNameError
        When the method, or an option of it, does not exist; the nearest is suggested.

    Examples
    --------
    >>> import sightline
    >>> sightline.create_model("knn", k=7, metric="l1").options["k"]
    7
    """
    card = registry.card(name)
    if data is not None:
        from sightline.data import check_task

        check_task(load_data(data), card.task)
    estimator = registry.resolve(ESTIMATORS[card.task])
    made: Classifier = estimator.create(name, options, seed=seed)
    return made


def load_model(path: str | Path) -> Classifier:
    """Load a saved run.

    Raises
    ------
    RunError
        When the folder is no run, is damaged, or comes from a newer version.
    """
    folder = Path(path)
    if not folder.exists():
        raise RunError(f"{folder}: no such run")
    config = run.read_json(folder / run.CONFIG)
    try:
        version, task = int(config["format"]), Task(config["task"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{folder / run.CONFIG} is not a run's configuration ({error})") from None
    if version > run.FORMAT:
        raise RunError(f"{folder} was written by a newer sightline; upgrade to read it")
    estimator = registry.resolve(ESTIMATORS[task])
    loaded: Classifier = estimator.load(folder, config)
    return loaded
