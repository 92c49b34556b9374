from __future__ import annotations

import pytest

from sightline.bench.results import MethodEntry
from sightline.report import plots


@pytest.mark.parametrize(
    ("higher", "figures"), [(True, (0.9, 0.8, 0.95, 0.95)), (False, (2.0, 3.0, 1.0, 1.0))]
)
def test_the_front_is_what_nothing_beats(higher, figures):
    names, times = ("fast", "poor", "good", "slow"), (1.0, 2.0, 3.0, 4.0)
    methods = [
        MethodEntry(name=n, status="ok", headline=h, latency_ms=t, higher_is_better=higher)
        for n, h, t in zip(names, figures, times, strict=True)
    ]
    assert [m.name for m in plots.pareto(methods[::-1])] == ["fast", "good"]
