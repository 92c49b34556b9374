"""Linear regression: the textbook's line in closed form, then ten lines at once as a classifier.

Run: python examples/ch04_linear.py [PICTURE.png]
"""

from __future__ import annotations

import sys

import numpy as np

import sightline
from sightline.models.classic.linear import LinearClassifier, fit_line, r_squared
from sightline.report import textbook


def main(picture: str = "ch04_linear.png") -> None:
    length = np.array([1.0, 2, 4, 6, 8])  # of a pipe, m
    fee = np.array([2.0, 5, 7, 8, 9])  # of the plumber, 100 yuan
    slope, intercept = fit_line(length, fee)
    share = r_squared(fee, slope * length + intercept)
    print(f"fee = {slope:.7f} x length + {intercept:.7f}, R² {share:.3f}")
    assert abs(slope - 0.9085366) < 5e-8
    assert abs(intercept - 2.3841463) < 5e-8

    data = sightline.load_data("digits")
    X, y, _ = data.train.arrays()
    model = LinearClassifier(ridge=1.0).fit(X, y)
    X_test, y_test, _ = data.test.arrays()
    accuracy = model.score(X_test, y_test)
    print(f"least squares on one-hot targets: {accuracy:.1%} of test digits right")
    assert accuracy > 0.90

    textbook.line(length, fee, slope, intercept, share, ("length, m", "fee, 100 yuan")).savefig(
        picture, dpi=120
    )
    print(f"picture: {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:2])
