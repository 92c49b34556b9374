from __future__ import annotations

import math

import pytest
import torch

import sightline
from sightline.estimators.classify_network import cross_entropy
from sightline.estimators.network import mean_and_std
from sightline.training import probe
from sightline.training.engine import Training, launch
from sightline.training.labelled_recipe import LabelledRecipe
from sightline.training.packed_feed import PackedFeed


@pytest.fixture(scope="module")
def digits():
    return sightline.load_data("digits").train.arrays()[:2]


def training(digits, **knobs):
    X, y = digits
    recipe = LabelledRecipe(
        **({"epochs": 3, "batch_size": 64, "flip": "none", "device": "cpu"} | knobs)
    )
    fabric = launch(recipe)
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Dropout(0.5),
        torch.nn.Linear(32, 10),
    )  # fmt: skip
    feed = PackedFeed(X, y, *mean_and_std(X), 10, recipe, fabric.device, 0)
    return Training(fabric, model, feed, recipe, lambda m, b: cross_entropy(m(b[0]), b[1]))


def test_the_suggested_rate_learns_and_the_last_tried_explodes(digits):
    looked = training(digits)
    before = {k: v.clone() for k, v in looked.plain.state_dict().items()}
    found = probe.find_lr(looked)
    assert all(torch.equal(v, before[k]) for k, v in looked.plain.state_dict().items())
    assert 1e-3 < found.suggestion < 3
    assert found.losses[-1] > min(found.losses)
    first = math.log(10)
    good = training(digits, lr=found.suggestion, schedule="constant").run().history[-1]
    assert good["train_loss"] < 0.7 * first


def test_the_first_batches_difference_is_no_fall():
    # As a network on pixels has it: the second batch is easier than the first by chance.
    quiet = [2.15, 2.08, 2.13, 2.14, 2.12, 2.13, 2.12, 2.12, 2.12, 2.12, 2.12, 2.12, 2.11]
    falling = [2.10, 2.07, 2.03, 1.97, 1.92, 1.89, 1.88, 1.88, 3.0]
    assert probe._steepest([*quiet, *falling]) - len(quiet) in (3, 4)
    assert probe._steepest([1.0, 2.0, 3.0, 4.0, 5.0]) == 0
    assert probe._steepest([3.0, 1.0, 2.0, 4.0, 5.0]) == 1


def test_one_batch_is_learned_by_heart_without_dropout(digits):
    looked = training(digits, lr=0.3, schedule="constant", warmup=0.0, weight_decay=0.0)
    losses = probe.overfit_batch(looked)
    assert losses[-1] < probe.LEARNED < losses[0]
    assert looked.plain[3].p == 0.5  # as it was
    hopeless = training(digits, lr=1e-9, schedule="constant", warmup=0.0)
    assert probe.overfit_batch(hopeless, steps=20)[-1] > 1


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_an_estimate_counts_what_will_be_done(digits, precision):
    looked = training(digits, precision=precision)
    found = probe.estimate(looked)
    assert found.input == (64, 1, 8, 8)
    assert found.output == (64, 10)
    assert found.parameters == 64 * 32 + 32 + 32 * 10 + 10
    assert found.steps == 3 * math.ceil(len(digits[0]) / 64)
    assert found.total_seconds == pytest.approx(found.steps * found.step_seconds)
    assert found.memory_mb > 0


def test_a_detectors_batch_is_learned_at_a_tenth_of_its_first_loss(digits):
    data = sightline.load_data("shapes:count=12,size=32")
    detector = sightline.create_model("yolo-v1", data, workers=0, device="cpu")
    looked = detector.training(data.train)
    assert probe.learned_below(looked, [5.0, 0.4]) == 0.5
    assert probe.learned_below(looked, [0.02]) == probe.LEARNED
    assert probe.learned_below(training(digits), [5.0, 0.4]) == probe.LEARNED
    losses = probe.overfit_batch(looked, steps=60)
    assert losses[-1] < probe.learned_below(looked, losses)
