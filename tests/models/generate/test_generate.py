"""Networks that make pictures, against closed forms."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad

from sightline.errors import DataError, ParameterError
from sightline.models.generate import vae as variational
from sightline.models.generate.autoencoder import Autoencoder
from sightline.models.generate.dcgan import DCGAN, discriminator_loss, generator_loss
from sightline.models.generate.flow import Flow, integrate, path
from sightline.models.generate.noise import normal
from sightline.models.generate.vae import VAE

SIDES = [(8, 8), (28, 28), (33, 20)]


def unknown(n):
    return torch.zeros(n, dtype=torch.int64)


# ---- the variational autoencoder


@pytest.mark.parametrize(("mean", "log_var"), [(0.0, 0.0), (0.7, -1.0), (-2.0, 0.5)])
def test_the_divergence_is_the_integral(mean, log_var):
    """Of q log(q / p), by quadrature."""
    q, p = stats.norm(mean, math.exp(log_var / 2)), stats.norm()
    wanted, _ = quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), -15, 15)
    said = variational.kl(torch.tensor(mean), torch.tensor(log_var))
    assert float(said) == pytest.approx(wanted, abs=1e-5)


def test_gradients_go_through_the_draw():
    """Of E[(mean + deviation epsilon)^2] = mean^2 + variance: 2 mean, and the variance."""
    mean = torch.full((200_000,), 0.7, requires_grad=True)
    log_var = torch.full((200_000,), -0.4, requires_grad=True)
    torch.manual_seed(0)
    variational.reparameterised(mean, log_var).square().sum().backward()
    assert mean.grad.mean() == pytest.approx(1.4, abs=0.02)
    assert log_var.grad.mean() == pytest.approx(math.exp(-0.4), abs=0.02)


class Linear(VAE):
    """A VAE whose evidence is known: p(x | z) = N(w z, s^2) of one pixel and one code."""

    w, s = 1.5, 0.6

    def __init__(self, posterior):
        super().__init__(side=(4, 4), width=8, latent=1)
        self.given = posterior

    def posterior(self, x, y):
        return self.given(x)

    def decoded(self, z, y):
        return self.w * z

    def log_likelihood(self, decoded, x):
        at = torch.full_like(x, math.log(self.s**2))
        return variational.log_normal(x, decoded, at)

    @classmethod
    def true_posterior(cls, x):
        variance = 1 / (1 + cls.w**2 / cls.s**2)
        mean = variance * cls.w / cls.s**2 * x
        return mean, torch.full_like(x, math.log(variance))


def test_bounds_are_the_evidence_where_the_posterior_is_true():
    x = torch.tensor([[-1.0], [0.3], [2.0]], dtype=torch.float64)
    evidence = stats.norm(0, math.hypot(Linear.w, Linear.s)).logpdf(x.numpy())[:, 0]
    torch.manual_seed(0)
    elbo, bound = Linear(Linear.true_posterior).bounds(x, unknown(3), 4000)
    np.testing.assert_allclose(bound, evidence, atol=1e-9)  # each weight is p(x) itself
    np.testing.assert_allclose(elbo, evidence, atol=0.05)


def test_the_bound_of_many_samples_is_tighter():
    x = torch.tensor([[-1.0], [0.3], [2.0]], dtype=torch.float64)
    evidence = stats.norm(0, math.hypot(Linear.w, Linear.s)).logpdf(x.numpy())[:, 0]

    def wrong(x):
        return 0.4 * x, torch.full_like(x, -0.5)

    torch.manual_seed(0)
    elbo, bound = Linear(wrong).bounds(x, unknown(3), 5000)
    mean, log_var = wrong(x)
    expected = (
        variational.log_normal(x, 1.5 * mean, torch.full_like(x, math.log(0.36)))
        - 0.5 * 1.5**2 / 0.36 * log_var.exp()[:, 0]
        - variational.kl(mean, log_var).sum(1)
    )
    np.testing.assert_allclose(elbo, expected, atol=0.15)
    assert (elbo.numpy() < bound.numpy()).all()
    np.testing.assert_allclose(bound, evidence, atol=0.05)


def test_the_objective_is_minus_the_bound():
    torch.manual_seed(0)
    net = VAE(side=(8, 8), width=16, latent=3).double()
    x = torch.rand(6, 1, 8, 8).double().round()
    losses = torch.stack([net.objective(net, x, unknown(6)) for _ in range(200)]).mean(0)
    elbo, _ = net.bounds(x, unknown(6), 200)
    torch.testing.assert_close(-losses, elbo, atol=0.1, rtol=0.01)


def test_free_bits_cost_nothing_below_and_beta_multiplies():
    torch.manual_seed(0)
    x = torch.rand(4, 1, 8, 8).round()
    plain = VAE(side=(8, 8), width=16, latent=3)
    free = VAE(side=(8, 8), width=16, latent=3, free_bits=0.5)
    double = VAE(side=(8, 8), width=16, latent=3, beta=2.0)
    for other in (free, double):
        other.load_state_dict(plain.state_dict())
    mean, log_var = plain.posterior(x, unknown(4))
    held = variational.kl(mean, log_var).mean(0).clamp(min=0.5).sum()
    losses = []
    for net in (plain, free, double):
        torch.manual_seed(1)
        losses.append(net.objective(net, x, unknown(4)).mean())
    divergence = variational.kl(mean, log_var).sum(1).mean()
    torch.testing.assert_close(losses[1] - losses[0], held - divergence, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(losses[2] - losses[0], divergence, rtol=1e-3, atol=1e-3)


def test_the_256_levels_have_a_chance_of_one_together():
    levels = (torch.arange(256) / 255).view(1, 1, 1, -1)
    for mean, log_scale in ((0.3, -3.0), (0.0, -1.0), (0.99, -5.0)):
        said = variational.logistic(torch.tensor(mean), torch.tensor(log_scale), levels)
        assert said.exp().sum().item() == pytest.approx(1, abs=2e-3)


def test_binarisation():
    x = torch.full((1, 1, 100, 100), 0.3)
    torch.manual_seed(0)
    assert VAE(side=(8, 8)).target(x).mean() == pytest.approx(0.3, abs=0.02)
    assert VAE(side=(8, 8), binarised="threshold").target(x).max() == 0
    assert torch.equal(VAE(in_channels=3, side=(8, 8)).target(x), x)  # levels


# ---- the flow


def gaussian(mean, deviation):
    """The velocity between N(0, 1) and N(mean, deviation^2) in one dimension, in closed form."""

    def velocity(x, t):
        variance = (1 - t) ** 2 + (t * deviation) ** 2
        slope = (t * deviation**2 - (1 - t)) / variance
        return mean + slope * (x - t * mean)

    return velocity


def test_what_is_learned_from_is_the_velocity_in_closed_form():
    """Least squares on points of the path: its line is E[x1 - x0 | x_t]."""
    torch.manual_seed(0)
    x0 = torch.randn(200_000, 1, dtype=torch.float64)
    x1 = 2 + 0.5 * torch.randn(200_000, 1, dtype=torch.float64)
    for t in (0.1, 0.5, 0.8):
        points, aim = path(x0, x1, torch.full((len(x0),), t))
        slope, offset = np.polyfit(points[:, 0], aim[:, 0], 1)
        exact = gaussian(2, 0.5)
        assert offset == pytest.approx(float(exact(0.0, t)), abs=0.03)
        assert slope == pytest.approx(float(exact(1.0, t) - exact(0.0, t)), abs=0.03)


def test_a_flow_learns_that_velocity():
    """The objective's own average, with the closed form as the network, beats any shifted one."""
    exact = gaussian(0.5, 0.2)
    net = Flow(side=(4, 4), width=8)
    x = 0.5 + 0.2 * torch.randn(4000, 1, 4, 4)

    def as_network(scale, shift):
        def run(points, t, labels):
            return scale * exact(points, t.view(-1, 1, 1, 1)) + shift

        torch.manual_seed(0)
        return float(net.objective(run, x, unknown(4000)).mean())

    best = as_network(1.0, 0.0)
    assert all(best < as_network(*other) for other in ((1.05, 0), (0.95, 0), (1, 0.05), (1, -0.05)))


