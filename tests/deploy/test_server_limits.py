"""Every limit of the server is met, and says its name."""

from __future__ import annotations

import asyncio
import base64
import struct
import zlib

import pytest

from sightline.deploy.server import keys
from sightline.deploy.server.rates import Rates, network
from sightline.deploy.server.settings import MIB, Settings
from sightline.errors import ParameterError, RunError

PNG = {"Content-Type": "image/png"}


def refused(response, status, limit):
    said = response.json()
    assert (response.status_code, said.get("limit")) == (status, limit), said
    assert response.headers["content-type"] == "application/problem+json"
    assert said["status"] == status
    return said


@pytest.mark.parametrize("counted", [True, False])
def test_a_large_body_is_refused_also_when_its_length_is_not_told(client, model, counted):
    async def chunks():
        for _ in range(30):
            yield b"x" * 10_000

    async def scenario():
        async with client(model, max_body_mib=0.1) as c:
            content = b"x" * 300_000 if counted else chunks()
            response = await c.post("/v1/predict", content=content, headers=PNG)
            return response, c.app.predict.bodies.held

    response, held = asyncio.run(scenario())
    refused(response, 413, "max_body")
    assert response.headers["connection"] == "close"
    assert held == 0


def test_reading_ends_when_a_body_goes_on_for_ever(client, model):
    taken = 0

    async def chunks():
        nonlocal taken
        while True:
            taken += 100_000
            yield b"x" * 100_000

    async def scenario():
        async with client(model, max_body_mib=0.1) as c:
            return await c.post("/v1/predict", content=chunks(), headers=PNG)

    refused(asyncio.run(scenario()), 413, "max_body")
    assert taken < MIB


def test_all_bodies_together_have_a_bound(client, model, make_picture):
    async def scenario():
        async with client(model, max_body_mib=0.1, max_buffer_mib=0.1) as c:
            bodies = c.app.predict.bodies
            bodies.held = bodies.room - 10
            full = await c.post("/v1/predict", content=make_picture(), headers=PNG)
            bodies.held = 0
            return full, await c.post("/v1/predict", content=make_picture(), headers=PNG)

    full, fine = asyncio.run(scenario())
    refused(full, 429, "max_buffer")
    assert full.headers["retry-after"]
    assert fine.status_code == 200


@pytest.mark.parametrize("form", ["files", "json"])
@pytest.mark.parametrize("n", [2, 3, 40])
def test_a_request_has_so_many_images(client, model, make_picture, form, n):
    data = make_picture()

    async def scenario():
        async with client(model, max_images=2) as c:
            if form == "files":
                return await c.post("/v1/predict", files=[("images", data)] * n)
            return await c.post(
                "/v1/predict", json={"images": [base64.b64encode(data).decode()] * n}
            )

    response = asyncio.run(scenario())
    if n == 2:
        assert len(response.json()["results"]) == 2
    else:
        refused(response, 413, "max_images")


def test_a_form_has_so_many_parts(client, model, make_picture):
    async def scenario():
        async with client(model, max_images=2) as c:
            fields = [("top", (None, "3"))] * 1000
            return await c.post("/v1/predict", files=[("images", make_picture()), *fields])

    refused(asyncio.run(scenario()), 413, "max_images")


