"""Every layer's forward and backward equals torch.autograd's, in float64, to 1e-10."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812

from sightline.models.backprop import optimizers
from sightline.models.backprop.activations import ELU, LeakyReLU, ReLU, Sigmoid, Softmax, Tanh
from sightline.models.backprop.convolution import Conv2d
from sightline.models.backprop.dropout import Dropout
from sightline.models.backprop.layers import Affine, Flatten
from sightline.models.backprop.losses import MeanSquaredError, SoftmaxCrossEntropy
from sightline.models.backprop.normalization import BatchNorm
from sightline.models.backprop.pooling import AvgPool2d, MaxPool2d

TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}
SIDES = st.integers(1, 9)
few = settings(max_examples=40, deadline=None)


def built(layer, x):
    """Build for float64, with parameters that are none of them 0 or 1."""
    rng = np.random.default_rng(1)
    layer.build(x.shape[1:], rng, np.float64)
    for array in layer.parameters.values():
        array[...] = rng.normal(size=array.shape)
    return layer


def compare(layer, x, reference, parameters=(), training=True):
    """Same output, same gradient at the input and at every parameter.

    `reference` takes the input and the parameters as tensors; images go in and come out
    channels last.
    """
    tensors = [torch.tensor(layer.parameters[n], requires_grad=True) for n in parameters]
    t = torch.tensor(x, requires_grad=True)
    expected = reference(t, *tensors)
    y = layer.forward(x, training)
    np.testing.assert_allclose(y, expected.detach(), **TOLERANCE)
    g = np.random.default_rng(2).normal(size=y.shape)
    expected.backward(torch.tensor(g))
    np.testing.assert_allclose(layer.backward(g), t.grad, **TOLERANCE)
    for name, tensor in zip(parameters, tensors, strict=True):
        np.testing.assert_allclose(layer.gradients[name], tensor.grad, **TOLERANCE)


def images(n, height, width, channels, seed):
    return np.random.default_rng(seed).normal(size=(n, height, width, channels))


def first(t):
    """Channels first, as torch has them."""
    return t.permute(0, 3, 1, 2)


def last(t):
    return t.permute(0, 2, 3, 1)


@few
@given(n=SIDES, inputs=SIDES, outputs=SIDES, bias=st.booleans(), seed=st.integers(0, 99))
def test_affine(n, inputs, outputs, bias, seed):
    x = np.random.default_rng(seed).normal(size=(n, inputs))
    layer = built(Affine(outputs, bias=bias), x)
    names = ("weight", "bias") if bias else ("weight",)
    compare(layer, x, lambda t, w, b=None: F.linear(t, w.T, b), names)


@pytest.mark.parametrize(
    ("layer", "reference"),
    [
        (Sigmoid(), torch.sigmoid),
        (Tanh(), torch.tanh),
        (ReLU(), torch.relu),
        (LeakyReLU(0.2), lambda t: F.leaky_relu(t, 0.2)),
        (ELU(0.7), lambda t: F.elu(t, 0.7)),
        (Softmax(), lambda t: torch.softmax(t, -1)),
        (Flatten(), lambda t: t.flatten(1)),
    ],
    ids=lambda v: getattr(v, "name", ""),
)
@few
@given(n=SIDES, height=SIDES, width=SIDES, scale=st.sampled_from([1, 30, 800]), seed=SIDES)
def test_layers_without_parameters(layer, reference, n, height, width, scale, seed):
    compare(layer, scale * images(n, height, width, 2, seed), reference)


@few
@given(
    n=st.integers(1, 4), height=SIDES, width=SIDES, channels=st.integers(1, 4),
    filters=st.integers(1, 4), size=st.integers(1, 4), stride=st.integers(1, 3),
    padding=st.integers(0, 3), bias=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_conv2d(n, height, width, channels, filters, size, stride, padding, bias, seed):
    assume(min(height, width) + 2 * padding >= size)
    x = images(n, height, width, channels, seed)
    layer = built(Conv2d(filters, size, stride=stride, padding=padding, bias=bias), x)

    def reference(t, w, b=None):
        return last(F.conv2d(first(t), w.permute(3, 2, 0, 1).contiguous(), b, stride, padding))

    compare(layer, x, reference, ("weight", "bias") if bias else ("weight",))


def test_conv2d_that_is_unfolded_in_several_parts(monkeypatch):
    monkeypatch.setattr("sightline.models.backprop.convolution._COLUMNS", 2 * 49 * 27)
    x = images(5, 7, 7, 3, 0)
    layer = built(Conv2d(4, 3, padding=1), x)
    layer.forward(x)
    assert len(list(layer._parts(49))) == 3

    def reference(t, w, b):
        return last(F.conv2d(first(t), w.permute(3, 2, 0, 1).contiguous(), b, 1, 1))

    compare(layer, x, reference, ("weight", "bias"))
    compare(layer, x[:2], reference, ("weight", "bias"))  # buffers of a larger batch
    compare(layer, x, reference, ("weight", "bias"))


@pytest.mark.parametrize("kind", ["max", "average"])
@few
@given(
    n=st.integers(1, 4), height=SIDES, width=SIDES, channels=st.integers(1, 4),
    size=st.integers(1, 4), stride=st.integers(1, 5), padding=st.integers(0, 2),
    ties=st.booleans(), seed=st.integers(0, 99),
)  # fmt: skip
def test_pooling(kind, n, height, width, channels, size, stride, padding, ties, seed):
    assume(padding <= size // 2)
    assume(min(height, width) + 2 * padding >= size)
    x = images(n, height, width, channels, seed)
    x = np.round(x) if ties else x  # of equal pixels, the same one must win
    if kind == "max":
        layer = MaxPool2d(size, stride, padding)
        compare(layer, x, lambda t: last(F.max_pool2d(first(t), size, stride, padding)))
    else:
        layer = AvgPool2d(size, stride, padding)
        compare(layer, x, lambda t: last(F.avg_pool2d(first(t), size, stride, padding)))


@pytest.mark.parametrize("training", [True, False])
@few
@given(n=st.integers(2, 8), side=st.integers(0, 5), channels=SIDES, seed=st.integers(0, 99))
def test_batch_norm(training, n, side, channels, seed):
    x = images(n, max(side, 1), max(side, 1), channels, seed) * 3 + 1
    x = x.reshape(n, channels) if side == 0 else x
    assume(len(x.reshape(-1, channels)) > 2)  # of two, z is +-1 and its derivative cancels
    layer = built(BatchNorm(), x)
    module = (nn.BatchNorm1d if side == 0 else nn.BatchNorm2d)(channels).double().train(training)
    mean, variance = np.random.default_rng(3).uniform(0.5, 2, (2, channels))
    layer.state["running_mean"][...], layer.state["running_variance"][...] = mean, variance
    module.running_mean[...], module.running_var[...] = torch.tensor(mean), torch.tensor(variance)

    def reference(t, gamma, beta):
        t = t if side == 0 else first(t)
        y = F.batch_norm(
            t, module.running_mean, module.running_var, gamma, beta, training, 0.1, 1e-5
        )
        return y if side == 0 else last(y)

    compare(layer, x, reference, ("gamma", "beta"), training)
    np.testing.assert_allclose(layer.state["running_mean"], module.running_mean, **TOLERANCE)
    np.testing.assert_allclose(layer.state["running_variance"], module.running_var, **TOLERANCE)


def test_dropout_under_the_same_mask():
    x = np.random.default_rng(0).normal(size=(200, 50))
    layer = Dropout(0.3)
    layer.build((50,), np.random.default_rng(0), np.float64)
    mask = (layer.forward(x, training=True) != 0) / 0.7
    assert abs((mask > 0).mean() - 0.7) < 0.02
    layer.frozen = True
    compare(layer, x, lambda t: t * torch.tensor(mask))
    assert layer.forward(x) is x
    layer.frozen = False
    assert ((layer.forward(x, training=True) != 0) / 0.7 != mask).any()


@few
@given(
    n=SIDES,
    classes=st.integers(2, 9),
    scale=st.sampled_from([1, 50, 5000]),
    seed=st.integers(0, 99),
)
def test_losses(n, classes, scale, seed):
    rng = np.random.default_rng(seed)
    outputs, labels = scale * rng.normal(size=(n, classes)), rng.integers(0, classes, n)
    one_hot = F.one_hot(torch.tensor(labels), classes).double()
    for loss, reference in (
        (SoftmaxCrossEntropy(), lambda t: F.cross_entropy(t, torch.tensor(labels))),
        (MeanSquaredError(), lambda t: F.mse_loss(t, one_hot)),
    ):
        t = torch.tensor(outputs, requires_grad=True)
        expected = reference(t)
        expected.backward()
        assert loss.forward(outputs, labels) == pytest.approx(expected.item(), rel=1e-10, abs=1e-10)
        np.testing.assert_allclose(loss.backward(), t.grad, **TOLERANCE)


def test_cross_entropy_is_finite_where_the_probability_rounds_to_nothing():
    outputs = np.array([[0.0, 2000.0]], np.float32)
    assert SoftmaxCrossEntropy().forward(outputs, np.array([0])) == 2000


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (optimizers.SGD(0.1), lambda w: torch.optim.SGD(w, 0.1)),
        (optimizers.Momentum(0.1, 0.8), lambda w: torch.optim.SGD(w, 0.1, momentum=0.8)),
        (
            optimizers.Nesterov(0.1, 0.8),
            lambda w: torch.optim.SGD(w, 0.1, momentum=0.8, nesterov=True),
        ),
        (optimizers.AdaGrad(0.1), lambda w: torch.optim.Adagrad(w, 0.1)),
        (optimizers.RMSProp(0.1, 0.9), lambda w: torch.optim.RMSprop(w, 0.1, alpha=0.9)),
        (optimizers.Adam(0.1), lambda w: torch.optim.Adam(w, 0.1)),
        (optimizers.AdamW(0.1, 0.2), lambda w: torch.optim.AdamW(w, 0.1, weight_decay=0.2)),
    ],
    ids=lambda v: type(v).__name__,
)
def test_optimizers(ours, theirs, monkeypatch):
    monkeypatch.setattr(optimizers, "_BLOCK", 64)  # a vector of several blocks, the last partial
    rng = np.random.default_rng(0)
    w = rng.normal(size=150)
    t = torch.tensor(w, requires_grad=True)
    reference = theirs([t])
    for _ in range(20):
        g = rng.normal(size=w.shape)
        t.grad = torch.tensor(g)
        reference.step()
        ours.step(w, g)
        np.testing.assert_allclose(w, t.detach(), **TOLERANCE)


def test_adamw_leaves_what_does_not_decay_to_adam():
    w, g = np.ones(6), np.zeros(6)
    optimizers.AdamW(0.1, 0.5, decaying=4).step(w, g)
    np.testing.assert_allclose(w, [0.95] * 4 + [1] * 2)
