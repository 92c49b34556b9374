"""Find scratches, spots and missing parts, having seen good pictures alone.

Run: python examples/ch01_defects.py [PICTURE.png]: the mean of good pictures beside PaDiM (Defard
et al., 2021) and PatchCore (Roth et al., 2022), which compare patches by what a trained network
sees in them. Without its package (pip install 'sightline[pretrained]') the first is shown alone.
"""

import sys

import numpy as np

import sightline
from sightline.data import fonts
from sightline.data.images import as_picture
from sightline.models import carried
from sightline.report.anomaly import tinted
from sightline.types import ODD


def main() -> None:
    data = sightline.load_data("textures:count=96")
    names = {"pixel-mean": {}}
    if carried.installed(carried.EXTRA):
        names |= {"padim": {"size": 128}, "patchcore": {"size": 128, "bank": 500}}
    models = {
        name: sightline.create_model(name, **knobs).fit(data.train, data.val)
        for name, knobs in names.items()
    }
    measured = {name: model.evaluate(data.test).metrics for name, model in models.items()}
    for name, metrics in measured.items():
        print(
            f"{name}: AUROC {metrics['auroc']:.3f}, of pixels {metrics['pixel_auroc']:.3f}; "
            f"{metrics['false_alarm_rate']:.0%} false alarms, {metrics['detection_rate']:.0%} found"
        )
    if "padim" in measured:
        assert measured["padim"]["auroc"] > 0.9
        assert measured["padim"]["auroc"] > measured["pixel-mean"]["auroc"]
    labels = data.test.labels
    shown = [int(np.flatnonzero(labels == kind)[0]) for kind in range(len(data.classes))]
    sheet = fonts.figure(2.2 * (1 + len(models)), 8)
    panels = sheet.subplots(len(shown), 1 + len(models), squeeze=False)
    for line, at in zip(panels, shown, strict=True):
        sample = data.test[at]
        picture = as_picture(sample.image)
        line[0].imshow(picture)
        line[0].set_title(data.classes[sample.label], fontsize=8)
        for axes, (name, model) in zip(line[1:], models.items(), strict=True):
            (answer,) = model.predict([sample.image])
            axes.imshow(tinted(picture, answer.heat_out(), ODD))
            axes.set_title(f"{name}: {answer.score:.2f}", fontsize=8)
    for axes in panels.ravel():
        axes.axis("off")
    target = sys.argv[1] if len(sys.argv) > 1 else "ch01_defects.png"
    fonts.save(sheet, target)
    print(f"picture: {target}")


if __name__ == "__main__":
    main()
