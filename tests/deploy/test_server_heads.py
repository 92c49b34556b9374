"""Heads of requests: bounded as they arrive, of one host, and believed only where they may be."""

from __future__ import annotations

import asyncio
import json
import socket
import time

import httpx
import psutil
import pytest

from sightline.deploy.server.bodies import Bodies
from sightline.deploy.server.connections import HEAD, allowed
from sightline.deploy.server.proxies import Proxies
from sightline.deploy.server.settings import Settings
from sightline.errors import ParameterError

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    from importlib import util
    from pathlib import Path

    spec = util.spec_from_file_location("servers", Path(__file__).parent / "conftest.py")
    made = util.module_from_spec(spec)
    spec.loader.exec_module(made)
    folder = tmp_path_factory.mktemp("served")
    with made._running(folder, made.write_model(folder / "light.onnx")) as running:
        yield running


def said(server, *parts, pause=0.0):
    """The status and document of the answer to what is sent."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as open_:
        answer = b""
        try:
            for part in parts:
                open_.sendall(part)
                time.sleep(pause)
        except OSError:
            pass  # the server has closed: it has said why
        while part := open_.recv(65536):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body) if b"json" in head else body


CLOSE = b"Connection: close\r\n\r\n"
TOO_LONG = {
    "one header without an end": (HEALTH + b"X: ", b"a" * 70_000),
    "in small packets": (HEALTH + b"X: ", *[b"a" * 2000] * 40),
    "many headers": (HEALTH, b"X: a\r\n" * 20_000),
    "an address without an end": (b"GET /", b"a" * 70_000),
    "a head that ends": (HEALTH + b"X: " + b"a" * 66_000 + b"\r\n" + CLOSE,),
    "a head that ends in the next packet": (HEALTH + b"X: " + b"a" * 66_000, b"\r\n" + CLOSE),
    "empty lines before a request": (b"\r\n" * 40_000,),
    "trailers of a body": (
        b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", b"X: a\r\n" * 40_000,
    ),
    "the extension of a chunk": (
        b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n1;x=", b"a" * 200_000,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", TOO_LONG)
def test_a_head_that_is_too_long_is_refused_as_it_arrives(server, what):
    status, document = said(server, *TOO_LONG[what])
    assert (status, document["limit"]) == (431, "head")


@pytest.mark.parametrize("size", [100, 5000, 60_000])
def test_a_head_below_the_bound_is_read_however_it_is_cut(server, size):
    whole = HEALTH + b"X: " + b"a" * size + b"\r\nY: b\r\n" + CLOSE
    for step in (1000, 4096, len(whole)):
        parts = [whole[i : i + step] for i in range(0, len(whole), step)]
        status, document = said(server, *parts, pause=0.001)
        assert (status, document) == (200, {"status": "alive"})


def test_many_endless_heads_leave_the_others_answered_and_memory_flat(server):
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    feeding = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(8)]
    for open_ in feeding:
        open_.setblocking(False)
        open_.send(HEALTH + b"X: ")
    end, slowest = time.monotonic() + 3, 0.0
    while time.monotonic() < end:
        for i, open_ in enumerate(feeding):
            try:
                open_.send(b"a" * 2**18)
            except BlockingIOError:
                continue
            except OSError:
                open_.close()
                feeding[i] = socket.create_connection(("127.0.0.1", server.port))
                feeding[i].setblocking(False)
                feeding[i].send(HEALTH + b"X: ")
        start = time.monotonic()
        assert said(server, HEALTH + CLOSE)[0] == 200
        slowest = max(slowest, time.monotonic() - start)
    for open_ in feeding:
        open_.close()
    assert slowest < 2
    assert process.memory_info().rss - before < 60 * 2**20


class Wire:
    """A transport that keeps what is written to it."""

    def __init__(self):
        self.written, self.closed = b"", False

    def write(self, data):
        self.written += data

    def write_eof(self):
        self.closed = True

    close = write_eof

    def is_closing(self):
        return self.closed

    def get_extra_info(self, name):
        return None

    set_protocol = pause_reading = resume_reading = None


def connected(bodies, settings):
    """A connection without a socket, and its wire."""
    import uvicorn
    from uvicorn.server import ServerState

    config = uvicorn.Config(lambda scope: None, http="httptools", ws="none", lifespan="off")
    made = allowed(settings, bodies)(config, ServerState(), {}, asyncio.get_running_loop())
    wire = Wire()
    made.connection_made(wire)
    return made, wire


def test_heads_count_among_what_is_held_until_they_are_answered():
    async def scenario():
        settings = Settings(max_body_mib=0.1, max_buffer_mib=0.1)
        bodies = Bodies(settings)
        first, _ = connected(bodies, settings)
        second, wire = connected(bodies, settings)
        first.data_received(HEALTH + b"X: " + b"a" * 60_000)
        held = bodies.held
        second.data_received(HEALTH + b"X: " + b"a" * 60_000)
        refused = wire.written
        second.connection_lost(None)
        after = bodies.held
        first.connection_lost(None)
        return held, refused, after, bodies.held

    held, refused, after, last = asyncio.run(scenario())
    assert held == after > 60_000
    assert refused.startswith(b"HTTP/1.1 429 ")
    assert b'"max_buffer"' in refused
    assert last == 0


def test_a_long_line_is_not_copied_with_every_packet():
    class Parser:
        def __init__(self):
            self.fed = []

        def feed_data(self, data):
            self.fed.append(bytes(data))

    async def scenario():
        made, _ = connected(Bodies(Settings()), Settings())
        made.parser = Parser()
        sent = [HEALTH + b"X: ", *[b"a" * 10] * 6000, b"\r\n\r\n"]
        for part in sent:
            made.data_received(part)
        return made.parser.fed, b"".join(sent)

    fed, whole = asyncio.run(scenario())
    assert b"".join(fed) == whole
    assert len(fed) < 500
    assert len(whole) < HEAD


HOSTS = {
    "none": (b"GET /healthz HTTP/1.1\r\n", 400),
    "two": (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n", 400),
    "two in other letters": (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHOST: b\r\n", 400),
    "no name": (b"GET /healthz HTTP/1.1\r\nHost: a/b\r\n", 400),
    "with a user": (b"GET /healthz HTTP/1.1\r\nHost: a@b\r\n", 400),
    "a name": (b"GET /healthz HTTP/1.1\r\nHost: example.org:80\r\n", 200),
    "an address": (b"GET /healthz HTTP/1.1\r\nHost: [::1]:80\r\n", 200),
    "an empty one": (b"GET /healthz HTTP/1.1\r\nHost:\r\n", 200),
    "none in HTTP/1.0": (b"GET /healthz HTTP/1.0\r\n", 200),
    "two in HTTP/1.0": (b"GET /healthz HTTP/1.0\r\nHost: a\r\nHost: b\r\n", 400),
    "HTTP/0.9": (b"GET /healthz HTTP/0.9\r\nHost: a\r\n", 400),
}


@pytest.mark.parametrize("what", HOSTS)
def test_a_request_names_one_host(server, what):
    head, expected = HOSTS[what]
    assert said(server, head + CLOSE)[0] == expected


@pytest.mark.parametrize("text", [b"GET /healthz\r\n\r\n", b"GET /healthz\r\n"])
def test_a_request_of_1991_is_refused(server, text):
    assert said(server, text)[0] == 400


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/v1/models", "/nothing"])
def test_head_is_get_without_the_body(server, path):
    got, asked = httpx.get(server.url + path), httpx.head(server.url + path)
    assert asked.status_code == got.status_code
    assert asked.content == b""
    for name in ("content-type", "content-length", "cache-control"):
        if path != "/metrics" or name != "content-length":  # which grows with each request
            assert asked.headers[name] == got.headers[name]


def test_head_is_counted_under_its_address(server):
    httpx.head(f"{server.url}/v1/models")
    assert 'path="/v1/models"' in httpx.get(f"{server.url}/metrics").text or (
        'route="/v1/models"' in httpx.get(f"{server.url}/metrics").text
    )


@pytest.mark.parametrize("path", ["/v1/models/", "//evil.example/v1/models/", "/static"])
def test_a_redirect_does_not_say_what_the_client_calls_the_host(server, path):
    with httpx.Client() as client:
        answer = client.get(server.url + path, headers={"Host": "evil.example"})
    location = answer.headers.get("location", "/")
    assert location.startswith("/")
    assert not location.startswith("//")
    if path == "/v1/models/":
        assert (answer.status_code, location) == (307, "/v1/models")


def scope(client, *forwarded):
    headers = [(b"x-forwarded-for", text) for text in forwarded]
    return {"type": "http", "client": (client, 1), "headers": headers}


@pytest.mark.parametrize(
    ("trusted", "peer", "said", "expected"),
    [
        ((), "127.0.0.1", [b"9.9.9.9"], "127.0.0.1"),
        (["127.0.0.1"], "127.0.0.1", [b"9.9.9.9"], "9.9.9.9"),
        (["127.0.0.1"], "10.0.0.1", [b"9.9.9.9"], "10.0.0.1"),
        (["10.0.0.0/8"], "10.1.2.3", [b"1.1.1.1, 9.9.9.9, 10.7.7.7"], "9.9.9.9"),
        (["10.0.0.0/8"], "10.1.2.3", [b"1.1.1.1", b"9.9.9.9"], "9.9.9.9"),
        (["10.0.0.0/8"], "10.1.2.3", [b"10.0.0.9"], "10.0.0.9"),
        (["10.0.0.0/8"], "10.1.2.3", [b"9.9.9.9:443"], "9.9.9.9"),
        (["10.0.0.0/8"], "10.1.2.3", [b"[2001:db8::1]:443"], "2001:db8::1"),
        (["10.0.0.0/8"], "10.1.2.3", [b'"><script>'], "10.1.2.3"),
        (["10.0.0.0/8"], "10.1.2.3", [b"unknown, 10.0.0.9"], "10.0.0.9"),
        (["10.0.0.0/8"], "10.1.2.3", [b""], "10.1.2.3"),
        (["10.0.0.0/8"], "10.1.2.3", [], "10.1.2.3"),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", [b"9.9.9.9"], "9.9.9.9"),
        (["::1"], "::1", [b"9.9.9.9"], "9.9.9.9"),
    ],
)
def test_only_named_proxies_say_who_the_client_is(trusted, peer, said, expected):
    assert Proxies(trusted).client(scope(peer, *said)) == expected


@pytest.mark.parametrize("wrong", ["*", "proxy.example", "10.0.0.0/99", ""])
def test_a_proxy_is_an_address_or_a_network(wrong):
    with pytest.raises(ParameterError, match="no address"):
        Proxies([wrong])


def test_the_log_and_the_rate_go_by_the_client_behind_a_trusted_proxy(client, model, caplog):
    caplog.set_level("INFO", "sightline.serve")

    async def scenario(**settings):
        async with client(model, rate=0.001, burst=1, **settings) as c:
            return [
                (await c.get("/v1/models", headers={"X-Forwarded-For": f"9.9.9.{i}"})).status_code
                for i in (1, 2)
            ]

    assert asyncio.run(scenario()) == [200, 429]
    assert asyncio.run(scenario(trust_proxy=("127.0.0.1",))) == [200, 200]
