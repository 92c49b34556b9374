"""From noise to digits along nearly straight lines: how many steps are enough?

Run: python examples/ch11_flow.py [PICTURE.png] (Liu, Gong & Liu, 2023): digits of each class on
their way from noise, and how far fewer steps end from a hundred.
"""

import sys

import numpy as np

import sightline
from sightline.data import fonts
from sightline.estimators.generate_ways import from_noise
from sightline.report.generate_plots import sheet


def main() -> None:
    data = sightline.load_data("digits")
    model = sightline.create_model(
        "flow", data, width=16, epochs=8.0, least_steps=1, ema=0.99, device="cpu"
    )
    model.fit(data.train, data.val)
    asked = [(1, "euler"), (5, "euler"), (20, "euler"), (2, "heun"), (10, "heun")]
    best = model.generate(50, steps=100, sampler="heun").astype(int)
    off = {}
    for steps, sampler in asked:
        made = model.generate(50, steps=steps, sampler=sampler)
        off[steps, sampler] = float(np.abs(made - best).mean()) / 255
        print(f"{steps:>2} steps of {sampler}: {off[steps, sampler]:.3f} from 100 steps of heun")
    assert off[10, "heun"] < off[20, "euler"] < off[1, "euler"]
    assert off[10, "heun"] < 0.05
    way = from_noise(model.method_, model.method_.noise(10, 0), np.arange(10), 0, steps=8)
    drawing = fonts.figure(10, 4.6)
    left, right = drawing.subplots(1, 2, width_ratios=(3, 2))
    left.imshow(sheet(np.concatenate(way), 10)[:, :, 0], cmap="gray")
    left.set_title("noise, and eight steps of heun", fontsize=9)
    left.axis("off")
    right.bar([f"{n} {sampler}" for n, sampler in asked], list(off.values()))
    right.set_title("mean difference from 100 steps", fontsize=9)
    target = sys.argv[1] if len(sys.argv) > 1 else "ch11_flow.png"
    fonts.save(drawing, target)
    print(f"picture: {target}")


if __name__ == "__main__":
    main()
