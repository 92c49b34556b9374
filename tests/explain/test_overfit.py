from __future__ import annotations

import json

import pytest

import sightline
from sightline.cli.plot_overfit import overfit
from sightline.errors import DataError, ParameterError
from sightline.explain import overfit as figure


def test_wide_networks_learn_wrong_labels_and_regularised_ones_less():
    found = figure.study(sightline.load_data("digits"), widths=(4, 64), epochs=60, seeds=1)
    assert len(found.points) == 2 * len(figure.REGULARISERS)
    narrow, wide = found.line("none")
    assert wide.train_accuracy > 0.97 > narrow.train_accuracy
    for name in figure.REGULARISERS:
        if name != "none":
            regularised = found.line(name)[1]
            assert regularised.val_accuracy > wide.val_accuracy
    assert found.line("early stopping")[1].epochs < 60
    drawing = figure.draw(found)
    assert len(drawing.axes) == len(figure.REGULARISERS)
    assert list(drawing.axes[0].lines[1].get_ydata()) == [
        100 * narrow.val_accuracy, 100 * wide.val_accuracy,
    ]  # fmt: skip


def test_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(figure, "WIDTHS", (2, 4))
    target = tmp_path / "o.png"
    assert overfit("digits", images=40, epochs=2, seeds=1, output=target, json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["images"] == 40
    assert target.stat().st_size > 10_000
    with pytest.raises(ParameterError):
        overfit("digits", images=1)


def test_it_needs_validation_images():
    data = sightline.load_data("digits")
    data = data.with_rows({"train": data.rows["train"]})
    with pytest.raises(DataError, match="validation"):
        figure.study(data)
