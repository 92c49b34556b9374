"""Measure how far a picture is from the content of one picture and from the style of another.

Gatys, Ecker & Bethge, A neural algorithm of artistic style, 2015: the content of a picture is what
a deep layer of a network puts out; its style is which features occur together, wherever that is:
the Gram matrices of several layers.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from sightline.errors import ParameterError

Balance = Literal["own", "paper"]
"""What a layer's distance is divided by: its target's own square, or as the paper does."""

BALANCES: tuple[str, ...] = get_args(Balance)


def gram(maps: Tensor, guide: Tensor | None = None) -> Tensor:
    """Compute the Gram matrices of feature maps, divided by the number of places.

    G_ij = 1/M sum_k F_ik F_jk, k over the M places (equation 3, there without 1/M, which makes
    pictures of different sizes comparable).

    Parameters
    ----------
    maps : Tensor, shape (N, C, h, w)
    guide : Tensor, shape (1, 1, h, w), optional
        In [0, 1]: how much each place counts (Gatys et al., Controlling perceptual factors in
        neural style transfer, 2017, section 4.1).

    Returns
    -------
    Tensor, shape (N, C, C)
    """
    places: Tensor | float = float(maps.shape[2] * maps.shape[3])
    if guide is not None:
        maps, places = maps * guide, guide.square().sum().clamp(min=1e-12)
    rows = maps.flatten(2)
    return rows @ rows.transpose(1, 2) / places


def content_distance(maps: Tensor, target: Tensor, balance: Balance = "own") -> Tensor:
    """Measure how far feature maps are from those of the content.

    Parameters
    ----------
    maps, target : Tensor, shape (N, C, h, w)
    balance : {"own", "paper"}
        ``paper``: 1/2 sum (F - P)^2 (equation 1). ``own``: sum (F - P)^2 / sum P^2, which is 1
        where nothing of the content is left, whatever the network.

    Returns
    -------
    Tensor, scalar
    """
    off = (maps - target).square().sum()
    return off / 2 if balance == "paper" else off / target.square().sum().clamp(min=1e-12)


def style_distance(grams: Tensor, target: Tensor, balance: Balance = "own") -> Tensor:
    """Measure how far the Gram matrices of a layer are from those of the style.

    Parameters
    ----------
    grams, target : Tensor, shape (N, C, C)
        As `gram` computes them; one target serves any N.
    balance : {"own", "paper"}
        ``paper``: 1/(4 C^2) sum (G - A)^2, equation 4 for pictures of one size. ``own``:
        sum (G - A)^2 / sum A^2, which keeps the layers of every network in balance.

    Returns
    -------
    Tensor, scalar
        Summed over the pictures.
    """
    off = (grams - target).square().sum()
    if balance == "paper":
        return off / (4 * grams.shape[1] ** 2)
    return off / target[0].square().sum().clamp(min=1e-12)


def total_variation(pictures: Tensor) -> Tensor:
    """Compute the mean square of the differences between neighbouring pixels.

    Parameters
    ----------
    pictures : Tensor, shape (N, 3, H, W)
        In [0, 1].

    Returns
    -------
    Tensor, scalar
        After Mahendran & Vedaldi, Understanding deep image representations by inverting them,
        2015, equation 7 with beta = 2.
    """
    across = pictures[..., :, 1:] - pictures[..., :, :-1]
    down = pictures[..., 1:, :] - pictures[..., :-1, :]
    parts = [d.square().mean() for d in (across, down) if d.numel()]
    return torch.stack(parts).sum() if parts else pictures.new_zeros(())


def check_balance(name: str) -> Balance:
    """Return a balance by its name.

    Raises
    ------
    ParameterError
    """
    for known in get_args(Balance):
        if name == known:
            return known  # type: ignore[no-any-return]
    raise ParameterError(f"balance is one of {', '.join(BALANCES)}, not {name!r}")
