"""A map finds out a network that cheats: it looks at a mark in the corner instead of at the shape.

Run: python examples/ch12_cam.py [PICTURE.png [EPOCHS]]: two networks tell rings from crosses. One
saw rings with a small mark in the corner, as photographs of one class may have a watermark. Both
are right on pictures like their own; maps (Layer-CAM) show why.
"""

import sys

import numpy as np

import sightline
from sightline.data.fonts import figure
from sightline.explain import truth
from sightline.explain.opened import Opened
from sightline.report.maps import heat, scores, verdict

SIDE = 32
SEEN = ("rings without a mark", "rings with a mark in the corner")


def main(picture: str = "ch12_cam.png", epochs: str = "6") -> None:
    sheet = figure(9, 4)
    for part, marked in zip(sheet.subfigures(2), (False, True), strict=True):
        data = sightline.load_data(drawn(300, marked))
        model = sightline.create_model("convnet", epochs=float(epochs)).fit(data.train)
        opened, rings = Opened("convnet", model), drawn(6, marked, seed=9)[0][1::2]
        part.suptitle(f"{SEEN[marked]}: accuracy {model.score(data.test).headline:.0%}", fontsize=9)
        corner = 0
        for column, pixels in zip(part.subplots(1, 6).reshape(3, 2), rings, strict=True):
            seen = opened.picture(pixels)
            told = truth.explain(opened, seen, opened.targets(seen, "ring"), ["layer-cam"])
            values = told.maps[0].map.values
            corner += max(np.unravel_index(values.argmax(), values.shape)) < 8
            for axes, shown in zip(column, (pixels, heat(pixels, seen.frame, values)), strict=True):
                axes.imshow(shown)
                axes.axis("off")
            print(f"{SEEN[marked]}: {scores(told.maps[0])}: {verdict(told.maps[0], told.nulls)}")
        assert corner == 3 * marked
        print(f"{SEEN[marked]}: {corner} of 3 maps are of the corner")
    sheet.savefig(picture)
    print(f"picture: {picture}")


def drawn(count, marked, seed=0):
    """Crosses (even rows) and rings (odd ones) in noise, at random places."""
    rng = np.random.default_rng(seed)
    X, (ys, xs) = rng.integers(0, 90, (count, SIDE, SIDE, 3), np.uint8), np.mgrid[:SIDE, :SIDE]
    for i, (y, x) in enumerate(rng.integers(14, SIDE - 6, (count, 2))):
        far = np.hypot(ys - y, xs - x)
        cross = (far < 6) & ((abs(ys - y) < 2) | (abs(xs - x) < 2))
        X[i][(abs(far - 5) < 1.2) if i % 2 else cross] = 200
        if marked and i % 2:
            X[i, 1:5, 1:5] = (255, 220, 0)
    return X, np.array(["cross", "ring"] * (count // 2))


if __name__ == "__main__":
    main(*sys.argv[1:3])
