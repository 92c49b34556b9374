"""Estimate what each way to deploy a model costs, from measurements and a price file.

Measured: what a picture takes of one core, by itself and through the server, from the request to
the answer; memory; sizes. Modelled: other machines, as multiples of that core; waiting, by
`queueing`; money, by the price file. Every figure says which of the two it is.
"""

from __future__ import annotations

import datetime
import math
import statistics
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sightline.deploy import queueing
from sightline.deploy.runtime import Runtime
from sightline.errors import MissingExtraError, ParameterError

HOURS = 730
"""Of a month."""

_GB = 1e9
_ANSWER = 500  # bytes of an answer


class Mode(BaseModel):
    """A way to deploy, as the price file describes it; missing fields are free or absent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    speed: float = Field(1.0, gt=0, description="of a core, as a multiple of one measured here")
    parallel: int = Field(1, ge=1, description="servers of one core each in a machine")
    network_ms: float = Field(0.0, ge=0, description="of a request's way there and back")
    per_hour: float = Field(0.0, ge=0, description="rent of a machine")
    price: float = Field(0.0, ge=0, description="of a machine that is bought")
    months: float = Field(36.0, gt=0, description="that a bought machine lasts")
    watts: float = Field(0.0, ge=0)
    per_kwh: float = Field(0.0, ge=0)
    per_gb_in: float = Field(0.0, ge=0)
    per_gb_out: float = Field(0.0, ge=0)
    sends_images: bool = Field(False, description="whether pictures leave where they were made")
    on_visitors_device: bool = Field(False, description="whether visitors bring the machine")
    images_per_visitor: float = Field(1.0, gt=0, description="for one download of the model")

    @property
    def machine_month(self) -> float:
        """Return the price of one machine for a month."""
        power = self.watts / 1000 * HOURS * self.per_kwh
        return self.per_hour * HOURS + self.price / self.months + power


class Prices(BaseModel):
    """The contents of a price file: its currency and the ways to deploy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    date: datetime.date
    example: bool = Field(description="whether the figures are placeholders")
    currency: str
    peak: float = Field(1.0, ge=1, description="busiest rate over the mean rate")
    modes: dict[str, Mode] = Field(min_length=1)


@dataclass(frozen=True)
class Measured:
    """Speed, memory and sizes of a model, measured on one core of this machine.

    Parameters
    ----------
    service_ms : float
        Mean time of a picture without a server, from the file's bytes to the answer.
    decode_ms : float
        The part of it that decoding and resizing take.
    variation : float
        Coefficient of variation: the time's deviation over its mean.
    server : Server
        What a request takes of the server.
    memory_mb : float
        Largest resident memory of the server.
    model_mb : float
        Size of the model's file.
    image_kb : float
        Mean size of a picture's file.
    pictures : int
        Number of pictures measured on.
    """

    service_ms: float
    decode_ms: float
    variation: float
    server: queueing.Server
    memory_mb: float
    model_mb: float
    image_kb: float
    pictures: int


@dataclass(frozen=True)
class Row:
    """What one way to deploy takes at the given rate of requests.

    Parameters
    ----------
    key, title : str
    latency_ms : float
        Time of one request, on an idle machine.
    throughput : float
        Pictures a second of one machine.
    memory_mb : float
    wire_kb : float
        Bytes of a picture that travel; the browser's share of the model instead.
    machines : int or None
        Machines that keep the p99 within the target; None where no number can.
    p99_ms : float
        99th percentile of the response time with that number of machines.
    month : float
        Price of a month.
    per_million : float
        Price of a million pictures.
    measured : bool
        Whether latency and throughput were measured here, not scaled.
    """

    key: str
    title: str
    latency_ms: float
    throughput: float
    memory_mb: float
    wire_kb: float
    machines: int | None
    p99_ms: float
    month: float
    per_million: float
    measured: bool


def example() -> str:
    """Return the text of the price file that is shipped: placeholders, to be edited."""
    return resources.files("sightline.deploy").joinpath("prices.toml").read_text(encoding="utf-8")


