r"""Learn short codes of pictures, from which a second network draws them again.

Hinton & Salakhutdinov, Reducing the dimensionality of data with neural networks, 2006: an encoder f
and a decoder g are learned together,

.. math:: \min_{f, g} \frac{1}{D} \lVert x - g(f(\tilde x)) \rVert^2 + \lambda \lVert f(x) \rVert_1

over pictures x of D numbers. With :math:`\tilde x = x` and :math:`\lambda = 0` it is the plain one.

- **Denoising** (Vincent et al., Extracting and composing robust features with denoising
  autoencoders, 2008): :math:`\tilde x` is x with Gaussian noise, or with pixels set to 0, and the
  clean x is the aim.
- **Sparse**: a penalty on the sum of a code that is not negative (ReLU), so that few of its numbers
  are other than 0 for any one picture (Ng, Sparse autoencoder, 2011, with the L1 penalty of
  Olshausen & Field, 1996, in the place of the Kullback-Leibler one).

An autoencoder says nothing about which codes occur. To draw new pictures, a Gaussian is fitted to
the codes of training pictures after the training (Ghosh et al., From variational to deterministic
autoencoders, 2020, section 4): :math:`z = \mu + L \epsilon` with :math:`L L^T = \Sigma`.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from sightline.errors import ParameterError
from sightline.models.generate.network import Decoder, Encoder, Generative, Run, check_side

Form = Literal["dense", "convolutional"]
Corruption = Literal["gaussian", "masking"]

FEW = 256
"""Pictures whose codes are computed at a time."""


class Autoencoder(Generative):
    """Autoencoder: maps pictures (N, C, H, W) to codes (N, latent) and to the pictures again.

    Parameters
    ----------
    num_classes : int
        Not looked at: codes know no classes.
    in_channels : int
    side : (height, width)
    form : {"dense", "convolutional"}
    latent : int
        Numbers of a code.
    width : int
        Units of a dense layer, or filters of the first convolution.
    corruption : {"gaussian", "masking"}
    noise : float
        Deviation of the noise, or share of the pixels that are masked; 0: none.
    sparsity : float
        What the mean of a code's absolute numbers counts; 0: nothing.
    """

    def __init__(
        self, num_classes: int = 0, in_channels: int = 1, side: tuple[int, int] = (28, 28),
        form: Form = "convolutional", latent: int = 32, width: int = 32,
        corruption: Corruption = "gaussian", noise: float = 0.0, sparsity: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        check_side(side, 4, "autoencoder")
        if corruption not in ("gaussian", "masking"):
            raise ParameterError(f"corruption must be gaussian or masking, not {corruption!r}")
        self.classes, self.latent = 0, (latent,)
        self.corruption, self.noise, self.sparsity = corruption, noise, sparsity
        self.encoder = Encoder(in_channels, side, form, width, 0)
        self.code = nn.Linear(self.encoder.features, latent)
        self.decoder = Decoder(latent, in_channels, side, form, width, 0)
        self.mean: Tensor
        self.factor: Tensor
        self.register_buffer("mean", torch.zeros(latent))
        self.register_buffer("factor", torch.eye(latent))

    def codes(self, x: Tensor) -> Tensor:
        """Return the codes of pictures, shape (N, latent)."""
        code: Tensor = self.code(self.encoder(x, x.new_zeros(len(x), 0)))
        return code.relu() if self.sparsity else code

    def decoded(self, code: Tensor) -> Tensor:
        """Return the pictures of codes, in [0, 1]."""
        logits: Tensor = self.decoder(code, code.new_zeros(len(code), 0))
        return logits.sigmoid()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute pictures and codes of pictures in [0, 1]."""
        code = self.codes(x)
        return self.decoded(code), code

    def corrupted(self, x: Tensor) -> Tensor:
        """Return pictures with as much noise as the denoising form learns to take away."""
        if not self.noise:
            return x
        if self.corruption == "masking":
            return x * (torch.rand(x.shape) >= self.noise).to(x)
        return x + self.noise * torch.randn(x.shape).to(x)

    def objective(self, run: Run, x: Tensor, y: Tensor) -> Tensor:
        """Return the squared error of each picture's pixels, and the penalty on its code."""
        drawn, code = run(self.corrupted(x))
        error = (drawn.float() - x).square().flatten(1).mean(1)
        loss: Tensor = error + self.sparsity * code.float().abs().mean(1)
        return loss

    @torch.no_grad()
    def settle(self, x: Tensor) -> None:
        """Fit the Gaussian of the codes to those of training pictures."""
        parts = [self.codes(x[i : i + FEW]).double() for i in range(0, len(x), FEW)]
        codes = torch.cat(parts)
        self.mean.copy_(codes.mean(0))
        centred = codes - codes.mean(0)
        covariance = centred.T @ centred / max(len(codes) - 1, 1)
        values, vectors = torch.linalg.eigh(covariance)
        # A unit that is always 0 has no variance: the root of a matrix needs it to have a little.
        self.factor.copy_(vectors * values.clamp(min=1e-8).sqrt())

    def draw(self, noise: Tensor, y: Tensor, **how: Any) -> Tensor:
        """Draw pictures of codes from the fitted Gaussian."""
        code = self.mean + noise @ self.factor.T
        return self.decoded(code.relu() if self.sparsity else code)

    def encode(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the noise whose code is that of a picture."""
        code: Tensor = torch.linalg.solve(self.factor, (self.codes(x) - self.mean).T).T
        return code


def autoencoder(
    num_classes: int = 0, in_channels: int = 1, side: tuple[int, int] = (28, 28),
    form: Form = "convolutional", latent: int = 32, width: int = 32,
    corruption: Corruption = "gaussian", noise: float = 0.0, sparsity: float = 0.0,
) -> Autoencoder:  # fmt: skip
    """Build an autoencoder."""
    return Autoencoder(
        num_classes, in_channels, side, form, latent, width, corruption, noise, sparsity
    )
