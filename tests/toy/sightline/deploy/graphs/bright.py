"""Counting as a graph."""

from __future__ import annotations

import torch
from torch import nn


def graph(run):
    slope, intercept = getattr(run.method_, "line_", (0.0, *run.method_.arrays().values()))[:2]
    return Line(float(slope), float(intercept)).eval()


class Line(nn.Module):
    """Bytes, shape (N, H, W, C), to the share of bright pixels, shape (N,)."""

    def __init__(self, slope, intercept):
        super().__init__()
        self.slope, self.intercept = slope, intercept

    def forward(self, images):
        return (images.flatten(1).double().mean(1) / 255 * self.slope + self.intercept,)


_ = torch
