"""Which method to take: the cheapest that is not distinguishable from the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.bench.results import MethodEntry, PickEntry
from sightline.metrics.paired import holm, mcnemar

ALPHA = 0.05


def pick(
    methods: Sequence[MethodEntry], right: Mapping[str, NDArray[np.bool_]]
) -> PickEntry | None:
    """Choose on validation.

    The method with the best validation figure is compared with every other on the same
    validation images (McNemar's exact test, Holm's correction). Among it and those not
    distinguishable from it at 5%, the one with the least latency is taken.

    Parameters
    ----------
    methods : sequence of MethodEntry
        Those that ran to the end.
    right : dict of str to bool array, shape (N,)
        Which validation images each method got right, in one order for all.

    Returns
    -------
    PickEntry, or None when no method ran to the end
    """
    ranked = sorted(
        (m for m in methods if m.validation is not None),
        key=lambda m: (-(m.validation or 0.0), m.latency_ms or 0.0),
    )
    if not ranked:
        return None
    best, others = ranked[0], ranked[1:]
    images = len(right[best.name])
    if not others:
        return PickEntry(name=best.name, reason=f"{best.name}: the only method that ran")
    p_values = holm([mcnemar(right[best.name], right[m.name]) for m in others])
    close = {m.name: p for m, p in zip(others, p_values, strict=True) if p >= ALPHA}
    cheapest = min(
        [best, *(m for m in others if m.name in close)], key=lambda m: m.latency_ms or 0.0
    )
    test = f"McNemar's test on {images:,} validation images, Holm-corrected"
    if cheapest is best:
        reason = f"{best.name}: most accurate on validation ({_percent(best)})"
        if close:
            reason += (
                f"; {', '.join(close)} cannot be told from it ({test}), but cost"
                f"{'s' if len(close) == 1 else ''} more an image"
            )
        else:
            worst = max(p_values)
            reason += (
                f", and every other method is distinguishably worse (p <= {worst:.2g}; {test})"
            )
        return PickEntry(name=best.name, reason=reason)
    reason = (
        f"{cheapest.name}: {_percent(cheapest)} on validation cannot be told from "
        f"{best.name}'s {_percent(best)} (p = {close[cheapest.name]:.2g}; {test}), and it "
        f"takes {cheapest.latency_ms:.3g} ms an image instead of {best.latency_ms:.3g} ms"
    )
    if _too_few(images, len(others)):
        reason += f"; {images} images can tell no two methods apart: collect more"
    return PickEntry(name=cheapest.name, reason=reason)


def _too_few(images: int, others: int) -> bool:
    """Whether even a method that errs on every image the best gets right would be as good."""
    return 2 * 0.5**images * others >= ALPHA


def _percent(method: MethodEntry) -> str:
    return f"{100 * (method.validation or 0.0):.1f}%"
