"""Augment whole batches on their device, without a loop over images.

Every function takes and gives a float tensor, shape (N, C, H, W), and draws from a given
generator, so that the same seed gives the same images.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from sightline.training.labelled_recipe import LabelledRecipe


def batch(
    x: Tensor, recipe: LabelledRecipe, random: torch.Generator, mirrored: Tensor | None = None
) -> Tensor:
    """Change images at random as a recipe says.

    Parameters
    ----------
    x : Tensor, shape (N, C, H, W)
    recipe : LabelledRecipe
    random : Generator
        Of the processor, whatever the device: the draws are few.
    mirrored : bool Tensor, shape (N,), optional
        Which images are mirrored; None: none.
    """
    if mirrored is not None:
        x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    if recipe.shift:
        x = shifted(x, recipe.shift, random)
    if recipe.cutout:
        x = cut_out(x, recipe.cutout, random)
    if recipe.erase:
        x = erased(x, recipe.erase, random)
    return x


def shifted(x: Tensor, pixels: int, random: torch.Generator) -> Tensor:
    """Move each image by up to so many pixels each way, the edge reflected.

    Images of one move are cut out together: (2 pixels + 1)² copies instead of one an image.
    """
    n, _, h, w = x.shape
    pad = min(pixels, h - 1, w - 1)
    padded = functional.pad(x, (pad,) * 4, "reflect")
    moves = torch.randint(0, (2 * pad + 1) ** 2, (n,), generator=random)
    out = torch.empty_like(x)
    for move in sorted(set(moves.tolist())):
        top, left = divmod(move, 2 * pad + 1)
        rows = (moves == move).nonzero()[:, 0].to(x.device)
        out[rows] = padded[rows, :, top : top + h, left : left + w]
    return out


def cut_out(x: Tensor, side: int, random: torch.Generator) -> Tensor:
    """Set a square at a random centre to 0, the mean of standardised images.

    Source: DeVries & Taylor, Improved regularization of convolutional neural networks with
    cutout, 2017.
    """
    n, _, h, w = x.shape
    top = torch.randint(0, h, (n, 1), generator=random).to(x.device) - side // 2
    left = torch.randint(0, w, (n, 1), generator=random).to(x.device) - side // 2
    return _boxed(x, top, left, top + side, left + side)


def erased(x: Tensor, chance: float, random: torch.Generator) -> Tensor:
    """Set a rectangle of 2 to 33% of the image to 0, in some of the images.

    Source: Zhong et al., Random erasing data augmentation, 2020, algorithm 1.
    """
    n, _, h, w = x.shape
    draws = torch.rand(n, 5, generator=random).to(x.device)
    area = (0.02 + 0.31 * draws[:, :1]) * h * w
    ratio = torch.exp((2 * draws[:, 1:2] - 1) * torch.log(torch.tensor(10 / 3)))
    height = (area * ratio).sqrt().clamp(1, h).round()
    width = (area / ratio).sqrt().clamp(1, w).round()
    top = (draws[:, 2:3] * (h - height + 1)).floor()
    left = (draws[:, 3:4] * (w - width + 1)).floor()
    chosen = draws[:, 4:] < chance
    return _boxed(x, top, left, top + height * chosen, left + width * chosen)


def _boxed(x: Tensor, top: Tensor, left: Tensor, bottom: Tensor, right: Tensor) -> Tensor:
    """Zero a box in each image; its edges have shape (N, 1)."""
    _, _, h, w = x.shape
    rows, columns = torch.arange(h, device=x.device), torch.arange(w, device=x.device)
    inside_rows = (rows >= top) & (rows < bottom)
    inside_columns = (columns >= left) & (columns < right)
    inside = inside_rows[:, None, :, None] & inside_columns[:, None, None, :]
    return x.masked_fill(inside, 0)


def mixed(
    x: Tensor, target: Tensor, recipe: LabelledRecipe, random: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mix each image with the one before it in the batch, and their targets alike.

    Parameters
    ----------
    x : Tensor, shape (N, C, H, W)
    target : Tensor, shape (N, C)
        Probabilities of the classes.
    recipe : LabelledRecipe
        With both mixings, a coin decides for each batch.

    Notes
    -----
    mixup: ``λ x + (1 - λ) x'`` (Zhang et al., 2018); cutmix: a box of the share ``1 - λ`` is taken
    from x' (Yun et al., 2019), with λ from Beta(α, α).
    """
    kinds = [kind for kind in ("mixup", "cutmix") if getattr(recipe, kind) > 0]
    if not kinds:
        return x, target
    kind = kinds[int(torch.randint(len(kinds), (1,), generator=random))]
    lam = _beta(getattr(recipe, kind), random)
    other, other_target = x.roll(1, 0), target.roll(1, 0)
    if kind == "mixup":
        x = lam * x + (1 - lam) * other
    else:
        h, w = x.shape[2:]
        cut = (1 - lam) ** 0.5
        cy, cx = torch.rand(2, generator=random).tolist()
        top, bottom = (int(min(max(h * (cy + s * cut / 2), 0), h)) for s in (-1, 1))
        left, right = (int(min(max(w * (cx + s * cut / 2), 0), w)) for s in (-1, 1))
        x = x.clone()
        x[:, :, top:bottom, left:right] = other[:, :, top:bottom, left:right]
        lam = 1 - (bottom - top) * (right - left) / (h * w)
    return x, lam * target + (1 - lam) * other_target


def _beta(alpha: float, random: torch.Generator) -> float:
    """Draw from Beta(alpha, alpha), as a quotient of two gammas."""
    concentration = torch.full((2,), alpha, dtype=torch.float64)
    a, b = torch._standard_gamma(concentration, generator=random).tolist()
    return float(a / (a + b)) if a + b > 0 else 0.5
