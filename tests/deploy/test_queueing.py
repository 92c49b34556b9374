"""The simulated server: against known queues, the real batching, and examples by hand."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import replace

import numpy as np
import pytest

from sightline.deploy import probe, queueing
from sightline.deploy.queueing import Server
from sightline.deploy.server.batching import Batcher
from sightline.errors import ParameterError

SINGLE = Server(each=0.01, max_batch=1, max_wait=0)


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_exponential_service_has_the_quantiles_of_m_m_1(share):
    # The time in an M/M/1 queue is exponential, of rate mu - lambda.
    at = queueing.arrivals(share * 100, 100_000)
    times = queueing.simulate(replace(SINGLE, variation=1.0), at)
    rate = 100 - share * 100
    assert times.mean() == pytest.approx(1 / rate, rel=0.06)
    for quantile in (0.5, 0.99):
        wanted = -math.log(1 - quantile) / rate
        assert np.quantile(times, quantile) == pytest.approx(wanted, rel=0.08)


@pytest.mark.parametrize(("share", "variation"), [(0.3, 0.0), (0.8, 0.0), (0.6, 0.5)])
def test_the_mean_wait_is_that_of_pollaczek_and_khinchine(share, variation):
    at = queueing.arrivals(share * 100, 100_000)
    times = queueing.simulate(replace(SINGLE, variation=variation), at)
    wait = share * 0.01 * (1 + variation**2) / 2 / (1 - share)
    assert times.mean() == pytest.approx(0.01 + wait, rel=0.03)


def test_steady_service_has_the_distribution_of_m_d_1():
    def waits_at_most(t: float, share: float) -> float:  # Erlang, 1909; t in service times
        terms = ((share * (k - t)) ** k / math.factorial(k) * math.exp(-share * (k - t))
                 for k in range(int(t) + 1))  # fmt: skip
        return (1 - share) * sum(terms)

    times = queueing.simulate(SINGLE, queueing.arrivals(70, 100_000)) / 0.01 - 1
    for t in (0.0, 0.5, 1.7, 4.0):
        assert np.mean(times <= t + 1e-9) == pytest.approx(waits_at_most(t, 0.7), abs=0.01)


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time goes to the next timer at once."""

    def __init__(self) -> None:
        super().__init__()
        self.moment = 0.0
        self._clock_resolution = 1e-12

    def time(self) -> float:
        return self.moment

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self.moment = max(self.moment, self._scheduled[0].when())
        super()._run_once()


class Model:
    """Takes the place of a batcher's thread: each batch ends after its time of that clock."""

    def __init__(self, batcher: Batcher, server: Server) -> None:
        self.batcher, self.server = batcher, server
        self.sizes: deque[int] = deque()

    def put(self, work) -> None:
        if work is None:
            return
        loop, batch = work
        self.sizes.append(len(batch))
        seconds = self.server.batch + self.server.each * len(batch)
        answers = [0] * len(batch)
        loop.call_later(seconds, self.batcher._finished, loop, batch, answers, None, seconds)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("wait", [0.0, 0.002, 0.02])
def test_batches_are_those_of_the_real_batcher(share, wait):
    server = Server(batch=0.004, each=0.002, max_batch=4, max_wait=wait)
    at = queueing.arrivals(share * server.capacity, 1000)
    batcher = Batcher(lambda images: images, max_batch=4, max_wait=wait, capacity=10**6)
    batcher.close()
    model = batcher._work = Model(batcher, server)
    times = np.zeros(len(at))

    async def one(i: int) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(at[i] - loop.time())
        await batcher.ask([i])
        times[i] = loop.time() - at[i]

    async def every() -> None:
        await asyncio.gather(*(one(i) for i in range(len(at))))

    with asyncio.Runner(loop_factory=Clock) as runner:
        runner.run(every())
    assert max(model.sizes) > 1
    assert queueing.simulate(server, at) == pytest.approx(times, abs=1e-9)


