"""A detector learns sooner from a trained backbone: a minute, so before a release alone."""

from __future__ import annotations

import pytest

import sightline
from sightline.models import carried

KNOBS = {"epochs": 8, "device": "cpu", "size": 96, "augment": "flip", "batch_size": 8}


@pytest.fixture(scope="module")
def shapes():
    return sightline.load_data("shapes:count=160,size=96,objects=3")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(
    not carried.installed("efficientnet_lite0"), reason="the extra 'pretrained' is not installed"
)
def test_a_trained_backbone_learns_sooner_than_chance(shapes):
    figures = {}
    for name in ("ssdlite", "ssdlite-imagenet"):
        model = sightline.create_model(name, shapes, **KNOBS).fit(shapes.train, shapes.val)
        figures[name] = [row["val_ap50"] for row in model.history]
    assert figures["ssdlite-imagenet"][-1] > figures["ssdlite"][-1] + 0.1
