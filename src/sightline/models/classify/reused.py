"""Describe the classifiers of the bench as methods of tasks whose answers a last layer can give."""

from __future__ import annotations

import dataclasses

from sightline.errors import ParameterError
from sightline.models.card import ModelCard
from sightline.types import Task


def reused_card(name: str, task: Task, answer: str) -> ModelCard:
    """Return the card of a classifier whose last layer gives another answer: ``TASK:NAME``.

    Parameters
    ----------
    name : str
        Of a network of the registry that classifies, ``torchvision:NAME`` and ``timm:NAME`` too.
    task : Task
        Whose answers it gives; its name is the prefix.
    answer : str
        What they are, for the summary.

    Raises
    ------
    UnknownNameError
        When there is no such network.
    ParameterError
        When it is no network that classifies.
    """
    from sightline.models import registry

    base = registry.card(name)
    if base.kind != "module" or base.task != Task.CLASSIFY:
        raise ParameterError(f"{task}:{name}: {name} is no network that classifies")
    return dataclasses.replace(
        base,
        name=f"{task}:{name}",
        task=task,
        summary=f"{name} with {answer}",
        pretrained=(base.pretrained or base.name) if "imagenet" in base.weights else "",
        rung=False,
    )
