"""Requests and images that nobody would write by hand: never a failure of the server."""

from __future__ import annotations

import asyncio
import contextlib
import io

import httpx
import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi import checks as openapi

from sightline.deploy.runtime import Runtime
from sightline.deploy.server import forms
from sightline.deploy.server.application import Application
from sightline.deploy.server.decoding import Decoder
from sightline.deploy.server.problems import Problem
from sightline.deploy.server.settings import Settings

load_all_checks()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    from importlib import util
    from pathlib import Path

    spec = util.spec_from_file_location("made", Path(__file__).parent / "conftest.py")
    made = util.module_from_spec(spec)
    spec.loader.exec_module(made)
    path = made.write_model(tmp_path_factory.mktemp("model") / "light.onnx")
    return path, Runtime(path)


def files():
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (20, 24, 3), dtype=np.uint8)
    for kind, options in (
        ("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("GIF", {}), ("BMP", {}),
        ("WEBP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("PPM", {}),
    ):  # fmt: skip
        written = io.BytesIO()
        Image.fromarray(pixels).save(written, kind, **options)
        yield written.getvalue()


FILES = list(files())


@st.composite
def mutated(draw):
    """A file with some bytes changed, cut out or doubled."""
    data = bytearray(draw(st.sampled_from(FILES)))
    for _ in range(draw(st.integers(1, 8))):
        place = draw(st.integers(0, len(data)))
        what = draw(st.sampled_from(["set", "cut", "insert", "end"]))
        if what == "set" and place < len(data):
            data[place] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
        elif what == "cut":
            del data[place : place + draw(st.integers(1, 200))]
        elif what == "insert":
            data[place:place] = draw(st.binary(min_size=1, max_size=20))
        elif what == "end":
            del data[place:]
    return bytes(data)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=mutated())
def test_a_mutated_image_is_answered_or_refused(served, data):
    _, runtime = served
    decoder = Decoder(Settings(max_megapixels=1))
    for prepared in (decoder.small(runtime, data), decoder.light(runtime, data)):
        if isinstance(prepared, Problem):
            assert prepared.status in (413, 422)
        elif prepared is not None:
            assert prepared[0].shape == (8, 8, 3)


@settings(max_examples=200, deadline=None)
@given(
    images=st.lists(st.binary(max_size=60), min_size=1, max_size=4),
    junk=st.binary(max_size=30),
    place=st.integers(0, 400),
)
def test_forms_are_read_as_they_were_written_and_broken_ones_refused(images, junk, place):
    request = httpx.Request("POST", "http://x", files=[("images", x) for x in images])
    kind, body = request.headers["content-type"], request.read()
    assert forms.parse(kind, body, {}, 4)[0] == images
    broken = body[:place] + junk + body[place:]
    with contextlib.suppress(Problem):
        assert len(forms.parse(kind, broken, {}, 4)[0]) <= 4


def test_a_hostile_form_takes_no_longer_than_its_length():
    import time

    body = b"\r\n--b" * 1_000_000
    start = time.perf_counter()
    with pytest.raises(Problem):
        forms.parse("multipart/form-data; boundary=bb", body, {}, 4)
    assert time.perf_counter() - start < 1


EXCLUDED = [
    # A string of base64 or bytes is no image yet: the schema cannot say which ones are.
    openapi.positive_data_acceptance,
    # Keys are an option of the server, and this one was started without.
    openapi.ignored_auth,
    # 413 is a right answer to what breaks the schema in other ways as well.
    openapi.negative_data_rejection,
]


def test_every_answer_is_as_the_document_says(served):
    path, _ = served
    app = Application([str(path)], Settings(max_images=4, max_body_mib=1))
    app.models.load()
    with asyncio.Runner() as runner:
        document = runner.run(_get(app, "/openapi.json")).json()
        schema = schemathesis.openapi.from_dict(document)

        @settings(
            max_examples=25, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck), derandomize=True,
        )  # fmt: skip
        @given(data=st.data())
        def check(data):
            modes = list(GenerationMode) if operation.body else [GenerationMode.POSITIVE]
            mode = data.draw(st.sampled_from(modes))
            case = data.draw(operation.as_strategy(generation_mode=mode))
            keywords = case.as_transport_kwargs(base_url="http://server")
            keywords.pop("cookies", None)
            response = runner.run(_send(app, keywords))
            assert response.status_code not in (500, 501, 502)
            case.validate_response(
                schemathesis.Response.from_any(response), excluded_checks=EXCLUDED
            )

        for result in schema.get_all_operations():
            operation = result.ok()
            check()
    app.close()


async def _get(app, path):
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as c:
        return await c.get(path)


async def _send(app, keywords):
    import requests

    prepared = requests.Request(**keywords).prepare()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://server") as c:
        response = await c.request(
            prepared.method, prepared.url, content=prepared.body or b"",
            headers={k: v for k, v in prepared.headers.items() if k.lower() != "content-length"},
        )  # fmt: skip
        await response.aread()
        return response
