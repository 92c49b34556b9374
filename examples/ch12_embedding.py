"""Embedding: a network's features put digits that look alike together; mistakes lie in between.

Run: python examples/ch12_embedding.py [PICTURE.png [SOURCE DATA]]: SOURCE is a classifier's run, a
network such as imagenet:efficientnet_lite0, or pixels; without them a small network learns digits
first. The picture shows the same images by their pixels and by what the network has made of them.
"""

from __future__ import annotations

import sys
import tempfile

import numpy as np

import sightline
from sightline.data.dataset import Dataset
from sightline.data.fonts import figure
from sightline.explain import embedding
from sightline.report.embedding_page import style_of


def main(picture: str = "ch12_embedding.png", source: str = "", name: str = "digits") -> None:
    data = sightline.load_data(name)
    with tempfile.TemporaryDirectory() as folder:
        seen = source or learned(data, folder)
        made = [
            embedding.embed(which, data, method=method, split="test", images=300)
            for which, method in (("pixels", "pca"), ("pixels", "tsne"), (seen, "tsne"))
        ]
    drawing = figure(12, 4.4, dpi=100)
    for axes, one in zip(drawing.subplots(1, 3), made, strict=True):
        what = "pixels" if one.seen.eye.name == "pixels" else "features"
        print(f"{what} by {one.method}: trustworthiness {one.trust:.3f}, alike {alike(one):.3f}")
        for k, label in enumerate(data.classes):
            colour, shape = style_of(k)
            mine = one.points[one.seen.labels == k]
            axes.scatter(*mine.T, s=14, c=colour, marker=shape, linewidths=0, label=label)
        wrong = one.points[one.mistakes]
        axes.scatter(*wrong.T, s=90, facecolors="none", edgecolors="#b3261e", label="mistake")
        axes.set_title(f"{what} by {embedding.NAMES[one.method]}, trust {one.trust:.2f}")
        axes.axis("off")
    drawing.legend(*axes.get_legend_handles_labels(), loc="outside right", frameon=False)
    assert alike(made[2]) > alike(made[0])
    drawing.savefig(picture)
    print(f"picture: {picture}")


def alike(one: embedding.Embedding) -> float:  # nearest neighbours in the plane of one class
    far = ((one.points[:, None] - one.points) ** 2).sum(2)
    np.fill_diagonal(far, np.inf)
    return float((one.seen.labels[far.argmin(1)] == one.seen.labels).mean())


def learned(data: Dataset, folder: str) -> str:
    return str(sightline.create_model("convnet", epochs=2).fit(data.train, data.val).save(folder))


if __name__ == "__main__":
    main(*sys.argv[1:4])
