"""Classify and localise: four numbers more than a classifier has, for the box of its one object.

Run: python examples/ch09_localize.py [PICTURE.png [EPOCHS [DATA]]]: trains on drawn shapes, one a
picture, or on DATA; the picture shows the objects, white the boxes that the network answers. So
small a network finds where something is sooner than what it is.
"""

from __future__ import annotations

import sys

import numpy as np

import sightline
from sightline.data.draw import draw_sample
from sightline.data.fonts import figure
from sightline.metrics.detect_table import overlap


def main(picture: str = "ch09_localize.png", epochs: str = "15", name: str = "") -> None:
    data = sightline.load_data(name or "shapes:count=400,size=64,objects=1")
    known = np.concatenate([sample.objects.boxes for sample in data.train if sample.objects])
    mean = known.mean(0)
    model = sightline.create_model("localizer:convnet", data, epochs=float(epochs))
    model.fit(data.train, data.val)
    samples = [sample for sample in data.test if sample.objects and len(sample.objects)]
    answers = model.predict([sample.image for sample in samples])
    learned, floor, named = [], [], []
    sheet = figure(11, 2.6)
    grid = iter(sheet.subplots(1, 6))
    for sample, answer in zip(samples, answers, strict=True):
        if not len(answer):
            continue
        box, plain = sample.objects.boxes[:1], np.zeros(1, np.bool_)
        learned.append(overlap(answer.boxes[:1], box, plain)[0, 0])
        floor.append(overlap(mean[None], box, plain)[0, 0])
        named.append(answer.labels[0] == sample.objects.labels[0])
        axes = next(grid, None)
        if axes is not None:
            draw_sample(axes, sample, data)
            x1, y1, x2, y2 = answer.boxes[0]
            axes.plot([x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], "w--", linewidth=1.5)
            axes.set_title(f"overlap {learned[-1]:.2f}", fontsize=9)
            axes.axis("off")
    print(f"mean overlap {np.mean(learned):.2f}; the mean box {np.mean(floor):.2f}")
    print(f"class right {np.mean(named):.0%} of {len(named)}")
    assert np.mean(learned) > np.mean(floor)
    sheet.savefig(picture)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:4])
