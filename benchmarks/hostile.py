"""Ask a server as strangers do: broken heads and bodies, costly pictures, connections that stay."""

from __future__ import annotations

import base64
import contextlib
import io
import itertools
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

PATIENCE = 40.0
"""Seconds that an answer is waited for; the server's own limit is 30."""

CLIENTS = 4
EVERY = 10
"""One request in so many is a good picture."""


class Request(NamedTuple):
    """The bytes of a request, and whether an answer must come."""

    kind: str
    content: bytes
    answered: bool = True
    stay: float = 0.0  # seconds that the connection is held open before it is left


def image(kind: str = "PNG", size: tuple[int, int] = (64, 48), **options: Any) -> bytes:
    """Encode a picture of noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, kind, **options)
    return held.getvalue()


def many_scans(side: int, scans: int) -> bytes:
    """Encode a progressive JPEG that repeats its last scan."""
    held = io.BytesIO()
    Image.new("L", (side, side), 128).save(held, "JPEG", progressive=True, quality=50)
    whole = held.getvalue()
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * scans + whole[-2:]


def huge_tile(side: int) -> bytes:
    """Encode a TIFF of 32 x 32 pixels with one tile that is far larger."""
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(bytes(side)) for _ in range(side)) + packer.flush()
    tags = [(256, 32), (257, 32), (258, 8), (259, 8), (262, 1), (277, 1), (322, side), (323, side),
            (324, 8 + 2 + 12 * 10 + 4), (325, len(body))]  # fmt: skip
    entries = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<LH", 8, len(tags)) + entries + bytes(4) + body


def wide_png(side: int) -> bytes:
    """Encode a PNG that states many pixels and holds few bytes."""

    def chunk(name: bytes, body: bytes) -> bytes:
        check = zlib.crc32(name + body)
        return struct.pack(">L", len(body)) + name + body + struct.pack(">L", check)

    head = struct.pack(">LLBBBBB", side, side, 8, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99)))
            + chunk(b"IEND", b""))  # fmt: skip


def text_chunks(count: int) -> bytes:
    """Encode a PNG with packed texts that unpack to megabytes."""
    whole = image(size=(8, 8))
    body = b"a\0\0" + zlib.compress(bytes(2**20), 9)
    one = (
        struct.pack(">L", len(body))
        + b"zTXt"
        + body
        + struct.pack(">L", zlib.crc32(b"zTXt" + body))
    )
    return whole[:33] + one * count + whole[33:]


def post(body: bytes, kind: str = "image/png", path: str = "/v1/predict", more: str = "") -> bytes:
    """Return a request with a body."""
    head = f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: {kind}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n".encode() + body


class Strangers:
    """Makes requests of every kind, the same ones for the same seed."""

    def __init__(self) -> None:
        self.good = image()
        self.pictures = [
            image("JPEG"), image("GIF"), image("BMP"), image("WEBP"), image("TIFF"),
            wide_png(50_000), wide_png(4_000), huge_tile(8_000), text_chunks(60),
            many_scans(128, 700),
            many_scans(1_500, 400), b"", b"\0" * 999, b"<svg/>", b"GIF89a", b"%PDF-1.4",
        ]  # fmt: skip

    def good_one(self) -> Request:
        """Return a request that must be answered with 200."""
        return Request("good", post(self.good))

    def one(self, rng: random.Random) -> Request:
        """Return a request by chance."""
        kinds = (self._picture, self._mutated, self._mutated, self._head, self._body, self._json,
                 self._form, self._query, self._path, self._staying)  # fmt: skip
        return rng.choice(kinds)(rng)

    def _picture(self, rng: random.Random) -> Request:
        return Request("picture", post(rng.choice(self.pictures), "application/octet-stream"))

    def _mutated(self, rng: random.Random) -> Request:
        body = bytearray(rng.choice([p for p in self.pictures if 40 < len(p) < 50_000]))
        for _ in range(rng.choice((1, 3, 9))):
            body[rng.randrange(len(body))] = rng.randrange(256)
        body = body[: rng.choice((len(body), rng.randrange(len(body) + 1)))]
        return Request("mutated", post(bytes(body), "application/octet-stream"))

    def _head(self, rng: random.Random) -> Request:
        long, post = (
            b"a" * rng.choice((70_000, 2_000_000)),
            b"POST /v1/predict HTTP/1.1\r\nHost: h\r\n",
        )
        length = b"Content-Length: 5\r\n"
        broken = (
            b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /\r\n",
            rng.randbytes(300),
            b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\r\nX: " + long + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
            b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
            post + b"Content-Length: -1\r\n\r\n", post + length + b"Content-Length: 6\r\n\r\nabcde",
            post + length + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            post + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"GET / HTTP/1.1\r\nHost : h\r\n\r\n", b"GET / HTTP/1.1\nHost: h\n\n",
            b"GET /healthz HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: \x1b[31m\r\n\r\n",
        )  # fmt: skip
        return Request("head", rng.choice(broken), answered=False)

    def _body(self, rng: random.Random) -> Request:
        """Return a body that is longer or shorter than it says."""
        whole = post(self.good)
        if rng.random() < 0.5:
            return Request("short", whole[: rng.randrange(len(whole))], answered=False)
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (self.good[:50], self.good[50:]))
        head = b"POST /v1/predict HTTP/1.1\r\nHost: h\r\nContent-Type: image/png\r\n"
        head += b"Connection: close\r\n"
        return Request(
            "chunked", head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        )

    def _json(self, rng: random.Random) -> Request:
        encoded = base64.b64encode(self.good).decode()
        bodies = (
            {"images": [encoded]}, {"images": [f"data:image/png;base64,{encoded}"]},
            {"images": [7]}, {"images": encoded}, {"images": []}, {"images": [encoded] * 99},
            {"images": ["é"]}, {},
            {"images": [encoded], "top": -1}, {"images": [encoded], "model": "../x"}, [], None, 7,
            {"images": [encoded], "threshold": "NaN"}, {"images": [None]}, {"image": encoded},
        )  # fmt: skip
        body = json.dumps(rng.choice(bodies)).encode()
        body = rng.choice(
            (body, body, body, b"[" * 100_000, b"1" * 9_000, body[:-1], b"\xff" + body)
        )
        return Request("json", post(body, "application/json"))

    def _form(self, rng: random.Random) -> Request:
        name = rng.choice((b"a.png", b"../../a", b"\xff", b"a" * 5_000, b"\r\nX: y"))
        part = b'--b\r\nContent-Disposition: form-data; name="images"; filename="%s"\r\n\r\n' % name
        part += self.good
        bodies = (
            part + b"\r\n--b--\r\n",
            part,
            b"--b" * 9_000,
            b"",
            (part + b"\r\n") * 60 + b"--b--\r\n",
            b"--b\r\n" + b"A: b\r\n" * 9_000 + b"\r\n",
        )
        kind = rng.choice(("multipart/form-data; boundary=b", "multipart/form-data",
                           "multipart/form-data; boundary=" + "b" * 500))  # fmt: skip
        return Request("form", post(rng.choice(bodies), kind))

    def _query(self, rng: random.Random) -> Request:
        query = rng.choice((
            "top=0", "top=9999999999999999999999", "threshold=nan", "threshold=1e999", "model=%00",
            "model=..%2f..%2fetc", "top=1&top=2", "x" * 9_000, "top=%F0%9F%98%80", "threshold=auto",
        ))  # fmt: skip
        return Request("query", post(self.good, path=f"/v1/predict?{query}"))

    def _path(self, rng: random.Random) -> Request:
        path = rng.choice((
            "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/static/..%5c..%5cx",
            "//evil.example/", "/v1/models", "/v1/predict", "/metrics", "/readyz", "/docs",
            "/openapi.json",
            "/%00", "/\\",
        ))  # fmt: skip
        verb = rng.choice(("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW", "CONNECT"))
        line = f"{verb} {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        return Request("path", line.encode(), answered=verb in ("GET", "HEAD", "PUT", "DELETE"))

    def _staying(self, rng: random.Random) -> Request:
        """Return the beginning of a request on a connection that stays for a while."""
        whole = post(self.good)
        return Request("staying", whole[: rng.randrange(1, len(whole))], False, rng.random())


def ask(port: int, request: Request) -> int:
    """Send a request and return the status of its answer; 0 where there was none."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as line:
            with contextlib.suppress(OSError):  # a server may answer before it has read all
                line.sendall(request.content)
            if request.stay:
                time.sleep(request.stay)
                return 0
            if not request.answered:
                line.settimeout(1.0)
            head = b""
            while b"\r\n" not in head and (more := line.recv(65536)):
                head += more
    except OSError:
        return 0
    status = re.match(rb"HTTP/1\.[01] (\d{3})", head)
    return int(status[1]) if status else 0


