"""What a deployment costs: the money by hand, the command from a run to its drawing."""

from __future__ import annotations

import functools
import json
import math
import os
import resource

import numpy as np
import pytest

import sightline
from sightline.cli.main import status
from sightline.deploy import cost
from sightline.deploy.queueing import Server
from sightline.errors import ParameterError

MEASURED = cost.Measured(
    service_ms=10, decode_ms=1, variation=0.0, server=Server(each=0.01), memory_mb=100, model_mb=8,
    image_kb=50, pictures=10,
)  # fmt: skip


def prices(**modes: dict[str, object]) -> cost.Prices:
    whole = {"date": "2026-01-01", "example": False, "currency": "EUR", "peak": 2.0}
    return cost.Prices.model_validate(
        whole | {"modes": {k.replace("_", "-"): {"title": k} | m for k, m in modes.items()}}
    )


def test_money_by_hand():
    known = prices(
        rented={"per_hour": 0.5, "parallel": 4, "sends_images": True, "per_gb_in": 0.1},
        bought={"price": 3600, "months": 36, "watts": 100, "per_kwh": 0.2, "parallel": 4},
        browser={"on_visitors_device": True, "images_per_visitor": 10, "per_gb_out": 0.05},
    )
    rented, bought, browser = cost.rows(MEASURED, known, rate=10, target_ms=100)
    volume = 10 / 2 * 730 * 3600
    assert rented.machines == bought.machines == 1
    assert rented.month == pytest.approx(365 + volume * 50e3 / 1e9 * 0.1)
    assert bought.month == pytest.approx(100 + 0.1 * 730 * 0.2)
    assert browser.machines == 0
    assert browser.month == pytest.approx(volume * 8 * 2**20 / 10 / 1e9 * 0.05)
    assert rented.per_million == pytest.approx(rented.month / volume * 1e6)
    assert (rented.wire_kb, bought.wire_kb) == (50, 0)


def test_a_mode_that_is_too_slow_has_no_price_and_is_not_advised():
    known = prices(slow={"speed": 0.05, "per_hour": 0.01}, quick={"per_hour": 9})
    slow, _ = found = cost.rows(MEASURED, known, rate=1, target_ms=100)
    assert slow.machines is None
    assert math.isnan(slow.month)
    assert cost.advice(found, known, 100).startswith("Take the quick")
    assert cost.advice([slow], known, 100).startswith("No mode")


def test_where_the_cheapest_changes():
    known = prices(
        browser={"on_visitors_device": True, "per_gb_out": 1.0},
        rented={"per_hour": 1, "parallel": 8},
    )
    volumes = np.geomspace(1e3, 1e7, 400).tolist()
    ((at, before, after),) = cost.crossings(MEASURED, known, 200, volumes)
    assert (before, after) == ("browser", "rented")
    assert at == pytest.approx(730 / (8 * 2**20 / 1e9), rel=0.05)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = [", "not TOML"),
        ("x = " + "[" * 5000, "not TOML"),
        ("date = 2026-01-01", "example"),
        (cost.example().replace("per_hour = 0.10", "per_hour = -1"), r"modes\.cloud-cpu\.per_hour"),
        (cost.example().replace("per_hour = 0.10", "perhour = 1"), r"modes\.cloud-cpu\.perhour"),
    ],
)
def test_a_wrong_price_file_names_the_entry(text, message, tmp_path):
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(ParameterError, match=message):
        cost.read_prices(path)
    with pytest.raises(ParameterError, match="cannot read"):
        cost.read_prices(tmp_path / "none.toml")


def test_shipped_prices_are_marked_as_examples():
    assert cost.read_prices().example
    assert "EXAMPLES" in cost.example()


@pytest.fixture
def many_files():
    """More open files than select() knows of."""
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    yield
    for number in held:
        os.close(number)


@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 2000, reason="too few files may be open"
)
def test_the_command_measures_and_draws(tmp_path, capsys, many_files, monkeypatch):
    monkeypatch.setattr(cost, "measure", functools.partial(cost.measure, seconds=0.5))
    data = sightline.load_data("digits")
    run = sightline.create_model("nearest-mean", data).fit(data.train[:300]).save(tmp_path / "run")
    assert status(["cost", str(run), "--json", "--rate", "5"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["example_prices"] is True
    assert {row["key"] for row in said["modes"]} == set(cost.read_prices().modes)
    assert said["measured"]["service_ms"] > 0
    taken = said["measured"]["server"]
    assert 0 < taken["before"] + taken["after"] < 0.1
    assert taken["batch"] + taken["each"] > 0
    assert said["measured"]["memory_mb"] > 20
    assert (run / "cost.png").stat().st_size > 5000
    assert status(["cost", str(run), "--write-prices", str(tmp_path / "p.toml")]) == 0
    assert cost.read_prices(tmp_path / "p.toml").example
    assert status(["cost", str(run), "--rate", "0"]) == 2
