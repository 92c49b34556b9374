"""Selective search: regions that look alike are merged, and each merge proposes a box.

Run: python examples/ch09_proposals.py [PICTURE.png [DATA]]: how many of the objects of drawn
shapes, or of DATA, so many proposals find; the picture shows a first segmentation, how regions
merge, and the proposals that fit the objects best.
"""

from __future__ import annotations

import sys

import numpy as np

import sightline
from sightline.data.fonts import figure
from sightline.explain import detect_proposals
from sightline.metrics.detect_proposals import best_overlaps
from sightline.models.detect.proposals import in_space, segment


def main(picture: str = "ch09_proposals.png", name: str = "") -> None:
    data = sightline.load_data(name or "shapes:count=60,size=160")
    measured = detect_proposals.study(data, "test", images=12)
    for row in measured.rows()[::8]:
        said = ", ".join(f"{key} {value:.2f}" for key, value in row.items() if key != "proposals")
        print(f"{row['proposals']:4} proposals: {said}")
    sample, regions = measured.samples[0], measured.regions[0]
    sheet = figure(11, 3)
    left, fine, coarse, right = sheet.subplots(1, 4)
    left.imshow(sample.image)
    left.set_title("the picture", fontsize=9)
    for axes, scale in ((fine, 50.0), (coarse, 300.0)):
        labels = segment(in_space(sample.image, "lab"), scale)
        shuffled = np.random.default_rng(0).permutation(labels.max() + 1)[labels]
        axes.imshow(shuffled, cmap="nipy_spectral", interpolation="nearest")
        axes.set_title(f"scale {scale:g}: {labels.max() + 1} regions", fontsize=9)
    objects = sample.objects.boxes if sample.objects is not None else np.zeros((0, 4))
    share = best_overlaps([regions], [objects], [len(regions)])[0]
    right.imshow(sample.image)
    for box in (_best(regions, one) for one in objects):
        right.plot(box[[0, 2, 2, 0, 0]], box[[1, 1, 3, 3, 1]], "w--", linewidth=1.5)
    right.set_title(f"best of {len(regions)}: mean overlap {share.mean():.2f}", fontsize=9)
    for axes in (left, fine, coarse, right):
        axes.axis("off")
    sheet.savefig(picture)
    print(f"picture: {picture}")


def _best(regions: np.ndarray, one: np.ndarray) -> np.ndarray:
    return max(regions, key=lambda box: best_overlaps([box[None]], [one[None]], [1])[0, 0])


if __name__ == "__main__":
    main(*sys.argv[1:3])