@pytest.mark.parametrize(("sampler", "order"), [("euler", 1), ("heun", 2)])
def test_samplers_converge_at_their_order(sampler, order):
    """The map from noise to data of two Gaussians is known: mean + deviation x."""
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    velocity = gaussian(2.0, 0.5)

    def error(steps):
        return float((integrate(velocity, x, steps, sampler) - (2 + 0.5 * x)).abs().max())

    ratio = error(40) / error(80)
    assert math.log2(ratio) == pytest.approx(order, abs=0.15)


def test_backwards_it_gives_the_noise():
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    there = integrate(gaussian(2.0, 0.5), x, 100, "heun")
    back = integrate(gaussian(2.0, 0.5), there, 100, "heun", start=1.0, end=0.0)
    torch.testing.assert_close(back, x, atol=1e-3, rtol=0)
    with pytest.raises(ParameterError, match="euler or heun"):
        integrate(gaussian(0, 1), x, 3, "rk4")
    with pytest.raises(ParameterError, match="from 1 to"):
        integrate(gaussian(0, 1), x, 0, "heun")


def test_guidance_is_a_line_through_both_velocities():
    torch.manual_seed(0)
    net = Flow(3, 1, (8, 8), 8).eval()
    for weights in net.parameters():  # else blocks change nothing at first
        torch.nn.init.normal_(weights, std=0.2)
    x, y = torch.randn(2, 1, 8, 8), torch.tensor([0, 2])
    t = torch.full((2,), 0.3)
    plain, towards = net(x, t, torch.tensor([3, 3])), net(x, t, y)
    assert not torch.allclose(plain, towards)
    for w in (0.0, 1.0, 2.5):
        torch.testing.assert_close(
            net.velocity(y, w)(x, 0.3), plain + w * (towards - plain), atol=1e-5, rtol=1e-4
        )


