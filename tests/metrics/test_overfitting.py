from __future__ import annotations

import pytest

from sightline.metrics.overfitting import find_overfitting


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
