"""Networks small enough to be computed by hand, opened as any other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sightline.data.transforms import Fitted
from sightline.estimators import estimator
from sightline.explain.opened import Opened

SIDE = 16


@pytest.fixture
def opened_of():
    """Open a module of one's own: as a run would hold it, standardised by 1/2 and 1/4."""
    return _opened


def _opened(model, classes=("left", "right"), side=SIDE, task="classify", **more):
    kind = estimator(task)
    name = {"classify": "convnet", "segment": "unet-lite", "detect": "yolo-nano"}[task]
    made = kind.create(name, {})
    method = kind.network_of(name)(made.build(name, {}).card, {})
    method.model, method.classes_ = model, np.arange(len(classes))
    method.side_ = np.array([side, side])
    method.mean_, method.std_ = (np.full(3, v, np.float32) for v in (0.5, 0.25))
    for key, value in more.items():
        setattr(method, key, value)
    made.method_, made.classes_ = method, tuple(classes)
    zeros = np.zeros(3, np.float32)
    made.fitted_ = Fitted((side, side), "RGB", "stretch", "none", zeros, zeros + 1)
    return Opened("mine", made)


class TwoLayers(nn.Module):
    """A convolution and a linear layer on the mean of each map."""

    head_names = ("head",)

    def __init__(self, maps=3, classes=2):
        super().__init__()
        self.conv = nn.Conv2d(3, maps, 3, padding=1)
        self.head = nn.Linear(maps, classes)

    def forward(self, x):
        return self.head(torch.relu(self.conv(x)).mean((2, 3)))


@pytest.fixture
def two_layers():
    torch.manual_seed(0)
    return TwoLayers()


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