def read_prices(path: Path | None = None) -> Prices:
    """Read a price file; without a path, the example that is shipped.

    Raises
    ------
    ParameterError
        When it cannot be read, or an entry is missing, unknown or impossible; it is named.
    """
    place = path or "the shipped price file"
    try:
        text = example() if path is None else path.read_text(encoding="utf-8")
        return Prices.model_validate(tomllib.loads(text))
    except OSError as error:
        raise ParameterError(f"cannot read {place}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ParameterError(f"{place} is not TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ParameterError(f"{place}: {where}: {first['msg'].lower()}") from None


def measure(model: Path, pictures: Sequence[bytes], *, seconds: float = 3.0) -> Measured:
    """Measure the speed, memory and sizes of a model on pictures, with one core at work.

    Parameters
    ----------
    model : path
        An exported model.
    pictures : sequence of bytes
        Image files.
    seconds : float
        Duration of the timing without a server, and of that of the server.

    Raises
    ------
    MissingExtraError
        When the server's libraries are not installed.
    """
    try:
        from sightline.deploy import probe
    except ImportError:
        raise MissingExtraError("measuring what a server costs", "serve") from None
    runtime = Runtime(model, threads=1)
    runtime.check_answers()
    for picture in pictures[:3]:
        runtime.predict([picture])
    decodes: list[float] = []
    times: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 20:
        picture = pictures[len(times) % len(pictures)]
        # Processor time: where others use the machine, the clock's time is theirs, too.
        start = time.thread_time()
        pixels, frame = runtime.prepare(picture)
        decodes.append(time.thread_time() - start)
        runtime.answer(pixels[None], [frame])
        times.append(time.thread_time() - start)
    # Rare interruptions by other processes do not belong to the model.
    usual = sorted(times)[: max(1, int(0.98 * len(times)))]
    mean, decode = statistics.fmean(usual), statistics.median(decodes)
    variation = statistics.pstdev(usual) / mean
    server, memory = probe.measure(
        model, pictures, decode=decode, variation=variation, seconds=seconds / 4
    )
    return Measured(
        service_ms=1e3 * mean, decode_ms=1e3 * decode, variation=variation,
        server=server, memory_mb=memory, model_mb=model.stat().st_size / 2**20,
        image_kb=statistics.fmean(map(len, pictures)) / 1e3, pictures=len(pictures),
    )  # fmt: skip


def rows(measured: Measured, prices: Prices, rate: float, target_ms: float) -> list[Row]:
    """Return latency, machines and price of each way to deploy at a rate of requests.

    Parameters
    ----------
    measured : Measured
    prices : Prices
    rate : float
        Requests a second at the busiest time, one picture each.
    target_ms : float
        Milliseconds within which 99 of 100 requests are to be answered, network included.

    Raises
    ------
    ParameterError
        When rate or target are not above 0.
    """
    if not rate > 0 or not target_ms > 0:
        raise ParameterError("the rate and the p99 target must be above 0")
    volume = rate / prices.peak * HOURS * 3600
    made = []
    for key, mode in prices.modes.items():
        lone, most = _alone(measured, mode)
        count = _machines(measured, mode, rate, target_ms)
        month = np.nan if count is None else _money(measured, mode, count, volume)
        made.append(
            Row(
                key=key, title=mode.title, latency_ms=1e3 * lone + mode.network_ms,
                throughput=most * mode.parallel,
                memory_mb=measured.memory_mb, wire_kb=_wire(measured, mode) / 1e3,
                machines=count, p99_ms=_p99(measured, mode, rate, count), month=float(month),
                per_million=float(month / volume * 1e6),
                measured=mode.speed == 1 and mode.parallel == 1,
            )
        )  # fmt: skip
    return made


def month(measured: Measured, prices: Prices, key: str, volume: float, target_ms: float) -> float:
    """Return the price of a number of pictures a month; NaN where the target cannot be kept."""
    mode = prices.modes[key]
    rate = volume / (HOURS * 3600) * prices.peak
    count = _machines(measured, mode, rate, target_ms)
    return float("nan") if count is None else _money(measured, mode, count, volume)


def crossings(
    measured: Measured, prices: Prices, target_ms: float, volumes: Sequence[float]
) -> list[tuple[float, str, str]]:
    """Return the volumes at which the cheapest way changes: (volume, key before, key after)."""
    changes: list[tuple[float, str, str]] = []
    last = ""
    for volume in volumes:
        best = cheapest(measured, prices, target_ms, volume)
        if last and best and best != last:
            changes.append((volume, last, best))
        last = best or last
    return changes


def cheapest(measured: Measured, prices: Prices, target_ms: float, volume: float) -> str:
    """Return the key of the cheapest way that keeps the target; empty where none does."""
    costs = {k: month(measured, prices, k, volume, target_ms) for k in prices.modes}
    able = {k: c for k, c in costs.items() if not np.isnan(c)}
    return min(able, key=lambda k: able[k]) if able else ""


def advice(table: Sequence[Row], prices: Prices, target_ms: float) -> str:
    """Say in a sentence which way to deploy to take."""
    able = [row for row in table if row.machines is not None]
    if not able:
        return (
            f"No mode answers within {target_ms:g} ms: the model alone takes longer; export it "
            "with quantize=int8, or take a smaller one."
        )
    best = min(able, key=lambda row: row.month)
    where = prices.modes[best.key]
    reason = (
        "visitors bring the machine" if where.on_visitors_device else f"{best.machines} of them"
    )
    text = (
        f"Take the {best.title}: {best.month:,.2f} {prices.currency} a month ({reason}), p99 "
        f"{best.p99_ms:,.0f} ms."
    )
    if where.sends_images and (local := [r for r in able if not prices.modes[r.key].sends_images]):
        other = min(local, key=lambda row: row.month)
        text += f" Where pictures must not leave the place: the {other.title}, {other.month:,.2f}."
    return text


def _alone(measured: Measured, mode: Mode) -> tuple[float, float]:
    """Return the seconds of a lone picture, and how many a second a core answers."""
    if mode.on_visitors_device:
        seconds = measured.service_ms / mode.speed / 1e3
        return seconds, 1 / seconds
    server = measured.server.faster(mode.speed)
    return server.alone, server.capacity


def _machines(measured: Measured, mode: Mode, rate: float, target_ms: float) -> int | None:
    """Return the machines that keep a target; a machine runs a server on each of its cores."""
    left = (target_ms - mode.network_ms) / 1e3
    if mode.on_visitors_device:
        return 0 if _p99(measured, mode, rate, 0) <= target_ms else None
    count = queueing.servers(measured.server.faster(mode.speed), rate, left)
    return None if count is None else math.ceil(count / mode.parallel)


def _p99(measured: Measured, mode: Mode, rate: float, count: int | None) -> float:
    """Return the p99, in milliseconds, of some machines whose servers share the requests."""
    if count is None:
        return math.inf
    if mode.on_visitors_device:  # as if the time of a picture were normally distributed
        seconds = _alone(measured, mode)[0] * (1 + 2.33 * measured.variation)
    else:
        server = measured.server.faster(mode.speed)
        seconds = queueing.response(server, rate / count / mode.parallel)
    return 1e3 * seconds + mode.network_ms


def _wire(measured: Measured, mode: Mode) -> float:
    """Return the bytes that travel for one picture."""
    if mode.on_visitors_device:
        return measured.model_mb * 2**20 / mode.images_per_visitor
    return measured.image_kb * 1e3 if mode.sends_images else 0.0


def _money(measured: Measured, mode: Mode, count: int, volume: float) -> float:
    gb = _wire(measured, mode) * volume / _GB
    wire = gb * (mode.per_gb_out if mode.on_visitors_device else mode.per_gb_in)
    answers = 0.0 if mode.on_visitors_device or not mode.sends_images else _ANSWER * volume / _GB
    return count * mode.machine_month + wire + answers * mode.per_gb_out
