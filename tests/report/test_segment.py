"""Segmentation on the page, in tables and on pictures: equal to what was measured."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from sightline.data import draw, fonts
from sightline.data.annotation import Annotation
from sightline.data.dataset import Dataset, Source
from sightline.data.item import Item
from sightline.metrics.segment import Evaluation
from sightline.report import html, segment, segment_plots
from sightline.report.words import in_chinese
from sightline.types import Segmentation, Task

CLASSES = ("背景", "road", "wolf <b>", "void")
TRUTH = np.zeros((2, 6, 8), np.uint8)
TRUTH[:, :, 4:] = 1
TRUTH[0, 5] = 255
TRUTH[1, 0] = 3
ANSWERS = TRUTH.copy()
ANSWERS[ANSWERS > 1] = 0
ANSWERS[0, 0, 4:7] = 0


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("masks")
    items = []
    for i, values in enumerate(TRUTH):
        Image.fromarray(values).save(folder / f"{i}.png")
        mask = Annotation(8, 6, semantic=str(folder / f"{i}.png"))
        pixels = np.full((6, 8, 3), 40 * i, np.uint8)
        items.append(Item(f"{i}.png", pixels, annotation=mask))
    rows = {"train": np.arange(2), "test": np.arange(2)}
    return Dataset("d", Source(items, "RGB"), rows, CLASSES, (Task.SEGMENT,), CLASSES)


@pytest.fixture(scope="module")
def evaluation():
    sides = ([Segmentation(v, CLASSES) for v in part] for part in (TRUTH, ANSWERS))
    return Evaluation.of(*sides, np.arange(2), ignored=["void"])


def pixels_of(picture):
    encoded = picture.uri.partition(",")[2]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB"))


def middles(picture):
    """The colour in the middle of each pixel of an enlarged picture of 8 x 6 pixels."""
    large = pixels_of(picture)
    step = large.shape[1] // 8
    assert large.shape[:2] == (6 * step, 8 * step)
    return large[step // 2 :: step, step // 2 :: step]


def test_the_worst_pictures_have_truth_answer_and_difference_pixel_by_pixel(data, evaluation):
    (row,), legend = segment.worst(data, evaluation)  # the other one is right everywhere it counts
    assert row.lines == ("mean IoU 86.0%", "road → 背景: 7.5% of the pixels", "0.png")
    assert [in_chinese(p.lines[0]) for p in row.pictures] == ["图片", "真值", "答案", "差异"]
    colours = draw.colours(np.arange(3))
    _, truth, answer, difference = map(middles, row.pictures)
    counts = TRUTH[0] != 255
    assert (truth[counts] == colours[TRUTH[0][counts]]).all()
    assert (answer == colours[ANSWERS[0]]).all()
    wrong = counts & (TRUTH[0] != ANSWERS[0])
    assert ((difference == segment._WRONG).all(-1) == wrong).all()
    step = pixels_of(row.pictures[1]).shape[1] // 8
    for picture in (row.pictures[1], row.pictures[3]):  # stripes of two greys, where it is ignored
        stripes = pixels_of(picture)[5 * step :].reshape(-1, 3)
        assert {tuple(c) for c in stripes.tolist()} == {(138,) * 3, (228,) * 3}
    assert [name for _, name in legend] == ["背景", "road", "does not count"]
    assert [paint for paint, _ in legend][:2] == [
        f"#{bytes(c.tolist()).hex()}" for c in colours[:2]
    ]


def test_an_ignored_class_is_hatched_as_255_is(data, evaluation):
    answer = ANSWERS.copy()
    answer[1, 3, 1] = 1
    sides = ([Segmentation(v, CLASSES) for v in part] for part in (TRUTH, answer))
    rows, _ = segment.worst(data, Evaluation.of(*sides, np.arange(2), ignored=["void"]))
    picture = next(row for row in rows if row.lines[-1] == "1.png").pictures[1]
    step = pixels_of(picture).shape[1] // 8
    assert {tuple(c) for c in pixels_of(picture)[:step].reshape(-1, 3).tolist()} == {
        (138,) * 3, (228,) * 3,
    }  # fmt: skip


def test_sections_say_what_is_left_out_and_hold_names_of_any_script(data, evaluation, tmp_path):
    made = segment.sections(data, {"a": evaluation, "b <i>": evaluation})
    titles = [in_chinese(s.title) for s in made]
    assert titles == [
        "像素的类别判得有多准？", "哪些类别难", "哪些类别被判成了什么？", "各方法错在哪里",
    ]  # fmt: skip
    note = made[1].parts[0].note
    assert note == (
        "Left out, as neither truth nor answers have the class: wolf <b>. Do not count: void."
    )
    assert "wolf &lt;b&gt;" not in made[1].parts[0].drawing
    assert made[2].parts[0].note == (
        "Most often taken for another, with the share of the class's pixels: road → 背景 (7.5%)."
    )
    page = html.template("sections.html.j2", None).render(sections=made)
    assert "wolf <b>" not in page
    assert "b <i>" not in page
    assert page.count('class="beside"') == 2
    assert page.count('<ul class="legend">') == 2
    assert segment.sections(data, {"a": evaluation}, split="val")[3].title.endswith(
        "on validation images"
    )


def test_a_perfect_answer_has_no_pictures_and_says_so(data):
    sides = ([Segmentation(v, CLASSES) for v in part] for part in (ANSWERS, ANSWERS))
    made = segment.sections(data, {"a": Evaluation.of(*sides, np.arange(2))})
    assert made[3].parts[0].note == "No image is answered wrongly anywhere."
    assert made[3].parts[0].rows == []
    assert made[2].parts[0].note == ""


def test_details_and_table_are_the_measured_figures(evaluation):
    said = segment.details(evaluation, CLASSES)
    assert said["classes"]["road"]["iou"] == pytest.approx(37 / 40)
    assert said["classes"]["wolf <b>"]["iou"] is None
    assert said["confusion"] == [[40, 0, 0, 0, 0], [3, 37, 0, 0, 0], [0] * 5, [0] * 5]
    assert (said["left_out"], said["ignored"]) == (["wolf <b>"], ["void"])
    assert said["intervals"]["miou"] == list(evaluation.metrics.interval)
    headings, rows = segment.table(evaluation, CLASSES)
    assert all(len(row) == len(headings) for row in rows)
    road = dict(zip(headings, rows[1], strict=True))
    assert (road["class"], road["pixels"], road["IoU"]) == ("road", "40", "0.925")
    assert road["most often taken for"] == "背景 (3)"
    assert rows[2][2:] == ("-", "-", "-", "-", "-", "-", "")


def test_cells_name_the_classes_by_their_share():
    values = np.array([[1] * 6 + [0] * 3 + [2]], np.uint8)
    answer = Segmentation(values, CLASSES)
    assert segment.headings(3) == ("largest class", "share", "others")
    assert segment.cells(answer, top=3, threshold=0.9) == ("road", "60%", "背景 30%, wolf <b> 10%")
    assert segment.cells(answer, top=2, threshold=0) == ("road", "60%", "背景 30% and 1 more")
    assert segment.cells(answer, top=1, threshold=0) == ("road", "60%")
    none = Segmentation(np.full((2, 2), 255, np.uint8), CLASSES)
    assert segment.cells(none, top=2, threshold=0) == (None, "", "")


@pytest.mark.parametrize("classes", [4, 300])
def test_a_picture_is_tinted_by_class_and_its_legend_names_them_all(classes, install):
    install("Tiny", "猫")
    names = ("猫", "road", *(f"class {i}" for i in range(2, classes)))
    values = np.zeros((40, 60), np.int32)
    values[:, 30:] = 1
    values[0, 0] = 255
    values[39, 59] = classes - 1
    with fonts.noticing() as lacking:
        drawn = segment.annotate(
            Image.new("RGB", (60, 40), (100, 100, 100)), Segmentation(values, names), top=1,
            threshold=0.9,
        )  # fmt: skip
    assert not lacking
    assert drawn.width == 480
    assert drawn.height > 320  # the legend lies below
    seen = np.asarray(drawn)[4:320:8, 4::8]
    tints = draw.colours(np.arange(classes))
    for at, c in (((20, 5), 0), ((20, 50), 1), ((39, 59), classes - 1)):
        wanted = 100 + (tints[c].astype(float) - 100) * segment.TINT
        assert np.abs(seen[at] - wanted).max() <= 2
    assert seen[0, 0].tolist() == [100, 100, 100]  # of no class, and so not tinted
    below = {tuple(c) for c in np.asarray(drawn)[320:].reshape(-1, 3).tolist()}
    assert {tuple(tints[c].tolist()) for c in (0, 1, classes - 1)} <= below


def test_the_background_is_not_tinted():
    values = np.array([[0, 1]], np.uint8).repeat(8, 0).repeat(8, 1)
    answer = Segmentation(values, ("Background", "cat"))
    drawn = segment.annotate(Image.new("RGB", (16, 8), (90, 90, 90)), answer, top=5, threshold=0)
    assert drawn.getpixel((4, 4)) == (90, 90, 90)
    assert drawn.getpixel((drawn.width - 4, 4)) != (90, 90, 90)


def test_a_legend_stays_within_a_narrow_picture():
    values = np.arange(12, dtype=np.uint8).reshape(12, 1).repeat(4, 1)
    answer = Segmentation(values, tuple(f"a name that is very long indeed {i}" for i in range(12)))
    drawn = segment.annotate(Image.new("RGB", (4, 12)), answer, top=5, threshold=0)
    assert drawn.size[0] == 160
    right = np.asarray(drawn.convert("L"))[480:, -3:]
    assert (right == 255).all()


def test_of_very_many_classes_the_hardest_are_drawn():
    names = tuple(f"c{i}" for i in range(60))
    truth = np.arange(60, dtype=np.uint8).repeat(4).reshape(1, 12, 20)
    answer = truth.copy()
    answer[0, -1, -1] = 0  # the last class has an IoU of 3/4, the first of 4/5
    sides = ([Segmentation(v, names) for v in part] for part in (truth, answer))
    (axes,) = segment_plots.by_class(Evaluation.of(*sides, np.arange(1))).axes
    labels = [t.get_text() for t in axes.get_yticklabels()]
    assert labels[:2] == ["c59", "c0"]
    assert len(labels) == 40
    assert axes.get_title() == "the 40 hardest classes of 60"
    assert axes.patches[0].get_width() == pytest.approx(75)
