from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from sightline.metrics import calibration
from sightline.metrics.calibration import calibration_error


def drawn(n, classes, temperature, seed=0):
    """Logits, and labels drawn from their softmax at a temperature: the truth is known."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (n, classes))
    p = torch.softmax(torch.from_numpy(logits / temperature), 1).numpy()
    labels = np.array([random.choice(classes, p=row) for row in p])
    return logits, labels, p


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_drew_the_labels_is_recovered(temperature):
    logits, labels, p = drawn(8000, 6, temperature)
    fitted = calibration.calibrate(logits[None], labels)
    assert fitted.temperature == pytest.approx(temperature, rel=0.06)
    answered = calibration.probabilities(logits[None], fitted.temperature)
    assert np.abs(answered - p).max() < 0.03
    assert fitted.after < 0.02
    if temperature != 1:
        assert fitted.before > 3 * fitted.after
        right = answered.argmax(1) == labels
        assert calibration_error(right, answered.max(1)) < 0.02


def test_it_is_the_minimum_that_scipy_finds():
    logits, labels, _ = drawn(500, 4, 2.0)

    def loss(log_t):
        z = torch.from_numpy(logits / np.exp(log_t))
        nll = torch.nn.functional.cross_entropy(z, torch.from_numpy(labels), reduction="sum")
        return float(nll) + 0.5 * (log_t / calibration.PRIOR) ** 2

    best = np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x)
    assert calibration.best_temperature(logits[None], labels) == pytest.approx(best, rel=0.01)


def test_views_are_averaged_as_probabilities():
    logits = drawn(50, 3, 1.0)[0]
    views = np.stack([logits, logits[:, ::-1]])
    answered = calibration.probabilities(views, 2.0, (0.75, 0.25))
    expected = 0.75 * torch.softmax(torch.from_numpy(views[0] / 2), 1) + 0.25 * torch.softmax(
        torch.from_numpy(views[1].copy() / 2), 1
    )
    np.testing.assert_allclose(answered, expected.numpy(), rtol=1e-12)


def test_few_images_that_are_all_right_do_not_make_it_certain():
    """Ten right answers are no proof: without the prior, T would go to its lowest."""
    logits = np.eye(2)[np.zeros(12, int)][None] * 2.0
    labels = np.zeros(12, np.int64)
    assert 0.3 < calibration.best_temperature(logits, labels) < 1
    assert calibration.calibrate(logits[:, :9], labels[:9]) is None


def test_after_is_measured_on_images_that_the_temperature_has_not_seen():
    """On labels by chance a temperature fitted on the same images would look better than it is."""
    random = np.random.default_rng(1)
    logits, labels = random.normal(0, 4, (60, 3)), random.integers(0, 3, 60)
    fitted = calibration.calibrate(logits[None], labels)
    own = calibration.probabilities(logits[None], fitted.temperature)
    assert fitted.after != calibration_error(own.argmax(1) == labels, own.max(1))
    halves = np.arange(60) % 2 == 0
    p = np.empty((60, 3))
    for here, there in ((halves, ~halves), (~halves, halves)):
        t = calibration.best_temperature(logits[None, there], labels[there])
        p[here] = calibration.probabilities(logits[None, here], t)
    assert fitted.after == calibration_error(p.argmax(1) == labels, p.max(1))
