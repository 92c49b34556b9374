"""Whatever is sent: a deadline ends its decoding, memory has a bound, and others are answered."""

from __future__ import annotations

import asyncio
import io
import signal
import struct
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from sightline.deploy.runtime import Runtime
from sightline.deploy.server import decoding, worker
from sightline.deploy.server.settings import Settings
from sightline.errors import ParameterError

PNG = {"Content-Type": "image/png"}


def slow(side=5000):
    """A BMP whose rows each hold one pixel and end: seconds of work from 20 kB."""
    palette = b"".join(bytes((i, i, i, 0)) for i in range(256))
    rows = b"\x01\x07\0\0" * side + b"\0\1"
    sizes = (40, side, side, 1, 8, 1, len(rows), 0, 0, 256, 256)
    head = struct.pack("<IHHI", 54 + 1024 + len(rows), 0, 0, 54 + 1024)
    return b"BM" + head + struct.pack("<IiiHHIIiiII", *sizes) + palette + rows


def encoded(image, kind, **options):
    written = io.BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


def noise(side, seed=0):
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_a_process_prepares_an_image_as_the_library_does(client, model, kind):
    picture = encoded(noise(60), kind)
    runtime = Runtime(model)

    async def scenario():
        async with client(model, allow_format=("tiff",)) as c:
            return [await c.app.decoder.processes.prepare(runtime, picture) for _ in range(2)]

    expected, frame = runtime.prepare(picture)
    for pixels, way in asyncio.run(scenario()):
        np.testing.assert_array_equal(pixels, expected)
        assert way == frame


def test_what_may_take_long_goes_to_a_process_and_what_does_not_stays(client, model, make_picture):
    several_scans = encoded(noise(1500), "JPEG", progressive=True, quality=30)
    plain = encoded(noise(1500), "JPEG", quality=30)

    async def scenario(picture):
        async with client(model) as c:
            answer = await c.post("/v1/predict", content=picture, headers=PNG)
            assert answer.status_code == 200
            return len(c.app.decoder.processes._all)

    assert asyncio.run(scenario(several_scans)) == 1
    assert asyncio.run(scenario(plain)) == 0
    assert asyncio.run(scenario(make_picture())) == 0


def still_running(processes):
    """Those that run after some seconds; one that has ended and is not yet reaped does not."""
    _, left = psutil.wait_procs(list(processes), 5)
    return [p for p in left if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_the_deadline_ends_a_decode_and_the_next_one_begins_at_once(client, model, make_picture):
    large = encoded(noise(1500), "JPEG", progressive=True, quality=30)

    before = set(psutil.Process().children())  # of other tests in this process

    async def scenario():
        async with client(model, timeout_s=1, decoders=1, max_megapixels=100) as c:
            start = time.monotonic()
            late = await c.post("/v1/predict", content=slow(10_000), headers=PNG)
            took = time.monotonic() - start
            alive = still_running(set(psutil.Process().children()) - before)
        async with client(model, timeout_s=20, decoders=1) as c:
            return late, took, alive, await c.post("/v1/predict", content=large, headers=PNG)

    late, took, alive, after = asyncio.run(scenario())
    assert (late.status_code, late.json()["limit"]) == (504, "timeout")
    assert took < 4  # decoding it takes 9 s
    assert not alive
    assert after.status_code == 200


def test_the_end_comes_in_time_whatever_is_decoded(running, model):
    with running(model, "--timeout-s", "3", "--decoders", "1") as server:
        files = [("images", slow()) for _ in range(30)]

        def ask():
            httpx.post(f"{server.url}/v1/predict", files=files, timeout=30)

        asking = [threading.Thread(target=ask, daemon=True) for _ in range(3)]
        for thread in asking:
            thread.start()
        time.sleep(1)
        children = psutil.Process(server.process.pid).children()
        assert children
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        start = time.monotonic()
        assert server.end(signal.SIGTERM) == 0
        assert time.monotonic() - start < 15  # all of it takes minutes
        assert not still_running(children)


def test_an_image_that_ends_its_process_is_refused_and_the_others_are_answered(
    client, model, make_picture
):
    large = encoded(noise(1500), "JPEG", progressive=True, quality=30)
    files = [("images", slow(3000)), ("images", make_picture()), ("images", large)]

    async def scenario():
        async with client(model, decoders=1) as c:
            asked = asyncio.create_task(c.post("/v1/predict", files=files))
            processes = c.app.decoder.processes
            while not processes._all:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.5)
            next(iter(processes._all)).kill()
            return await asked

    results = asyncio.run(scenario()).json()["results"]
    assert results[0]["error"]["type"].endswith("bad-image")
    assert ["label" in result for result in results] == [False, True, True]


