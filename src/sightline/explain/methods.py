"""Name the methods that make maps of an answer; `maps` says what they are."""

from __future__ import annotations

from typing import Literal, get_args

Method = Literal[
    "grad-cam", "grad-cam++", "score-cam", "eigen-cam", "layer-cam", "occlusion",
    "integrated-gradients", "smoothgrad",
]  # fmt: skip

METHODS: tuple[str, ...] = get_args(Method)

OF_A_LAYER = ("grad-cam", "grad-cam++", "score-cam", "eigen-cam", "layer-cam")
"""Methods that weigh the maps of a layer; the others look at pixels alone."""
