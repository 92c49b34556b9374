from __future__ import annotations

import numpy as np
import pytest

from sightline.models.backprop import penalties
from sightline.models.backprop.activations import (
    ACTIVATIONS,
    ReLU,
    Softmax,
    Tanh,
)
from sightline.models.backprop.convolution import Conv2d
from sightline.models.backprop.dropout import Dropout
from sightline.models.backprop.gradient_check import check_layers, numeric_gradient, relative_error
from sightline.models.backprop.layers import Affine, Flatten
from sightline.models.backprop.losses import MeanSquaredError, SoftmaxCrossEntropy
from sightline.models.backprop.network import Network
from sightline.models.backprop.normalization import BatchNorm
from sightline.models.backprop.pooling import AvgPool2d, MaxPool2d
from sightline.models.backprop.training import differentiate

LABELS = np.array([0, 1, 2, 0, 1])


def everything(activation="relu"):
    """A network with a layer of every kind."""
    return Network(
        [
            Conv2d(4, 3, padding=1), BatchNorm(), ACTIVATIONS[activation](), MaxPool2d(3, 2, 1),
            Conv2d(3, 2, stride=2, bias=False), ACTIVATIONS[activation](), AvgPool2d(2, 1),
            Flatten(), Affine(7), BatchNorm(), Dropout(0.3), Affine(3),
        ],
        (9, 8, 2), seed=3,
    )  # fmt: skip


def images(network, seed=0):
    return np.random.default_rng(seed).normal(size=(len(LABELS), *network.shapes[0]))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_layer_agrees_with_numeric_differentiation(activation):
    network = everything(activation)
    checks = check_layers(network, SoftmaxCrossEntropy(), images(network), LABELS)
    assert len(checks) == 12
    for check in checks:
        assert check.error < 1e-6, check
        assert check.checked > 0
        assert (check.numeric_seconds > 0) == (check.parameters > 0)


def test_softmax_with_squared_error_agrees():
    network = Network([Affine(6), Tanh(), Affine(3), Softmax()], (4,), seed=0)
    checks = check_layers(network, MeanSquaredError(), images(network), LABELS)
    assert max(c.error for c in checks) < 1e-6


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        (kind, "pull_back")
        for kind in (Conv2d, BatchNorm, ReLU, MaxPool2d, AvgPool2d, Affine, Dropout)
    ]
    + [(kind, "differentiate") for kind in (Conv2d, BatchNorm, Affine)],
)
def test_a_broken_backward_is_caught_and_named(kind, method, monkeypatch):
    right = getattr(kind, method)

    def wrong(self, gradient):
        result = right(self, gradient)
        if method == "pull_back":
            return result * 1.001
        for array in self.gradients.values():
            array *= 1.001
        return None

    monkeypatch.setattr(kind, method, wrong)
    network = everything()
    checks = check_layers(network, SoftmaxCrossEntropy(), images(network), LABELS)
    accused = [c for c in checks if c.error > 1e-6]
    named = {kind.__name__ in c.name for c in accused}
    assert any(named)
    last = max(i for i, layer in enumerate(network.layers) if isinstance(layer, kind))
    assert checks[last] in accused  # nothing above it is at fault
    assert all(c.error < 1e-6 for c in checks[last + 1 :])


def test_the_check_leaves_no_trace():
    network = everything()
    before = network.snapshot()
    check_layers(network, SoftmaxCrossEntropy(), images(network), LABELS)
    after = network.arrays()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_points_at_a_kink_are_left_out_and_counted():
    network = Network([Affine(1, bias=False), ReLU(), Affine(3)], (1,), dtype=np.float64)
    network.layers[0].parameters["weight"][...] = 0  # the unit stands on its kink
    x = np.ones((5, 1))
    check = check_layers(network, SoftmaxCrossEntropy(), x, LABELS)[0]
    assert check.at_kinks == 1


def test_numeric_and_backpropagated_gradient_of_a_whole_network():
    network = everything("tanh").astype(np.float64)
    x, loss = images(network), SoftmaxCrossEntropy()
    differentiate(network, loss, x, LABELS)
    with network.frozen():
        differentiate(network, loss, x, LABELS, "backprop")
        exact = network.gradient.copy()
        differentiate(network, loss, x, LABELS, "numeric")
    # max pooling has kinks that this way does not step around
    assert relative_error(exact, network.gradient) < 1e-6


@pytest.mark.parametrize("penalty", [penalties.L1(0.3), penalties.L2(0.3)])
def test_penalties(penalty):
    w = np.random.default_rng(0).normal(size=20)
    g = np.ones(20)
    penalty.add_gradient(w, g)
    np.testing.assert_allclose(numeric_gradient(lambda: penalty.value(w), w), g - 1, atol=1e-8)


def test_relative_error():
    assert relative_error(np.zeros(3), np.zeros(3)) == 0
    assert relative_error(np.ones(3), -np.ones(3)) == 1


def test_numeric_gradient_refuses_an_array_it_cannot_move():
    with pytest.raises(ValueError, match="contiguous"):
        numeric_gradient(lambda: 0.0, np.zeros((4, 4)).T[1:, ::2])
