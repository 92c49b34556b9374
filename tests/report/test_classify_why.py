"""The section of a run's page that shows why a network was sure of wrong answers."""

from __future__ import annotations

import numpy as np
import pytest

import sightline
from sightline.report import classify, classify_why


@pytest.fixture(scope="module")
def measured():
    data = sightline.load_data("digits")
    model = sightline.create_model("convnet", epochs=0.1).fit(data.train)
    return model, data, model.evaluate(data.val)


def test_the_surest_mistakes_are_shown_with_maps_of_both_classes(measured):
    model, data, e = measured
    (section,) = classify.why(model, data, e)
    (part,) = section.parts
    assert len(part.rows) == 6
    shown = [row.lines[-1] for row in part.rows]
    mistakes = classify.mistakes(data, e)
    assert shown == [picture.lines[-1] for picture in mistakes[:6]]
    for row in part.rows:
        assert len(row.pictures) == 3
        assert len({picture.uri for picture in row.pictures}) == 3
    assert part.note.startswith("Of the 6 maps of wrong answers ")


def test_what_takes_long_is_not_tested_and_says_so(measured, monkeypatch):
    from sightline.explain.opened import Opened

    model, data, e = measured
    opened = Opened(model.name, model)
    picture = opened.picture(data.sample(0).image)
    monkeypatch.setattr(classify_why, "SECONDS", 0.0)
    told = classify_why._truth(opened, [(picture, data.classes[0], "features")])
    assert "was not tested here" in told
    assert classify.why(model, data, e) == []


def test_methods_without_convolutions_and_without_mistakes_have_no_such_section(measured):
    _, data, e = measured
    knn = sightline.create_model("knn").fit(data.train)
    assert classify.why(knn, data, knn.evaluate(data.val)) == []
    mlp = sightline.create_model("mlp", epochs=0.01).fit(data.train)
    assert classify.why(mlp, data, mlp.evaluate(data.val)) == []
    right = type(e).of(e.labels, e.labels, np.eye(10)[e.labels], e.rows)
    assert classify.why(measured[0], data, right) == []