def bomb(side: int) -> bytes:
    """A PNG whose head promises side x side pixels; decoding it would take side x side bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + head
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [2000, 9000, 20_000, 40_000])
def test_pixels_are_counted_before_they_are_decoded(client, model, side, monkeypatch):
    from PIL import ImageFile

    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))

    async def scenario():
        async with client(model, max_megapixels=1) as c:
            return await c.post("/v1/predict", content=bomb(side), headers=PNG)

    refused(asyncio.run(scenario()), 413, "max_pixels")


def test_a_format_that_is_not_on_the_list_is_refused(client, model):
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n"

    async def scenario():
        async with client(model) as c:
            return await c.post("/v1/predict", content=postscript, headers=PNG)

    assert "known format" in refused(asyncio.run(scenario()), 422, None)["detail"]


def test_a_full_queue_refuses_and_says_when_to_come_again(client, model, make_picture, gate):
    async def scenario():
        async with client(model, queue=3, max_images=3, max_batch=1) as c:
            gate.hold(c.app.models.get(None).batcher)
            asked = [
                asyncio.create_task(c.post("/v1/predict", content=make_picture(), headers=PNG))
                for _ in range(3)
            ]
            await asyncio.sleep(0.1)
            full = await c.post("/v1/predict", content=make_picture(), headers=PNG)
            gate.open()
            return full, await asyncio.gather(*asked)

    full, answered = asyncio.run(scenario())
    refused(full, 429, "queue")
    assert int(full.headers["retry-after"]) >= 1
    assert [r.status_code for r in answered] == [200] * 3


def test_a_late_answer_is_a_504_and_its_work_is_dropped(client, model, make_picture, gate):
    async def scenario():
        async with client(model, timeout_s=0.3, max_batch=1) as c:
            batcher = c.app.models.get(None).batcher
            gate.hold(batcher)
            late = await asyncio.gather(
                *(c.post("/v1/predict", content=make_picture(), headers=PNG) for _ in range(3))
            )
            inside = batcher.inside
            gate.open()
            await asyncio.sleep(0.1)
            again = await c.post("/v1/predict", content=make_picture(), headers=PNG)
            return late, inside, again

    late, inside, again = asyncio.run(scenario())
    for response in late:
        refused(response, 504, "timeout")
    assert inside == 0
    assert again.status_code == 200
    assert gate.seen == 2  # the one in work when time ran out, and the last


def test_a_body_that_does_not_arrive_is_a_408(client, model):
    async def slow():
        yield b"x"
        await asyncio.sleep(5)
        yield b"y"

    async def scenario():
        async with client(model, timeout_s=0.2) as c:
            return await c.post("/v1/predict", content=slow(), headers=PNG)

    refused(asyncio.run(scenario()), 408, "timeout")


def test_only_keys_of_the_file_are_let_in(client, model, make_picture, tmp_path):
    key, digest = keys.new()
    other, _ = keys.new()
    path = tmp_path / "keys"
    path.write_text(f"# owners\n\n{digest} somebody\n")

    async def scenario():
        async with client(model, keys=path) as c:

            def ask(**headers):
                return c.post("/v1/predict", content=make_picture(), headers=PNG | headers)

            bad = [
                await ask(), await ask(Authorization=f"Bearer {other}"),
                await ask(Authorization=f"Basic {key}"),
                await ask(Authorization=f"Bearer {digest}"),
                await ask(Authorization="Bearer é".encode("latin-1")),
                await c.get("/metrics"), await c.get("/v1/models"), await c.get("/v1/nothing"),
            ]  # fmt: skip
            good = [await ask(Authorization=f"Bearer {key}"), await c.get("/healthz")]
            path.write_text(keys.digest(other))
            c.app.access.read_keys()
            return bad, good, await ask(Authorization=f"Bearer {key}")

    bad, good, revoked = asyncio.run(scenario())
    for response in [*bad, revoked]:
        refused(response, 401, None)
        assert response.headers["www-authenticate"].startswith("Bearer")
    assert [r.status_code for r in good] == [200, 200]
    assert key not in path.read_text()


@pytest.mark.parametrize("text", ["", "# none\n", "sl_abc\n", "g" * 64, "a" * 63])
def test_a_damaged_file_of_keys_is_refused(tmp_path, text):
    path = tmp_path / "keys"
    path.write_text(text)
    with pytest.raises(RunError, match="--new-key"):
        keys.Keys(path)


def test_who_asks_too_often_has_to_wait(client, model, make_picture):
    async def scenario():
        async with client(model, rate=0.1, burst=2) as c:
            return [
                await c.post("/v1/predict", content=make_picture(), headers=PNG) for _ in range(3)
            ] + [await c.get("/healthz")]

    first, second, third, health = asyncio.run(scenario())
    assert (first.status_code, second.status_code, health.status_code) == (200, 200, 200)
    refused(third, 429, "rate")
    assert 9 <= int(third.headers["retry-after"]) <= 10


def test_a_bucket_fills_again_for_each_client_by_itself():
    from sightline.deploy.server.problems import Problem

    rates = Rates(rate=2, burst=2)
    for _ in range(2):
        rates.take("a", 0.0)
    with pytest.raises(Problem):
        rates.take("a", 0.0)
    rates.take("b", 0.0)
    with pytest.raises(Problem):
        rates.take("a", 0.4)
    rates.take("a", 0.5)
    with pytest.raises(Problem):
        rates.take("a", 0.6)
    for _ in range(2):
        rates.take("a", 100.0)
    with pytest.raises(Problem):
        rates.take("a", 100.0)


def test_an_address_of_ipv6_counts_as_its_network():
    assert network("192.0.2.7") == "192.0.2.7"
    assert network("2001:db8::1") == network("2001:db8::ffff") != network("2001:db8:0:1::1")
    assert network("nonsense:") == "nonsense:"


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_batch": 0}, {"timeout_s": 0}, {"max_wait_ms": -1}, {"max_images": 9, "queue": 8},
        {"max_body_mib": 300}, {"max_megapixels": 101}, {"burst": 0},
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(ParameterError, match=r"max|timeout|burst"):
        Settings(**wrong)
