"""Optimisers on functions whose minima are known, and beside scipy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize

from sightline.errors import ParameterError, TrainingError, UnknownNameError
from sightline.models.classic.optimize import minimize
from sightline.models.classic.surfaces import SURFACES

ANY = ("gd", "momentum", "nesterov", "newton", "cg", "cg-fr", "lbfgs")


class Quadratic:
    """x'Ax/2 - b'x with a given spectrum."""

    def __init__(self, spectrum, seed=0):
        rng = np.random.default_rng(seed)
        Q, _ = np.linalg.qr(rng.normal(size=(len(spectrum), len(spectrum))))
        self.A, self.b = Q * spectrum @ Q.T, rng.normal(size=len(spectrum))
        self.x = np.linalg.solve(self.A, self.b)

    def f(self, x):
        return 0.5 * x @ self.A @ x - self.b @ x

    def grad(self, x):
        return self.A @ x - self.b

    def hess(self, x):
        return self.A


@pytest.mark.parametrize("method", [*ANY, "cg-linear"])
def test_every_method_solves_a_quadratic(method):
    q = Quadratic(np.linspace(1, 30, 12))
    found = minimize(q.f, q.grad, np.zeros(12), method, q.hess, tol=1e-6, max_iter=3000)
    assert found.converged
    np.testing.assert_allclose(found.x, q.x, atol=2e-6)
    assert found.path.shape == (found.iterations + 1, 12)
    assert found.path[-1].tolist() == found.x.tolist()
    assert len(found.values) == found.iterations + 1


@pytest.mark.parametrize("n", [2, 5, 12])
def test_conjugate_gradient_ends_in_n_steps_and_newton_in_one(n):
    q = Quadratic(np.linspace(1, 10, n))
    linear = minimize(q.f, q.grad, np.ones(n), "cg-linear", q.hess, tol=1e-9)
    assert linear.converged
    assert linear.iterations <= n
    newton = minimize(q.f, q.grad, np.ones(n), "newton", q.hess, tol=1e-9)
    assert (newton.converged, newton.iterations) == (True, 1)
    assert newton.evaluations["hess"] == 1
    descent = minimize(q.f, q.grad, np.ones(n), "gd", tol=1e-9)
    assert descent.iterations > n


def test_conjugate_directions_end_in_as_many_steps_as_there_are_eigenvalues():
    q = Quadratic(np.repeat([1.0, 4.0, 9.0], 20))
    found = minimize(q.f, q.grad, np.zeros(60), "cg-linear", q.hess, tol=1e-9)
    assert found.iterations == 3


@pytest.mark.parametrize("method", ANY)
def test_rosenbrock(method):
    s = SURFACES["rosenbrock"]
    found = minimize(s.f, s.grad, s.start, method, s.hess, tol=1e-6, max_iter=30_000)
    assert found.converged
    np.testing.assert_allclose(found.x, [1, 1], atol=1e-5)


@pytest.mark.parametrize(("method", "theirs"), [("cg", "CG"), ("lbfgs", "L-BFGS-B")])
def test_no_worse_than_scipy_on_rosenbrock_in_30_dimensions(method, theirs):
    x0 = np.full(30, -1.0)
    options = {"gtol": 1e-6} | ({"ftol": 0} if method == "lbfgs" else {})
    peer = scipy.optimize.minimize(
        scipy.optimize.rosen, x0, jac=scipy.optimize.rosen_der, method=theirs, options=options
    )
    found = minimize(scipy.optimize.rosen, scipy.optimize.rosen_der, x0, method, max_iter=3000)
    assert found.converged
    assert found.value <= peer.fun + 1e-10
    assert found.iterations <= 1.5 * peer.nit
    assert found.evaluations["f"] <= 2 * peer.nfev


def test_newton_where_the_hessian_is_not_positive_definite():
    def f(p):  # a saddle at 0, minima at (±1, 0)
        return 0.25 * p[0] ** 4 - 0.5 * p[0] ** 2 + p[1] ** 2

    def grad(p):
        return np.array([p[0] ** 3 - p[0], 2 * p[1]])

    def hess(p):
        return np.array([[3 * p[0] ** 2 - 1, 0], [0, 2.0]])

    start = np.array([0.1, 1.0])
    assert np.linalg.eigvalsh(hess(start)).min() < 0
    plain = start - np.linalg.solve(hess(start), grad(start))
    assert abs(plain[0]) < abs(start[0])  # the unguarded step makes for the saddle
    found = minimize(f, grad, start, "newton", hess)
    assert found.converged
    np.testing.assert_allclose(found.x, [1, 0], atol=1e-6)
    assert (np.diff(found.values) < 0).all()


@pytest.mark.parametrize("name", SURFACES)
def test_derivatives_of_the_surfaces(name):
    s = SURFACES[name]
    for point in np.random.default_rng(0).uniform(-2, 2, size=(5, 2)):
        steps = 1e-5 * np.eye(2)
        slope = [(s.f(point + h) - s.f(point - h)) / 2e-5 for h in steps]
        bend = [(s.grad(point + h) - s.grad(point - h)) / 2e-5 for h in steps]
        np.testing.assert_allclose(s.grad(point), slope, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(s.hess(point), bend, rtol=1e-5, atol=1e-5)
    for minimum in s.minima:
        assert np.abs(s.grad(np.array(minimum))).max() < 1e-3
        assert np.linalg.eigvalsh(s.hess(np.array(minimum))).min() > 0


def test_a_fixed_step_is_the_recurrence():
    q = Quadratic(np.array([1.0, 5.0]))
    found = minimize(q.f, q.grad, np.ones(2), "gd", step=0.1, max_iter=3)
    x = np.ones(2)
    for point in found.path[1:]:
        x = x - 0.1 * q.grad(x)
        np.testing.assert_allclose(point, x)
    heavy = minimize(q.f, q.grad, np.ones(2), "momentum", step=0.1, momentum=0.5, max_iter=2)
    v = -0.1 * q.grad(np.ones(2))
    v2 = 0.5 * v - 0.1 * q.grad(1 + v)
    np.testing.assert_allclose(heavy.path, [np.ones(2), 1 + v, 1 + v + v2])
    assert not heavy.converged
    assert heavy.message == "stopped after 2 iterations"


@pytest.mark.parametrize("method", ["gd", "momentum", "nesterov"])
def test_a_diverging_step_names_the_iteration(method):
    s = SURFACES["rosenbrock"]
    with pytest.raises(TrainingError, match=rf"{method} diverged at iteration \d+.*smaller step"):
        minimize(s.f, s.grad, s.start, method, step=1.0)


def test_accelerated_methods_beat_gradient_descent_where_it_zigzags():
    q = Quadratic(np.geomspace(1, 1000, 20))
    used = {
        m: minimize(q.f, q.grad, np.zeros(20), m, tol=1e-5, max_iter=20_000).iterations
        for m in ("gd", "momentum", "nesterov", "cg")
    }
    assert used["cg"] < used["nesterov"] < used["gd"]
    assert used["momentum"] < used["gd"]


def test_the_watch_can_end_it_and_the_path_can_be_left_out():
    q = Quadratic(np.linspace(1, 100, 10))
    seen = []

    def watch(iteration, point):
        seen.append((iteration, point.f))
        return iteration == 3

    found = minimize(q.f, q.grad, np.zeros(10), "gd", watch=watch, keep_path=False)
    assert [i for i, _ in seen] == [1, 2, 3]
    assert found.message == "stopped at iteration 3 by the watch"
    assert found.path.shape == (1, 10)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "lbgfs"}, UnknownNameError, "did you mean 'lbfgs'"),
        ({"method": "newton"}, ParameterError, "needs the Hessian"),
        ({"method": "cg", "step": 0.1}, ParameterError, "has no fixed step"),
        ({"method": "gd", "step": -0.1}, ParameterError, "step must be a number above 0"),
        ({"x0": [np.nan, 0]}, ParameterError, "x0 must be a vector of finite numbers"),
        ({"momentum": 1.0}, ParameterError, "momentum must be in"),
        ({"method": "cg-linear", "hess": lambda x: -np.eye(2)}, ParameterError, "quadratic"),
        (
            {"method": "newton", "hess": lambda x: np.eye(3)},
            ParameterError,
            "the Hessian has shape",
        ),
        ({"f": lambda x: np.nan}, TrainingError, "not finite at the start"),
        ({"grad": lambda x: x[:1]}, ParameterError, "the gradient has shape"),
    ],
)
def test_misuse_is_said(options, error, message):
    call = {"f": lambda x: x @ x, "grad": lambda x: 2 * x, "x0": [1.0, 2.0]} | options
    with pytest.raises(error, match=message):
        minimize(**call)
