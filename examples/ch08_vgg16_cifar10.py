"""VGG16 with batch normalisation in its form for 32 x 32 images: what it is, and its training.

Run: python examples/ch08_vgg16_cifar10.py [PICTURE.png [DATA [EPOCHS]]], with DATA such as
cifar10, which takes hours on a processor. Without DATA it is drawn and timed.
"""

from __future__ import annotations

import sys

import sightline
from sightline.models.classify.vgg import vgg16_bn
from sightline.models.describe import describe
from sightline.report.architecture import draw
from sightline.training import probe


def main(picture: str = "ch08_vgg16.png", name: str = "", epochs: str = "30") -> None:
    described = describe(vgg16_bn(num_classes=10, small=True), (3, 32, 32))
    print(f"{described.parameters:,} weights, {described.multiply_adds / 1e6:,.0f} M multiply-adds")
    draw("vgg16_bn", described).savefig(picture)
    if name:
        data = sightline.load_data(name)
        model = sightline.create_model("vgg16_bn", data, epochs=float(epochs))
        model.fit(data.train, data.val)
        print(f"test {model.score(data.test)}")
    else:
        model = sightline.create_model("vgg16_bn", size=32, batch_size=16)
        found = probe.estimate(model.training(sightline.load_data("digits").train))
        print(f"{found.step_seconds:.2f} s for a step of {found.input[0]} images of 32 x 32 pixels")
    print(f"picture: {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:4])
