"""Prepare a process for a method before its clocks start: libraries, threads, one small run.

What a library costs when it is imported, and what it does on its first call, is paid once a
process. It belongs neither to the time of a fit nor to that of an answer, and the memory of a first
run is not the method's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from sightline.data.dataset import Dataset, Split
from sightline.data.transforms import Preprocess
from sightline.errors import SightlineError
from sightline.estimators import create_model, tuning
from sightline.metrics import cost, threads
from sightline.models import registry

FEW = 32
"""Images of the small run."""


def load_libraries(method: str) -> None:
    """Import what a kind of method needs: torch and the training loop for a network.

    Raises
    ------
    UnknownNameError
        When there is no such method.
    """
    if registry.card(method).kind == "module":
        importlib.import_module("sightline.training.engine")


def threads_for(method: str, train: Split, preprocess: Preprocess, asked: int | None) -> int:
    """Return how many threads a method gets: those asked for, else what its work and machine suit.

    Parameters
    ----------
    method : str
    train : Split
        What it is to learn from; the size of the images counts as it sees them.
    preprocess : Preprocess
    asked : int, optional

    Raises
    ------
    ParameterError
        When fewer than 1 are asked for.
    """
    threads.check(asked)
    if asked is not None:
        return asked
    side = preprocess.size or registry.card(method).largest_side
    height, width = (side, side) if preprocess.size else train.data.size or (side, side)
    values = len(train) * height * width * (1 if train.data.mode == "L" else 3)
    most = threads.suited(values, threads.available())
    return most if most == 1 else min(most, threads.spare())


def run_once(
    method: str, data: Dataset, preprocess: Preprocess, seed: int, fixed: Mapping[str, Any]
) -> None:
    """Tune, fit and ask a method on a few images, so that nothing is done for the first time later.

    All images are decoded, where the method takes them packed. What fails here is left for the real
    run to say.
    """
    load_libraries(method)
    with contextlib.suppress(SightlineError, ValueError):
        train, val = few(data.train), few(data.val)
        own = dataclasses.asdict(preprocess)
        if tuning.grid_of(method) != [{}]:
            tuning.on_validation(method, train, val, fixed, preprocess, budget=0.0, seed=seed)
        model = create_model(method, data, seed=seed, **fixed, **own).fit(train, val, budget=0.01)
        model.evaluate(val)
        model.predict([val[0].image])
    gc.collect()
    cost.forget_peak()


def few(split: Split) -> Split:
    """Return a few images of a split, of as many of its classes as they can show."""
    labels = split.labels
    order = np.argsort(labels, kind="stable")
    firsts = np.unique(labels[order], return_index=True)[1]
    turn = np.arange(len(labels)) - np.repeat(firsts, np.diff([*firsts, len(labels)]))
    return split.take(np.sort(order[np.lexsort((labels[order], turn))][:FEW]))
