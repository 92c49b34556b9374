"""R-CNN: crops with their context, hard negatives, box regression, and what it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sightline.errors import ParameterError, UnknownNameError
from sightline.models import carried
from sightline.models.detect.boxes import RPN_WEIGHTS, decode
from sightline.models.detect.rcnn import CONTEXT, RCNN, Example, Learner, warped
from sightline.types import Detections

CLASSES = ("红", "blue", "never")


def scenes(n, seed=0):
    """Images of one or two squares on grey noise, red or blue; the last one has none."""
    random = np.random.default_rng(seed)
    X, truth = random.normal(110, 6, (n, 64, 64, 3)), []
    for i in range(n):
        boxes, labels = [], []
        for k in range(0 if i == n - 1 else 1 + i % 2):
            side = random.integers(16, 26)
            x, y = random.integers(0, 26, 2) + np.array([32 if k else 2, 4])
            x = min(x, 63 - side)
            X[i, y : y + side, x : x + side] = (220, 30, 30) if (i + k) % 2 else (30, 60, 220)
            X[i, y : y + side, x : x + side] += random.normal(0, 8, (side, side, 1))
            boxes.append([x, y, x + side, y + side])
            labels.append(0 if (i + k) % 2 else 1)
        truth.append(Detections(np.reshape(boxes, (-1, 4)), labels, CLASSES))
    return X.clip(0, 255).astype(np.uint8), truth


@pytest.fixture(scope="module", params=["svm", "softmax"])
def learned(request):
    method = RCNN(
        regions=60, crop=32, network="own", classifier=request.param, steps=60,
        penalty=1e-2 if request.param == "svm" else 1.0, ridge=10.0,
    )  # fmt: skip
    return method.fit(*scenes(16))


def test_squares_are_detected_and_a_class_without_an_object_is_no_answer(learned):
    X, truth = scenes(8, seed=1)
    right = 0
    for known, (_, scores, labels) in zip(truth, learned.detect(X), strict=True):
        assert (np.diff(scores) <= 0).all()
        assert ((scores >= 0) & (scores <= 1)).all()
        assert 2 not in labels[scores > 0.1]
        best = sorted(labels[: len(known)].tolist())
        right += best == sorted(known.labels.tolist())
        assert not len(known) or (scores[: len(known)] > 0.3).all()
    assert right >= 7


def test_what_is_kept_answers_alike(learned):
    X, _ = scenes(3, seed=2)
    again = RCNN(**learned.get_params())
    again.restore({name: np.array(array) for name, array in learned.arrays().items()})
    for a, b in zip(learned.detect(X), again.detect(X), strict=True):
        for one, other in zip(a, b, strict=True):
            np.testing.assert_array_equal(one, other)
    assert learned.parameters > 100_000


def test_the_same_seed_gives_the_same_bits():
    knobs = {"regions": 30, "crop": 32, "network": "own", "steps": 3}
    once, again = (RCNN(**knobs).fit(*scenes(6)).arrays() for _ in "ab")
    assert once.keys() == again.keys()
    for name, array in once.items():
        np.testing.assert_array_equal(array, again[name])


def test_published_features_where_they_are_installed():
    if not carried.installed(carried.EXTRA):
        pytest.skip("the weights of EfficientNet-Lite0 are not installed")
    method = RCNN(regions=30, crop=32)
    method.fit(*scenes(8))
    assert not method.own_
    assert "efficientnet-lite0" in method.published["name"]
    assert method.weights_.shape == (3, 320 * 9)
    X, _ = scenes(2, seed=1)
    again = RCNN(regions=30, crop=32)
    again.restore(method.arrays())
    np.testing.assert_array_equal(method.detect(X)[0][0], again.detect(X)[0][0])


def test_a_crop_has_its_region_inside_the_context_and_the_mean_beyond_the_image():
    image = torch.zeros(1, 1, 100, 100)
    image[..., 40:60, 30:70] = 1
    [crop] = warped(image, np.array([[30.0, 40, 70, 60]]), 227)[:, 0]
    edge = round(227 * CONTEXT)
    assert edge == 16
    inside = crop > 0.5
    rows, columns = inside.any(1).nonzero()[:, 0], inside.any(0).nonzero()[:, 0]
    for seen in (rows, columns):
        assert abs(seen[0].item() - 16) <= 3
        assert abs(seen[-1].item() - (227 - 17)) <= 3
    [beyond] = warped(image + 5, np.array([[0.0, 0, 100, 100]]), 227)[:, 0]
    assert beyond[:12].abs().max() == 0
    assert beyond[113, 113] >= 5


def examples_by_hand():
    objects = np.array([[0, 0, 10, 10], [20, 20, 40, 40]], np.float32)
    regions = np.array(
        [[0, 0, 10, 9], [0, 0, 10, 4], [20, 20, 40, 36], [60, 60, 70, 70]], np.float32
    )
    truth = Detections(objects, [1, 0], CLASSES)
    return Example.of(np.zeros((80, 80, 3), np.uint8), truth, regions)


def test_classes_of_regions_by_hand():
    example = examples_by_hand()
    assert example.classes.tolist() == [1, 0, 1, -1, 0, -1]
    np.testing.assert_allclose(example.overlap_of(1), [0.9, 0.4, 0, 0])
    np.testing.assert_allclose(example.overlap_of(2), 0)
    flat = Detections([[0, 0, 0, 10], [0, 0, 9, 9]], [0, 1], CLASSES, crowd=[False, True])
    bare = Example.of(example.image, flat, example.regions)
    assert len(bare.objects) == 0
    assert bare.classes.tolist() == [-1] * 4


def test_hard_negatives_alone_are_kept_and_boxes_are_moved_back():
    random = np.random.default_rng(0)
    learner = Learner(RCNN(penalty=1.0, ridge=1e-6), 3)
    towards = np.eye(6, dtype=np.float32) * 10
    learner.add_objects(towards[[0, 0, 1, 1]], np.array([0, 0, 1, 1]))
    example = examples_by_hand()
    for _ in range(20):
        rows = np.stack((towards[1], towards[3], towards[0], -2 * towards[0]))
        learner.add_regions(rows + random.normal(0, 0.1, rows.shape).astype(np.float32), example)
    before = [sum(map(len, rows)) for rows in learner.hard]
    learner.learn()
    after = [sum(map(len, rows)) for rows in learner.hard]
    assert after[0] < before[0]
    margins = towards[:3] @ learner.weights.T + learner.biases
    assert (np.diag(margins)[:2] > 0).all()
    assert (margins[[0, 1], [1, 0]] < 0).all()
    assert (learner.weights[2] == 0).all()
    curves = learner.curves()
    assert curves[0, 0] > 0
    assert curves[2].tolist() == [0, -80]
    moves = learner.moves()
    codes = moves[..., :-1] @ towards[1] + moves[..., -1]
    moved = decode(torch.tensor(codes[1]), torch.tensor([0.0, 0, 10, 9]), RPN_WEIGHTS)
    np.testing.assert_allclose(moved, [0, 0, 10, 10], atol=0.1)
    assert (moves[2] == 0).all()


def test_wrong_knobs_are_said():
    for knobs in ({"network": "none"}, {"classifier": "tree"}):
        with pytest.raises(UnknownNameError):
            RCNN(**knobs)
    for knobs in ({"regions": 0}, {"crop": 8}, {"penalty": 0}, {"overlap": 2}, {"ridge": -1}):
        with pytest.raises(ParameterError):
            RCNN(**knobs)
