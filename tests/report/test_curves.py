from __future__ import annotations

from sightline.metrics import Metrics
from sightline.report.curves import training_curves


def rows(validation=True):
    found = []
    for i in range(1, 9):
        row = {"epoch": i, "train_loss": 1 / i, "train_accuracy": 1 - 0.4 / i}
        if validation:
            row |= {"val_loss": 0.3 + 0.1 * abs(i - 4), "val_accuracy": 0.8}
        found.append(row)
    return found


def words(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_both_splits_are_drawn_and_overfitting_is_marked(tmp_path):
    figure = training_curves(rows(), "t")
    loss, accuracy = figure.axes
    assert [len(axes.lines) for axes in (loss, accuracy)] == [2, 2]
    assert list(loss.lines[1].get_ydata()) == [row["val_loss"] for row in rows()]
    assert accuracy.lines[0].get_ydata()[-1] == 95
    assert any("overfitting from epoch 5" in word for word in words(figure))
    figure.savefig(tmp_path / "curves.png")


def test_without_validation():
    figure = training_curves(rows(validation=False), "t")
    assert [len(axes.lines) for axes in figure.axes] == [1, 1]
    assert words(figure) == ["training"]


def test_a_figure_of_validation_alone_is_in_the_legend():
    rows = [{"epoch": i, "train_loss": 1 / i, "val_miou": 0.1 * i} for i in range(1, 5)]
    metrics = Metrics({"miou": 0.4}, "miou", (0.3, 0.5))
    drawing = training_curves(rows, "t", metrics)
    assert words(drawing) == ["training", "validation"]


def test_an_optimisers_iterations_are_drawn_too():
    rows = [
        {"iteration": i, "loss": 2 / (i + 1), "gradient": 0.1, "val_accuracy": 0.5}
        for i in range(3)
    ]
    left, right = training_curves(rows, "").axes[:2]
    assert left.get_xlabel() == right.get_xlabel() == "iteration"
    assert left.lines[0].get_ydata().tolist() == [2.0, 1.0, 2 / 3]


def test_the_figure_of_another_task_is_drawn_in_its_own_unit():
    rows = [
        {"epoch": i, "train_loss": 1.0, "val_pixels_off": 4.0, "train_pixels_off": 5.0 - i}
        for i in range(1, 5)
    ]
    metrics = Metrics(
        {"pixels_off": 4.0}, "pixels_off", (3, 5), higher_is_better=False, share=False
    )
    drawing = training_curves(rows, "t", metrics)
    right = drawing.axes[1]
    assert right.get_ylabel() == "pixels off"
    assert right.lines[0].get_ydata().tolist() == [4.0, 3.0, 2.0, 1.0]
    assert right.lines[1].get_ydata().tolist() == [4.0] * 4
    # From epoch 2 it is a quarter less; the last three are 2 less in the mean.
    assert words(drawing)[-1] == "overfitting from epoch 2, pixels off gap 2 at the end"


def test_losses_alone_are_one_panel():
    rows = [{"epoch": i, "train_loss": 1 / i} for i in range(1, 4)]
    assert len(training_curves(rows, "").axes) == 1
