"""The neighbours behind an answer: their distances with the metric, and a tied vote said."""

from __future__ import annotations

import numpy as np
import pytest

import sightline
from sightline.explain import neighbours
from sightline.types import Classification, Neighbours

CLASSES = ("猫", "dog", "fox")


def explanation(labels, votes, answer, metric="L2"):
    n = len(labels)
    near = Neighbours(np.arange(n), np.arange(1.0, n + 1), np.array(labels), np.array(votes))
    shares = np.bincount(labels, votes, len(CLASSES))
    said = Classification(shares, CLASSES, label=answer, neighbours=near)
    pixels = np.zeros((n, 4, 4, 3), np.uint8)
    return neighbours.Explanation(pixels[0], said, pixels, metric)


def test_a_tied_vote_is_said_with_what_decided():
    tied = explanation([1, 0, 0, 1, 2], [0.2] * 5, 1)
    assert tied.tied() == ["dog", "猫"]
    assert tied.tie() == (
        "the vote is tied between dog and 猫: dog is taken, as the nearest neighbour among them is "
        "of it"
    )
    assert "tied between dog" in " ".join(neighbours.draw(tied).get_suptitle().split())


@pytest.mark.parametrize(
    ("labels", "votes", "answer"),
    [([0, 1, 1], [1 / 3] * 3, 1), ([0, 1], [0.6, 0.4], 0), ([2], [1.0], 2)],
)
def test_a_clear_vote_is_not_tied(labels, votes, answer):
    clear = explanation(labels, votes, answer)
    assert clear.tied() == []
    assert clear.tie() == ""
    assert not neighbours.draw(clear).get_suptitle()


@pytest.mark.parametrize(("metric", "shown"), [("l1", "L1"), ("l2", "L2"), ("cosine", "cosine")])
def test_the_metric_stands_at_the_distance(metric, shown):
    data = sightline.load_data("digits")
    model = sightline.create_model("knn", data, k=2, metric=metric).fit(data.train)
    found = neighbours.explain(model, data.test[0].image)
    assert found.metric == shown
    titles = [axes.get_title() for axes in neighbours.draw(found).axes]
    assert sum(f"\n{shown} " in title for title in titles) == 2
