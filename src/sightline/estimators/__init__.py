"""Make, train and load estimators: methods on data sets, one file a task."""

from __future__ import annotations

from pathlib import Path
from pkgutil import extend_path
from typing import TYPE_CHECKING, Any

from sightline import tasks
from sightline.data.load import load_data
from sightline.errors import RunError, missing, wrong_kind
from sightline.models import registry
from sightline.models.device import check
from sightline.training import run

if TYPE_CHECKING:
    from sightline.estimators.base import Estimator

__path__ = extend_path(__path__, __name__)  # see `sightline.tasks`


def estimator(task: str) -> type[Estimator]:
    """Return the estimator of a task: the subclass of `Estimator` in the task's file.

    Raises
    ------
    UnknownNameError
        When there is no such task here.
    """
    from sightline.estimators.base import Estimator

    module = tasks.module("estimators", task)
    made: type[Estimator] = next(
        value for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Estimator)
        and value.__module__ == module.__name__
    )  # fmt: skip
    return made


def estimator_for(name: str) -> type[Estimator]:
    """Return the estimator class of a method's task.

    Raises
    ------
    UnknownNameError
        When there is no such method, or its task has no files here.
    """
    return estimator(registry.card(name).task)


def create_model(name: str, data: Any = None, *, seed: int = 0, **options: Any) -> Estimator:
    """Make an unfitted estimator.

    Parameters
    ----------
    name : str
        See `sightline.list_models`.
    data : Dataset, or what `load_data` takes, optional
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
    if not isinstance(name, str):
        raise wrong_kind("name is that of a method, such as 'knn'", name)
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise wrong_kind("seed is a whole number", seed)
    kind = estimator_for(name)
    if data is not None:
        kind.check_serves(load_data(data))
    return kind.create(name, options, seed=seed)


def load_model(path: str | Path, device: str = "cpu") -> Estimator:
    """Load a fitted estimator from a run's folder, or one that was trained elsewhere.

    Parameters
    ----------
    path : str or path
        Of the run; or ``onnx:FILE``, an exported classifier, or ``imagenet:NAME``, a network with
        ImageNet's 1,000 classes.
    device : str
        Where it answers: cpu, cuda, cuda:1, mps, or auto, which takes a graphics processor if there
        is one and the method can use it.

    Raises
    ------
    RunError
        When the folder is no run, is damaged, or comes from a newer version.
    ParameterError
        When the machine lacks the device, or the method cannot use it.
    """
    if not isinstance(path, str | Path):
        raise wrong_kind("path is the folder of a run", path)
    check(device)
    if registry.is_foreign(str(path)):
        kind = estimator_for(str(path))
        return _on(device, kind.create(str(path), {}).as_it_is())
    folder = Path(path)
    if not folder.exists():
        raise RunError(missing(path, "no such run"))
    config = run.read_config(folder)
    task = config["task"]
    if task not in tasks.names():
        raise RunError(
            f"{folder} is a run of the task {task!r}, which is not here; here are "
            f"{', '.join(tasks.names())}"
        )
    return _on(device, estimator(task).load(folder, config))


def _on(device: str, model: Estimator) -> Estimator:
    if device != "cpu":
        model.method_.compute_on(device)
    return model
