"""Schedule the learning rate over the steps of a training."""

from __future__ import annotations

import math

from sightline.training.recipe import Recipe


def share(recipe: Recipe, step: int, steps: int) -> float:
    """Return the learning rate at a step, from 0, as a share of the highest.

    It rises linearly over the warm-up, then falls by the recipe's schedule to ``final_lr``
    (one-cycle: Smith & Topin, Super-convergence, 2018; cosine: Loshchilov & Hutter, SGDR, 2017,
    equation 5).

    Examples
    --------
    >>> recipe = Recipe(schedule="one-cycle", warmup=0.5)
    >>> [share(recipe, step, 4) for step in range(4)]
    [0.5, 1.0, 0.75, 0.25]
    """
    rise = recipe.warmup * steps
    if step + 1 <= rise:
        return (step + 1) / rise
    if recipe.schedule == "constant":
        return 1.0
    done = min(1.0, (step + 0.5 - rise) / max(steps - rise, 1e-9))
    done = max(done, 0.0)
    fall = 1 - done if recipe.schedule == "one-cycle" else (1 + math.cos(math.pi * done)) / 2
    return recipe.final_lr + (1 - recipe.final_lr) * fall
