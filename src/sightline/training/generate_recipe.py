"""Define the knobs of training networks that make pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sightline.errors import ParameterError
from sightline.training.recipe import Recipe


@dataclass(frozen=True)
class GenerateRecipe(Recipe):
    """The recipe of any network that makes pictures: that of any network, and what it sees.

    Parameters
    ----------
    flip : {"none", "random"}
        Mirroring pictures left and right at random; then half of those made are mirrored, too.
    judge : str
        Network that pictures are measured through: a run's folder of a classifier, imagenet:NAME,
        timm:NAME or inception, with @LAYER behind it those of a layer. auto: a small classifier
        that is trained on the training split, or where classes are unknown the bundled network.
    """

    flip: Literal["none", "random"] = "none"
    judge: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.weights != "none":
            raise ParameterError(f"there are no published weights={self.weights} to begin with")


@dataclass(frozen=True)
class AutoencoderRecipe(GenerateRecipe):
    """The recipe of an autoencoder.

    Parameters
    ----------
    form : {"dense", "convolutional"}
        Layers of the encoder and the decoder.
    latent : int
        Numbers of a code.
    width : int
        Units of a dense layer, or filters of the first convolution.
    corruption : {"gaussian", "masking"}
        What a denoising autoencoder learns to take away: noise that is added, or masked pixels.
    noise : float
        Deviation of that noise, or share of the pixels that are masked; 0: it sees clean pictures.
    sparsity : float
        What the mean of a code's absolute numbers counts beside the error; 0: nothing.
    """

    form: Literal["dense", "convolutional"] = "convolutional"
    latent: int = 32
    width: int = 32
    corruption: Literal["gaussian", "masking"] = "gaussian"
    noise: float = 0.0
    sparsity: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_counts(self, "latent", "width")
        self.check_sizes("noise", "sparsity")
        if self.corruption == "masking" and self.noise >= 1:
            raise ParameterError(f"noise={self.noise} would mask every pixel; take less than 1")


@dataclass(frozen=True)
class VaeRecipe(GenerateRecipe):
    """The recipe of a variational autoencoder.

    Parameters
    ----------
    form : {"dense", "convolutional"}
        Layers of the encoder and the decoder.
    latent : int
        Numbers of a code.
    width : int
        Units of a dense layer, or filters of the first convolution.
    conditional : bool
        Tell it the classes, so that it can be asked for one.
    beta : float
        What the divergence of codes from the prior counts; 1: the evidence lower bound.
    free_bits : float
        Nats that each number of a code may carry for nothing.
    likelihood : {"auto", "bernoulli", "logistic"}
        Of zeros and ones, or of 256 levels; auto: bernoulli of grey pictures, logistic of those in
        colour.
    binarised : {"sampled", "threshold"}
        How grey levels become zeros and ones: by chance, or above one half.
    """

    form: Literal["dense", "convolutional"] = "dense"
    latent: int = 40
    width: int = 512
    conditional: bool = False
    beta: float = 1.0
    free_bits: float = 0.0
    likelihood: Literal["auto", "bernoulli", "logistic"] = "auto"
    binarised: Literal["sampled", "threshold"] = "sampled"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_counts(self, "latent", "width")
        self.check_sizes("beta", "free_bits")


@dataclass(frozen=True)
class GanRecipe(GenerateRecipe):
    """The recipe of a generator and a discriminator that learn against each other.

    Parameters
    ----------
    latent : int
        Numbers of the noise of a picture.
    width : int
        Filters of the discriminator's first convolution; the generator is its mirror image.
    conditional : bool
        Tell both networks the classes, where they are known, so that the generator can be asked for
        one. The paper does not; pictures are then far better after as long.
    loss : {"bce", "hinge"}
        Cross-entropy, as in the paper, or the hinge.
    spectral_norm : bool
        Normalise the discriminator's weights by their largest singular value, not its maps.
    """

    latent: int = 100
    width: int = 64
    conditional: bool = True
    loss: Literal["bce", "hinge"] = "bce"
    spectral_norm: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_counts(self, "latent", "width")
        if self.devices * self.nodes > 1 or self.accumulate > 1:
            raise ParameterError(
                "two networks that learn against each other do so on one device and whole batches: "
                "leave devices, nodes and accumulate at 1"
            )


@dataclass(frozen=True)
class FlowRecipe(GenerateRecipe):
    """The recipe of a rectified flow.

    Parameters
    ----------
    width : int
        Filters at the larger of the network's two sizes, a multiple of 8.
    conditional : bool
        Tell it the classes, where they are known, so that it can be asked for one.
    steps : int
        From noise to a picture, where none are asked for.
    sampler : {"euler", "heun"}
        How a step is taken; heun's takes twice as long, and ten of them are enough.
    guidance : float
        How far pictures are pushed towards their class: 1 is the class alone, 0 none.
    """

    width: int = 32
    conditional: bool = True
    steps: int = 10
    sampler: Literal["euler", "heun"] = "heun"
    guidance: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_counts(self, "width", "steps")
        self.check_sizes("guidance")


def _check_counts(recipe: Recipe, *names: str) -> None:
    """Refuse knobs that are below 1.

    Raises
    ------
    ParameterError
    """
    for name in names:
        if not getattr(recipe, name) >= 1:
            raise ParameterError(f"{name} must be at least 1, not {getattr(recipe, name)}")
