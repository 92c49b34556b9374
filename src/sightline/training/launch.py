"""Start the device or devices that a training computes on."""

from __future__ import annotations

import atexit
import logging
import os
from typing import TYPE_CHECKING, Any

import torch

from sightline.errors import TrainingError
from sightline.models import device
from sightline.training import run
from sightline.training.recipe import Recipe, precision_of

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def launch(recipe: Recipe) -> Fabric:
    """Start Fabric on the device or devices that a recipe names.

    Raises
    ------
    TrainingError
        When there is no such device, or several were not started by torchrun.
    """
    from lightning_fabric import Fabric

    # What it says of precision and devices stands in the run.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    processes = recipe.devices * recipe.nodes
    if processes > 1 and "RANK" not in os.environ:
        raise TrainingError(
            f"{processes} devices need as many processes: start them with torchrun "
            f"--nproc-per-node {recipe.devices} -m sightline ..., see docs/scale.md"
        )
    kind, number = device.parts(recipe.device)
    try:
        fabric = Fabric(
            accelerator=kind, devices=recipe.devices if number is None else [number],
            num_nodes=recipe.nodes, precision=precision_of(recipe),
            strategy="ddp" if processes > 1 else "auto",
        )  # fmt: skip
        fabric.launch()
        atexit.register(run.leave_others)
    except (RuntimeError, ValueError, TypeError) as error:
        why = str(error).splitlines()[0]
        raise TrainingError(f"cannot train on {recipe.devices} x {recipe.device}: {why}") from None
    return fabric


def used(fabric: Fabric, recipe: Recipe) -> dict[str, Any]:
    """Return what a training computes on: the processor, or the graphics processor by its name."""
    cuda = fabric.device.type == "cuda"
    name = torch.cuda.get_device_name(fabric.device) if cuda else fabric.device.type
    return {"device": name, "devices": fabric.world_size, "precision": precision_of(recipe)}