def soak(requests: int, seed: int) -> dict[str, Any]:
    """Start a server, ask it, and return what came of it."""
    with tempfile.TemporaryDirectory() as at, (Path(at) / "log").open("w") as out:
        run = _run(Path(at))
        command = [sys.executable, "-m", "sightline", "serve", "--port", "0", str(run)]
        process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            port = _port(Path(at) / "log", process)
            seen = _asked(port, requests, seed)
            memory = _peak(process.pid)
            begun = time.perf_counter()
            process.send_signal(signal.SIGTERM)
            try:
                ended: float | None = None
                process.wait(60)
                ended = round(time.perf_counter() - begun, 2)
            except subprocess.TimeoutExpired:
                pass
            log = (Path(at) / "log").read_text(errors="replace")
        finally:
            process.kill()
            process.wait()
    return seen | {
        "tracebacks": log.count("Traceback"), "peak_memory_mib": memory >> 20,
        "seconds_to_end": ended, "exit_status": process.returncode,
    }  # fmt: skip


def _asked(port: int, requests: int, seed: int) -> dict[str, Any]:
    strangers, lock = Strangers(), threading.Lock()
    numbers = itertools.count()
    statuses: dict[str, Counter[int]] = {}
    lost: Counter[str] = Counter()
    slowest = {"good": 0.0, "hostile": 0.0}

    def client() -> None:
        while True:
            with lock:
                number = next(numbers)
            if number >= requests:
                return
            good = number % EVERY == 0
            rng = random.Random(f"{seed} {number}")
            request = strangers.good_one() if good else strangers.one(rng)
            begun = time.perf_counter()
            status = ask(port, request)
            took = time.perf_counter() - begun
            with lock:
                statuses.setdefault(request.kind, Counter())[status] += 1
                if request.answered and (not status or (good and status != 200)):
                    lost[request.kind] += 1
                if request.answered:
                    key = "good" if good else "hostile"
                    slowest[key] = max(slowest[key], took)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "requests": requests, "clients": CLIENTS, "lost": dict(lost),
        "server_errors": sum(c for s in statuses.values() for n, c in s.items() if n in (500, 502)),
        "slowest_good_seconds": round(slowest["good"], 2),
        "slowest_seconds": round(slowest["hostile"], 2),
        "statuses": {
            kind: {str(status): count for status, count in sorted(counts.items())}
            for kind, counts in sorted(statuses.items())
        },
    }  # fmt: skip


def _run(folder: Path) -> Path:
    """Train and export a small run of grey pictures."""
    import sightline

    rng = np.random.default_rng(0)
    data = sightline.load_data((rng.integers(0, 256, (60, 8, 8), np.uint8), np.arange(60) % 3))
    model = sightline.create_model("nearest-mean")
    model.fit(data.train)
    return model.save(folder / "run")


def _port(log: Path, process: subprocess.Popen[bytes]) -> int:
    for _ in range(1200):
        for line in log.read_text().splitlines():
            if line.startswith("{") and json.loads(line).get("event") == "ready":
                return int(json.loads(line)["port"])
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise SystemExit(f"no server: {log.read_text()[-500:]}")


def _peak(pid: int) -> int:
    """Return the largest memory of a process and of those that it started, in bytes."""
    total = 0
    for one in (pid, *_children(pid)):
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{one}/status").read_text()
            if match := re.search(r"VmHWM:\s+(\d+)", status):
                total += int(match[1]) * 1024
    return total


def _children(pid: int) -> list[int]:
    import psutil

    with contextlib.suppress(psutil.Error):
        return [p.pid for p in psutil.Process(pid).children(recursive=True)]
    return []


os.environ.setdefault("OMP_NUM_THREADS", "1")
