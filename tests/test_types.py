"""The nouns: what they refuse, and what they become elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.errors import DataError
from sightline.types import IGNORE, Classification, Detections, Segmentation

CLASSES = ("cat", "dog", "fox")


def two(**changes):
    masks = np.zeros((2, 20, 30), bool)
    masks[0, 2:12, 1:11] = True
    masks[1, 5:8, 10:30] = True
    masks[1, 6, 12] = False
    values = {
        "boxes": np.array([[1, 2, 11, 12], [10, 5, 30, 8]], np.float32),
        "labels": np.array([2, 0]),
        "classes": CLASSES,
        "scores": np.array([0.5, 0.25], np.float32),
        "masks": masks,
    }
    return Detections(**(values | changes))


# --- classification ------------------------------------------------------------------------


def test_the_most_probable_class_is_decided_for():
    answer = Classification(np.array([0.2, 0.5, 0.3]), CLASSES)
    assert (answer.label, answer.name) == (1, "dog")
    assert answer.score == pytest.approx(0.5)
    assert answer.probabilities.dtype == np.float32


def test_a_method_may_decide_otherwise():
    answer = Classification(np.array([0.4, 0.4, 0.2]), CLASSES, label=1)
    assert answer.name == "dog"
    assert answer.top(3) == [
        ("dog", pytest.approx(0.4)),
        ("cat", pytest.approx(0.4)),
        ("fox", pytest.approx(0.2)),
    ]


def test_top_is_ordered_and_no_longer_than_the_classes():
    answer = Classification(np.array([0.2, 0.5, 0.3]), CLASSES)
    assert [name for name, _ in answer.top(2)] == ["dog", "fox"]
    assert [name for name, _ in answer.top()] == ["dog", "fox", "cat"]


@pytest.mark.parametrize("p", [np.ones(2) / 2, np.ones((1, 3)) / 3, np.zeros(0)])
def test_probabilities_of_another_shape_are_refused(p):
    with pytest.raises(DataError, match="3 classes"):
        Classification(p, CLASSES)


# --- detections ------------------------------------------------------------------------------


def test_annotated_objects_have_the_score_one():
    found = two(scores=np.empty(0))
    assert found.scores.tolist() == [1, 1]
    assert len(found) == 2
    assert found.names == ["fox", "cat"]


def test_types_are_settled():
    found = two(boxes=[[1, 2, 11, 12], [10, 5, 30, 8]], labels=[2, 0], crowd=[0, 1])
    assert found.boxes.dtype == np.float32
    assert found.labels.dtype == np.int64
    assert found.scores.dtype == np.float32
    assert found.masks.dtype == found.crowd.dtype == np.bool_


def test_no_objects():
    found = Detections(np.zeros((0, 4)), np.zeros(0), CLASSES)
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert found.names == []


def test_box_without_area_is_no_error():
    assert len(two(boxes=np.array([[5, 5, 5, 5], [1, 2, 3, 4]]))) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"labels": [1]}, "2 boxes but 1 labels"),
        ({"scores": [1.0]}, "2 boxes but 1 scores"),
        ({"masks": np.zeros((1, 20, 30), bool)}, "2 boxes but 1 masks"),
        ({"masks": np.zeros((2, 30), bool)}, r"\(N, H, W\)"),
        ({"crowd": np.zeros(3, bool)}, "2 boxes but 3 crowd"),
        ({"difficult": np.zeros(3, bool)}, "2 boxes but 3 difficult"),
        ({"boxes": [[3, 2, 1, 4], [1, 2, 3, 4]]}, "x1 <= x2"),
        ({"boxes": [[1, 4, 3, 2], [1, 2, 3, 4]]}, "y1 <= y2"),
        ({"boxes": [[1, 2, np.nan, 4], [1, 2, 3, 4]]}, "finite"),
        ({"boxes": [[1, 2, np.inf, 4], [1, 2, 3, 4]]}, "finite"),
        ({"labels": [0, 3]}, "index the 3 classes"),
        ({"labels": [-1, 0]}, "index the 3 classes"),
        ({"scores": [0.5, 1.5]}, "between 0 and 1"),
        ({"scores": [-0.1, 0.5]}, "between 0 and 1"),
        ({"scores": [0.5, np.nan]}, "between 0 and 1"),
    ],
)
def test_what_does_not_fit_is_refused(change, said):
    with pytest.raises(DataError, match=said):
        two(**change)


def same(a, b):
    assert np.array_equal(a.boxes, b.boxes)
    assert np.array_equal(a.labels, b.labels)
    assert np.array_equal(a.scores, b.scores)
    assert a.classes == b.classes
    assert (a.masks is None) == (b.masks is None)
    if a.masks is not None:
        assert np.array_equal(a.masks, b.masks)


@pytest.mark.parametrize("masks", [True, False])
def test_to_supervision_and_back(masks):
    pytest.importorskip("supervision")
    found = two() if masks else two(masks=None)
    theirs = found.to_supervision()
    assert theirs.xyxy.tolist() == found.boxes.tolist()
    assert theirs.class_id.tolist() == [2, 0]
    assert theirs["class_name"].tolist() == ["fox", "cat"]
    assert theirs.area.tolist() == ([100, 59] if masks else [100, 60])
    same(Detections.from_supervision(theirs, CLASSES), found)


def test_no_objects_to_supervision_and_back():
    sv = pytest.importorskip("supervision")
    none = Detections(np.zeros((0, 4)), np.zeros(0), CLASSES)
    assert len(none.to_supervision()) == 0
    same(Detections.from_supervision(none.to_supervision(), CLASSES), none)
    same(Detections.from_supervision(sv.Detections.empty(), CLASSES), none)


def test_supervision_without_scores_and_classes():
    sv = pytest.importorskip("supervision")
    found = Detections.from_supervision(sv.Detections(np.array([[1.0, 2, 3, 4]])), CLASSES)
    assert (found.labels.tolist(), found.scores.tolist()) == ([0], [1])


def test_coco_states_width_and_height():
    rows = two(masks=None).to_coco(7)
    assert rows[0] == {"image_id": 7, "category_id": 3, "bbox": [1, 2, 10, 10], "score": 0.5}
    assert rows[1]["bbox"] == [10, 5, 20, 3]
    assert two().to_coco(7, first_category=0)[1]["category_id"] == 0


def test_masks_of_coco_are_those_of_its_own_tool():
    from pycocotools import mask as tool

    rows = two().to_coco(7)
    assert [tool.area(r["segmentation"]) for r in rows] == [100, 59]
    assert tool.toBbox(rows[1]["segmentation"]).tolist() == [10, 5, 20, 3]
    assert np.array_equal(tool.decode(rows[1]["segmentation"]), two().masks[1])


@pytest.mark.parametrize("first", [0, 1, 90])
@pytest.mark.parametrize("masks", [True, False])
def test_to_coco_and_back_through_json(first, masks):
    import json

    found = two() if masks else two(masks=None)
    rows = json.loads(json.dumps(found.to_coco(1, first_category=first)))
    same(Detections.from_coco(rows, CLASSES, first_category=first), found)


def test_no_rows_of_coco():
    assert len(Detections.from_coco([], CLASSES)) == 0


# --- segmentation ------------------------------------------------------------------------------


def test_shares_leave_out_what_is_ignored():
    label_map = np.array([[0, 0, 0, 1], [IGNORE, IGNORE, 2, 2]], np.uint8)
    shares = Segmentation(label_map, (*CLASSES, "owl")).shares
    assert shares == {
        "cat": pytest.approx(3 / 6),
        "dog": pytest.approx(1 / 6),
        "fox": pytest.approx(2 / 6),
        "owl": 0,
    }


def test_shares_where_all_is_ignored():
    shares = Segmentation(np.full((2, 2), IGNORE, np.uint8), CLASSES).shares
    assert shares == dict.fromkeys(CLASSES, 0)


@pytest.mark.parametrize("shape", [(4,), (1, 4, 4)])
def test_label_map_of_another_shape_is_refused(shape):
    with pytest.raises(DataError, match=r"\(H, W\)"):
        Segmentation(np.zeros(shape, np.uint8), CLASSES)


def test_numbers_of_coco_may_have_gaps():
    rows = two(masks=None).to_coco(1, categories=(3, 7, 90))
    assert [row["category_id"] for row in rows] == [90, 3]
    same(Detections.from_coco(rows, CLASSES, categories=(3, 7, 90)), two(masks=None))
    with pytest.raises(DataError, match="the category 90 is none of 1, 2"):
        Detections.from_coco([{"bbox": [0, 0, 1, 1], "category_id": 90}], ("a", "b"))


def test_objects_are_a_table_and_come_back():
    pandas = pytest.importorskip("pandas")
    whole = two(masks=None)
    table = whole.to_frame()
    assert list(table.columns) == ["answer", "score", "xmin", "ymin", "xmax", "ymax"]
    same(Detections.from_frame(table, CLASSES), whole)
    none = Detections(np.zeros((0, 4)), np.zeros(0, np.int64), CLASSES)
    assert list(none.to_frame().columns) == list(table.columns)
    same(Detections.from_frame(none.to_frame(), CLASSES), none)
    with pytest.raises(DataError, match="no column xmin"):
        Detections.from_frame(pandas.DataFrame({"answer": []}).reindex(columns=["answer", "ymin"]),
                              CLASSES)  # fmt: skip
    with pytest.raises(DataError, match="'cat' is none of the classes dog"):
        Detections.from_frame(table, ("dog", "fox"))


def test_areas_and_crowds_go_to_coco_and_come_back():
    whole = two(masks=None, areas=[7.5, np.nan], crowd=np.array([False, True]))
    rows = whole.to_coco(1)
    assert [row.get("area") for row in rows] == [7.5, None]
    again = Detections.from_coco(rows, CLASSES)
    np.testing.assert_array_equal(again.areas, whole.areas)
    assert again.crowd.tolist() == [False, True]


def test_areas_are_one_for_each_object():
    with pytest.raises(DataError, match="1 boxes but 2 areas"):
        Detections([[0, 0, 1, 1]], [0], ("a",), areas=[1.0, 2.0])