def test_a_process_that_was_idle_and_ended_is_replaced(client, model):
    large = encoded(noise(1500), "JPEG", progressive=True, quality=30)

    async def scenario():
        async with client(model, decoders=1) as c:
            first = await c.post("/v1/predict", content=large, headers=PNG)
            ended = c.app.decoder.processes._free[0]
            ended.kill()
            await ended.wait()
            return first, await c.post("/v1/predict", content=large, headers=PNG)

    first, second = asyncio.run(scenario())
    assert first.json() == second.json()
    assert second.status_code == 200


def test_memory_of_a_decode_is_bounded(client, model):
    picture = encoded(noise(1500), "JPEG", progressive=True, quality=30)

    async def scenario():
        async with client(model, max_megapixels=4) as c:
            await c.post("/v1/predict", content=picture, headers=PNG)
            [process] = c.app.decoder.processes._all
            limits = Path(f"/proc/{process.pid}/limits").read_text()
            return int(limits.split("Max address space")[1].split()[0])

    most = asyncio.run(scenario())
    assert worker.SPARE + 4e6 * worker.PIXEL < most < 1.5 * 2**30


def test_an_image_that_takes_too_much_memory_is_refused_by_name(monkeypatch):
    def hungry(*_):
        raise MemoryError

    monkeypatch.setattr("sightline.data.images.prepare", hungry)
    order = {"pixels": 10**6, "formats": ["PNG"], "size": [8, 8], "mode": "RGB", "resize": "pad"}
    written = io.BytesIO()
    worker.answer(order, encoded(noise(8), "PNG"), written)
    assert b'"limit": "memory"' in written.getvalue()


def test_an_image_that_nobody_foresaw_leaves_the_others_answered(
    client, model, make_picture, monkeypatch
):
    prepare = Runtime.prepare

    def failing(runtime, opened):
        if opened.size == (13, 13):
            raise RuntimeError("nobody foresaw this")
        return prepare(runtime, opened)

    monkeypatch.setattr(Runtime, "prepare", failing)
    files = [("images", make_picture(size=(13, 13))), ("images", make_picture())]

    async def scenario():
        async with client(model) as c:
            alone = await c.post("/v1/predict", files=files[:1])
            return alone, await c.post("/v1/predict", files=files)

    alone, both = asyncio.run(scenario())
    assert alone.status_code == 500
    assert "nobody foresaw" not in alone.text
    assert both.status_code == 200
    first, second = both.json()["results"]
    assert first["error"]["status"] == 500
    assert "label" in second


def scans(n, side):
    whole = encoded(Image.new("L", (side, side), 99), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * n + b"\xff\xd9"


def test_a_picture_that_costs_more_than_it_weighs_is_refused_at_once(client, model, make_picture):
    files = [
        ("images", scans(20_000, 4900)),
        ("images", make_picture()),
        ("images", scans(200, 64)),
    ]

    async def scenario():
        async with client(model) as c:
            start = time.monotonic()
            answer = await c.post("/v1/predict", files=files)
            return answer, time.monotonic() - start

    answer, took = asyncio.run(scenario())
    first, second, third = answer.json()["results"]
    assert [one["error"]["limit"] for one in (first, third)] == ["effort"] * 2
    assert "label" in second
    assert took < 5


@pytest.mark.parametrize("kind", ["TIFF", "PPM", "AVIF"])
def test_only_what_people_send_is_read_unless_more_is_allowed(client, model, kind):
    picture = encoded(noise(20), kind)

    async def scenario(**settings):
        async with client(model, **settings) as c:
            return await c.post("/v1/predict", content=picture, headers=PNG)

    refused = asyncio.run(scenario())
    assert refused.status_code == 422
    assert "JPEG, PNG, WEBP, BMP, GIF" in refused.json()["detail"]
    assert asyncio.run(scenario(allow_format=(kind.lower(),))).status_code == 200


def test_a_format_that_is_none_is_a_near_one():
    with pytest.raises(ParameterError, match="did you mean 'tiff'"):
        Settings(allow_format=("tif",))


def test_efforts_of_a_thread_take_no_longer_than_a_second():
    costly = {
        "scans": scans(90, int((decoding.LIGHT / 100) ** 0.5)),
        "plain": encoded(Image.new("RGB", (4000, 3900)), "JPEG"),
        "rle": slow(int((decoding.LIGHT / 16) ** 0.5)),
        "png": encoded(noise(2800).convert("RGBA"), "PNG", compress_level=1),
        "webp": encoded(noise(490), "WEBP", lossless=True),
    }
    for name, picture in costly.items():
        with decoding.images.open_checked(picture) as opened:
            assert decoding.door.effort(opened) <= decoding.LIGHT, name
            start = time.thread_time()
            decoding.images.prepare(opened, (224, 224))
            assert time.thread_time() - start < 1, name
