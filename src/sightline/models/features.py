"""Compute features of images: what any layers of a trained network put out.

What a network has learned for one task serves another: a linear classifier on these features does
well where there are few images (Donahue et al., DeCAF, 2014; Razavian et al., CNN features
off-the-shelf, 2014). The last layers say what is in an image; earlier ones, whose maps are finer,
say how it looks there (Yosinski et al., How transferable are features?, 2014).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional

from sightline.data.transforms import Views
from sightline.errors import DataError, ParameterError, UnknownNameError
from sightline.models.head import head_of

HEAD = "head"
"""What goes into the last layer, as the name of a layer."""

CROP = 7 / 8
"""Share of the side that a crop of ``views="crops"`` has."""


class FeatureExtractor(nn.Module):
    """A network up to some of its layers: images in, rows or maps of features out.

    Parameters
    ----------
    model : Module
        In evaluation mode, else features depend on chance.
    layers : sequence of str
        Names as ``model.named_modules()`` has them, such as ``blocks.5``; their features stand side
        by side. None: what goes into the last layer, the head.
    views : {"one", "flip", "crops"}
        What is averaged in an image's place: itself; itself and its mirror image; those two of the
        whole image, its middle and its four corners (Krizhevsky et al., 2012, section 4.1).

    Raises
    ------
    UnknownNameError
        When there is no layer of that name; the nearest is suggested.
    ParameterError
        When no layer is named and the network does not say what its head is.
    """

    def __init__(self, model: nn.Module, layers: Sequence[str] = (), views: Views = "one") -> None:
        super().__init__()
        known = {name for name, _ in model.named_modules() if name}
        for name in layers:
            if name not in known | {HEAD}:
                raise UnknownNameError(f"layer of {type(model).__name__}", name, known | {HEAD})
        self.model, self.layers, self.views = model, tuple(layers) or (HEAD,), views
        if HEAD in self.layers:
            head_of(model)  # says what is missing

    def forward(self, x: Tensor) -> Tensor:
        """Compute a row of features for each image.

        Parameters
        ----------
        x : Tensor, shape (N, C, H, W)
            Standardised.

        Returns
        -------
        Tensor, shape (N, D)
            Maps are averaged over their places. The part of each layer, of D_l features, has the
            length sqrt(D_l), so that no layer and no bright image outweighs another.
        """
        return torch.cat([_of_length(part) for part in self._means(x)], 1)

    def pooled(self, x: Tensor) -> Tensor:
        """Compute a row of features for each image, of the length that it has, shape (N, D)."""
        return torch.cat(self._means(x), 1)

    def _means(self, x: Tensor) -> list[Tensor]:
        """Return rows (N, D_l) of each layer, averaged over places and views."""
        total: list[Tensor] = []
        views = list(_views(x, self.views))
        for view in views:
            pooled = [_pooled(out) for out in self.outputs(view)]
            total = [a + b for a, b in zip(total, pooled, strict=True)] if total else pooled
        return [part / len(views) for part in total]

    def maps(self, x: Tensor) -> Tensor:
        """Compute features of the patches of images.

        Parameters
        ----------
        x : Tensor, shape (N, C, H, W)
            Standardised.

        Returns
        -------
        Tensor, shape (N, D, h, w)
            Of several layers the maps are brought to the size of the largest, bilinearly. Where no
            layer was named, of the last that has places: what its mean is made of.

        Raises
        ------
        ParameterError
            When a layer puts out no map.
        """
        alone = self.layers == (HEAD,)
        outputs = [self._last_map(x)] if alone else self.outputs(x)
        for name, out in zip(self.layers, outputs, strict=False):
            if out.ndim != 4:
                raise ParameterError(
                    f"the layer {name} puts out no map but shape {tuple(out.shape[1:])}, so it has "
                    "no features of patches"
                )
        size = max((tuple(out.shape[2:]) for out in outputs), key=lambda s: s[0] * s[1])
        return torch.cat(
            [
                out if tuple(out.shape[2:]) == size
                else functional.interpolate(out, size, mode="bilinear", align_corners=False)
                for out in outputs
            ], 1,
        )  # fmt: skip

    def outputs(self, x: Tensor) -> list[Tensor]:
        """Compute what the layers put out, one tensor each; later layers are not computed."""
        kept: dict[str, Tensor] = {}

        def keep(name: str, value: Any) -> None:
            if name in kept:
                raise ParameterError(
                    f"the layer {name} of {type(self.model).__name__} is used several times, so "
                    "that its features are not one"
                )
            kept[name] = _tensor(value, name)
            # A graph keeps what is used alone, and its writer wants every layer left as entered.
            if len(kept) == len(self.layers) and not torch.compiler.is_exporting():
                raise _ReachedError

        with watched(self.model, self.layers, keep):
            try:
                self.model(x)
            except _ReachedError:
                pass
            except RuntimeError as error:
                if self.views != "crops":
                    raise
                why = str(error).splitlines()[0]
                raise ParameterError(
                    f"{type(self.model).__name__} takes images of one size alone ({why}), so crops "
                    "cannot be averaged; take views=flip"
                ) from None
        if missing := [name for name in self.layers if name not in kept]:
            raise ParameterError(f"{type(self.model).__name__} does not use {', '.join(missing)}")
        return [kept[name] for name in self.layers]

    def _last_map(self, x: Tensor) -> Tensor:
        """Return the last output of a layer that still has places."""
        last: list[Tensor] = []

        def keep(_: str, value: Any) -> None:
            if isinstance(value, Tensor) and value.ndim == 4 and value.shape[2:].numel() > 1:
                last[:] = [value]

        leaves = [name for name, m in self.model.named_modules() if name and not list(m.children())]
        with watched(self.model, leaves, keep):
            self.model(x)
        if not last:
            raise ParameterError(
                f"{type(self.model).__name__} has no layer with places, so there are no features "
                "of patches"
            )
        return last[0]


class _ReachedError(Exception):
    """Ends a forward pass behind the last layer that is asked for."""


@contextmanager
def watched(
    model: nn.Module, layers: Sequence[str], keep: Callable[[str, Any], None]
) -> Iterator[None]:
    """Pass on what layers put out, by name; of the head what goes in."""
    handles = []
    for name in layers:
        if name == HEAD:
            _, head = head_of(model)
            handles.append(head.register_forward_pre_hook(lambda _, inputs: keep(HEAD, inputs[0])))
        else:
            handles.append(
                model.get_submodule(name).register_forward_hook(
                    lambda _module, _inputs, output, name=name: keep(name, output)
                )
            )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _tensor(value: Any, name: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise ParameterError(f"the layer {name} puts out no tensor but {type(value).__name__}")
    return value


def _views(x: Tensor, views: Views) -> Iterator[Tensor]:
    """Yield the views of images, (N, C, H, W) each; crops are smaller."""
    yield x
    if views == "one":
        return
    yield x.flip(3)
    if views == "flip":
        return
    h, w = x.shape[2:]
    a, b = int(h * CROP), int(w * CROP)
    corners = [(0, 0), (0, w - b), (h - a, 0), (h - a, w - b), ((h - a) // 2, (w - b) // 2)]
    for top, left in corners:
        cut = x[:, :, top : top + a, left : left + b]
        yield cut
        yield cut.flip(3)


def _pooled(out: Tensor) -> Tensor:
    """Return rows (N, D) of a map (N, D, H, W), of tokens (N, T, D), or of rows."""
    if out.ndim == 4:
        return out.mean((2, 3))
    if out.ndim == 3:
        return out.mean(1)
    if out.ndim != 2:
        raise ParameterError(f"a layer with an output of {out.ndim} dimensions has no features")
    return out


def _of_length(rows: Tensor) -> Tensor:
    """Scale rows (N, D) to the length sqrt(D); rows of zeros stay."""
    length = torch.linalg.vector_norm(rows, dim=1, keepdim=True) / rows.shape[1] ** 0.5
    return rows / torch.where(length > 0, length, 1.0)


class Standardised(nn.Module):
    """Turn bytes into floats whose channels have mean 0 and deviation 1.

    Parameters
    ----------
    mean, std : array of float, shape (C,)
        In units of [0, 1]. A grey image is repeated for a network of colours.
    """

    def __init__(self, mean: ArrayLike, std: ArrayLike) -> None:
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            scaled = torch.from_numpy(np.asarray(values, np.float32) * 255)
            self.register_buffer(name, scaled.view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Standardise uint8 images (N, H, W, C): floats (N, C, H, W)."""
        x = images.permute(0, 3, 1, 2).float()
        return (x - cast(Tensor, self.mean)) / cast(Tensor, self.std)


