"""Images that arrive together go through together, and nobody's answer changes by it."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from sightline.deploy.server.batching import Batcher


def image(value: int) -> np.ndarray:
    return np.full((2, 2, 3), value, np.uint8)


def batcher(answer, **options):
    given = {"max_batch": 4, "max_wait": 0.05, "capacity": 100} | options
    return Batcher(answer, **given)


def firsts(X):
    return [int(x[0, 0, 0]) for x in X]


def test_what_queued_while_the_model_was_busy_goes_together(gate):
    async def scenario():
        made = batcher(firsts)
        gate.hold(made)
        asked = [asyncio.create_task(made.ask([image(i)])) for i in range(10)]
        await asyncio.sleep(0.05)
        gate.open()
        said = await asyncio.gather(*asked)
        made.close()
        return said

    assert asyncio.run(scenario()) == [[i] for i in range(10)]
    assert gate.sizes == [4, 4, 2]


def test_a_lone_image_does_not_wait():
    async def scenario():
        made = batcher(firsts, max_wait=5.0)
        start = time.perf_counter()
        for i in range(5):
            assert await made.ask([image(i)]) == [i]
        made.close()
        return time.perf_counter() - start

    assert asyncio.run(scenario()) < 2


def test_a_batch_that_fills_while_it_waits_goes_at_once(gate):
    async def scenario():
        made = batcher(firsts, max_wait=5.0)
        gate.hold(made)
        first = asyncio.create_task(made.ask([image(0)]))
        await asyncio.sleep(0.05)
        others = [asyncio.create_task(made.ask([image(1)]))]
        gate.open()
        await first  # the model is free, and one image waits for others
        start = time.perf_counter()
        others += [asyncio.create_task(made.ask([image(i)])) for i in (2, 3, 4)]
        await asyncio.gather(*others)
        made.close()
        return time.perf_counter() - start

    assert asyncio.run(scenario()) < 2
    assert gate.sizes == [1, 4]


def test_images_of_one_request_may_be_in_several_batches():
    sizes = []

    async def scenario():
        made = batcher(firsts, on_batch=sizes.append)
        said = await made.ask([image(i) for i in range(11)])
        made.close()
        return said

    assert asyncio.run(scenario()) == list(range(11))
    assert sizes == [4, 4, 3]


def test_a_failure_reaches_all_that_were_in_the_batch_and_nobody_else(gate):
    def picky(X):
        if 3 in firsts(X):
            raise ValueError("three")
        return firsts(X)

    async def scenario():
        made = batcher(picky, max_batch=2)
        gate.hold(made)
        asked = [asyncio.create_task(made.ask([image(i)])) for i in range(6)]
        await asyncio.sleep(0.05)
        gate.open()
        said = await asyncio.gather(*asked, return_exceptions=True)
        made.close()
        return said

    said = asyncio.run(scenario())
    assert said[:2] + said[4:] == [[0], [1], [4], [5]]
    assert [str(e) for e in said[2:4]] == ["three", "three"]


def test_answers_in_batches_equal_those_without(model):
    from sightline.deploy.runtime import Runtime

    runtime = Runtime(model)
    random = np.random.default_rng(0)
    X = random.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    alone = [runtime.answer(x[None])[0].probabilities for x in X]
    sizes = []

    async def scenario():
        made = batcher(
            lambda ready: runtime.answer(np.stack(ready)), max_batch=8, on_batch=sizes.append
        )
        said = await asyncio.gather(*(made.ask([x]) for x in X))
        made.close()
        return said

    said = asyncio.run(scenario())
    assert max(sizes) == 8
    np.testing.assert_allclose([a.probabilities for [a] in said], alone, atol=1e-6)


def test_places_are_given_back_whatever_happens():
    from sightline.deploy.server.problems import Problem

    made = batcher(firsts, capacity=2)
    with made.places(2), pytest.raises(Problem), made.places(1):
        pass
    assert made.inside == 0
    made.close()
