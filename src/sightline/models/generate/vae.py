r"""Learn a distribution of pictures by a variational autoencoder.

Kingma & Welling, Auto-encoding variational Bayes, 2014. A picture x is drawn from
:math:`p(x \mid z)`, a network of a code :math:`z \sim N(0, I)`. Which codes may have given a
picture is guessed by a second network, :math:`q(z \mid x) = N(\mu, \operatorname{diag} \sigma^2)`,
and both are learned by the evidence lower bound (equation 3):

.. math:: \log p(x) \ge E_q[\log p(x \mid z)] - \beta \, KL(q(z \mid x) \,\Vert\, p(z)), \quad
          KL = \tfrac12 \sum_j (\mu_j^2 + \sigma_j^2 - 1 - \log \sigma_j^2) \text{ (appendix B)}

with :math:`z = \mu + \sigma \epsilon, \epsilon \sim N(0, I)`, so that the gradient goes through the
draw (section 2.4). :math:`\beta = 1` is the bound; more asks for codes nearer to the prior (Higgins
et al., beta-VAE, 2017). *Free bits* (Kingma et al., Improving variational inference with inverse
autoregressive flow, 2016, appendix C.8): each number of the code may carry :math:`\lambda` nats for
nothing, :math:`\sum_j \max(\lambda, KL_j)` over the mean of a batch.

**What a likelihood is of.** Grey levels are no draws of a coin: the cross-entropy of grey levels is
no likelihood. So grey pictures are *binarised*: ``sampled``, each pixel is 1 with the chance of its
grey level, anew whenever it is seen (Salakhutdinov & Murray, On the quantitative analysis of deep
belief networks, 2008); ``threshold``, it is 1 above one half. Of pictures in colour the likelihood
is of the 256 levels themselves: a logistic distribution, whose scale is learned, cut into 256 bins
(Salimans et al., PixelCNN++, 2017, equation 2). Bounds of different choices cannot be compared.

The tighter bound of Burda, Grosse & Salakhutdinov (Importance weighted autoencoders, 2016,
equation 8) needs no other training:

.. math:: L_k = E\Big[\log \frac1k \sum_{i=1}^k \frac{p(x \mid z_i)\, p(z_i)}{q(z_i \mid x)}\Big]
          \le \log p(x), \quad z_i \sim q(z \mid x)
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from sightline.errors import ParameterError
from sightline.models.generate.network import Decoder, Encoder, Generative, Run, check_side

Form = Literal["dense", "convolutional"]
Likelihood = Literal["auto", "bernoulli", "logistic"]
Binarised = Literal["sampled", "threshold"]

LEVELS = 256


def kl(mean: Tensor, log_var: Tensor) -> Tensor:
    """Return KL(N(mean, exp(log_var)) || N(0, 1)) of each number, in nats (appendix B)."""
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var)


def reparameterised(mean: Tensor, log_var: Tensor) -> Tensor:
    """Draw z = mean + deviation * epsilon, through which gradients go (section 2.4)."""
    return mean + (0.5 * log_var).exp() * torch.randn(mean.shape).to(mean)


def log_normal(z: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    """Return the log density of a Gaussian at z, summed over the last axis, in nats."""
    squares = (z - mean).square() * (-log_var).exp()
    return -0.5 * (squares + log_var + math.log(2 * math.pi)).sum(-1)


def bernoulli(logits: Tensor, x: Tensor) -> Tensor:
    """Return log p(x) of pixels x, 0 or 1, whose chance of a 1 is the sigmoid of the logits."""
    return -functional.binary_cross_entropy_with_logits(logits, x, reduction="none")


def logistic(mean: Tensor, log_scale: Tensor, x: Tensor) -> Tensor:
    """Return log p(x) of levels x = i / 255 under a logistic distribution in 256 bins.

    Source: Salimans et al., PixelCNN++, 2017, equation 2; the first and last bin reach to infinity.
    """
    half = 0.5 / (LEVELS - 1)
    above = ((x + half - mean) * (-log_scale).exp()).masked_fill(x > 1 - half, math.inf)
    below = ((x - half - mean) * (-log_scale).exp()).masked_fill(x < half, -math.inf)
    share = above.sigmoid() - below.sigmoid()
    # Where the bin is so far from the mean that float32 says 0: the density times its width.
    centre = (x - mean) * (-log_scale).exp()
    far = centre - log_scale - 2 * functional.softplus(centre) + math.log(2 * half)
    return torch.where(share > 1e-5, share.clamp(min=1e-12).log(), far)


class VAE(Generative):
    """VAE: maps pictures (N, C, H, W) to mean and log variance of codes, and to a likelihood.

    Parameters
    ----------
    num_classes : int
        Classes that encoder and decoder are told (Kingma et al., Semi-supervised learning with deep
        generative models, 2014, M2 with all labels known); 0: none.
    in_channels : int
    side : (height, width)
    form : {"dense", "convolutional"}
    latent : int
        Numbers of a code.
    width : int
        Units of a dense layer, or filters of the first convolution.
    beta : float
        What the divergence counts.
    free_bits : float
        Nats that each number of the code may carry for nothing.
    likelihood : {"auto", "bernoulli", "logistic"}
        auto: bernoulli of grey pictures, logistic of those in colour.
    binarised : {"sampled", "threshold"}
        How grey levels become zeros and ones.
    """

    def __init__(
        self, num_classes: int = 0, in_channels: int = 1, side: tuple[int, int] = (28, 28),
        form: Form = "dense", latent: int = 40, width: int = 512, beta: float = 1.0,
        free_bits: float = 0.0, likelihood: Likelihood = "auto", binarised: Binarised = "sampled",
    ) -> None:  # fmt: skip
        super().__init__()
        check_side(side, 4, "vae")
        if likelihood not in ("auto", "bernoulli", "logistic"):
            raise ParameterError(
                f"likelihood must be auto, bernoulli or logistic, not {likelihood!r}"
            )
        if binarised not in ("sampled", "threshold"):
            raise ParameterError(f"binarised must be sampled or threshold, not {binarised!r}")
        if likelihood == "auto":
            likelihood = "bernoulli" if in_channels == 1 else "logistic"
        self.classes, self.latent, self.likelihood = num_classes, (latent,), likelihood
        self.beta, self.free_bits, self.binarised = beta, free_bits, binarised
        self.encoder = Encoder(in_channels, side, form, width, num_classes)
        self.code = nn.Linear(self.encoder.features, 2 * latent)
        self.decoder = Decoder(latent, in_channels, side, form, width, num_classes)
        self.log_scale = nn.Parameter(torch.full((in_channels, 1, 1), -2.0))
        self.log_scale.requires_grad_(likelihood == "logistic")

    def target(self, x: Tensor) -> Tensor:
        """Return what a likelihood is of: zeros and ones of grey levels, or the levels."""
        if self.likelihood == "logistic":
            return x
        if self.binarised == "threshold":
            return (x > 0.5).to(x)
        return (torch.rand(x.shape).to(x) < x).to(x)

    def posterior(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of q(z | x), each of shape (N, latent)."""
        mean, log_var = self.code(self.encoder(x, self.hot(y))).chunk(2, 1)
        return mean, log_var.clamp(-20, 20)

    def decoded(self, z: Tensor, y: Tensor) -> Tensor:
        """Return logits of zeros and ones, or the means of levels, of codes (N, latent)."""
        out: Tensor = self.decoder(z, self.hot(y))
        return out if self.likelihood == "bernoulli" else out.sigmoid()

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute what `decoded` returns of a drawn code, and the code's mean and log variance."""
        mean, log_var = self.posterior(x, y)
        return self.decoded(reparameterised(mean, log_var), y), mean, log_var

    def log_likelihood(self, decoded: Tensor, x: Tensor) -> Tensor:
        """Return log p(x | z) of each picture, shape (N,), in nats."""
        if self.likelihood == "bernoulli":
            return bernoulli(decoded, x).flatten(1).sum(1)
        return logistic(decoded, self.log_scale, x).flatten(1).sum(1)

    def objective(self, run: Run, x: Tensor, y: Tensor) -> Tensor:
        """Return minus the evidence lower bound of each picture, in nats; see the module."""
        x = self.target(x)
        decoded, mean, log_var = run(x, y)
        parts = kl(mean.float(), log_var.float())
        if self.free_bits:
            held = (parts.mean(0) < self.free_bits).to(parts)
            parts = parts * (1 - held) + self.free_bits * held
        return self.beta * parts.sum(1) - self.log_likelihood(decoded.float(), x)

    @torch.no_grad()
    def bounds(self, x: Tensor, y: Tensor, samples: int = 50) -> tuple[Tensor, Tensor]:
        """Return two lower bounds of log p(x) of each picture, each of shape (N,), in nats.

        Parameters
        ----------
        x : Tensor, shape (N, C, H, W)
            Zeros and ones, or levels, as `target` returns them.
        y : int64 Tensor, shape (N,)
        samples : int
            Codes of each picture.

        Returns
        -------
        elbo, importance : Tensor
            The evidence lower bound, with its KL in closed form; and the bound of so many samples.
        """
        mean, log_var = self.posterior(x, y)
        weights, likelihoods = [], []
        zeros = torch.zeros_like(mean)
        for _ in range(samples):
            z = reparameterised(mean, log_var)
            likely = self.log_likelihood(self.decoded(z, y), x)
            likelihoods.append(likely)
            weights.append(likely + log_normal(z, zeros, zeros) - log_normal(z, mean, log_var))
        elbo = torch.stack(likelihoods).mean(0) - kl(mean, log_var).sum(1)
        return elbo, torch.logsumexp(torch.stack(weights), 0) - math.log(samples)

    def draw(self, noise: Tensor, y: Tensor, **how: Any) -> Tensor:
        """Return the mean picture of codes, in [0, 1]: of each pixel its chance, or its level."""
        out = self.decoded(noise, y)
        return out.sigmoid() if self.likelihood == "bernoulli" else out

    def encode(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the mean of the codes of pictures."""
        return self.posterior(x, y)[0]


def vae(
    num_classes: int = 0, in_channels: int = 1, side: tuple[int, int] = (28, 28),
    form: Form = "dense", latent: int = 40, width: int = 512, beta: float = 1.0,
    free_bits: float = 0.0, likelihood: Likelihood = "auto", binarised: Binarised = "sampled",
) -> VAE:  # fmt: skip
    """Build a variational autoencoder."""
    return VAE(
        num_classes, in_channels, side, form, latent, width, beta, free_bits, likelihood, binarised
    )
