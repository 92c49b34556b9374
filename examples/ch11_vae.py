"""A distribution of digits: what it makes, the way between two, and a bound of its likelihood.

Run: python examples/ch11_vae.py [PICTURE.png] (Kingma & Welling, 2014): made digits, and rows that
go from one real digit to another through the codes of both.
"""

import sys

import numpy as np

import sightline
from sightline.data import fonts
from sightline.estimators.generate_ways import between, drawn_again
from sightline.report.generate_plots import sheet


def main() -> None:
    data = sightline.load_data("digits")
    model = sightline.create_model(
        "vae", data, width=128, latent=10, epochs=30.0, lr=2e-3, device="cpu"
    )
    model.fit(data.train, data.val)
    method = model.method_
    X, y, _ = data.test.arrays()
    elbo, bound = method.bounds(X, y, 50)
    print(f"evidence lower bound {elbo.mean():.1f} nats, by 50 samples {bound.mean():.1f} nats")
    print("of pictures whose pixels are 1 with the chance of their grey level")
    assert bound.mean() > elbo.mean()
    blind = 64 * np.log(0.5)
    assert bound.mean() > blind / 1.5, "no better than a coin for each pixel"
    codes = method.codes(X[:8], y[:8])
    ways = [
        drawn_again(method, between(a, b, np.linspace(0, 1, 12)))
        for a, b in zip(codes[::2], codes[1::2], strict=True)
    ]
    drawing = fonts.figure(10, 4.6)
    left, right = drawing.subplots(1, 2)
    left.imshow(sheet(model.generate(64), 8)[:, :, 0], cmap="gray")
    left.set_title("made digits", fontsize=9)
    right.imshow(sheet(np.concatenate(ways), 12)[:, :, 0], cmap="gray")
    right.set_title("from one digit to another", fontsize=9)
    for axes in (left, right):
        axes.axis("off")
    target = sys.argv[1] if len(sys.argv) > 1 else "ch11_vae.png"
    fonts.save(drawing, target)
    print(f"picture: {target}")


if __name__ == "__main__":
    main()
