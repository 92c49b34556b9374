"""A real process on a real socket: models that change, signals, and connections that misbehave."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time

import httpx
import psutil
import pytest

from sightline.deploy.server.connections import Joined

PNG = {"Content-Type": "image/png"}


def head(length):
    """Head of a request whose body is an image of so many bytes."""
    lines = ["POST /v1/predict HTTP/1.1", "Host: x", "Content-Type: image/png"]
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()


def test_a_changed_model_is_taken_without_a_lost_request(
    running, tmp_path, make_model, make_picture, by_hand
):
    path = make_model(tmp_path / "light.onnx", "v1")
    data = make_picture(200)
    wanted = {"v1": by_hand(200)[2], "v2": by_hand(200, 4.0)[2]}

    async def load(server):
        seen = []
        async with httpx.AsyncClient(base_url=server.url) as c:
            end = time.monotonic() + 20
            while time.monotonic() < end:
                response = await c.post("/v1/predict?top=3", content=data, headers=PNG)
                assert response.status_code == 200, response.text
                said = response.json()
                version = said["model"]["version"]
                scores = {e["label"]: e["score"] for e in said["results"][0]["top"]}
                assert scores["bright"] == pytest.approx(wanted[version], abs=1e-6)
                seen.append(version)
                if len(seen) == 20:
                    make_model(path, "v2", shift=4.0)
                if seen.count("v2") >= 20:
                    break
        return seen

    async def scenario(server):
        return await asyncio.gather(*(load(server) for _ in range(4)))

    with running(path) as server:
        for seen in asyncio.run(scenario(server)):
            assert seen[0] == "v1"
            assert seen[-1] == "v2"
            assert seen == sorted(seen)
        assert server.end() == 0


def test_a_model_that_cannot_be_loaded_changes_nothing(running, tmp_path, make_model, make_picture):
    path = make_model(tmp_path / "light.onnx", "v1")
    with running(path) as server:
        path.write_bytes(b"not a model")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("load failed")
        said = httpx.post(f"{server.url}/v1/predict", content=make_picture(), headers=PNG).json()
        assert said["model"]["version"] == "v1"
        time.sleep(2.5)  # it is not tried again until it changes
        assert sum(e["event"] == "load failed" for e in server.events()) == 1
        make_model(path, "v3")
        server.process.send_signal(signal.SIGHUP)
        for _ in range(100):
            said = httpx.get(f"{server.url}/v1/models").json()
            if said["models"][0]["version"] == "v3":
                break
            time.sleep(0.05)
        assert said["models"][0]["version"] == "v3"


@pytest.mark.slow
def test_a_run_is_exported_and_served(running, tmp_path, make_picture):
    import sightline

    data = sightline.load_data("digits")
    model = sightline.create_model("nearest-mean", data)
    model.fit(data.train[:200])
    model.save(tmp_path / "centroids")
    with running(f"near={tmp_path / 'centroids'}") as server:
        said = httpx.post(f"{server.url}/v1/predict", content=make_picture(), headers=PNG)
        [wanted] = model.predict([make_picture()])
        assert said.json()["model"]["name"] == "near"
        assert said.json()["results"][0]["label"] == wanted.name
        maps = psutil.Process(server.process.pid).memory_maps()
        assert not [m.path for m in maps if "libtorch" in m.path]


def test_the_end_finishes_what_is_in_flight_and_is_clean(running, tmp_path, model, make_picture):
    body = make_picture()
    with running(model, "--timeout-s", "10") as server:
        with socket.create_connection(("127.0.0.1", server.port)) as open_:
            open_.sendall(head(len(body)) + body[:20])
            time.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            server.wait_for("draining")
            time.sleep(0.2)
            with pytest.raises(OSError), socket.create_connection(("127.0.0.1", server.port), 1):
                pass
            open_.sendall(body[20:])
            answer = b""
            while part := open_.recv(65536):
                answer += part
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer.lower()
        assert server.process.wait(10) == 0
        assert "Traceback" not in server.log.read_text()


def test_readyz_says_that_the_end_is_near_while_requests_still_come(running, tmp_path, model):
    with running(model, "--drain-s", "1") as server:
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("draining")
        assert httpx.get(f"{server.url}/readyz").status_code == 503
        assert httpx.get(f"{server.url}/v1/models").status_code == 200
        assert server.process.wait(10) == 0


def test_a_second_signal_ends_at_once(running, tmp_path, model):
    with (
        running(model, "--timeout-s", "60") as server,
        socket.create_connection(("127.0.0.1", server.port)) as open_,
    ):
        open_.sendall(head(5))
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("draining")
        start = time.monotonic()
        assert server.end() == 1
        assert time.monotonic() - start < 2


def test_connections_that_say_nothing_or_nonsense_are_answered_and_closed(running, tmp_path, model):
    def said(text):
        with socket.create_connection(("127.0.0.1", server.port), 10) as open_:
            open_.sendall(text)
            answer = b""
            while part := open_.recv(65536):
                answer += part
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"application/problem+json" in head
        return json.loads(body)

    with running(model, "--timeout-s", "0.5", "--max-connections", "2") as server:
        assert said(b"\x16\x03\x01 nonsense\r\n\r\n")["status"] == 400
        assert said(b"")["limit"] == "timeout"
        assert said(b"GET / HTTP/1.1\r\nHost: x\r\n")["limit"] == "timeout"
        others = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(2)]
        time.sleep(0.1)
        assert said(b"")["limit"] == "max_connections"
        for other in others:
            other.close()


@pytest.mark.parametrize("wrong", ["model", "port", "keys", "setting"])
def test_what_cannot_be_served_is_one_line(tmp_path, model, wrong):
    words = [str(model)]
    taken = socket.create_server(("127.0.0.1", 0))
    if wrong == "model":
        model.write_bytes(b"nothing")
    elif wrong == "port":
        words += ["--port", str(taken.getsockname()[1])]
    elif wrong == "keys":
        words += ["--keys", str(tmp_path / "none")]
    else:
        words += ["--max-batch", "0"]
    done = subprocess.run(
        [sys.executable, "-m", "sightline", "serve", *words], capture_output=True, text=True
    )
    taken.close()
    assert done.returncode == 2
    assert done.stderr.startswith("sightline: ")
    assert done.stderr.count("\n") == 1


class Wire:
    """A transport that keeps what is written to it."""

    def __init__(self):
        self.written, self.closed = [], False

    def write(self, data):
        self.written.append(data)

    def close(self):
        self.closed = True

    is_closing = get_extra_info = set_protocol = None


def test_head_and_body_of_an_answer_are_one_write():
    head, wire = b"HTTP/1.1 200 OK\r\n\r\n", Wire()
    joined = Joined(wire)
    for part in (head, b"one", b"two", head, b"HTTP/1.1 is a text, too", head):
        joined.write(part)
    assert wire.written == [head + b"one", b"two", head + b"HTTP/1.1 is a text, too"]
    joined.flush()
    joined.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert wire.written[3:] == [head, b"HTTP/1.1 100 Continue\r\n\r\n"]
    joined.write(head)
    joined.close()
    assert wire.written[5:] == [head]
    assert wire.closed


def test_answers_without_a_body_and_asked_for_piece_by_piece(
    running, tmp_path, make_model, make_picture
):
    data = make_picture(200)
    with (
        running(make_model(tmp_path / "light.onnx", "v1")) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection,
    ):
        connection.sendall(b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = connection.recv(2**16)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"content-length: 18\r\n" in answer  # of {"status":"alive"}
        assert answer.endswith(b"\r\n\r\n")
        connection.sendall(head(len(data)).replace(b"Host", b"Expect: 100-continue\r\nHost"))
        assert connection.recv(2**16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(data)
        assert connection.recv(2**16).startswith(b"HTTP/1.1 200")
