"""Detectors of several families on the same pictures: what each learns in so many seconds.

Run: python examples/ch09_detectors.py [PICTURE.png [SECONDS [DATA]]]: each trains for SECONDS on
drawn shapes, or on DATA; the picture shows the objects, and what each detector answers.
"""

from __future__ import annotations

import dataclasses
import sys

import numpy as np

import sightline
from sightline.data.draw import draw_sample
from sightline.data.fonts import figure
from sightline.types import Detections

METHODS = ("average-box", "ssd-small", "yolo-nano")


def main(picture: str = "ch09_detectors.png", seconds: str = "15", name: str = "") -> None:
    data = sightline.load_data(name or "shapes:count=160,size=96")
    samples = [data.test[i] for i in range(min(5, len(data.test)))]
    sheet = figure(2.2 * len(samples), 2.4 * (1 + len(METHODS)))
    grid = np.atleast_2d(sheet.subplots(1 + len(METHODS), len(samples)))
    rows = {"the objects": samples}
    for method in METHODS:
        model = sightline.create_model(method, data)
        model.fit(data.train, data.val, budget=float(seconds))
        print(f"{method}: {model.score(data.test)}")
        answers = model.predict([sample.image for sample in samples])
        rows[method] = [
            dataclasses.replace(sample, objects=surest(answer))
            for sample, answer in zip(samples, answers, strict=True)
        ]
    for line, (title, shown) in zip(grid, rows.items(), strict=True):
        for axes, sample in zip(line, shown, strict=True):
            axes.axis("off")
            draw_sample(axes, sample, data)
        line[0].set_title(title, loc="left", fontsize=9)
    sheet.savefig(picture)
    print(f"picture: {picture}")


def surest(answer: Detections, least: float = 0.3) -> Detections:
    """Keep the answers whose score is at least so high; of none, the surest two."""
    rows = np.flatnonzero(answer.scores >= min(least, np.sort(answer.scores)[-2:].min(initial=1)))
    return Detections(answer.boxes[rows], answer.labels[rows], answer.classes, answer.scores[rows])


if __name__ == "__main__":
    main(*sys.argv[1:4])
