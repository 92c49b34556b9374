"""Say what would make a comparison surer, or its methods better, where images are few."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence

from sightline.bench.pick import about
from sightline.bench.results import AdviceEntry, GainEntry, MethodEntry
from sightline.data.dataset import Dataset
from sightline.estimators import estimator
from sightline.models import registry

WIDE = 0.05
"""Half of the interval of a share beyond which it says little: 5 points."""

FEW = 5000
"""Training images from which on a network learns its own features about as well."""

GOOD = 0.97
"""A share from which on there is little left to win."""

LEAST_SIDE = 32
"""Pixels a side below which features of photographs say nothing."""


def gain(methods: Sequence[MethodEntry]) -> GainEntry | None:
    """Return what methods that start from a trained network have over those from scratch.

    Parameters
    ----------
    methods : sequence of MethodEntry
        Of shares on validation; methods that look at no image do not count.

    Returns
    -------
    GainEntry, or None where there are not methods of both kinds
    """
    known = [m for m in methods if m.validation is not None and m.share]
    trained = [m for m in known if registry.card(m.name).starts_from]
    scratch = [m for m in known if m not in trained]
    if not trained or not scratch:
        return None
    best, other = (max(kind, key=lambda m: m.validation or 0.0) for kind in (trained, scratch))
    figures = best.validation or 0.0, other.validation or 0.0
    return GainEntry(name=best.name, over=other.name, figures=figures)


def gained(entry: GainEntry) -> str:
    """Return in a sentence what pretrained features have brought.

    Examples
    --------
    >>> gained(GainEntry(name="features+knn", over="knn", figures=(0.9, 0.75)))
    'features+knn has 90.0% on validation, 15.0 points more than knn, the best from scratch'
    """
    ours, theirs = entry.figures
    points = f"{abs(ours - theirs) * 100:.1f} points {'more' if ours >= theirs else 'less'}"
    return (
        f"{entry.name} has {ours:.1%} on validation, {points} than {entry.over}, the best from "
        "scratch"
    )


def advise(
    data: Dataset, named: str, picked: MethodEntry, task: str, methods: Sequence[str] = ()
) -> list[AdviceEntry]:
    """Return what would help, in the order of what it is likely to bring.

    Parameters
    ----------
    data : Dataset
        That the methods were compared on.
    named : str
        As it was given on the command line: commands name it.
    picked : MethodEntry
        With its figure and interval on the test split.
    task : str
    methods : sequence of str
        That were compared: what they have is not advised.
    """
    if not picked.share or picked.headline is None or picked.interval is None:
        return []
    advice = []
    where = shlex.quote(named)
    seen = data.mode == "RGB" and (data.size is None or min(data.size) >= LEAST_SIDE)
    command = estimator(task).pretrained_command(where)
    taken = any(registry.card(name).starts_from for name in methods)
    if command and not taken and seen and len(data.train) < FEW and picked.headline < GOOD:
        advice.append(AdviceEntry(kind="pretrained features", command=command))
    low, high = picked.interval
    if (high - low) / 2 > WIDE:
        more = images_for(picked.headline, WIDE) - len(data.test)
        if more > 0:
            advice.append(AdviceEntry(kind="more images", images=more))
        again = f"sightline compare {where} --seed {data.seed + 1}"
        advice.append(AdviceEntry(kind="another split", command=again))
    return advice


def images_for(share: float, half_width: float) -> int:
    """Return how many images put half of the 95% interval of a share within a bound.

    Examples
    --------
    >>> images_for(0.589, 0.05)
    372
    """
    return math.ceil(share * (1 - share) * (1.96 / half_width) ** 2)


def sentences(advice: Sequence[AdviceEntry]) -> list[str]:
    """Return pieces of advice as English sentences."""
    said = {
        "pretrained features": "features of a network that has seen a million photographs: "
        "{command}",
        "more images": "about {images} more test images, labelled, would put the figure within "
        "5 points",
        "another split": "another split shows how much the figures owe to this one: {command}",
    }
    return [
        said[one.kind].format(command=one.command, images=about(one.images or 0)) for one in advice
    ]
