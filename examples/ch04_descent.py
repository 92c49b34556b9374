"""Optimisers on Rosenbrock's valley, and on the loss of logistic regression on digits.

Run: python examples/ch04_descent.py [PICTURE.png]
"""

from __future__ import annotations

import sys

import numpy as np

import sightline
from sightline.models.classic.likelihood import Objective
from sightline.models.classic.optimize import minimize
from sightline.models.classic.surfaces import SURFACES
from sightline.report import descent


def main(picture: str = "ch04_descent.png") -> None:
    valley = SURFACES["rosenbrock"]
    ways = {
        method: minimize(
            valley.f, valley.grad, valley.start, method, valley.hess, max_iter=20_000
        )
        for method in ("gd", "momentum", "newton", "cg")
    }  # fmt: skip
    for method, way in ways.items():
        print(f"{method:9s} {way.iterations:6,d} iterations, calls {way.evaluations}")
        assert way.converged
        assert np.allclose(way.x, 1, atol=1e-4)
    assert ways["newton"].iterations < ways["momentum"].iterations < ways["gd"].iterations

    X, y, _ = sightline.load_data("digits").train.arrays()
    loss = Objective(X.reshape(len(X), -1) / 255, y, 10, l2=1e-3)
    for method in ("gd", "nesterov", "lbfgs"):
        way = minimize(
            loss.value, loss.gradient, np.zeros(loss.size), method, tol=1e-4, max_iter=3000
        )
        print(f"digits: {method:9s} {way.iterations:5,d} iterations to a loss of {way.value:.6f}")

    descent.paths(valley, ways).savefig(picture, dpi=110)
    print(f"picture: {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
