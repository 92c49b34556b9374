"""Show why a network was wrong: the mistakes it was surest of, with maps of both classes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sightline.data.dataset import Dataset
from sightline.errors import SightlineError
from sightline.estimators.base import Estimator
from sightline.metrics.classify import Evaluation
from sightline.models import registry
from sightline.report.parts import Part, Picture, Row, Section
from sightline.report.words import joined, say

if TYPE_CHECKING:
    from sightline.explain.opened import Opened
    from sightline.explain.opened import Picture as Seen

MOST = 6
"""Mistakes that are shown."""

SECONDS = 4.0
"""That testing the maps may take; else they are shown untested."""

SIDE = 240
"""Pixels of the longer side of a picture."""

STEPS = 10
"""Parts in which pixels are taken away and given back: few, as several pictures are averaged."""

TEXT = say(
    "Grad-CAM of the wrong answer and of the right one: bright is what speaks for the class. "
    "Through another network the same picture may look otherwise; a map tells of this one alone."
)


def section(model: Estimator, data: Dataset, e: Evaluation, worst: Sequence[int]) -> list[Section]:
    """Return the section of the mistakes with their maps; none where there is nothing to show.

    Parameters
    ----------
    model : Estimator
        Fitted; of methods that are no networks with convolutions there is nothing to show.
    data : Dataset
    e : Evaluation
    worst : sequence of int
        Images of the evaluation that were answered wrongly, the surest first.
    """
    if not len(worst) or registry.card(model.name).kind != "module":
        return []
    from sightline.explain.opened import Opened

    opened = Opened(model.name, model)
    rows: list[Row] = []
    seen: list[tuple[Seen, str, str]] = []
    begun = time.perf_counter()
    for i in worst[:MOST]:
        if time.perf_counter() - begun > SECONDS:
            break
        said, true = data.classes[e.predicted[i]], data.classes[e.labels[i]]
        try:
            sample = data.sample(int(e.rows[i]))
            picture = opened.picture(sample.image, sample.id)
            layer, pictures = _maps(opened, picture, [said, true])
        except SightlineError:  # no convolution, or a picture that cannot be read any more
            continue
        seen.append((picture, said, layer))
        lines = (f"{said} {e.confidence[i]:.0%}", say("is {label}", label=true), sample.id)
        rows.append(Row(lines, pictures))
    if not rows:
        return []
    title = say("Why it was sure of wrong answers")
    summary = say("{count} of the mistakes, with maps", count=str(len(rows)))
    part = Part(summary, note=_truth(opened, seen), rows=rows)
    return [Section(title, TEXT, parts=[part])]


def _maps(opened: Opened, picture: Seen, classes: Sequence[str]) -> tuple[str, tuple[Picture, ...]]:
    """Return the layer, and a picture with its maps of several classes, of one pass forward."""
    from sightline.data.images import as_picture
    from sightline.explain import maps
    from sightline.explain.opened import evaluating
    from sightline.report import plots
    from sightline.report.maps import heat, shrunk

    targets = [opened.targets(picture, name)[0] for name in classes if name in opened.outputs]
    layer = opened.default_layer(picture, targets[0])
    with evaluating(opened.model):
        A, slopes = maps.activations(opened, picture.x, layer, [t.value for t in targets])
    small = shrunk(picture.pixels, SIDE)
    made = [Picture(plots.data_uri(as_picture(small)), (say("the picture"),))]
    for target, G in zip(targets, slopes, strict=True):
        values, evidence = maps.scaled(maps.weighed("grad-cam", A, G), picture.size)
        label = say("for {label}", label=target.name)
        if not evidence[0]:
            label = say("for {label}: no positive evidence", label=target.name)
        warm = heat(picture.pixels, picture.frame, values[0], SIDE)
        made.append(Picture(plots.data_uri(as_picture(warm), "JPEG", quality=85), (label,)))
    return layer, tuple(made)


def _truth(opened: Opened, seen: Sequence[tuple[Seen, str, str]]) -> str:
    """Describe how many of the maps beat the null maps; of slow networks that it was not tested."""
    from sightline.explain import maps, truth
    from sightline.explain.opened import evaluating

    begun = time.perf_counter()
    better = {"deletion": 0, "insertion": 0}
    with evaluating(opened.model):
        for done, (picture, name, layer) in enumerate(seen, 1):
            target = opened.targets(picture, name)[0]
            made = maps.explain(opened, picture, target, ["grad-cam"], layer=layer)
            one = truth.judge(opened, picture, target, made[0], steps=STEPS)
            if done == 1 and (time.perf_counter() - begun) * 4 * len(seen) > SECONDS:
                return say(
                    "Whether the maps are true was not tested here, as that would take more than "
                    "{seconds} seconds; this does: {command}",
                    seconds=f"{SECONDS:.0f}",
                    command="sightline explain cam RUN IMAGE",
                )
            nulls = truth.judge_nulls(opened, picture, target, made, steps=STEPS, draws=1)
            lost = truth.unbeaten(one, nulls)
            for measure in better:
                better[measure] += measure not in lost
    return joined([
        say(
            "Of the {all} maps of wrong answers {deletion} beat all null maps in deletion and "
            "{insertion} in insertion.", all=str(len(seen)), deletion=str(better["deletion"]),
            insertion=str(better["insertion"]),
        ),
        say(
            "Null maps know nothing of the network: chance, the middle, the edges; a map that "
            "does not beat them proves nothing."
        ),
    ])  # fmt: skip
