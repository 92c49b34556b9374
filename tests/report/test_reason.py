"""The Chinese sentence of a choice says what the English one says: same names, same numbers."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from sightline.bench.pick import pick
from sightline.bench.results import DataEntry, EnvironmentEntry, MethodEntry, Results
from sightline.metrics.paired import Difference
from sightline.report.reason import reason

NAMES = ("slow", "middle", "quick", "brisk")


def chosen(differences, *, share=True, higher=True, margin=None, cost="latency"):
    """A choice among methods that are each cheaper than the one before."""
    methods = [
        MethodEntry(
            name=name, status="ok", metric="accuracy" if share else "mean_absolute_error",
            share=share, higher_is_better=higher, validation=(0.9 if higher else 3.0),
            latency_ms=8.0 / 2**i, latency_spread_ms=0.0, bytes=2**20 >> i, tune_seconds=0.0,
            fit_seconds=100.0 / 2**i,
        )
        for i, name in enumerate(NAMES[: len(differences) + 1])
    ]  # fmt: skip
    methods[0].validation = 0.95 if higher else 2.0
    found = dict(zip(NAMES[1:], differences, strict=False))
    made = pick(methods, lambda best, other: found[other], margin=margin, cost=cost)
    data = DataEntry(name="d", task="classify", classes=["a"], counts={}, fingerprint="f")
    machine = EnvironmentEntry(device="cpu", threads=1, versions={}, seed=0)
    return Results(data=data, environment=machine, methods=methods, pick=made)


GOOD = Difference(-0.001, -0.004, 0.002, 5000, 5000)
OPEN = Difference(-0.003, -0.014, 0.012, 1000, 2340)
WORSE = Difference(-0.03, -0.05, -0.01, 1000, None)


def numbers(text):
    return sorted(re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", text))


@pytest.mark.parametrize("cost", ["latency", "size", "training"])
@pytest.mark.parametrize(
    "differences", list(itertools.product((GOOD, OPEN, WORSE, None), repeat=3)), ids=str
)
def test_names_and_numbers_are_the_same(differences, cost):
    said = reason(chosen(differences, cost=cost))
    assert said is not None
    for name in NAMES:
        assert (name in said) == (name in said.zh), (said, said.zh)
    english = re.sub(r"worse by [\d.]+ points?|within [\d.]+ points?", "within 1", said)
    chinese = re.sub(r"[\d.]+ 个百分点以[内上]", "1", said.zh)
    # An English sentence names its margin once, a Chinese one as often: so the numbers agree.
    assert numbers(english) == numbers(chinese), (said, said.zh)
    assert not re.search(
        r"[A-Za-z]{2}", re.sub(r"slow|middle|quick|brisk|KiB|\d+ ms|ms", "", said.zh)
    )


@pytest.mark.parametrize(
    ("differences", "options", "chinese"),
    [
        ((GOOD,), {},
         "middle：验证集上 90.0%，与 slow 的 95.0% 相差在 1 个百分点以内"
         "（差 -0.10 个百分点，95% 区间 -0.40 至 0.20，5,000 张图像），"
         "而且每张图像用时 4 毫秒，而不是 8 毫秒"),
        ((OPEN,), {},
         "slow：验证集上最好（95.0%）。middle 可能同样好，而且每张图像用时更短，"
         "但 1,000 张图像还不足以证明相差在 1 个百分点以内：大约再有 1,400 张才够"),
        ((WORSE, WORSE), {},
         "slow：验证集上最好（95.0%）。按目前的比率，quick 和 middle 差 "
         "1 个百分点以上，再多图像也是如此"),
        ((GOOD,), {"margin": 0.0}, "slow：验证集上最好（95.0%），允许差距为 0 即取最好的"),
        ((None,), {},
         "slow：验证集上最好（95.0%，未作检验，只按数值排名）。"
         "middle 每张图像用时更短，但这里没有检验它是否同样好"),
        ((), {}, "slow：唯一可选的方法"),
        ((Difference(-0.5, -0.9, 0.1, 200, 400),),
         {"share": False, "higher": False, "margin": 1.0},
         "middle：验证集上 3，与 slow 的 2 相差在 1 以内"
         "（差 0.5，95% 区间 -0.1 至 0.9，200 张图像），"
         "而且每张图像用时 4 毫秒，而不是 8 毫秒"),
    ],
)  # fmt: skip
def test_the_sentence(differences, options, chinese):
    said = reason(chosen(differences, **options))
    assert said is not None
    assert said.zh == chinese


def test_what_is_dearer_is_said_by_its_cost():
    results = chosen((WORSE,))
    results.methods[0].latency_ms = float(np.float32(0.5))
    made = pick(results.methods, lambda *_: WORSE, cost="latency")
    assert made is not None
    results.pick = made
    said = reason(results)
    assert said is not None
    assert said.zh == "slow：验证集上最好（95.0%），没有别的方法每张图像用时更短"


def test_nothing_is_said_where_nothing_was_chosen():
    results = chosen((WORSE,))
    results.pick = None
    assert reason(results) is None
