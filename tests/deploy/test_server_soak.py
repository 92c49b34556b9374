"""Ten thousand requests, a tenth of them bad, and the server told to end among them."""

from __future__ import annotations

import asyncio
import base64
import random
import signal
from collections import Counter

import httpx
import psutil
import pytest

PNG = {"Content-Type": "image/png"}
REQUESTS, CLIENTS = 10_000, 16


def good(make_picture, by_hand, chance):
    grey = chance.randrange(256)
    picture = make_picture(grey, size=(chance.randrange(1, 40), chance.randrange(1, 40)))
    form = chance.randrange(3)
    if form == 0:
        options = {"content": picture, "headers": PNG}
    elif form == 1:
        options = {"files": [("images", picture)]}
    else:
        options = {"json": {"images": [base64.b64encode(picture).decode()]}}
    return options, by_hand(grey)[2]


BAD = [
    ({"content": b"junk", "headers": PNG}, 422),
    ({"content": b"x" * 300_000, "headers": PNG}, 413),
    ({"json": {"images": ["*"]}}, 422),
    ({"files": [("images", b"x")] * 40}, 413),
    ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
    ({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415),
    ({"content": b"x", "headers": PNG, "params": {"model": "none"}}, 404),
]
"""What is sent, and the status that is right."""


async def work(url, numbers, outcome, memory, make_picture, by_hand, stop_at, server):
    async with httpx.AsyncClient(base_url=url, timeout=30) as c:
        for number in numbers:
            chance = random.Random(number)
            bad = number % 10 == 0
            options, right = chance.choice(BAD) if bad else good(make_picture, by_hand, chance)
            if number == stop_at:
                server.process.send_signal(signal.SIGTERM)
            try:
                response = await c.post("/v1/predict", **options)
            except httpx.ConnectError:
                outcome["refused"] += 1
                continue
            except httpx.TransportError as error:
                outcome[f"lost: {error!r}"] += 1
                continue
            said = response.json()
            if bad and response.status_code == said["status"] == right:
                outcome["bad, told so"] += 1
            elif not bad and response.status_code == 200:
                scores = {e["label"]: e["score"] for e in said["results"][0]["top"]}
                fine = scores["bright"] == pytest.approx(right, abs=1e-5)
                outcome["good, answered" if fine else "wrong"] += 1
            else:
                outcome[f"{response.status_code}: {said}"] += 1
            if number % 500 == 0:
                memory.append(psutil.Process(server.process.pid).memory_info().rss)


async def all_of(server, stop_at, make_picture, by_hand):
    outcome, memory, numbers = Counter(), [], iter(range(REQUESTS))
    await asyncio.gather(
        *(
            work(server.url, numbers, outcome, memory, make_picture, by_hand, stop_at, server)
            for _ in range(CLIENTS)
        )
    )
    return outcome, memory


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_none_of_ten_thousand_requests_is_lost_when_the_server_ends(
    running, model, make_picture, by_hand
):
    with running(model, "--max-body-mib", "0.2") as server:
        outcome, _ = asyncio.run(all_of(server, REQUESTS // 2, make_picture, by_hand))
        assert set(outcome) == {"good, answered", "bad, told so", "refused"}, outcome
        assert sum(outcome.values()) == REQUESTS
        assert outcome["good, answered"] > 0.4 * REQUESTS
        assert server.process.wait(20) == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_memory_stays_flat_over_ten_thousand_requests(running, model, make_picture, by_hand):
    with running(model, "--max-body-mib", "0.2") as server:
        outcome, memory = asyncio.run(all_of(server, -1, make_picture, by_hand))
        assert set(outcome) == {"good, answered", "bad, told so"}, outcome
        settled = memory[len(memory) // 4]
        assert max(memory[len(memory) // 4 :]) - settled < 16 * 2**20
        assert server.end() == 0
