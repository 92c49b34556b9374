"""SSD300 on Pascal VOC: the set's own layout, a timed step, and which default boxes take an object.

Run: python examples/ch09_ssd_voc.py [PICTURE.png [VOCDEVKIT]]: without VOCDEVKIT a small set of
that layout is written first, of drawn shapes. The whole training is in docs/voc.md.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

import sightline
from sightline.data import voc
from sightline.explain import anchors
from sightline.training import probe


def main(picture: str = "ch09_ssd_voc.png", devkit: str = "") -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(devkit or folder)
        if not devkit:
            voc.write(sightline.load_data("shapes:count=40,size=300"), place / "VOCdevkit/VOC2007")
        data = sightline.load_data(place)
        counts = ", ".join(f"{len(rows)} {split}" for split, rows in data.rows.items())
        print(f"{counts}; {len(data.classes)} classes: {', '.join(data.classes)}")
        model = sightline.create_model("ssd300_voc", data, batch_size=2)
        timed = probe.estimate(model.training(data.train))
        print(f"{timed.step_seconds:.2f} s for a step of {timed.input[0]} images")
        explained = anchors.explain("ssd300_voc", data.train[0].id, str(place))
        taken = explained.assignment.assigned.numpy()
        print(f"{np.sum(taken >= 0)} of {len(taken):,} default boxes learn from its objects")
        anchors.draw(explained).savefig(picture)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:3])
