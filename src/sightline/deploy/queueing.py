"""Simulate how long requests take of a server, and compute how many requests it can take.

What is simulated is the server of `sightline serve`, event by event: requests come at random
(Poisson); the event loop's thread receives each, decodes small pictures and writes the answers;
larger pictures are decoded by other threads; a model's thread runs batches, by the rule of
`sightline.deploy.server.batching`; all of them share the cores equally. With batches of one and
nothing but the model it is the queue M/G/1, whose mean wait and, for steady or exponential
service, distribution are known (Pollaczek 1930, Erlang 1909), and which the tests compare with.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ParameterError

MOST = 1_000_000
REQUESTS = 20_000
"""Simulated for a 99th percentile: it is then the 200th longest."""


@dataclass(frozen=True)
class Server:
    """What requests of one picture each take of a server: seconds of a core, and its rule.

    Parameters
    ----------
    before : float
        Of the event loop until a picture can be queued: HTTP, and decoding where it is small.
    after : float
        Of the event loop for the answer.
    decode : float
        Of a decoding thread; 0 where the event loop decodes.
    batch, each : float
        Of the model's thread: ``batch + each * n`` for a batch of n.
    wire : float
        Seconds on the way that take no core of the server.
    cold, cooling : float
        What a request takes besides, of the event loop, where the server idled before it: after
        ``t`` seconds it is ``cold * (1 - exp(-t / cooling))``. Caches and clocks have cooled down.
    variation : float
        Coefficient of variation of all these but `wire`: their deviation over their mean.
    max_batch : int
    max_wait : float
        See `sightline.deploy.server.settings.Settings`.
    cores, decoders : int
        Cores that the threads share, and threads that decode.
    """

    before: float = 0.0
    after: float = 0.0
    decode: float = 0.0
    batch: float = 0.0
    each: float = 0.0
    wire: float = 0.0
    cold: float = 0.0
    cooling: float = 1.0
    variation: float = 0.0
    max_batch: int = 8
    max_wait: float = 0.002
    cores: int = 1
    decoders: int = 1

    @property
    def alone(self) -> float:
        """Return the seconds of a request that meets no other, of a server that is warm."""
        return self.before + self.decode + self.batch + self.each + self.after + self.wire

    @property
    def capacity(self) -> float:
        """Return the requests a second that it can answer in full batches."""
        model = self.batch / self.max_batch + self.each
        loop = self.before + self.after
        busiest = max(loop, model, self.decode / self.decoders)
        return 1 / max(busiest, (loop + model + self.decode) / self.cores)

    def faster(self, times: float) -> Server:
        """Return the same server on cores that are some times as fast."""
        return replace(
            self, before=self.before / times, after=self.after / times,
            decode=self.decode / times, batch=self.batch / times, each=self.each / times,
            cold=self.cold / times,
        )  # fmt: skip


class _Simulation:
    """A server at work: what its threads do, and what waits for them."""

    def __init__(self, server: Server, at: NDArray[np.float64], seed: int) -> None:
        self.server, self.at = server, at
        self.ended = np.zeros(len(at))
        self.noise = _noise(server.variation, np.random.default_rng([seed, 1]))
        self.now, self.left, self.came, self.idle = 0.0, len(at), 0, math.inf
        # The work of a thread: seconds that are left, and what follows.
        self.loop: deque[tuple[float, Callable[[], None]]] = deque()
        self.undecoded: deque[int] = deque()
        self.decoding: list[list[float]] = []
        self.waiting: deque[tuple[int, float]] = deque()  # and since when
        self.model: list[float] | None = None
        self.inside: list[int] = []
        self.busy = self.posted = False
        self.due = math.inf
        self.worked = 0.0  # seconds of all cores

    def run(self) -> NDArray[np.float64]:
        """Return the seconds of each request, from its arrival to its answer."""
        turn: list[float] | None = None
        then: Callable[[], None] = _nothing
        at, cores = [*self.at.tolist(), math.inf], self.server.cores
        while self.left:
            while turn is None and self.loop:
                seconds, then = self.loop.popleft()
                if seconds:
                    turn = [seconds]
                else:
                    then()
            if not self.left:
                break
            running = [work for work in (turn, self.model, *self.decoding) if work]
            speed = min(1.0, cores / len(running)) if running else 1.0
            arrival = at[self.came]
            step = min(arrival, self.due) - self.now
            for work in running:
                step = min(step, work[0] / speed)
            self.now += step
            if not running:
                self.idle += step
            for work in running:
                work[0] -= step * speed
            self.worked += step * speed * len(running)
            if self.now >= arrival:
                self._arrive()
            if self.now >= self.due:
                self._post()
            if turn is not None and turn[0] <= 1e-12:
                turn = None
                then()
            if self.model is not None and self.model[0] <= 1e-12:
                self.model = None
                self.loop.append((0.0, self._finished))
            if self.decoding:
                self._decoded()
        return self.ended - self.at + self.server.wire

    def _arrive(self) -> None:
        i = self.came
        self.came += 1
        after = self._decode if self.server.decode else self._ask
        cold = -math.expm1(-self.idle / self.server.cooling) * self.server.cold
        self.idle = 0.0
        self.loop.append(((self.server.before + cold) * self.noise(), partial(after, i)))

    def _decode(self, i: int) -> None:
        self.undecoded.append(i)
        self._decoded()

    def _decoded(self) -> None:
        for work in [work for work in self.decoding if work[0] <= 1e-12]:
            self.decoding.remove(work)
            i = int(work[1])
            self.loop.append((0.0, partial(self._ask, i)))
        while self.undecoded and len(self.decoding) < self.server.decoders:
            i = self.undecoded.popleft()
            self.decoding.append([self.server.decode * self.noise(), i])

    def _ask(self, i: int) -> None:
        self.waiting.append((i, self.now))
        full = len(self.waiting) >= self.server.max_batch
        if not self.busy and not self.posted and (self.due == math.inf or full):
            self._post()

    def _post(self) -> None:
        self.due, self.posted = math.inf, True
        self.loop.append((0.0, self._dispatch))

    def _dispatch(self) -> None:
        self.posted = False
        n = min(len(self.waiting), self.server.max_batch)
        self.inside = [self.waiting.popleft()[0] for _ in range(n)]
        self.busy = True
        self.model = [(self.server.batch + self.server.each * n) * self.noise()]

    def _finished(self) -> None:
        self.busy = False
        for i in self.inside:
            self.loop.append((self.server.after * self.noise(), partial(self._end, i)))
        if not self.waiting:
            return
        self.due = self.waiting[0][1] + self.server.max_wait
        if len(self.waiting) >= self.server.max_batch or self.due <= self.now:
            self.due = math.inf
            self._dispatch()

    def _end(self, i: int) -> None:
        self.ended[i] = self.now
        self.left -= 1


def _nothing() -> None:
    """Do nothing."""


def _noise(variation: float, random: np.random.Generator) -> Callable[[], float]:
    """Return a source of factors of mean 1: of a gamma distribution; at 1 it is exponential."""
    if not variation:
        return lambda: 1.0
    shape = 1 / variation**2
    drawn: list[float] = []

    def factor() -> float:
        if not drawn:
            drawn.extend(random.gamma(shape, 1 / shape, 4096).tolist())
        return drawn.pop()

    return factor


def arrivals(rate: float, requests: int = REQUESTS, *, seed: int = 0) -> NDArray[np.float64]:
    """Draw the moments, in seconds, at which requests come at random at a rate a second."""
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate, requests))


def simulate(server: Server, at: NDArray[np.float64], *, seed: int = 0) -> NDArray[np.float64]:
    """Simulate requests, and return the seconds that each takes.

    Parameters
    ----------
    server : Server
    at : float array, shape (N,)
        Moments of their arrival, in seconds, ascending.
    seed : int
        Of the variation.

    Returns
    -------
    float array, shape (N,)
        From arrival to answer. Above the server's capacity they grow with N.
    """
    return _Simulation(server, at, seed).run()


def work(server: Server, at: NDArray[np.float64], *, seed: int = 0) -> float:
    """Simulate requests, and return the seconds of a core that one takes on average.

    Parameters
    ----------
    server : Server
    at : float array, shape (N,)
        Moments of their arrival, in seconds, ascending.
    seed : int
        Of the variation.
    """
    simulation = _Simulation(server, at, seed)
    simulation.run()
    return simulation.worked / len(at)


@lru_cache(4096)
def response(server: Server, rate: float, *, quantile: float = 0.99, seed: int = 0) -> float:
    """Return a quantile of the seconds from a request's arrival to its answer.

    Parameters
    ----------
    server : Server
    rate : float
        Requests a second.
    quantile : float
    seed : int

    Returns
    -------
    float
        Seconds; infinite where more arrive than can be served.
    """
    if rate >= server.capacity:
        return math.inf
    return float(np.quantile(simulate(server, arrivals(rate, seed=seed), seed=seed), quantile))


@lru_cache(256)
def highest(server: Server, target: float) -> float:
    """Return the highest rate, requests a second, at which the p99 meets a target, to 1 per cent.

    Parameters
    ----------
    server : Server
    target : float
        Largest p99, seconds.

    Returns
    -------
    float
        0 where even a lone request takes longer.
    """
    low, high = 0.0, server.capacity
    if response(server, high / 100) > target:
        return 0.0
    while high - low > 0.01 * high:
        middle = (low + high) / 2
        if response(server, middle) <= target:
            low = middle
        else:
            high = middle
    return low


def servers(server: Server, rate: float, target: float) -> int | None:
    """Return the least number of servers, each with its share of the requests, that meet a target.

    Parameters
    ----------
    server : Server
    rate : float
        Requests a second, of all together.
    target : float
        Largest p99, seconds.

    Returns
    -------
    int or None
        None where no number is enough, because one request alone takes longer.

    Raises
    ------
    ParameterError
        When more than a million would be needed.
    """
    most = highest(server, target)
    if not most:
        return None
    if rate / most > MOST:
        raise ParameterError(f"rate={rate:g} requests a second needs more than a million servers")
    return max(1, math.ceil(rate / most))
