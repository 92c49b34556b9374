"""A perceptron and a convolutional network in PyTorch, on digits or on MNIST.

Run: python examples/ch07_mnist.py [PICTURE.png [DATA]], with DATA such as mnist.
"""

from __future__ import annotations

import sys

import sightline
from sightline.report import curves


def main(picture: str = "ch07_mnist.png", name: str = "digits") -> None:
    data = sightline.load_data(name)
    for network in ("mlp", "convnet"):
        model = sightline.create_model(network, data, epochs=8).fit(data.train, data.val)
        score = model.score(data.test)
        print(f"{network}: {model.parameters:,} weights, test {score}")
        assert score.headline > 0.93

    title = f"convnet on {data.name}: {score.headline:.1%} on test images"
    curves.training_curves(model.history, title).savefig(picture)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
