"""k nearest neighbours on digits: three metrics, many k, and the images that decide.

Run: python examples/ch03_knn.py [PICTURE.png]
"""

from __future__ import annotations

import sys

import sightline
from sightline.explain import neighbours


def main(picture: str = "ch03_knn.png") -> None:
    data = sightline.load_data("digits")
    for metric in ("l1", "l2", "cosine"):
        row = []
        for k in (1, 3, 5, 9, 15):
            model = sightline.create_model("knn", data, k=k, metric=metric).fit(data.train)
            row.append(model.score(data.val).headline)
        print(f"{metric:7s}" + "".join(f"  {value:.1%}" for value in row))

    model = sightline.create_model("knn", data, k=5, weights="distance").fit(data.train)
    score = model.score(data.test)
    print(f"test: {score}")
    assert score.headline > 0.97

    answers = model.predict([sample.image for sample in data.test])
    doubtful = min(range(len(answers)), key=lambda i: answers[i].score)
    explained = neighbours.explain(model, data.test[doubtful].image)
    neighbours.draw(explained).savefig(picture)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
