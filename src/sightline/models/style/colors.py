"""Keep the colours of a picture whose style is changed.

Gatys et al., Preserving color in neural artistic style transfer, 2016, section 3.2: the style is
transferred between the luminances alone, and the colours are the content's.
"""

from __future__ import annotations

from torch import Tensor
from torchvision.transforms.v2 import functional


def luminance(pictures: Tensor) -> Tensor:
    """Return pictures (N, 3, H, W) in grey, with three equal channels."""
    grey: Tensor = functional.rgb_to_grayscale(pictures, num_output_channels=3)
    return grey


def like(style: Tensor, content: Tensor) -> Tensor:
    """Return a style's luminance with the mean and deviation of the content's (equation 10).

    Parameters
    ----------
    style, content : Tensor, shape (1, 3, H, W)
        In [0, 1]; of any sizes.
    """
    own, other = luminance(style), luminance(content)
    scaled = (own - own.mean()) * (other.std() / own.std().clamp(min=1e-6)) + other.mean()
    return scaled.clamp(0, 1)


def coloured(picture: Tensor, content: Tensor) -> Tensor:
    """Return a picture's luminance with the colours of the content, of the same size."""
    return (content + luminance(picture) - luminance(content)).clamp(0, 1)
