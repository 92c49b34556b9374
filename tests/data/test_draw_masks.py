from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from sightline.data import draw_masks, outlines
from sightline.data.annotation import Annotation
from sightline.errors import DataError

H, W = 30, 40
CLASSES = ("cat", "dog")
SEGMENTS = ("background", *CLASSES)


def boxes(*rows, **more):
    return Annotation(W, H, np.array(rows, float), np.arange(len(rows)) % 2, **more)


def square(x1, y1, x2, y2):
    return [np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], float)]


def reference(polygons):
    """pycocotools' own way from polygons to a mask."""
    codes = coco_mask.frPyObjects([p.ravel().tolist() for p in polygons], H, W)
    return coco_mask.decode(coco_mask.merge(codes)).astype(bool)


def test_boxes_are_clipped_and_those_without_area_dropped():
    a = boxes((-5, -5, 10, 10), (4, 4, 4, 9), (50, 2, 60, 4), (9, 9, 5, 5), (30, 20, 99, 99))
    a.difficult = np.array([0, 0, 0, 0, 1], bool)
    found = draw_masks.detections(a, H, W, CLASSES, masks=False)
    assert found.boxes.tolist() == [[0, 0, 10, 10], [30, 20, 40, 30]]
    assert found.boxes.dtype == np.float32
    assert found.labels.tolist() == [0, 0]
    assert found.difficult.tolist() == [False, True]
    assert found.masks is None
    assert len(a.boxes) == 5


def test_boxes_that_are_no_numbers_are_dropped():
    a = boxes((np.nan, 0, 5, 5), (0, 0, 5, 5))
    assert len(draw_masks.detections(a, H, W, CLASSES, masks=False)) == 1


def test_no_objects_have_no_masks():
    found = draw_masks.detections(Annotation(W, H), H, W, CLASSES, masks=True)
    assert found.masks.shape == (0, H, W)


def test_boxes_only_have_masks_unknown():
    assert draw_masks.detections(boxes((0, 0, 5, 5)), H, W, CLASSES, masks=True).masks is None
    label_map = draw_masks.segmentation(boxes((0, 0, 5, 5)), H, W, SEGMENTS).label_map
    assert (label_map == 255).all()


def test_outlines_of_every_form_agree_with_pycocotools():
    polygons = [np.array([(2.5, 3), (20, 4.2), (11, 25)]), square(25, 5, 35.5, 20)[0]]
    want = reference(polygons)
    code = coco_mask.encode(np.asfortranarray(want.astype(np.uint8)))
    column_wise = want.ravel(order="F")
    edges = np.flatnonzero(np.diff(column_wise)) + 1
    runs = np.diff([0, *edges, column_wise.size]).tolist()
    forms = [
        polygons,
        {"size": [H, W], "counts": code["counts"]},
        {"size": [H, W], "counts": code["counts"].decode()},
        {"size": [H, W], "counts": runs},
        want,
    ]
    a = boxes(*[(0, 0, W, H)] * 5, shapes=forms)
    found = draw_masks.detections(a, H, W, CLASSES, masks=True)
    assert found.masks.shape == (5, H, W)
    assert (found.masks == want).all()


def test_masks_follow_the_boxes_that_are_kept():
    a = boxes((3, 3, 3, 3), (0, 0, 5, 5), shapes=[square(3, 3, 9, 9), square(0, 0, 5, 5)])
    found = draw_masks.detections(a, H, W, CLASSES, masks=True)
    assert found.masks.sum() == 25
    assert found.labels.tolist() == [1]


def test_an_object_without_outline_stands_as_its_box():
    a = boxes((0, 0, 5, 5), (10, 10, 14, 15), shapes=[square(0, 0, 5, 5), None])
    masks = draw_masks.detections(a, H, W, CLASSES, masks=True).masks
    assert masks[1, 10:15, 10:14].all()
    assert masks[1].sum() == 20


def test_polygons_of_fewer_than_three_points_cover_nothing():
    a = boxes((0, 0, 5, 5), shapes=[[np.array([(0.0, 0.0), (5, 5)])]])
    assert not draw_masks.detections(a, H, W, CLASSES, masks=True).masks.any()


