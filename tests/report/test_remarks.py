"""Remarks of the library have a Chinese form: each is made here by what writes it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from sightline.data import load, masks
from sightline.data.transforms import Fitted
from sightline.estimators import backbone
from sightline.metrics import classify, segment
from sightline.metrics.overfitting import far_behind, find_overfitting
from sightline.report import remarks
from sightline.report.words import Said
from sightline.types import Segmentation


def history(train, val, accuracy):
    return [
        {"epoch": e, "train_loss": t, "val_loss": v, "train_accuracy": 1.0, "val_accuracy": a}
        for e, (t, v, a) in enumerate(zip(train, val, accuracy, strict=True), start=1)
    ]


WORSE = history((2, 1, 0.5, 0.2, 0.1, 0.1), (2, 1, 1.5, 2, 3, 4), (0.2, 0.7, 0.6, 0.5, 0.4, 0.3))


def masks_said():
    """What reading masks in black and white, by number, of objects and in colours says."""
    by_number = np.arange(12, dtype=np.uint8).reshape(3, 4) // 3
    for drawn, text in (
        ([by_number, by_number], ""), ([255 * (by_number > 1)], ""),
        ([np.minimum(by_number, n) for n in (2, 3)], ""), ([by_number[..., None] * [1, 2, 3]] * 2,
        "a,0,0,0\nb,1,2,3\nc,2,4,6\nd,3,6,9\n"),
    ):  # fmt: skip
        with tempfile.TemporaryDirectory() as place:
            for name in ("images", "masks"):
                (Path(place) / name).mkdir()
                for i, values in enumerate(drawn):
                    picture = Image.fromarray(np.asarray(values, np.uint8))
                    picture.save(Path(place) / name / f"{i}.png")
            (Path(place) / "class_dict.csv").write_text(text)
            yield from masks.read(Path(place), "x").notes


def written():
    always = np.array([0] * 70 + [1] * 30)
    wrong, few = np.full(100, 1), np.array([0, 1, 0, 0])
    sure = np.eye(2)[wrong]
    yield str(find_overfitting(WORSE))
    yield far_behind(WORSE, 2)
    yield from classify.Evaluation.of(always, wrong, sure, np.arange(100)).remarks
    yield from classify.Evaluation.of(few, few, np.eye(2)[few], np.arange(4)).remarks
    for classes, ignored, truth, answer in (
        ("abcd", "d", [0, 0, 1, 3], [0, 0, 0, 0]), ("abc", "", [0, 1, 1, 1], [2, 0, 0, 0]),
        ("ab", "", [255] * 4, [0] * 4),
    ):  # fmt: skip
        sides = (  # the second image has no pixel that counts
            [Segmentation(np.array(v, np.uint8).reshape(2, 2), tuple(classes)) for v in part]
            for part in ((truth, [255] * 4), (answer, [0] * 4))
        )
        yield from segment.Evaluation.of(*sides, np.arange(2), ignored=list(ignored)).remarks
    yield from masks_said()
    yield load.left_out_note(["a.jpg: cut short"], 30)
    zeros = np.zeros(3, np.float32)
    small = Fitted((8, 8), "RGB", "crop", "none", zeros, zeros + 1)
    small.embed = SimpleNamespace(enlarge=64)
    yield from backbone.small_note(small, None)


@pytest.mark.parametrize("text", [*written()], ids=lambda t: t[:30])
def test_what_the_library_writes_is_known(text):
    line = remarks.said(str(text))
    assert isinstance(line, Said), text
    assert line == text
    digits = [d for d in text.replace(".", " ").replace("%", " ").split() if d.isdigit()]
    assert all(d in line.zh for d in digits)
    words = [w for w in line.zh.split() if w.isascii() and len(w) > 6 and w.isalpha()]
    assert not words, line.zh


def test_what_is_unknown_stays_as_it_is():
    for text in ("a remark of some plug-in", "class names: its own; nothing known"):
        assert remarks.said(text) == text
        assert not isinstance(remarks.said(text), Said)


def test_parts_are_said_in_chinese_and_names_stay():
    line = remarks.said("class '猫 a' has no image and is left out")
    assert line.zh == "类别 '猫 a' 没有图像，已略过"
    text = "the weights of epoch 2 of 6 are kept: accuracy on validation images was 70.0% then, " \
        "and 30.0% at the end; the validation loss rose from 1 to 4"  # fmt: skip
    assert remarks.said(text).zh == (
        "保留第 2 轮（共 6 轮）的权重：当时验证图像上的准确率为 70.0%，结束时为 30.0%；"
        "验证损失从 1 升到 4"
    )
