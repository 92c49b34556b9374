from __future__ import annotations

import numpy as np

from sightline.bench.pick import pick
from sightline.bench.results import MethodEntry


def entry(name: str, validation: float, latency: float) -> MethodEntry:
    return MethodEntry(name=name, status="ok", validation=validation, latency_ms=latency)


def right(n: int, *wrong: int) -> np.ndarray:
    out = np.ones(n, bool)
    out[list(wrong)] = False
    return out


def test_the_cheapest_that_cannot_be_told_from_the_best():
    # slow errs on 1 of 100, fast on 3 others: McNemar on 4 images, p = 0.625.
    methods = [entry("slow", 0.99, 5.0), entry("fast", 0.97, 0.5)]
    found = pick(methods, {"slow": right(100, 0), "fast": right(100, 1, 2, 3)})
    assert found.name == "fast"
    assert "0.62" in found.reason
    assert "0.5 ms" in found.reason


def test_a_worse_one_is_not_taken_however_cheap():
    # fast errs on 20 images that slow gets right: p = 2 ** -19.
    methods = [entry("fast", 0.8, 0.5), entry("slow", 1.0, 5.0)]
    found = pick(methods, {"slow": right(100), "fast": right(100, *range(20))})
    assert found.name == "slow"
    assert "distinguishably worse" in found.reason


def test_holms_correction_is_applied():
    # Against the best, each of two errs on 6 images more: p = 0.03125 alone, twice that
    # corrected, so neither can be told from it and the cheapest wins.
    methods = [entry("best", 1.0, 9.0), entry("a", 0.94, 1.0), entry("b", 0.94, 2.0)]
    wrong = {"best": right(100), "a": right(100, *range(6)), "b": right(100, *range(6, 12))}
    assert pick(methods, wrong).name == "a"
    assert pick(methods[:2], wrong).name == "best"


def test_the_best_is_taken_when_it_is_also_the_cheapest():
    methods = [entry("best", 0.99, 0.1), entry("other", 0.98, 0.2)]
    found = pick(methods, {"best": right(100, 0), "other": right(100, 1, 2)})
    assert found.name == "best"
    assert "cannot be told from it" in found.reason


def test_no_method_no_pick():
    assert pick([], {}) is None


def test_too_few_images_to_tell_anything_are_said():
    # Of 5 images all differ: p = 2 / 2**5 = 0.0625; of 6: 0.03125.
    methods = [entry("best", 1.0, 9.0), entry("poor", 0.0, 1.0)]
    for n, said in ((5, True), (6, False)):
        found = pick(methods, {"best": right(n), "poor": np.zeros(n, bool)})
        assert ("collect more" in found.reason) == said
        assert found.name == ("poor" if said else "best")
