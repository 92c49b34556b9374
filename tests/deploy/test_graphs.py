"""A run as a graph of tensors answers as the run itself does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import sightline
from sightline.deploy.graphs import graph

QUICK: dict[str, dict[str, Any]] = {
    "majority": {},
    "nearest-mean": {},
    "linear": {"ridge": 3.0},
    "logistic": {"max_iter": 30},
    "knn": {"k": 5},
    "mlp-numpy": {"epochs": 1, "hidden": (16,)},
    "convnet-numpy": {"epochs": 1, "channels": (4, 8), "hidden": 16},
    "convnet": {"epochs": 0.2},
}


def fitted(name: str, **options: Any) -> Any:
    """A method fitted on some digits, and a hundred images to ask it about."""
    data = sightline.load_data("digits")
    model = sightline.create_model(name, data, **options)
    model.fit(data.train[:400])
    X = data.test.arrays(model.fitted_.size, model.fitted_.resize).X[:100]
    return model, np.array(X)


def both(model: Any, X: np.ndarray) -> tuple[tuple[np.ndarray, ...], list[Any]]:
    with torch.no_grad():
        outputs = tuple(o.numpy() for o in graph(model)(torch.from_numpy(X)))
    return outputs, model.predict(list(X))


@pytest.mark.parametrize("name", QUICK)
def test_a_graph_answers_as_the_run(name):
    outputs, said = both(*fitted(name, **QUICK[name]))
    wanted = np.stack([answer.probabilities for answer in said])
    assert np.abs(outputs[0] - wanted).max() < 1e-5
    assert outputs[1].tolist() == [answer.label for answer in said]


@pytest.mark.parametrize("tta", ["flip", "multi-crop"])
def test_views_of_an_image_are_averaged_as_the_run_does(tta):
    outputs, said = both(*fitted("convnet", epochs=0.2, tta=tta))
    wanted = np.stack([answer.probabilities for answer in said])
    assert np.abs(outputs[0] - wanted).max() < 1e-5


@pytest.mark.parametrize("metric", ["l1", "l2", "cosine"])
@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("scale", ["none", "standardise", "mean-image"])
def test_knn_finds_the_same_neighbours_with_the_same_votes(metric, weights, scale):
    outputs, said = both(*fitted("knn", k=7, metric=metric, weights=weights, scale=scale))
    assert outputs[1].tolist() == [answer.label for answer in said]
    for part, name in zip(outputs[2:], ("indices", "distances", "labels", "votes"), strict=True):
        wanted = np.stack([getattr(answer.neighbours, name) for answer in said])
        if part.dtype == np.int64:
            assert (part == wanted).all(), name
        else:
            np.testing.assert_allclose(part, wanted, rtol=1e-9, atol=1e-12)


def test_knn_gives_tied_votes_to_the_nearer_neighbour_and_equal_distances_to_the_lower_row():
    X = np.zeros((6, 2, 2, 1), np.uint8)
    X[:, 0, 0, 0] = [10, 20, 20, 30, 200, 200]
    model, _ = fitted("knn", k=4)
    model.method_.k = 4
    model.method_.X_, model.method_.y_ = X.reshape(6, -1), np.array([3, 1, 1, 3, 2, 2])
    model.method_.classes_ = np.array([1, 2, 3])
    query = np.zeros((1, 2, 2, 1), np.uint8)
    query[0, 0, 0, 0] = 11
    with torch.no_grad():
        p, label, rows, distances, *_ = graph(model)(torch.from_numpy(query))
    assert rows.tolist() == [[0, 1, 2, 3]]
    assert distances.tolist() == [[1.0, 9.0, 9.0, 19.0]]
    assert label.tolist() == [3]
    assert p[0].tolist() == [0, 0.5, 0, 0.5, 0, 0, 0, 0, 0, 0]


def test_classes_that_a_method_never_saw_have_probability_0():
    model, X = fitted("nearest-mean")
    method = model.method_
    method.classes_, method.means_ = np.array([0, 4, 9]), method.means_[[0, 4, 9]]
    outputs, said = both(model, X)
    assert outputs[0][:, [1, 2, 3, 5, 6, 7, 8]].max() == 0
    assert outputs[1].tolist() == [answer.label for answer in said]


def test_frozen_features_are_part_of_the_graph(tmp_path):
    network, X = fitted("convnet", epochs=0.2)
    network.save(tmp_path / "net")
    model, X = fitted("logistic", features=str(tmp_path / "net"), max_iter=30)
    outputs, said = both(model, X)
    wanted = np.stack([answer.probabilities for answer in said])
    assert np.abs(outputs[0] - wanted).max() < 1e-5
