"""Nuclei that touch are counted: by connected pixels, and after a watershed on learned maps.

Run: python examples/ch10_count_nuclei.py [PICTURE.png [DATA]]: of drawn nuclei, or of DATA's.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

import sightline
from sightline.data.fonts import figure
from sightline.deploy.instances_files import numbered
from sightline.metrics.instances_table import Masks


def main(picture: str = "ch10_count_nuclei.png", name: str = "") -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = sightline.load_data(name or drawn(Path(folder)))
        model = sightline.create_model("unet-watershed", data, epochs=20).fit(data.train)
        samples = list(data.test)
    answers = model.predict([s.image for s in samples])
    maps = {"the nuclei": [numbered(Masks.of(s.objects)) for s in samples]}
    maps["watershed"] = [numbered(answer) for answer in answers]
    maps["connected pixels"] = [ndimage.label(m)[0] for m in maps["watershed"]]
    true, *others = (np.array([m.max() for m in of]) for of in maps.values())
    for title, counts in zip(list(maps)[1:], others, strict=True):
        print(f"{title}: wrong by {np.abs(counts - true).mean():.1f} of {true.mean():.0f} nuclei")
    sheet = figure(11, 3)
    shown = {"a picture": samples[0].image} | {f"{t}: {m[0].max()}": m[0] for t, m in maps.items()}
    for axes, (title, image) in zip(sheet.subplots(1, 4), shown.items(), strict=True):
        axes.imshow(image, cmap="nipy_spectral", interpolation="nearest")
        axes.set_title(title, fontsize=9)
        axes.axis("off")
    sheet.savefig(picture)
    print(f"picture: {picture}")


def drawn(folder: Path) -> Path:
    rng, (y, x) = np.random.default_rng(0), np.mgrid[:64, :64]
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    for i in range(48):
        numbers = np.zeros((64, 64), np.uint8)
        for place in rng.uniform(6, 58, (40, 2)):
            disc = np.hypot(y - place[0], x - place[1]) < rng.uniform(5, 8)
            if not numbers[disc].any():
                numbers[disc] = numbers.max() + 1
        Image.fromarray(numbers).save(folder / f"masks/{i:02}.png")
        glow = ndimage.gaussian_filter((numbers > 0) * 150.0, 1) + rng.normal(50, 10, (64, 64))
        Image.fromarray(glow.astype(np.uint8)).save(folder / f"images/{i:02}.png")
    return folder


if __name__ == "__main__":
    main(*sys.argv[1:3])