def test_small_objects_are_painted_on_top_and_crowds_ignored():
    a = boxes(
        (5, 5, 10, 10), (0, 0, 20, 20), (15, 15, 30, 30),
        shapes=[square(5, 5, 10, 10), square(0, 0, 20, 20), square(15, 15, 30, 30)],
        crowd=np.array([0, 0, 1], bool),
    )  # fmt: skip
    label_map = draw_masks.segmentation(a, H, W, SEGMENTS).label_map
    assert label_map[7, 7] == 1
    assert label_map[2, 2] == 2
    assert label_map[25, 25] == 255
    assert label_map[17, 17] == 255
    assert label_map[25, 5] == 0
    assert label_map.dtype == np.uint8
    numbers = draw_masks.instance_map(a, H, W)
    assert numbers[7, 7] == 1
    assert numbers[2, 2] == 2
    assert numbers[25, 25] == 255


def test_semantic_png_by_its_values(tmp_path, draw):
    values = np.random.default_rng(0).integers(0, 3, (H, W), np.uint8)
    values[0] = 255
    values[1] = 9
    for palette in (False, True):
        path = draw.index(tmp_path / f"{palette}.png", values, palette=palette)
        a = Annotation(semantic=str(path), semantic_ignore=(9,))
        label_map = draw_masks.segmentation(a, H, W, SEGMENTS).label_map
        assert (label_map[2:] == values[2:]).all()
        assert (label_map[:2] == 255).all()


def test_objects_of_an_index_png(tmp_path, draw):
    numbers, classes = np.zeros((2, H, W), np.uint8)
    numbers[2:5, 3:8], classes[2:5, 3:8] = 7, 2
    numbers[29, 39], classes[29, 39] = 2, 1
    classes[2, 3] = 1
    numbers[10] = classes[10] = 255
    a = Annotation(
        instances=str(draw.index(tmp_path / "o.png", numbers, palette=True)),
        semantic=str(draw.index(tmp_path / "c.png", classes, palette=True)),
    )
    for masks in (True, False):
        found = draw_masks.detections(a, H, W, CLASSES, masks=masks)
        assert found.boxes.tolist() == [[39, 29, 40, 30], [3, 2, 8, 5]]
        assert found.labels.tolist() == [0, 1]
    a.semantic = None
    found = draw_masks.detections(a, H, W, CLASSES, masks=True)
    assert found.masks.sum(axis=(1, 2)).tolist() == [1, 15]
    label_map = draw_masks.segmentation(a, H, W, SEGMENTS).label_map
    assert (label_map[10] == 255).all()
    assert (label_map == 1).sum() == 16


def test_boxes_stand_beside_an_index_png_unless_masks_are_wanted(tmp_path, draw):
    numbers = np.zeros((H, W), np.uint8)
    numbers[2:5, 3:8] = 1
    a = boxes((2, 1, 9, 6), (0, 0, 3, 3), instances=str(draw.index(tmp_path / "o.png", numbers)))
    assert len(draw_masks.detections(a, H, W, CLASSES, masks=False)) == 2
    assert draw_masks.detections(a, H, W, CLASSES, masks=True).boxes.tolist() == [[3, 2, 8, 5]]


def test_sixteen_bit_numbers_go_beyond_255(tmp_path, draw):
    numbers = np.arange(H * W).reshape(H, W).astype(np.uint16)
    a = Annotation(instances=str(draw.index(tmp_path / "o.png", numbers)))
    found = draw_masks.detections(a, H, W, CLASSES, masks=False)
    assert len(found) == H * W - 1


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"size": [W, H], "counts": [W * H]}, "the mask is 30 x 40 pixels (width x height), its"),
        ({"size": [H, W], "counts": [3]}, "does not add up to the 40 x 30 pixels of its image"),
        ({"size": [H, W], "counts": [-5, 1205]}, "does not add up"),
        ({"size": [H, W], "counts": ["a"]}, "does not add up"),
        ({"size": [H, W], "counts": b""}, "does not add up"),
        ({"size": [H, W], "counts": "0o"}, "does not add up"),
        ({"size": [H, W], "counts": "é"}, "does not add up"),
        ([np.array([(0, 0), (1e9, 0), (9, 9)])], "a corner that is no place in its image"),
        ([np.array([(0, 0), (np.nan, 0), (9, 9)])], "a corner that is no place in its image"),
        (np.ones((4, 5), bool), "a mask: the mask is 5 x 4 pixels"),
    ],
)
def test_broken_outlines(shape, message):
    with pytest.raises(DataError) as error:
        draw_masks.detections(boxes((0, 0, 9, 9), shapes=[shape]), H, W, CLASSES, masks=True)
    assert message in str(error.value)


