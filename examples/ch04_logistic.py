"""Logistic regression on digits: any optimiser finds the same weights, which are pictures.

Run: python examples/ch04_logistic.py [PICTURE.png]
"""

from __future__ import annotations

import sys

import sightline
from sightline.models.classic.logistic import LogisticClassifier
from sightline.report import textbook


def main(picture: str = "ch04_logistic.png") -> None:
    data = sightline.load_data("digits")
    X, y, _ = data.train.arrays()
    X_test, y_test, _ = data.test.arrays()
    X, X_test = X / 255, X_test / 255

    found = {}
    for optimizer in ("lbfgs", "cg", "nesterov"):
        model = LogisticClassifier(l2=1e-3, optimizer=optimizer, tol=1e-5, max_iter=2000)
        model.fit(X, y)
        found[optimizer] = float(model.objective_)
        print(
            f"{optimizer:9s} {len(model.history_):4d} iterations, objective "
            f"{model.objective_:.8f}, test accuracy {model.score(X_test, y_test):.1%}"
        )
        assert model.score(X_test, y_test) > 0.93
    assert max(found.values()) - min(found.values()) < 1e-6

    textbook.weight_images(model.coef_, (8, 8), data.classes).savefig(picture, dpi=120)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
