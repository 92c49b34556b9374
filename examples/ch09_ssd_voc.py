"""SSD300 on Pascal VOC: the set's own layout, the default boxes, and which of them take an object.

Run: python examples/ch09_ssd_voc.py [PICTURE.png [VOCDEVKIT]]: without VOCDEVKIT a small set of
that layout is written first, of drawn shapes. The whole training is in docs/voc.md; here a step is
timed, and the picture shows the default boxes that learn from the objects of one image.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

import sightline
from sightline.data import voc
from sightline.data.fonts import figure
from sightline.models.detect.assign import match_default_boxes
from sightline.models.detect.boxes import iou
from sightline.models.detect.ssd import ssd300
from sightline.training import probe


def main(picture: str = "ch09_ssd_voc.png", devkit: str = "") -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(devkit or folder)
        if not devkit:
            voc.write(sightline.load_data("shapes:count=40,size=300"), place / "VOCdevkit/VOC2007")
        data = sightline.load_data(place)
        counts = ", ".join(f"{len(rows)} {split}" for split, rows in data.rows.items())
        print(f"{data.name}: {counts}; {len(data.classes)} classes")
        model = sightline.create_model("ssd300_voc", data, batch_size=4)
        timed = probe.estimate(model.training(data.train))
        print(f"{timed.step_seconds:.2f} s for a step of {timed.input[0]} images")
        sample = data.train[0]
        draw(sample, picture)
    print(f"picture: {picture}")


def draw(sample, picture: str) -> None:
    """Draw an image's objects, and the default boxes that answer for them, map by map."""
    network = ssd300(20, scales="voc")
    maps = [(38, 38), (19, 19), (10, 10), (5, 5), (3, 3), (1, 1)]
    anchors = network.boxes(maps, (300, 300))
    height, width = sample.image.shape[:2]
    objects = torch.from_numpy(sample.objects.boxes * (300 / np.array([width, height] * 2))).float()
    assigned = match_default_boxes(iou(objects, anchors))
    ends = np.cumsum([h * w * n for (h, w), n in zip(maps, network.boxes.counts, strict=True)])
    sheet = figure(11, 2.4)
    shown = torch.nn.functional.interpolate(
        torch.from_numpy(sample.image.copy()).permute(2, 0, 1)[None].float(), (300, 300)
    )[0]
    for k, axes in enumerate(sheet.subplots(1, len(maps))):
        axes.imshow(shown.permute(1, 2, 0).byte().numpy())
        axes.axis("off")
        places = range(0 if k == 0 else ends[k - 1], ends[k])
        taken = [i for i in places if assigned[i] >= 0]
        axes.set_title(f"{maps[k][0]} x {maps[k][1]}: {len(taken)} boxes", fontsize=8)
        for box, colour in [
            *((b, "black") for b in objects),
            *((anchors[i], "red") for i in taken),
        ]:
            x1, y1, x2, y2 = box.tolist()
            axes.plot([x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], color=colour, linewidth=0.8)
        axes.set_xlim(0, 300)
        axes.set_ylim(300, 0)
    sheet.savefig(picture)


if __name__ == "__main__":
    main(*sys.argv[1:3])
