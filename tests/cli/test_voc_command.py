"""The commands of docs/voc.md hold for a folder of that layout, with VGG16's file in its place."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import vgg16

import sightline
from sightline.data import voc

PAGE = (Path(__file__).parents[2] / "docs/voc.md").read_text(encoding="utf-8")

OBJECT = (
    "<object><name>{}</name><pose>Left</pose><truncated>1</truncated><difficult>{}</difficult>"
    "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"
    "<part><name>head</name><bndbox><xmin>2</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax>"
    "</bndbox></part></object>"
)


def devkit(root, seed=0):
    """Write both years as the archives unpack: pictures of 500 x 375, parts, difficult objects."""
    rng = np.random.default_rng(seed)
    parts = {"VOC2007": {"train": 10, "val": 6, "test": 5}, "VOC2012": {"train": 6, "val": 4}}
    for year, splits in parts.items():
        place, number = root / "VOCdevkit" / year, 0
        for name in ("Annotations", "ImageSets/Main", "JPEGImages"):
            (place / name).mkdir(parents=True)
        listed = {}
        for split, count in splits.items():
            listed[split] = []
            for _ in range(count):
                number += 1
                stem = f"{number:06}" if year == "VOC2007" else f"2008_{number:06}"
                height, width = ((375, 500), (500, 333))[number % 2]
                pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(place / f"JPEGImages/{stem}.jpg")
                kinds = [voc.CLASSES[(number + k) % 20] for k in range(2)]
                objects = OBJECT.format(kinds[0], 0, 20, 30, 250, 300) + OBJECT.format(
                    kinds[1], 1, 100, 80, width, height
                )
                (place / f"Annotations/{stem}.xml").write_text(
                    f"<annotation><folder>{year}</folder><filename>{stem}.jpg</filename><size>"
                    f"<width>{width}</width><height>{height}</height><depth>3</depth></size>"
                    f"<segmented>0</segmented>{objects}</annotation>"
                )
                listed[split].append(stem)
        listed["trainval"] = sorted(listed["train"] + listed["val"])
        for split, stems in listed.items():
            (place / f"ImageSets/Main/{split}.txt").write_text("\n".join(stems) + "\n")
    return root / "VOCdevkit"


def test_the_layout_is_read_as_the_page_says(tmp_path):
    data = sightline.load_data(devkit(tmp_path))
    counts = {split: len(rows) for split, rows in data.rows.items()}
    assert counts == {"train": 24, "val": 2, "test": 5}  # of 26 a tenth is set apart
    assert set(data.classes) <= set(voc.CLASSES)
    objects = data.test[0].objects
    assert objects.difficult.tolist() == [False, True]
    assert len(objects) == 2  # parts of an object are none


@pytest.mark.slow
def test_the_training_begins(run, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("SIGHTLINE_HOME", str(tmp_path / "home"))
    hub = tmp_path / "torch/hub/checkpoints"
    hub.mkdir(parents=True)
    with torch.device("meta"):
        shapes = vgg16(weights=None).state_dict()
    state = {k: 0.05 * torch.randn(t.shape) for k, t in shapes.items() if k.startswith("features")}
    for layer, inputs in (("classifier.0", 25088), ("classifier.3", 4096)):
        state[f"{layer}.bias"] = torch.zeros(4096)
        state[f"{layer}.weight"] = 0.01 * torch.randn(4096, 1).expand(-1, inputs)
    torch.save(state, hub / "vgg16-397923af.pth")
    devkit(tmp_path)
    said = re.search(r"\$ (sightline train ssd300_voc .*?)\n\$", PAGE, re.S)[1]
    words = shlex.split(said.replace("\\\n", " "))[1:]
    for name, value in (("--device", "cpu"), ("--workers", "1"), ("--batch-size", "2")):
        words[words.index(name) + 1] = value
    status, out, err = run(*words, "--dry-run")
    assert status == 0, err
    assert "2 x" in out + err or "batch" in out + err
    assert not (tmp_path / "runs").exists()
