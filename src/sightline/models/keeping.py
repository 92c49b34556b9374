"""Keep published weights as safetensors, made once from a file that is held to its digest."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor


def kept(place: Path) -> dict[str, Tensor] | None:
    """Return the state dict that `keep` wrote; None: there is none, or it is damaged and gone."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not place.is_file():
        return None
    try:
        return load_file(place)
    except (SafetensorError, OSError):
        place.unlink(missing_ok=True)  # made anew
        return None


def checked(path: Path, sha256: str, remedy: str) -> Mapping[str, Tensor]:
    """Return the state dict in a file of torch's that has the digest; nothing of it is run.

    Parameters
    ----------
    path : path
    sha256 : str
        Hex digits, or the first ones of them.
    remedy : str
        What mends it, for the message.

    Raises
    ------
    WeightsError
        When the file cannot be read, or is another than was published.
    """
    import torch

    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"cannot read {path} ({error.strerror}); {remedy}") from None
    if not digest.startswith(sha256):
        raise WeightsError(
            f"{path} is not the file that was published (SHA-256 {digest[:12]}..., not "
            f"{sha256[:12]}...); {remedy}"
        )
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # options of a training
            state: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); {remedy}") from None
    return state


def keep(state: Mapping[str, Tensor], place: Path) -> None:
    """Write a state dict into the cache; where that fails, its source is read again next time."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    part = place.with_suffix(f".{id(state)}.part")
    with contextlib.suppress(OSError, SafetensorError):
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            save_file({key: tensor.contiguous() for key, tensor in state.items()}, part)
            part.replace(place)
        finally:
            part.unlink(missing_ok=True)