def test_classes_are_left_out_in_a_tenth_of_the_pictures():
    net, seen = Flow(3, 1, (8, 8), 8), []
    torch.manual_seed(0)
    net.objective(lambda x, t, y: seen.append(y) or x, torch.zeros(5000, 1, 8, 8), unknown(5000))
    assert (seen[0] == 3).float().mean() == pytest.approx(0.1, abs=0.02)


# ---- the adversarial networks


def test_losses_are_the_papers():
    real, made = torch.randn(2, 50).unbind(0)
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    wanted = bce(real, torch.ones(50)) + bce(made, torch.zeros(50))
    torch.testing.assert_close(discriminator_loss(real, made, "bce"), wanted)
    torch.testing.assert_close(generator_loss(made, "bce"), bce(made, torch.ones(50)))
    hinge = torch.clamp(1 - real, min=0).mean() + torch.clamp(1 + made, min=0).mean()
    torch.testing.assert_close(discriminator_loss(real, made, "hinge"), hinge)
    torch.testing.assert_close(generator_loss(made, "hinge"), -made.mean())


def test_the_search_for_noise_finds_a_picture_that_was_made():
    torch.manual_seed(0)
    net = DCGAN(0, 1, (8, 8), latent=8, width=8).eval()
    for layer in net.generator.modules():
        if isinstance(layer, torch.nn.Linear | torch.nn.ConvTranspose2d):
            layer.weight.data *= 10  # else an untrained network makes one grey
    with torch.no_grad():
        made = net(0.5 * torch.randn(3, 8), unknown(3))
    with torch.inference_mode():
        again = net(net.encode(made, unknown(3)), unknown(3))
    # Inside inference a search needs gradients of its own, and leaves none behind.
    assert (again - made).square().mean() < 0.05 * made.var()
    assert all(p.grad is None and p.requires_grad for p in net.parameters())


def test_spectral_normalisation_bounds_the_discriminator():
    net = DCGAN(0, 1, (16, 16), width=8, spectral_norm=True, loss="hinge")
    for _ in range(30):
        net.told(torch.randn(4, 1, 16, 16), unknown(4))
    for layer in net.discriminator.modules():
        if isinstance(layer, torch.nn.Conv2d):
            norm = torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2)
            assert float(norm) == pytest.approx(1, abs=0.1)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in net.discriminator.modules())


# ---- the autoencoder


