"""Codes of 48 numbers for digits of 64 pixels, and a network that takes noise away.

Run: python examples/ch11_autoencoder.py [PICTURE.png]: digits, the same with noise, and what two
autoencoders make of the noisy ones: one that saw clean digits only, and one that learned to take
noise away (Vincent et al., 2008).
"""

import sys

import numpy as np

import sightline
from sightline.data import fonts
from sightline.metrics.generate import psnr
from sightline.report.generate_plots import sheet

KNOBS = {"form": "dense", "width": 256, "latent": 48, "epochs": 25.0, "device": "cpu"}


def main() -> None:
    data = sightline.load_data("digits")
    plain = sightline.create_model("autoencoder", data, **KNOBS).fit(data.train, data.val)
    cleaner = sightline.create_model("autoencoder", data, noise=0.3, **KNOBS)
    cleaner.fit(data.train, data.val)
    clean = data.test.arrays().X[:200]
    random = np.random.default_rng(0)
    noisy = np.clip(clean + 255 * 0.3 * random.standard_normal(clean.shape), 0, 255).astype(
        np.uint8
    )
    rows = {
        "digits": clean, "with noise": noisy, "drawn again by the plain one":
        plain.method_.reconstructed(noisy), "by the denoising one":
        cleaner.method_.reconstructed(noisy),
    }  # fmt: skip
    ratios = {name: float(psnr(clean, row).mean()) for name, row in rows.items()}
    for name, ratio in ratios.items():
        print(f"{name}: PSNR {ratio:.1f} dB")
    assert ratios["by the denoising one"] > ratios["with noise"] + 1
    assert ratios["by the denoising one"] > ratios["drawn again by the plain one"]
    drawing = fonts.figure(9, 4.6)
    for axes, (name, row) in zip(drawing.subplots(4, 1), rows.items(), strict=True):
        axes.imshow(sheet(row[:16], 16)[:, :, 0], cmap="gray")
        axes.set_title(name, fontsize=9)
        axes.axis("off")
    target = sys.argv[1] if len(sys.argv) > 1 else "ch11_autoencoder.png"
    fonts.save(drawing, target)
    print(f"picture: {target}")


if __name__ == "__main__":
    main()
