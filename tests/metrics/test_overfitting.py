from __future__ import annotations

import pytest

from sightline.metrics import Metrics
from sightline.metrics.overfitting import Watched, find_overfitting, watched


def history(train_loss, val_loss, train_accuracy=None, val_accuracy=None):
    n = len(train_loss)
    columns = (train_loss, val_loss, train_accuracy or [0.9] * n, val_accuracy or [0.9] * n)
    names = ("train_loss", "val_loss", "train_accuracy", "val_accuracy")
    return [
        {"epoch": i + 1} | dict(zip(names, row, strict=True))
        for i, row in enumerate(zip(*columns, strict=True))
    ]


def test_a_climbing_validation_loss():
    found = find_overfitting(history([5, 4, 3, 2, 1, 0.5], [5, 4, 3, 3.5, 4, 4.5]))
    assert (found.epoch, found.rising, found.best_loss) == (4, True, 3)
    assert str(found).startswith("overfitting from epoch 4: the validation loss climbs from 3 to 4")


def test_both_losses_climbing_is_something_else():
    assert find_overfitting(history([1, 2, 3, 4], [1, 2, 3, 4])) is None


def test_a_wiggle_is_not_overfitting():
    assert find_overfitting(history([5, 4, 3, 2, 1], [5, 4, 3, 3.05, 3.02])) is None


def test_accuracies_that_part():
    found = find_overfitting(
        history([5, 4, 3, 2], [5, 4, 3, 2.9], [0.5, 0.7, 0.9, 0.99], [0.5, 0.69, 0.8, 0.85])
    )
    assert (found.epoch, found.rising) == (3, False)
    assert "points higher on training" in str(found)


@pytest.mark.parametrize("rows", [[], history([3, 2], [1, 9])])
def test_too_little_to_judge(rows):
    assert find_overfitting(rows) is None


def test_no_validation():
    rows = [{"epoch": i, "train_loss": 1 / i, "train_accuracy": 1.0} for i in range(1, 9)]
    assert find_overfitting(rows) is None


def errors(train, val, **more):
    """A history of an error in pixels, which is better when lower."""
    return [
        {"epoch": i + 1, "train_error": t, "val_error": v}
        | {name: values[i] for name, values in more.items()}
        for i, (t, v) in enumerate(zip(train, val, strict=True))
    ]


def test_the_figure_is_the_first_of_validation_that_is_no_loss():
    rows = [{"epoch": 1, "train_loss": 2.0, "val_loss": 1.0, "val_iou": 0.5, "val_dice": 0.7}]
    assert watched(rows) == Watched("iou")
    assert watched([{"epoch": 1, "train_loss": 2.0, "train_iou": 0.5}]) == Watched("iou")
    assert watched([{"epoch": 1, "train_loss": 2.0, "val_loss": 1.0}]) is None
    of = Metrics({"iou": 0.5}, "iou", (0.4, 0.6), higher_is_better=False, share=False)
    assert watched(rows, of) == Watched("iou", share=False, higher_is_better=False)
    other = Metrics({"dice": 0.5}, "dice", (0.4, 0.6), higher_is_better=False, share=False)
    assert watched(rows, other) == Watched("iou")


def test_errors_that_part():
    # A quarter of the validation error: 1 of 4 in epoch 3, 2 of 4 and 3 of 4 after it. The means of
    # the last three are 2 and 4.
    rows = errors([8, 4, 3, 2, 1], [8, 4, 4, 4, 4])
    lower = find_overfitting(rows, Watched("error", share=False, higher_is_better=False))
    assert (lower.epoch, lower.gap, lower.rising) == (3, 2.0, False)
    assert str(lower) == (
        "overfitting from epoch 3: error is 2 lower on training than validation images"
    )
    # The same figures, if higher were better, are better on validation.
    assert find_overfitting(rows, Watched("error", share=False)) is None


def test_errors_that_hardly_part():
    rows = errors([8, 4, 3.1, 3.1, 3.1], [8, 4, 4, 4, 4])  # 0.9 of 4
    assert find_overfitting(rows, Watched("error", share=False, higher_is_better=False)) is None


def test_a_climbing_loss_beside_an_error():
    rows = errors(
        [4, 3, 2, 1], [4, 3, 3, 3], train_loss=[5, 4, 3, 2], val_loss=[5.0, 3.0, 4.0, 5.0]
    )
    seen = find_overfitting(rows, Watched("error", share=False, higher_is_better=False))
    assert (seen.epoch, seen.rising, seen.best_loss, seen.last_loss) == (3, True, 3.0, 4.0)
    assert seen.gap == 1.0  # 3 less 2, the means of the last three
    assert str(seen).endswith("; error is 1 lower on training than validation images")


def test_losses_alone_will_do():
    rows = [
        {"epoch": i + 1, "train_loss": t, "val_loss": v}
        for i, (t, v) in enumerate([(5, 5), (4, 3), (3, 4), (2, 5)])
    ]
    seen = find_overfitting(rows)
    assert (seen.epoch, seen.gap) == (3, None)
    assert str(seen) == (
        "overfitting from epoch 3: the validation loss climbs from 3 to 4 while the training loss "
        "falls"
    )


def test_an_error_of_nothing_is_no_gap():
    rows = errors([0, 0, 0, 0], [0, 0, 0, 0])
    assert find_overfitting(rows, Watched("error", share=False, higher_is_better=False)) is None