def enlarged(x: Tensor, side: int) -> Tensor:
    """Scale square images (N, C, H, W) up to a side, bilinearly; 0, and larger ones: as they are.

    Parameters
    ----------
    x : Tensor, shape (N, C, H, W)
    side : int
    """
    if max(x.shape[2:]) >= side:
        return x
    return functional.interpolate(x, (side, side), mode="bilinear", align_corners=False)


LARGEST = 5
"""Times that a small image is enlarged at most: beyond it nothing is won but the cost grows."""

STEP, LEAST = 32, 64
"""Enlarged sides are multiples of the first, as networks halve an image five times, and at least
the second: of less there is nothing left then."""


def enlarged_side(side: int, most: int, times: int = LARGEST) -> int:
    """Return the side that small images are scaled up to for a network made for larger ones.

    Parameters
    ----------
    side, most : int
        Pixels a side: of the images, and of what the network was made for.
    times : int
        By how much they are enlarged at most.

    Raises
    ------
    DataError
        When there is no pixel.

    Examples
    --------
    >>> [enlarged_side(n, 224) for n in (8, 28, 32, 64, 300)]
    [64, 128, 160, 224, 224]
    """
    if side < 1:
        raise DataError(f"images of {side} pixels a side cannot be enlarged")
    return min(most, max(LEAST, times * side // STEP * STEP))
