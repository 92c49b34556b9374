"""Figures of made pictures against closed forms and other people's code."""

import numpy as np
import pytest
import torch
from scipy import linalg, stats

from sightline.errors import DataError
from sightline.metrics import generate
from sightline.metrics.generate import Evaluation

RNG = np.random.default_rng(0)


def rows(n, d=4, shift=0.0, scale=1.0):
    return (RNG.normal(size=(n, d)) * scale + shift).astype(np.float32)


def test_psnr_by_hand():
    a = np.zeros((2, 4, 4, 1), np.uint8)
    b = a.copy()
    b[1] = 10
    assert generate.psnr(a, b) == pytest.approx([100, 20 * np.log10(25.5)])


def test_ssim_is_scikit_image_s_or_one():
    a = RNG.integers(0, 256, (2, 24, 20, 3), np.uint8)
    b = np.clip(a.astype(int) + RNG.integers(-30, 30, a.shape), 0, 255).astype(np.uint8)
    assert generate.ssim(a, a) == pytest.approx([1, 1])
    said = generate.ssim(a, b)
    assert (said < 1).all()
    # By the definition, place by place, with scipy's filter.
    from scipy import ndimage

    x, y = a[0].astype(float), b[0].astype(float)

    def blur(v):
        return ndimage.gaussian_filter(v, (1.5, 1.5, 0), truncate=5 / 1.5)[5:-5, 5:-5]

    one, two = 2.55**2, 7.65**2
    mx, my = blur(x), blur(y)
    vx, vy, both = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    wanted = ((2 * mx * my + one) * (2 * both + two)) / ((mx**2 + my**2 + one) * (vx + vy + two))
    assert said[0] == pytest.approx(wanted.mean(), abs=1e-9)
    skimage = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    theirs = skimage.structural_similarity(
        a[0], b[0], channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        data_range=255,
    )  # fmt: skip
    assert said[0] == pytest.approx(theirs, abs=1e-6)


def test_the_distance_of_gaussians_in_closed_form():
    """Of commuting covariances: |m - n|^2 + sum (s - t)^2 of their deviations."""
    s, t = np.array([1.0, 4.0, 0.25]), np.array([9.0, 4.0, 1.0])
    m, n = np.array([0.0, 1, 2]), np.array([1.0, 1, 0])
    turn, _ = np.linalg.qr(RNG.normal(size=(3, 3)))
    said = generate.gaussian_distance(
        turn @ m, turn @ np.diag(s) @ turn.T, turn @ n, turn @ np.diag(t) @ turn.T
    )
    assert said == pytest.approx(5 + np.square(np.sqrt(s) - np.sqrt(t)).sum())


def test_the_distance_is_that_of_the_matrix_root():
    a, b = rows(200, 6) @ RNG.normal(size=(6, 6)), rows(150, 6, 0.5, 2.0)
    s, t = np.cov(a.T), np.cov(b.T)
    root = linalg.sqrtm(s @ t).real
    wanted = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(s + t - 2 * root)
    assert generate.frechet(a, b) == pytest.approx(wanted, rel=1e-6)
    assert generate.frechet(a, a) == pytest.approx(0, abs=1e-6)


def test_the_distance_is_torchmetrics_s():
    fid = pytest.importorskip("torchmetrics.image.fid", reason="torchmetrics is not installed")

    class Identity(torch.nn.Module):
        num_features = 6

        def forward(self, x):
            return x.flatten(1).float()

    metric = fid.FrechetInceptionDistance(Identity(), input_img_size=(1, 1, 6), normalize=True)
    metric.set_dtype(torch.float64)
    a, b = rows(200, 6), rows(150, 6, 0.5, 2.0)
    for part, real in ((a, True), (b, False)):
        metric.update(torch.from_numpy(part).view(-1, 1, 1, 6), real=real)
    assert generate.frechet(a, b) == pytest.approx(float(metric.compute()), rel=1e-3)


def test_the_kernel_distance_has_no_bias():
    said = [generate.kernel_distance(rows(40), rows(40)) for _ in range(200)]
    assert abs(np.mean(said)) < 4 * np.std(said) / np.sqrt(200)
    assert generate.kernel_distance(rows(200), rows(200, shift=1.0)) > 1


def test_neighbours_by_hand():
    """Real rows at 0, 1, 2, 3; their balls to the first neighbour reach 1."""
    real = np.arange(4, dtype=np.float32)[:, None]
    made = np.array([[0.5], [2.5], [9.0], [9.5]], np.float32)
    assert generate.reaches(real, 1) == pytest.approx([1, 1, 1, 1])
    precision, recall = generate.precision_recall(real, made, 1)
    assert precision == 0.5
    assert recall == 1.0  # the made 0.5 and 2.5 reach 2 each
    density, coverage = generate.density_coverage(real, made, 1)
    assert density == 4 / 4  # two balls around each of the first two, none around the others
    assert coverage == 1.0


def test_two_sets_of_one_distribution():
    a, b = rows(800), rows(800)
    density, coverage = generate.density_coverage(a, b)
    assert density == pytest.approx(1, abs=0.1)
    assert coverage == pytest.approx(0.97, abs=0.03)  # 1 - 2^-k, Naeem et al., section 3.3


def test_copying_is_the_statistic_of_mann_and_whitney():
    made, unseen = RNG.integers(0, 20, 50).astype(float), RNG.integers(5, 25, 70).astype(float)
    statistic = stats.mannwhitneyu(unseen, made).statistic
    assert generate.copying(made, unseen) == pytest.approx(statistic / (50 * 70))
    assert generate.copying(np.zeros(9), np.ones(5)) == 1


def evaluation(made=None, near=None, chances=None, n=60):
    real = rows(n)
    made = rows(n) if made is None else made
    return Evaluation.of(
        real=real, made=made, floor=rows(n),
        chances=np.eye(3, dtype=np.float32)[np.arange(n) % 3] if chances is None else chances,
        near=np.ones(n) if near is None else near, unseen=RNG.uniform(0.5, 1.5, n),
        errors={"psnr": np.full(n, 20.0), "bound": np.full(n, -90.0)},
        shown=np.zeros((4, 8, 8, 1), np.uint8), nearest=np.zeros((4, 8, 8, 1), np.uint8),
        rows=np.arange(n), judge="4 features", about=["a bound of binarised pictures"],
    )  # fmt: skip


def test_an_evaluation_is_kept_whole():
    one = evaluation()
    again = Evaluation.restored({k: v.copy() for k, v in one.arrays().items()})
    assert again.metrics == one.metrics
    assert again.beside == one.beside
    assert again.remarks == one.remarks
    assert one.metrics["bound"] == -90
    assert one.beside["bound"] == "a bound of binarised pictures"
    assert one.metrics["rarest"] == one.metrics["commonest"] == 1
    low, high = one.metrics.interval
    assert low <= one.metrics["frechet"] <= high
    difference = generate.differ(one, again, 0.1)
    assert difference.difference == 0


def test_collapse_and_copies_are_said():
    assert evaluation().remarks == ()
    alike = np.repeat(rows(1), 60, 0) + rows(60, scale=1e-3)
    assert any(
        line.startswith("collapsed: made pictures cover") for line in evaluation(alike).remarks
    )
    one_class = np.eye(3, dtype=np.float32)[np.zeros(60, int)]
    assert any("no picture was made" in line for line in evaluation(chances=one_class).remarks)
    assert any(line.startswith("copying") for line in evaluation(near=np.zeros(60)).remarks)


def test_fewer_pictures_than_features_are_refused():
    with pytest.raises(DataError, match="4 pictures are fewer than the 4 features"):
        evaluation(n=4)
