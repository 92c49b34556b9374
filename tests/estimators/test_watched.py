"""What a network's training says of overfitting, by the figure that its judges measure first."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from sightline.estimators.classify_network import ModuleClassifier
from sightline.estimators.detect_network import DetectionNetwork
from sightline.models import registry
from sightline.training.engine import Outcome
from sightline.training.recipe import Recipe


def trained(rows, sign, judges=("val", "train")):
    """A training that is over, with the history of these rows."""
    recipe = Recipe()
    return SimpleNamespace(
        recipe=recipe, judges=dict.fromkeys(judges), sign=sign,
        run=lambda progress, on_epoch: Outcome(rows, [], recipe),
    )  # fmt: skip


@pytest.fixture
def network():
    class Counter(ModuleClassifier):
        share = False

    made = Counter(registry.card("convnet"), {})
    made.model = SimpleNamespace(eval=lambda: None)
    return made


def rows(first):
    return [
        {"epoch": e, "step": e, "train_loss": 1.0} | first
        | {"val_pixels_off": 4.0, "train_pixels_off": 5.0 - e}
        for e in range(1, 5)
    ]  # fmt: skip


def test_an_error_that_parts_is_remarked(network):
    network.run(trained(rows({}), -1))
    assert network.remarks == [
        "overfitting from epoch 2: pixels off is 2 lower on training than validation images"
    ]


def test_the_same_figures_are_none_where_higher_is_better(network):
    network.run(trained(rows({}), 1))
    assert network.remarks == []


def test_where_the_loss_is_watched_nothing_is_supposed_of_the_figure(network):
    network.run(trained(rows({"val_loss": 1.0}), -1))
    assert network.remarks == []


@pytest.mark.parametrize(
    ("knobs", "steps", "times"),
    [
        ({}, 1_200, 10.0),  # of few images: to 12,000 steps
        ({}, 9_000, 3.0),
        ({"weights": "coco"}, 1_200, 3.0),  # what is learned already needs no more
        ({"epochs": 5}, 1_200, 1.0),  # as was asked for
    ],
)
def test_a_budget_may_stretch_a_costly_training(knobs, steps, times):
    made = DetectionNetwork(registry.card("yolo-tiny"), knobs)
    training = SimpleNamespace(recipe=made.recipe(64), steps=steps)
    assert made._stretch(training) == times
