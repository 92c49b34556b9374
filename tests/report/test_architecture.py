from __future__ import annotations

import io

import pytest
from PIL import Image

from sightline.models import registry
from sightline.models.describe import describe, on_paper
from sightline.report.architecture import chain, draw


def described(name, shape=(3, 224, 224)):
    card = registry.card(name)
    return describe(on_paper(lambda: card.load()(**card.built_with(shape))), shape)


def test_chain_of_vgg16():
    boxes = chain(described("vgg16"))
    assert [box.what for box in boxes].count("convolution") == 13
    assert [box.what for box in boxes].count("linear") == 3
    assert boxes[2].label == "2 × 2\nstride 2"
    assert boxes[2].shape == (64, 112, 112)


def test_chain_of_googlenet_has_modules_with_all_their_channels():
    boxes = {box.name: box for box in chain(described("googlenet"))}
    assert boxes["inception3a"].shape == (256, 28, 28)
    assert boxes["inception3a"].label.startswith("Inception")
    assert boxes["conv1"].what == "convolution"


def test_long_chains_are_drawn_with_counts():
    boxes = chain(described("resnet152"))
    assert [box.count for box in boxes if box.count > 1] == [3, 8, 36, 3]


@pytest.mark.parametrize(
    ("name", "shape"),
    [("convnet", (1, 28, 28)), ("vgg16", (3, 32, 32)), ("torchvision:vit_b_16", (3, 224, 224))],
)
def test_picture(name, shape):
    buffer = io.BytesIO()
    draw(name, described(name, shape)).savefig(buffer, format="png", dpi=60)
    image = Image.open(buffer)
    assert image.width > 600
    assert len(image.convert("RGB").getcolors(1 << 20)) > 20