def test_new_codes_are_spread_as_those_of_training_pictures():
    torch.manual_seed(0)
    net = Autoencoder(side=(8, 8), latent=3, width=4)
    x = torch.rand(500, 1, 8, 8)
    net.settle(x)
    codes = net.codes(x).detach().double()
    torch.testing.assert_close(
        (net.factor @ net.factor.T).double(), torch.cov(codes.T), rtol=1e-3, atol=1e-6
    )
    again = net.mean + net.encode(x, unknown(500)) @ net.factor.T
    torch.testing.assert_close(again, codes.float(), atol=1e-4, rtol=1e-3)


def test_denoising_and_sparse_forms():
    torch.manual_seed(0)
    x = torch.full((2000, 1, 8, 8), 0.5)
    masked = Autoencoder(side=(8, 8), width=4, corruption="masking", noise=0.25).corrupted(x)
    assert (masked == 0).float().mean() == pytest.approx(0.25, abs=0.02)
    noisy = Autoencoder(side=(8, 8), width=4, noise=0.2).corrupted(x)
    assert noisy.std() == pytest.approx(0.2, abs=0.01)
    sparse = Autoencoder(side=(8, 8), width=4, sparsity=0.1)
    plain = Autoencoder(side=(8, 8), width=4)
    plain.load_state_dict(sparse.state_dict())
    assert sparse.codes(x).min() >= 0
    penalty = sparse.objective(sparse, x[:5], unknown(5)) - (
        (sparse.decoded(sparse.codes(x[:5])) - x[:5]).square().flatten(1).mean(1)
    )
    torch.testing.assert_close(penalty, 0.1 * sparse.codes(x[:5]).mean(1), atol=1e-6, rtol=1e-4)


# ---- all of them


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_any_size_and_mode(side, channels):
    torch.manual_seed(0)
    y = torch.tensor([0, 2])
    for net in (
        Autoencoder(0, channels, side, "convolutional", 4, 4),
        Autoencoder(0, channels, side, "dense", 4, 8),
        VAE(3, channels, side, "convolutional", 4, 4),
        VAE(0, channels, side, "dense", 4, 8),
        DCGAN(3, channels, side, 5, 4),
        Flow(3, channels, side, 8),
    ):
        net.eval()
        z = torch.randn(2, *net.latent)
        made = net.draw(z, y, steps=2) if isinstance(net, Flow) else net.draw(z, y)
        assert made.shape == (2, channels, *side)
        if not isinstance(net, DCGAN):
            assert net.objective(net, torch.rand(2, channels, *side), y).shape == (2,)
            assert net.encode(made, y).shape == z.shape


def test_too_small_pictures_and_odd_knobs():
    for make, words in (
        (lambda: DCGAN(side=(7, 9)), "dcgan needs images of at least 8 pixels"),
        (lambda: Flow(side=(3, 3)), "flow needs images of at least 4"),
        (lambda: VAE(side=(2, 8)), "vae needs"),
        (lambda: Autoencoder(side=(8, 3)), "autoencoder needs"),
    ):
        with pytest.raises(DataError, match=words):
            make()
    for make, words in (
        (lambda: Flow(width=12), "multiple of 8"),
        (lambda: VAE(form="flat"), "dense or convolutional"),
        (lambda: VAE(likelihood="poisson"), "bernoulli or logistic"),
        (lambda: VAE(binarised="no"), "sampled or threshold"),
        (lambda: DCGAN(loss="wasserstein"), "bce or hinge"),
        (lambda: Autoencoder(corruption="salt"), "gaussian or masking"),
    ):
        with pytest.raises(ParameterError, match=words):
            make()


def test_noise_is_normal_and_the_same_for_a_seed():
    noise = normal(2000, (3, 5), 7)
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02
    assert stats.kstest(noise.ravel(), "norm").pvalue > 0.001
    correlation = np.corrcoef(noise.reshape(2000, 15).T)
    assert np.abs(correlation - np.eye(15)).max() < 0.1
    assert np.array_equal(normal(5, (3, 5), 7), noise[:5])
    assert np.array_equal(normal(1, (3, 5), 7, first=4)[0], noise[4])
    assert not np.array_equal(normal(5, (3, 5), 8), noise[:5])
