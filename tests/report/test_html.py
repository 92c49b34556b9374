"""The page of a run: one file with the curves, the confusion matrix and the mistakes."""

from __future__ import annotations

import sightline
from sightline.report import classify, html


def test_the_page_of_a_run(tmp_path):
    data = sightline.load_data("digits")
    model = sightline.create_model("mlp-numpy", data, epochs=3, hidden=(8,))
    model.fit(data.train, data.val)
    evaluation = model.evaluate(data.val)
    model.save(tmp_path)
    page = html.training(tmp_path, model, data, evaluation, 1.5).read_text(encoding="utf-8")
    assert page.count("<svg") == 5  # curves, confusion, reliability, coverage, precision
    assert "http://" not in page.replace("http://www.w3.org", "")
    wrong = int((evaluation.labels != evaluation.predicted).sum())
    assert f"{wrong} wrong" in page
    assert page.count("<figure>") == min(wrong, classify.MISTAKES)
    assert "fitted in 1.5 s" in page
    for remark in model.remarks:
        assert remark.split("<")[0][:20] in page


def test_a_method_without_epochs_has_no_curves(tmp_path):
    data = sightline.load_data("digits")
    model = sightline.create_model("majority", data).fit(data.train)
    page = html.training(tmp_path, model, data, model.evaluate(data.val), 0.1)
    assert page.read_text(encoding="utf-8").count("<svg") == 4