def test_threads_share_the_cores():
    # The second request's HTTP, of 2 ms, runs beside the first one's model, of 6 ms.
    server = Server(before=0.002, batch=0.006, after=0.001, max_batch=1, max_wait=0)
    at = np.array([0.0, 0.003])
    # On one core both go at half speed: the loop is done at 7 ms, the model at 10; then the
    # first answer, beside which the second's model begins, at half speed both, to 12 and 17.
    assert queueing.simulate(server, at) == pytest.approx([0.012, 0.015])
    # On two: the model ends at 8 ms; the second's begins at once, and ends at 14.
    two = replace(server, cores=2)
    assert queueing.simulate(two, at) == pytest.approx([0.009, 0.012])


def test_other_threads_decode_large_pictures():
    server = Server(before=0.001, decode=0.01, each=0.002, wire=0.003, cores=3, decoders=2)
    assert queueing.simulate(server, np.array([0.0])) == pytest.approx([server.alone])
    # Three at once: two are decoded together, until 11 and 12 ms, the third from then to 21. The
    # model is free again at 13; the second waits 2 ms from 12 on for others to join it.
    times = queueing.simulate(server, np.array([0.0, 0.0, 0.0]))
    assert times == pytest.approx([0.016, 0.019, 0.026])


def test_a_server_that_idled_is_slower():
    server = Server(before=0.001, each=0.002, max_wait=0, cold=0.004, cooling=0.01)
    # The first finds it cold; the second comes 20 ms after the first's end.
    at = np.array([0.0, 0.027])
    times = queueing.simulate(server, at)
    assert times == pytest.approx([0.007, 0.003 + 0.004 * (1 - math.exp(-2))])
    assert queueing.simulate(server.faster(2), at[:1]) == pytest.approx([0.0035])


def test_work_is_what_the_requests_take_together():
    server = Server(before=0.001, after=0.0005, batch=0.001, each=0.002, decode=0.004, max_batch=4)
    apart = np.arange(5) * 0.1  # each in a batch of its own
    assert queueing.work(server, apart) == pytest.approx(0.0085)
    assert queueing.work(replace(server, cold=0.003, cooling=1e-6), apart) == pytest.approx(0.0115)
    wide = replace(server, cores=9, decoders=4)
    together = queueing.work(wide, np.zeros(4))  # in fewer batches
    assert 0.0075 < together < 0.0085


def test_the_cooling_of_a_server_is_recovered_from_two_pauses():
    short, long = probe.PAUSES
    cold, cooling = probe._cooling(0.002 * (1 - math.exp(-short / 0.008)), 0.002)
    assert (cold, cooling) == pytest.approx((0.002, 0.008))
    assert probe._cooling(0.001, 0.0)[0] == 0
    assert 0 < probe._cooling(-0.001, 0.002)[1] < math.inf
    assert 0 < probe._cooling(0.003, 0.002)[1] < math.inf
    assert long > 3 * cooling


def test_the_highest_rate_just_meets_its_target():
    server = Server(before=0.001, after=0.0005, batch=0.001, each=0.002, variation=0.1)
    most = queueing.highest(server, 0.02)
    assert 0 < most < server.capacity
    assert queueing.response(server, most) <= 0.02
    assert queueing.response(server, 1.1 * most) > 0.02
    assert queueing.response(server, server.capacity) == math.inf
    assert queueing.servers(server, 3.5 * most, 0.02) == 4
    assert queueing.servers(server, 1, 0.004) is None
    with pytest.raises(ParameterError, match="million"):
        queueing.servers(server, 1e12, 0.02)


def test_costs_are_recovered_from_what_a_server_used():
    share = np.array([1.0, 0.5, 0.125])  # batches by image
    rows = np.stack([share, 0.4 + 0.2 * share, 3 + 1 + 0.5 * share], 1) / 1e3
    rows[:, 0] = share
    inside = probe._fitted(rows, [0.0055] * 10, 0.003, inline=False)
    assert (inside.before, inside.after) == pytest.approx((0.0002, 0.0002))
    assert (inside.decode, inside.each, inside.batch) == pytest.approx((0.003, 0.001, 0.0007))
    assert inside.alone == pytest.approx(0.0055)
    inline = probe._fitted(rows, [0.001] * 10, 0.0003, inline=True)
    assert (inline.before, inline.after) == pytest.approx((0.00035, 0.00005))
    assert (inline.decode, inline.each, inline.wire) == pytest.approx((0, 0.004, 0))
