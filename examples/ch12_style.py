"""A photograph in the style of a pattern: what content and style each ask for.

Run: python examples/ch12_style.py [PICTURE.png]: the same photograph with little and with much
style, and with its own colours kept (Gatys et al., 2015). The losses say what each has cost.
"""

import sys

import numpy as np
from sklearn.datasets import load_sample_image

from sightline.data import fonts
from sightline.estimators.style_transfer import Wanted, transfer


def pattern(size: int = 192, seed: int = 0) -> np.ndarray:
    """Paint waves of three colours with strokes along them."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    bend = 0.15 * np.sin(6 * y + 2 * np.sin(5 * x)) + 0.1 * np.cos(9 * x)
    waves = np.sin(40 * (y + bend)) + 0.5 * np.kron(
        random.standard_normal((size // 4,) * 2), np.ones((4, 4))
    )
    colours = np.array([[20, 40, 120], [240, 200, 60], [30, 120, 160]])
    return colours[np.digitize(waves, (-0.4, 0.9))].astype(np.uint8)


def main() -> None:
    photo = np.asarray(load_sample_image("china.jpg"))[:400, :400]
    style = pattern()
    asked = {
        "a little style (beta 3)": Wanted(beta=3, size=128, steps=25),
        "much style (beta 100)": Wanted(beta=100, size=128, steps=25),
        "the colours kept": Wanted(beta=100, size=128, steps=25, preserve_color=True),
    }
    drawn = {name: transfer(photo, [style], wanted) for name, wanted in asked.items()}
    for name, one in drawn.items():
        first, last = one.history[0], one.history[-1]
        print(
            f"{name}: content {first['content']:.2f} -> {last['content']:.2f}, style "
            f"{first['style']:.3f} -> {last['style']:.3f}"
        )
    little, much, _ = (one.history[-1] for one in drawn.values())
    assert much["style"] < little["style"]
    assert much["content"] > little["content"]
    sheet = fonts.figure(11, 2.6)
    pictures = {"content": photo, "style": style} | {n: d.pixels for n, d in drawn.items()}
    for axes, (name, pixels) in zip(sheet.subplots(1, 5), pictures.items(), strict=True):
        axes.imshow(pixels)
        axes.set_title(name, fontsize=8)
        axes.axis("off")
    target = sys.argv[1] if len(sys.argv) > 1 else "ch12_style.png"
    fonts.save(sheet, target)
    print(f"picture: {target}")


if __name__ == "__main__":
    main()
