"""What the server answers, in process."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from sightline.deploy.server.application import Application
from sightline.errors import ParameterError

PROBLEM = "application/problem+json"
PNG = {"Content-Type": "image/png"}


def is_problem(response, status, limit=None):
    said = response.json()
    assert response.status_code == status, said
    assert response.headers["content-type"] == PROBLEM
    assert set(said) - {"limit"} == {"type", "title", "status", "detail"}
    assert said["status"] == status
    assert said["type"].startswith("urn:sightline:problem:")
    assert said.get("limit") == limit
    assert "/" not in said["detail"].replace("multipart/form-data", "").replace(
        "application/octet-stream", ""
    ).replace("application/json", "")
    return said


def test_the_three_forms_of_a_request_have_one_answer(client, model, make_picture, by_hand):
    data = make_picture(200)

    async def scenario():
        async with client(model) as c:
            raw = await c.post("/v1/predict", content=data, headers=PNG)
            octets = await c.post(
                "/v1/predict", content=data, headers={"Content-Type": "application/octet-stream"}
            )
            form = await c.post("/v1/predict", files=[("images", data)])
            encoded = await c.post(
                "/v1/predict", json={"images": [base64.b64encode(data).decode()]}
            )
            return [r.json() for r in (raw, octets, form, encoded)]

    said = asyncio.run(scenario())
    assert said[0] == said[1] == said[2] == said[3]
    assert said[0]["model"] == {"name": "light", "version": "v1"}
    [answer] = said[0]["results"]
    wanted = by_hand(200)
    assert answer["label"] == "bright"
    assert not answer["rejected"]
    scores = {entry["label"]: entry["score"] for entry in answer["top"]}
    assert scores == pytest.approx(dict(zip(("dark", "middle", "bright"), wanted, strict=True)))


def test_many_images_are_answered_in_order_and_a_bad_one_says_why(client, model, make_picture):
    files = [("images", x) for x in (make_picture(0), b"junk", make_picture(255), b"")]

    async def scenario():
        async with client(model) as c:
            return await c.post("/v1/predict", files=files)

    response = asyncio.run(scenario())
    assert response.status_code == 200
    dark, junk, bright, empty = response.json()["results"]
    assert (dark["label"], bright["label"]) == ("dark", "bright")
    assert junk["error"]["status"] == empty["error"]["status"] == 422


def test_when_all_images_are_bad_the_response_is_the_problem(client, model):
    async def scenario():
        async with client(model) as c:
            one = await c.post("/v1/predict", content=b"junk", headers=PNG)
            two = await c.post("/v1/predict", files=[("images", b"a"), ("images", b"b")])
            return one, two

    one, two = asyncio.run(scenario())
    is_problem(one, 422)
    assert "none of 2" in is_problem(two, 422)["detail"]


def broken(text: bytes, end: str) -> str:
    return end.join(text.decode()[i : i + 76] for i in range(0, len(text), 76)) + end


WAYS = {
    "plain": lambda b: b.decode(),
    "lines": lambda b: broken(b, "\n"),
    "lines of Windows": lambda b: broken(b, "\r\n"),
    "spaces and tabs": lambda b: f" {b[:9].decode()} \t{b[9:].decode()} ",
    "data URL": lambda b: f"data:image/png;base64,{b.decode()}",
    "data URL in lines": lambda b: f"data:image/png;base64,{broken(b, chr(10))}",
    "data URL without a type": lambda b: f"data:;base64,{b.decode()}",
    "data URL with parameters": lambda b: f"DATA:image/png;charset=utf-8;BASE64,{b.decode()}",
    "escaped data URL": lambda b: f"data:image/png;base64,{quote(b)}",
}


@pytest.mark.parametrize("way", WAYS)
def test_base64_is_read_in_every_way_that_programs_write_it(client, model, make_picture, way):
    text = WAYS[way](base64.b64encode(make_picture(0, size=(40, 40))))

    async def scenario():
        async with client(model) as c:
            return await c.post("/v1/predict", json={"images": [text]})

    assert asyncio.run(scenario()).json()["results"][0]["label"] == "dark"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("data:image/svg+xml,%3Csvg/%3E", "images[1] is a data URL without base64"),
        ("data:image/png;base64", "images[1] is not base64"),
        ("iVBO=Rw0K", "images[1] is not base64"),
        ("iVBOR", "images[1] is not base64"),
        ("图", "images[1] is not base64"),
        ("https://example.org/a.png", "images[1] is not base64"),
    ],
)
def test_what_is_no_base64_is_named(client, model, make_picture, text, why):
    images = [base64.b64encode(make_picture()).decode(), text]

    async def scenario():
        async with client(model) as c:
            return await c.post("/v1/predict", json={"images": images})

    assert is_problem(asyncio.run(scenario()), 422)["detail"] == why


def test_the_examples_of_the_document_are_answered(client, model):
    async def scenario():
        async with client(model) as c:
            document = (await c.get("/openapi.json")).json()
            [body] = [
                kind
                for name, kind in document["paths"]["/v1/predict"]["post"]["requestBody"][
                    "content"
                ].items()
                if name == "application/json"
            ]
            pictures = body["schema"]["properties"]["images"]["items"]["examples"]
            given = [body["example"], {"images": pictures}]
            return [await c.post("/v1/predict", json=one) for one in given]

    for answer in asyncio.run(scenario()):
        assert answer.status_code == 200
        assert "label" in answer.json()["results"][0]


@pytest.mark.parametrize("place", ["query", "fields", "json"])
def test_top_threshold_and_model_are_taken_wherever_they_stand(
    client, place, tmp_path, make_model, make_picture
):
    first = make_model(tmp_path / "first.onnx")
    second = make_model(tmp_path / "second.onnx", "v2")
    data = make_picture(200)
    asked = {"model": "second", "top": 1, "threshold": 0.999}

    async def scenario():
        async with client(first, second) as c:
            if place == "query":
                return await c.post("/v1/predict", params=asked, content=data, headers=PNG)
            if place == "fields":
                fields = {k: str(v) for k, v in asked.items()}
                return await c.post("/v1/predict", data=fields, files=[("images", data)])
            body = {"images": [base64.b64encode(data).decode()], **asked}
            return await c.post("/v1/predict", json=body)

    said = asyncio.run(scenario()).json()
    assert said["model"]["version"] == "v2"
    [answer] = said["results"]
    assert len(answer["top"]) == 1
    assert answer["rejected"]


def test_thresholds_of_the_classes_are_the_models_own(client, tmp_path, make_model, make_picture):
    own = make_model(tmp_path / "own.onnx", thresholds=(0.0, 0.0, 0.999999))
    none = make_model(tmp_path / "none.onnx")
    asked = {"params": {"threshold": "auto"}, "headers": PNG}

    async def scenario():
        async with client(own, none) as c:
            return [
                await c.post("/v1/predict", content=make_picture(0), **asked),
                await c.post("/v1/predict", content=make_picture(255), **asked),
                await c.post("/v1/predict", json={
                    "images": [base64.b64encode(make_picture(255)).decode()], "threshold": "auto",
                }),
                await c.post("/v1/predict?model=none", content=make_picture(0), **asked | {
                    "params": {"threshold": "auto", "model": "none"}}),
                await c.post("/v1/predict?threshold=2", content=make_picture(0), headers=PNG),
            ]  # fmt: skip

    dark, bright, again, without, beyond = asyncio.run(scenario())
    assert [r.json()["results"][0]["rejected"] for r in (dark, bright, again)] == [
        False, True, True,
    ]  # fmt: skip
    assert is_problem(without, 422)["detail"] == (
        "threshold: the model 'none' has none; give a number"
    )
    assert is_problem(beyond, 422)["detail"].endswith("less than or equal to 1")


def test_exif_rotation_is_applied(client, tmp_path, make_model):
    import io

    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG", exif=exif)
    seen = []

    async def scenario():
        async with client(make_model(tmp_path / "m.onnx")) as c:
            served = c.app.models.get(None)
            answer = served.batcher.answer
            served.batcher.answer = lambda ready: (seen.append(ready[0][0]), answer(ready))[1]
            await c.post("/v1/predict", content=written.getvalue(), headers=PNG)

    asyncio.run(scenario())
    assert seen[0][:4].min() == 255
    assert seen[0][4:].max() == 0


TEXT, JSON = {"Content-Type": "text/plain"}, {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data"}
FORM_B = {"Content-Type": "multipart/form-data; boundary=b"}
CUT = b'--b\r\nContent-Disposition: form-data; name="images"\r\n\r\nx'
BAD = {
    "no such address": ("GET", "/nothing", {}, 404),
    "no such method": ("DELETE", "/v1/models", {}, 405),
    "predict is posted": ("GET", "/v1/predict", {}, 405),
    "no body": ("POST", "/v1/predict", {"headers": PNG}, 400),
    "another type": ("POST", "/v1/predict", {"content": b"x", "headers": TEXT}, 415),
    "no type": ("POST", "/v1/predict", {"content": b"x"}, 415),
    "not JSON": ("POST", "/v1/predict", {"content": b"{", "headers": JSON}, 400),
    "deep JSON": ("POST", "/v1/predict", {"content": b"[" * 60000, "headers": JSON}, 400),
    "a list": ("POST", "/v1/predict", {"json": []}, 422),
    "no images": ("POST", "/v1/predict", {"json": {"images": []}}, 422),
    "not base64": ("POST", "/v1/predict", {"json": {"images": ["*"]}}, 422),
    "text for a number": ("POST", "/v1/predict", {"json": {"images": ["eA=="], "top": "5"}}, 422),
    "an unknown field": ("POST", "/v1/predict", {"json": {"images": ["eA=="], "tpo": 5}}, 422),
    "an unknown query": ("POST", "/v1/predict?tpo=5", {"content": b"x", "headers": PNG}, 422),
    "top 0": ("POST", "/v1/predict?top=0", {"content": b"x", "headers": PNG}, 422),
    "threshold 2": ("POST", "/v1/predict?threshold=2", {"content": b"x", "headers": PNG}, 422),
    "threshold nan": ("POST", "/v1/predict?threshold=nan", {"content": b"x", "headers": PNG}, 422),
    "unknown model": ("POST", "/v1/predict?model=lihgt", {"content": b"x", "headers": PNG}, 404),
    "a form without boundary": ("POST", "/v1/predict", {"content": b"x", "headers": FORM}, 400),
    "a form cut off": ("POST", "/v1/predict", {"content": CUT, "headers": FORM_B}, 400),
    "a file of another name": ("POST", "/v1/predict", {"files": [("picture", b"x")]}, 422),
    "neighbours of no model": ("GET", "/v1/models/x/neighbours/0", {}, 404),
    "no neighbours": ("GET", "/v1/models/light/neighbours/0", {}, 404),
    "neighbour a": ("GET", "/v1/models/light/neighbours/a", {}, 422),
    "neighbour -1": ("GET", "/v1/models/light/neighbours/-1", {}, 422),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_every_error_is_a_problem(client, name, model):
    method, path, options, status = BAD[name]

    async def scenario():
        async with client(model) as c:
            return await c.request(method, path, **options)

    response = asyncio.run(scenario())
    is_problem(response, status)
    if status == 405:
        assert response.headers["allow"]


def test_a_failure_that_nobody_thought_of_is_a_problem_that_tells_nothing(
    client, model, make_picture
):
    def broken(X):
        raise RuntimeError("/secret/path")

    async def scenario():
        async with client(model) as c:
            c.app.models.get(None).batcher.answer = broken
            predicted = await c.post("/v1/predict", content=make_picture(), headers=PNG)
            served, c.app.models.served = c.app.models.served, None
            listed = await c.get("/v1/models")
            c.app.models.served = served
            return predicted, listed

    for response in asyncio.run(scenario()):
        assert "secret" not in response.text
        is_problem(response, 500)


def test_models_are_listed_and_their_training_images_shown(client, tmp_path, make_model):
    path = make_model(tmp_path / "light.onnx")
    kept = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    np.save(path.with_suffix(".neighbours.npy"), kept)

    async def scenario():
        async with client(path, f"other={make_model(tmp_path / 'x.onnx', 'v2')}") as c:
            listed = await c.get("/v1/models")
            shown = await c.get("/v1/models/light/neighbours/2")
            beyond = await c.get("/v1/models/light/neighbours/3")
            return listed.json()["models"], shown, beyond

    (light, other), shown, beyond = asyncio.run(scenario())
    assert (light["name"], light["default"], light["pictures"]) == ("light", True, True)
    assert (other["name"], other["default"], other["version"]) == ("other", False, "v2")
    assert shown.headers["content-type"] == "image/png"
    import io

    assert (np.asarray(Image.open(io.BytesIO(shown.content))) == kept[2]).all()
    is_problem(beyond, 404)


def test_a_run_that_was_exported_is_served_under_its_name(
    client, tmp_path, make_model, make_picture
):
    run = tmp_path / "my-run"
    (run / "export").mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (run / name).write_text("{}")
    graph = make_model(run / "export" / "model.onnx")

    async def scenario(place):
        async with client(place) as c:
            response = await c.post("/v1/predict", content=make_picture(), headers=PNG)
            return response.json()["model"]["name"]

    assert asyncio.run(scenario(run)) == asyncio.run(scenario(graph)) == "my-run"


def test_two_models_of_one_name_are_refused(tmp_path, make_model):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        make_model(tmp_path / folder / "x.onnx")
    places = [str(tmp_path / folder / "x.onnx") for folder in ("a", "b")]
    with pytest.raises(ParameterError, match="NAME="):
        Application(places)


def test_ready_only_when_loaded_and_not_draining(client, model, make_picture):
    async def scenario():
        async with client(model, load=False) as c:
            yet = await c.get("/readyz"), await c.get("/healthz")
            asked = await c.post("/v1/predict", content=make_picture(), headers=PNG)
            c.app.models.load()
            loaded = await c.get("/readyz")
            c.app.draining = True
            return *yet, asked, loaded, await c.get("/readyz")

    yet, alive, asked, loaded, draining = asyncio.run(scenario())
    is_problem(yet, 503)
    is_problem(asked, 503)
    assert asked.headers["retry-after"]
    assert (alive.status_code, loaded.status_code) == (200, 200)
    is_problem(draining, 503)


def test_metrics_count_requests_images_batches_and_refusals(client, model, make_picture):
    async def scenario():
        async with client(model, max_images=2) as c:
            await c.post("/v1/predict", files=[("images", make_picture()), ("images", b"x")])
            await c.post("/v1/predict", files=[("images", b"x")] * 3)
            await c.get("/anything/at/all")
            return (await c.get("/metrics")).text

    lines = asyncio.run(scenario()).splitlines()
    assert 'sightline_requests_total{route="/v1/predict",status="200"} 1.0' in lines
    assert 'sightline_requests_total{route="other",status="404"} 1.0' in lines
    assert 'sightline_images_total{model="light",outcome="answered"} 1.0' in lines
    assert 'sightline_images_total{model="light",outcome="unreadable"} 1.0' in lines
    assert 'sightline_batch_size_count{model="light"} 1.0' in lines
    assert 'sightline_rejected_total{limit="max_images"} 1.0' in lines
    assert 'sightline_queue_depth{model="light"} 0.0' in lines
    assert 'sightline_request_seconds_count{route="/v1/predict"} 2.0' in lines


def test_headers_of_every_answer_and_no_other_site(client, model):
    async def scenario():
        async with client(model) as c:
            origin = {"Origin": "https://elsewhere.example"}
            return [await c.get(path, headers=origin) for path in ("/v1/models", "/nothing")]

    for response in asyncio.run(scenario()):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-request-id"]
        assert "access-control-allow-origin" not in response.headers
        assert "server" not in response.headers


def test_an_allowed_site_may_ask_with_a_key(client, model):
    async def scenario():
        async with client(model, allow_origin=("https://good.example",)) as c:
            asked = {"Access-Control-Request-Method": "POST"}
            good = await c.options(
                "/v1/predict", headers=asked | {"Origin": "https://good.example"}
            )
            bad = await c.options("/v1/predict", headers=asked | {"Origin": "https://bad.example"})
            return good, bad

    good, bad = asyncio.run(scenario())
    assert good.headers["access-control-allow-origin"] == "https://good.example"
    assert "access-control-allow-origin" not in bad.headers


def test_the_page_has_rules_that_a_browser_enforces(client, model, tmp_path):
    web = tmp_path / "web"
    web.mkdir()
    (web / "index.html").write_text("<p>hello")
    (web / "app.js").write_text("export const x = 1")

    async def scenario():
        async with client(model, web=web) as c:
            home, script = await c.get("/"), await c.get("/static/app.js")
            tag = {"If-None-Match": script.headers["etag"]}
            again = await c.get("/static/app.js", headers=tag)
            return home, script, again, await c.get("/static/../conftest.py")

    home, script, again, outside = asyncio.run(scenario())
    assert home.text == "<p>hello"
    assert "javascript" in script.headers["content-type"]
    assert again.status_code == 304
    for response in (home, script):
        policy = response.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "blob:" in policy
        assert "camera=(self)" in response.headers["permissions-policy"]
        assert response.headers["cache-control"] == "no-cache"
    is_problem(outside, 404)


def test_the_log_has_one_line_a_request_without_what_is_in_it(client, model, make_picture, caplog):
    import logging

    from sightline.deploy.server import logs

    lines = []

    class Keep(logging.Handler):
        def emit(self, record):
            lines.append(json.loads(logs.JsonLines().format(record)))

    keep = Keep()
    logs.log.addHandler(keep)
    logs.log.setLevel(logging.INFO)

    async def scenario():
        async with client(model) as c:
            await c.post("/v1/predict?top=2", content=make_picture(), headers=PNG)
            await c.get("/healthz")

    try:
        asyncio.run(scenario())
    finally:
        logs.log.removeHandler(keep)
    [line] = [entry for entry in lines if entry["event"] == "request"]
    assert (line["path"], line["status"], line["model"]) == ("/v1/predict", 200, "light")
    assert line["images"] == 1
    assert line["ms"] > 0


def test_the_server_needs_no_torch(model):
    code = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "lightning"):
            raise ImportError(name)
sys.meta_path.insert(0, Blocked())
import sightline.cli.serve, sightline.deploy.server.process
from sightline.deploy.server.application import Application
app = Application([sys.argv[1]])
app.models.load()
assert app.models.ready and app.documented.openapi()
app.close()
"""
    done = subprocess.run([sys.executable, "-c", code, str(model)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