def test_broken_index_pngs(tmp_path, draw):
    small = str(draw.index(tmp_path / "small.png", np.zeros((3, 4), np.uint8)))
    blank = str(draw.index(tmp_path / "blank.png", np.zeros((H, W), np.uint8)))
    full = str(draw.index(tmp_path / "full.png", np.ones((H, W), np.uint8)))
    photo = str(draw.photo(tmp_path / "photo.png"))
    (tmp_path / "cut.png").write_bytes((tmp_path / "photo.png").read_bytes()[:200])
    cut = str(tmp_path / "cut.png")
    for a, message in (
        (Annotation(semantic=small), "small.png: the mask is 4 x 3 pixels"),
        (Annotation(instances=small), "small.png: the mask is 4 x 3 pixels"),
        (Annotation(semantic=photo), "photo.png: a colour image"),
        (Annotation(semantic=cut), "cut.png: the image data is broken"),
        (Annotation(instances=str(tmp_path / "none.png")), "none.png: no such file"),
    ):
        with pytest.raises(DataError) as error:
            draw_masks.segmentation(a, H, W, SEGMENTS)
        assert message in str(error.value)
    with pytest.raises(DataError, match=r"blank\.png: no class where .*full\.png has object 1"):
        draw_masks.detections(Annotation(instances=full, semantic=blank), H, W, CLASSES, True)


def test_too_many_for_a_map():
    with pytest.raises(DataError, match="at most 255 classes, not 256"):
        draw_masks.segmentation(Annotation(W, H), H, W, ("x",) * 256)
    with pytest.raises(DataError, match="255 objects in one image"):
        draw_masks.instance_map(boxes(*[(0, 0, 1, 1)] * 255), H, W)


@given(arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_a_traced_mask_drawn_again_is_the_same(mask):
    height, width = mask.shape
    traced = outlines.to_polygon(mask, height, width)
    if traced is None:
        assert not mask.any()
        return
    code = outlines.to_rle([traced], height, width)
    assert (coco_mask.decode(code).astype(bool) == mask).all()
    area = sum(
        (p[:, 0] * np.roll(p[:, 1], -1) - np.roll(p[:, 0], -1) * p[:, 1]).sum() / 2
        for p in outlines.trace(mask)
    )
    assert area == mask.sum()


@pytest.mark.parametrize("seed", range(40))
def test_a_mask_within_a_box_has_the_code_of_the_whole_mask(seed):
    random = np.random.default_rng(seed)
    height, width = random.integers(1, 9, 2).tolist()
    h, w = (int(random.integers(0, n + 1)) for n in (height, width))
    top, left = int(random.integers(height - h + 1)), int(random.integers(width - w + 1))
    part = random.random((h, w)) < 1.3 * random.random()  # now and then all of it, or nothing
    whole = np.zeros((height, width), np.uint8, order="F")
    whole[top : top + h, left : left + w] = part
    code = outlines.part_to_rle(part, (top, left), height, width)
    assert code["counts"] == coco_mask.encode(whole)["counts"]
    assert code["size"] == [height, width]


def test_a_mask_that_reaches_beyond_its_image_is_refused():
    with pytest.raises(DataError, match=r"3 x 2 pixels at \(2, 0\) reaches beyond its image of 4"):
        outlines.part_to_rle(np.ones((2, 3), bool), (0, 2), 4, 4)


@pytest.mark.parametrize("values", [(0, 1), (3,), (0, 7, 300, 2, 255)])
def test_a_map_has_the_code_of_each_of_its_values(values):
    rng = np.random.default_rng(len(values))
    for size in ((1, 1), (1, 9), (9, 1), (7, 5), (33, 47)):
        drawn = rng.choice(np.array(values, np.int32), size)
        codes = outlines.codes_of(drawn)
        assert list(codes) == np.unique(drawn).tolist()
        for value, code in codes.items():
            assert code == coco_mask.encode(np.asfortranarray(drawn == value, np.uint8))
    assert outlines.codes_of(np.zeros((0, 4), np.uint8)) == {}
