"""Mask AP equals pycocotools', and the codes of masks say what the masks do."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from sightline.data import draw_masks
from sightline.data.annotation import Annotation
from sightline.errors import DataError
from sightline.metrics import detect_precision as precision
from sightline.metrics.instances_table import Masks, MaskTable, in_common
from sightline.types import Detections

NAMES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar1", "ar10", "ar100",
         "ar_small", "ar_medium", "ar_large")  # fmt: skip
SIZE = (110, 130)


def pycocotools(truth, answers, classes):
    """The twelve figures of COCO's own code, by masks."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def rows(pictures, result):
        for image, masks in enumerate(pictures):
            for i, code in enumerate(masks.rle):
                area = float(masks.areas[i])
                yield {
                    "image_id": image, "category_id": int(masks.labels[i]), "segmentation": code,
                    "area": float(masks.pixels[i]) if result or np.isnan(area) else area,
                    "bbox": coco_mask.toBbox(code).tolist(), "score": float(masks.scores[i]),
                    "iscrowd": int(masks.crowd[i]),
                }  # fmt: skip

    sides = []
    with contextlib.redirect_stdout(io.StringIO()):
        for pictures, result in ((truth, False), (answers, True)):
            side = COCO()
            side.dataset = {
                "images": [{"id": i, "height": SIZE[0], "width": SIZE[1]}
                           for i in range(len(truth))],
                "categories": [{"id": c} for c in range(classes)],
                "annotations": [r | {"id": n} for n, r in enumerate(rows(pictures, result), 1)],
            }  # fmt: skip
            side.createIndex()
            sides.append(side)
        evaluation = COCOeval(*sides, "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(NAMES, evaluation.stats.tolist(), strict=True))


def assert_equal_to_pycocotools(truth, answers, classes=2):
    expected = pycocotools(truth, answers, classes)
    own = precision.coco_figures(MaskTable.of(truth, answers))
    for name, value in expected.items():
        mean = precision.mean(own[name])
        assert np.isnan(mean) if value == -1 else mean == pytest.approx(value, abs=1e-9), name
    return expected


ellipse = st.tuples(
    st.integers(0, 120), st.integers(0, 100), st.integers(1, 60), st.integers(1, 60)
)  # fmt: skip
thing = st.tuples(ellipse, st.integers(0, 1), st.booleans(), st.floats(0, 12000))
answer = st.tuples(
    st.integers(0, 9), ellipse, st.tuples(*[st.integers(-4, 4)] * 4), st.integers(0, 1),
    st.sampled_from([0.1, 0.4, 0.4, 0.7, 0.9]), st.booleans(),
)  # fmt: skip
picture = st.tuples(st.lists(thing, max_size=6), st.lists(answer, max_size=9), st.booleans())


def drawn(x, y, rx, ry):
    ys, xs = np.mgrid[: SIZE[0], : SIZE[1]]
    return ((xs - x) / max(rx, 0.6)) ** 2 + ((ys - y) / max(ry, 0.6)) ** 2 <= 1


def masks_of(shapes, labels, **more):
    return Masks.of_shapes(shapes, SIZE, labels, ("a", "b"), **more)


def made(pictures):
    """Ellipses with crowds and stated areas, and answers near them or anywhere; ties of scores."""
    truth, answers = [], []
    for things, said, stated in pictures:
        shapes = [drawn(*e) for e, *_ in things]
        areas = np.array([a for *_, a in things]) if stated else None
        crowd = np.array([c and i % 2 == 0 for i, (_, _, c, _) in enumerate(things)], bool)
        truth.append(masks_of(shapes, [c for _, c, *_ in things], crowd=crowd, areas=areas))
        near = [
            drawn(*np.add(things[which % len(things)][0], off)) if things and close else drawn(*far)
            for which, far, off, _, _, close in said
        ]
        labels = [things[which % len(things)][1] if things and close else c
                  for which, _, _, c, _, close in said]  # fmt: skip
        answers.append(masks_of(near, labels, scores=np.array([s for *_, s, _ in said])))
    return truth, answers


@settings(max_examples=60, deadline=None)
@given(st.lists(picture, min_size=1, max_size=4))
def test_figures_equal_pycocotools_on_any_set(pictures):
    assert_equal_to_pycocotools(*made(pictures))


def random_pictures(seed, images=5):
    random = np.random.default_rng(seed)

    def an_ellipse():
        return (*random.integers(0, 110, 2).tolist(), *random.integers(3, 50, 2).tolist())

    return [
        (
            [(an_ellipse(), int(random.integers(2)), random.random() < 0.2, 0.0) for _ in range(5)],
            [(int(random.integers(5)), an_ellipse(), random.integers(-4, 5, 4).tolist(),
              int(random.integers(2)), float(random.random()), random.random() < 0.8)
             for _ in range(8)],
            False,
        )
        for _ in range(images)
    ]  # fmt: skip


def test_figures_equal_pycocotools_where_they_are_neither_0_nor_1():
    aps = [assert_equal_to_pycocotools(*made(random_pictures(seed)))["ap"] for seed in range(8)]
    assert sum(0.1 < ap < 0.9 for ap in aps) >= 6


def test_three_hundred_instances_of_a_map_are_matched_one_by_one():
    numbers = np.zeros((400, 500), np.uint16)
    for i in range(300):
        y, x = divmod(i, 25)
        numbers[33 * y + 2 : 33 * y + 20, 20 * x + 2 : 20 * x + 15] = i + 1
    truth = Masks.of_map(numbers, ("nucleus",))
    table = MaskTable.of([truth], [truth])
    assert len(truth) == 300
    assert table.matched[0, -1].tolist() == list(range(300))
    assert truth.mask(299).tolist() == (numbers == 300).tolist()


def test_pixels_in_common_are_counted_exactly():
    random = np.random.default_rng(3)
    some, others = (random.random((n, 45, 61)) < p for n, p in ((5, 0.5), (7, 0.2)))
    one, two = (Masks.of_shapes(list(m), (45, 61), [0] * len(m), ("a",)) for m in (some, others))
    expected = (some[:, None] & others[None]).sum((2, 3))
    assert in_common(one, two).tolist() == expected.tolist()
    assert one.pixels.tolist() == some.sum((1, 2)).tolist()


def test_overlap_of_a_crowd_is_the_share_of_the_answer():
    whole, part = np.zeros((2, 4, 6), bool)
    whole[:, :4], part[:2, :2] = True, True
    truth = Masks.of_shapes([whole, whole], (4, 6), [0, 0], ("a",), crowd=np.array([True, False]))
    table = MaskTable.of([truth], [Masks.of_shapes([part], (4, 6), [0], ("a",))])
    assert table.overlaps[0].tolist() == [[1, 0.25]]


def test_masks_of_every_form_are_the_same():
    mask = np.zeros((9, 12), bool)
    mask[2:5, 3:9] = True
    polygon = [np.array([(3, 2), (9, 2), (9, 5), (3, 5)], float)]
    plain = {"size": [9, 12], "counts": coco_mask.encode(np.asfortranarray(mask, np.uint8))}
    texts = {"size": [9, 12], "counts": plain["counts"]["counts"].decode()}
    many = Masks.of_shapes([mask, polygon, texts], (9, 12), [0, 0, 0], ("a",))
    assert len(set(many.codes)) == 1
    assert many.boxes.tolist() == [[3, 2, 9, 5]] * 3
    numbers = np.where(mask, 7, 0)
    assert Masks.of_map(numbers, ("a",)).codes == many.codes[:1]
    detections = Detections(np.array([[3, 2, 9, 5]]), np.array([0]), ("a",), masks=mask[None])
    assert Masks.of(detections).codes == many.codes[:1]


def test_no_instance_and_masks_of_one_pixel():
    none = Detections(np.zeros((0, 4)), np.zeros(0), ("a",), masks=np.zeros((0, 20, 30), bool))
    empty = Masks.of(none)
    assert (empty.size, len(empty), empty.boxes.shape) == ((20, 30), 0, (0, 4))
    assert len(Masks.of_map(np.zeros((20, 30), np.int32), ("a",))) == 0
    assert Masks.of(Detections(np.zeros((0, 4)), np.zeros(0), ("a",))).size == (0, 0)
    dot = np.zeros((20, 30), bool)
    dot[7, 9] = True
    one = Masks.of_shapes([dot], (20, 30), [0], ("a",))
    for truth, answers in ((empty, empty), (one, empty), (empty, one), (one, one)):
        table = MaskTable.of([truth], [answers])
        assert table.overlaps[0].shape == (len(answers), len(truth))
    assert table.matched[0, :, 0].tolist() == [0] * 10
    nothing = Masks.of_shapes([np.zeros_like(dot)], (20, 30), [0], ("a",))
    assert MaskTable.of([nothing], [nothing]).overlaps[0].tolist() == [[0]]


def test_labels_and_scores_go_with_the_numbers_of_a_map():
    numbers = np.array([[1, 0, 4], [1, 3, 4]])
    masks = Masks.of_map(numbers, ("a", "b"), [0, 1, 1, 0], [0.9, 0.8, 0.7, 0.6])
    assert masks.labels.tolist() == [0, 1, 0]
    assert masks.scores.tolist() == [0.9, 0.7, 0.6]
    with pytest.raises(DataError, match="number 4 has no label: there are 2"):
        Masks.of_map(numbers, ("a", "b"), [0, 1])


def test_annotations_are_encoded_as_they_are_drawn(tmp_path):
    from PIL import Image

    numbers = np.zeros((20, 30), np.uint8)
    numbers[2:6, 3:9], numbers[10:18, 20:30], numbers[15, 1] = 1, 4, 255
    Image.fromarray(numbers).save(tmp_path / "m.png")
    square = [np.array([(3, 2), (9, 2), (9, 5), (3, 5)], float)]
    outside = np.array([[3, 2, 9, 5], [40, 40, 50, 50], [0, 0, 4, 4]], float)
    marks = {"crowd": np.array([True, False, False]), "areas": np.array([17.5, 1, np.nan])}
    for annotation in (
        Annotation(30, 20, instances=str(tmp_path / "m.png")),
        Annotation(30, 20, outside, np.array([1, 0, 1]), [square, None, None], **marks),
        Annotation(30, 20),
    ):
        drawn_ones = draw_masks.detections(annotation, 20, 30, ("a", "b"), masks=True)
        own, expected = Masks.of_annotation(annotation, (20, 30), ("a", "b")), Masks.of(drawn_ones)
        assert own.codes == expected.codes
        for name in ("labels", "crowd", "difficult", "areas", "scores"):
            np.testing.assert_array_equal(getattr(own, name), getattr(expected, name))
    with pytest.raises(DataError, match=r"^2 objects have boxes but no mask"):
        Masks.of_annotation(Annotation(30, 20, outside, np.array([1, 0, 1])), (20, 30), ("a", "b"))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Masks.of(Detections(np.array([[0, 0, 2, 2]]), np.array([0]), ("a",))),
         "1 object has a box but no mask"),
        (lambda: Masks.of(Detections(np.array([[0, 0, 2, 2]]), np.array([0]), ("a",),
                                     masks=np.ones((1, 4, 5), bool)), (5, 4)),
         "the mask is 5 x 4 pixels"),
        (lambda: Masks.of_map(np.zeros((3, 4)), ("a",)), "whole numbers from 0, not .3, 4. and f"),
        (lambda: Masks.of_map(np.full((3, 4), -1), ("a",)), "whole numbers from 0"),
        (lambda: masks_of([drawn(5, 5, 3, 3)], [2]), "labels must index the 2 classes"),
        (lambda: masks_of([drawn(5, 5, 3, 3)], [0, 1]), "1 masks but 2 labels"),
        (lambda: masks_of([drawn(5, 5, 3, 3)], [0], scores=np.array([1.5])), "between 0 and 1"),
        (lambda: MaskTable.of([masks_of([drawn(5, 5, 3, 3)], [0])],
                              [Masks.of_map(np.ones((3, 4), int), ("a", "b"))], ["图.png"]),
         "图.png: the true masks are 130 x 110 pixels .width x height., the answered ones 4 x 3"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused_in_one_line(make, text):
    with pytest.raises(DataError, match=text) as error:
        make()
    assert "\n" not in str(error.value)


def test_many_instances_of_a_large_picture_take_little_memory():
    """A hundred masks of 1000 x 1500 would be 150 MB as arrays, and twice that on both sides."""
    import tracemalloc

    numbers = np.zeros((1000, 1500), np.uint8)
    for i in range(100):
        y, x = divmod(i, 10)
        numbers[100 * y + 5 : 100 * y + 90, 150 * x + 5 : 150 * x + 140] = i + 1
    tracemalloc.start()
    masks = Masks.of_map(numbers, ("a",))
    table = MaskTable.of([masks], [masks])
    assert (table.matched[0] >= 0).all()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4e6
