r"""Make pictures by two networks that learn against each other.

Radford, Metz & Chintala, Unsupervised representation learning with deep convolutional generative
adversarial networks, 2016. A generator G turns noise z into pictures; a discriminator D learns to
tell them from real ones (Goodfellow et al., Generative adversarial nets, 2014):

.. math:: L_D = -E[\log D(x)] - E[\log(1 - D(G(z)))], \qquad L_G = -E[\log D(G(z))]

(the generator's loss is the one that does not saturate, section 3 there). The paper's rules, which
are this file: strided convolutions in the place of pooling, and transposed ones in G; batch
normalisation in both but for the first layer of D and the last of G; no dense layers behind the
first of G; ReLU in G with tanh at the end, LeakyReLU of slope 0.2 in D; weights from N(0, 0.02);
Adam with a rate of 0.0002 and a first momentum of 0.5. 100 numbers of noise, there from a cube,
here normal. The paper's is of 64 x 64 pixels, four doublings from 4 x 4: here as many as the size
needs.

Options: the hinge loss (Lim & Ye, Geometric GAN, 2017; Miyato et al., 2018, equations 16 and 17)

.. math:: L_D = E[\max(0, 1 - D(x))] + E[\max(0, 1 + D(G(z)))], \qquad L_G = -E[D(G(z))]

spectral normalisation of D in the place of its batch normalisation (Miyato et al., Spectral
normalization for generative adversarial networks, 2018); and classes: a vector of each goes into G
beside the noise, and D adds the product of its features with a vector of the class (Miyato &
Koyama, cGANs with projection discriminator, 2018, equation 3).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm as spectral

from sightline.errors import ParameterError
from sightline.models.generate.network import Generative, check_side, halvings
from sightline.models.generate.noise import normal

Adversarial = Literal["bce", "hinge"]

SLOPE = 0.2

ASKED = 200
"""Steps of the search for the noise of a picture."""


def discriminator_loss(real: Tensor, made: Tensor, loss: Adversarial) -> Tensor:
    """Return the loss of what D says of real and of made pictures, shape (N,) each."""
    if loss == "hinge":
        return functional.relu(1 - real).mean() + functional.relu(1 + made).mean()
    return functional.softplus(-real).mean() + functional.softplus(made).mean()


def generator_loss(made: Tensor, loss: Adversarial) -> Tensor:
    """Return the loss of G by what D says of its pictures, shape (N,)."""
    return -made.mean() if loss == "hinge" else functional.softplus(-made).mean()


class Generator(nn.Module):
    """Map noise (N, latent) and classes (N, classes) to pictures (N, C, H, W) in [-1, 1]."""

    def __init__(
        self, latent: int, classes: int, in_channels: int, side: tuple[int, int], width: int
    ) -> None:
        super().__init__()
        self.side = side
        times = halvings(side)
        widths = [width * min(2**i, 8) for i in reversed(range(times))]
        small = [-(-s // 2**times) for s in side]
        self.project = nn.Sequential(
            nn.Linear(latent + classes, widths[0] * small[0] * small[1], bias=False),
            nn.Unflatten(1, (widths[0], small[0], small[1])),
            nn.BatchNorm2d(widths[0]), nn.ReLU(),
        )  # fmt: skip
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            layers += [nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
        layers += [nn.ConvTranspose2d(widths[-1], in_channels, 4, 2, 1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor, hot: Tensor) -> Tensor:
        """Compute pictures."""
        out: Tensor = self.layers(self.project(torch.cat([z, hot], 1)))
        return out[:, :, : self.side[0], : self.side[1]]


class Discriminator(nn.Module):
    """Map pictures (N, C, H, W) and classes (N, classes) to how real they look, shape (N,)."""

    def __init__(
        self, classes: int, in_channels: int, side: tuple[int, int], width: int, spectral_norm: bool
    ) -> None:
        super().__init__()
        times = halvings(side)
        widths = [in_channels, *(width * min(2**i, 8) for i in range(times))]
        layers: list[nn.Module] = []
        for i, (a, b) in enumerate(pairwise(widths)):
            normal = i > 0 and not spectral_norm
            convolution = nn.Conv2d(a, b, 4, 2, 1, bias=not normal)
            layers += [spectral(convolution) if spectral_norm else convolution]
            layers += [nn.BatchNorm2d(b)] * normal + [nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        with torch.no_grad():
            size = self.layers.eval()(torch.zeros(1, in_channels, *side)).shape[1]
        self.layers.train()
        score: nn.Module = nn.Linear(size, 1)
        self.score = spectral(score) if spectral_norm else score
        self.classes = nn.Linear(classes, size, bias=False) if classes else None

    def forward(self, x: Tensor, hot: Tensor) -> Tensor:
        """Compute logits: above 0 is real."""
        features = self.layers(x)
        logits: Tensor = self.score(features)[:, 0]
        if self.classes is not None:
            logits = logits + (self.classes(hot) * features).sum(1)
        return logits


class DCGAN(Generative):
    """DCGAN: maps noise (N, latent) and classes (N,) to pictures (N, C, H, W).

    Parameters
    ----------
    num_classes : int
        0: it knows no classes, as in the paper.
    in_channels : int
    side : (height, width)
    latent : int
    width : int
        Filters of the discriminator's first convolution, and of the generator's last but one; twice
        as many at each half of the size.
    loss : {"bce", "hinge"}
    spectral_norm : bool
    """

    pixels = (0.5, 0.5)

    def __init__(
        self, num_classes: int = 0, in_channels: int = 1, side: tuple[int, int] = (28, 28),
        latent: int = 100, width: int = 64, loss: Adversarial = "bce", spectral_norm: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        check_side(side, 8, "dcgan")
        if loss not in ("bce", "hinge"):
            raise ParameterError(f"loss must be bce or hinge, not {loss!r}")
        self.classes, self.latent, self.loss = num_classes, (latent,), loss
        self.generator = Generator(latent, num_classes, in_channels, side, width)
        self.discriminator = Discriminator(num_classes, in_channels, side, width, spectral_norm)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and not spectral_norm:
                nn.init.normal_(module.weight, 0.0, 0.02)
            if isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Compute pictures."""
        made: Tensor = self.generator(z, self.hot(y))
        return made

    def told(self, x: Tensor, y: Tensor) -> Tensor:
        """Return how real pictures look to the discriminator, shape (N,); above 0 is real."""
        said: Tensor = self.discriminator(x, self.hot(y))
        return said

    def draw(self, noise: Tensor, y: Tensor, **how: Any) -> Tensor:
        """Make pictures of noise."""
        made: Tensor = self(noise, y)
        return made

    def encode(self, x: Tensor, y: Tensor) -> Tensor:
        """Search for the noise whose pictures are nearest, as no network leads back.

        Gradient descent on the squared error of the pixels (Creswell & Bharath, Inverting the
        generator of a generative adversarial network, 2016), from near the mean of all noise.
        """
        wanted = [p for p in self.parameters() if p.requires_grad]
        for parameter in wanted:
            parameter.requires_grad_(False)
        try:
            with torch.inference_mode(False), torch.enable_grad():
                aim, y = x.clone(), y.clone()
                # Not from 0 itself, where a ReLU without a bias has no gradient.
                start = 0.1 * torch.from_numpy(normal(1, self.latent, 0)).to(x.device)
                z = start.repeat(len(x), 1).requires_grad_()
                descent = torch.optim.Adam([z], lr=0.1)
                for _ in range(ASKED):
                    descent.zero_grad()
                    error = (self(z, y) - aim).square().flatten(1).mean(1).sum()
                    (error + 1e-4 * z.square().sum()).backward()
                    descent.step()
        finally:
            for parameter in wanted:
                parameter.requires_grad_(True)
        return z.detach()


def dcgan(
    num_classes: int = 0, in_channels: int = 1, side: tuple[int, int] = (28, 28),
    latent: int = 100, width: int = 64, loss: Adversarial = "bce", spectral_norm: bool = False,
) -> DCGAN:  # fmt: skip
    """Build the paper's two networks."""
    return DCGAN(num_classes, in_channels, side, latent, width, loss, spectral_norm)
