from __future__ import annotations

import numpy as np
import pytest

from sightline.errors import DataError, ParameterError
from sightline.models.backprop.activations import ReLU
from sightline.models.backprop.convolution import Conv2d
from sightline.models.backprop.initializers import he, xavier
from sightline.models.backprop.layers import Affine, Flatten
from sightline.models.backprop.losses import SoftmaxCrossEntropy
from sightline.models.backprop.network import Network
from sightline.models.backprop.normalization import BatchNorm
from sightline.models.backprop.pooling import MaxPool2d


def small():
    return Network(
        [Conv2d(2, 3, padding=1, bias=False), BatchNorm(), ReLU(), Flatten(), Affine(3)], (4, 4, 1)
    )


def test_parameters_are_views_into_one_vector_weights_first():
    network = small()
    assert network.theta.size == 18 + 2 + 2 + 96 + 3
    assert network.weights == 18 + 96
    network.theta[...] = np.arange(network.theta.size)
    assert network.layers[0].parameters["weight"].ravel().tolist() == list(range(18))
    assert network.layers[4].parameters["weight"].ravel().tolist() == list(range(18, 114))
    x = np.ones((2, 4, 4, 1), np.float32)
    network.forward(x, training=True)
    network.backward(np.ones((2, 3), np.float32))
    assert np.shares_memory(network.layers[4].gradients["bias"], network.gradient)
    assert network.gradient[-3:].tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("layers", "shape", "words"),
    [
        ([Affine(3)], (4, 4, 1), r"layer 0 \(Affine\) takes vectors"),
        ([Flatten(), Conv2d(3)], (4, 4, 1), r"layer 1 \(Conv2d\) takes images"),
        ([Conv2d(3, 5)], (4, 4, 1), r"layer 0 \(Conv2d\) a window of 5 does not fit into 4x4"),
        ([Conv2d(3), MaxPool2d(4)], (4, 4, 1), r"layer 1 \(MaxPool2d\)"),
    ],
)
def test_layers_that_do_not_fit_are_named(layers, shape, words):
    with pytest.raises(DataError, match=words):
        Network(layers, shape)


def test_inputs_that_do_not_fit_are_named():
    with pytest.raises(DataError, match=r"layer 0 \(Conv2d\) takes shape \(N, H, W, 1\)"):
        small().forward(np.ones((2, 4, 4, 3), np.float32))
    with pytest.raises(DataError, match=r"layer 4 \(Affine\) takes shape \(N, 32\)"):
        small().forward(np.ones((2, 5, 4, 1), np.float32))


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0], [0, 1, 2]])
def test_labels_that_do_not_fit(labels):
    with pytest.raises(DataError):
        SoftmaxCrossEntropy().forward(np.zeros((2, 3)), np.array(labels))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Conv2d(0), lambda: Conv2d(1, 0), lambda: Conv2d(1, stride=0),
        lambda: Conv2d(1, padding=-1), lambda: MaxPool2d(2, padding=2), lambda: MaxPool2d(16),
        lambda: MaxPool2d(2, -1), lambda: Affine(0),
    ],
)  # fmt: skip
def test_impossible_layers(make):
    with pytest.raises(ParameterError):
        make()


def test_restore_refuses_another_network():
    network = small()
    arrays = network.snapshot()
    with pytest.raises(DataError, match="layer4_bias"):
        network.restore(arrays | {"layer4_bias": np.zeros(4)})
    del arrays["layer1_running_mean"]
    with pytest.raises(DataError, match="layer1_running_mean"):
        network.restore(arrays)


def test_initial_variances():
    rng = np.random.default_rng(0)
    assert xavier(rng, (300, 100), 300, 100).var() == pytest.approx(2 / 400, rel=0.02)
    assert he(rng, (300, 100), 300, 100).var() == pytest.approx(2 / 300, rel=0.02)


def test_deep_networks_keep_the_size_of_signals():
    network = Network([m for _ in range(20) for m in (Affine(256), ReLU())], (256,))
    y = network.forward(np.random.default_rng(0).normal(size=(500, 256)).astype(np.float32))
    assert 0.2 < (y**2).mean() < 5
