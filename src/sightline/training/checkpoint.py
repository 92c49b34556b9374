"""Save the state of a training in one file, atomically and without pickle.

Tensors go into safetensors, the rest as JSON into its header, so that a kill at any moment
leaves either the old state or the new one.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sightline.errors import RunError
from sightline.training import run

_CHECK = "crc32"
FOLDER, LAST, BEST = run.CHECKPOINTS, run.LAST, "best.safetensors"


def write(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write a state, atomically.

    Raises
    ------
    RunError
        When the disk is full or cannot be written; the old state is still there.
    """
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    with run.replacing(path) as part:
        said = {**facts, _CHECK: _check_of(whole)}
        save_file(whole, part, {"facts": json.dumps(said, default=run.plain)})


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write` wrote: tensors and facts.

    Raises
    ------
    RunError
        When the file is missing, cut short or of another kind.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            facts = json.loads(file.metadata()["facts"])
        if facts.pop(_CHECK, None) not in (None, _check_of(tensors)):
            raise ValueError("it differs from what was written")
    except FileNotFoundError:
        raise RunError(f"{path}: there is no checkpoint to resume") from None
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, AttributeError,
            RecursionError) as error:  # fmt: skip
        raise RunError(f"{path} is damaged ({error}); train again without resume=True") from None
    return tensors, facts


def _check_of(tensors: Mapping[str, Tensor]) -> int:
    """Return the CRC-32 of tensors with their names and shapes; written after every epoch."""
    check = 0
    for name in sorted(tensors):
        tensor = tensors[name]
        check = zlib.crc32(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode(), check)
        raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        check = zlib.crc32(raw.numpy().data, check)
    return check


def flatten(prefix: str, state: Mapping[str, Any]) -> tuple[dict[str, Tensor], Any]:
    """Split an optimiser's state into tensors by name and plain values."""
    tensors: dict[str, Tensor] = {}

    def walk(name: str, value: Any) -> Any:
        if isinstance(value, Tensor):
            tensors[name] = value
            return {"tensor": name}
        if isinstance(value, Mapping):
            return {"map": [[k, walk(f"{name}.{k}", v)] for k, v in value.items()]}
        if isinstance(value, list | tuple):
            return {"list": [walk(f"{name}.{i}", v) for i, v in enumerate(value)]}
        return {"value": value}

    return tensors, walk(prefix, state)


def unflatten(shape: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Join again what `flatten` split."""
    kind, content = next(iter(shape.items()))
    if kind == "tensor":
        return tensors[content]
    if kind == "map":
        return {k: unflatten(v, tensors) for k, v in content}
    if kind == "list":
        return [unflatten(v, tensors) for v in content]
    return content


def load_into(model: torch.nn.Module, state: Mapping[str, Tensor], where: Path | str) -> None:
    """Load a state dict; another architecture becomes a one-line error.

    Raises
    ------
    RunError
    """
    own = model.state_dict()
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    odd = [n for n in own.keys() & state.keys() if own[n].shape != state[n].shape]
    if missing or extra or odd:
        what = (
            f"lacks {missing[0]}" if missing else f"has {extra[0]} besides" if extra
            else f"has {odd[0]} of shape {tuple(state[odd[0]].shape)}, "
            f"not {tuple(own[odd[0]].shape)}"
        )  # fmt: skip
        raise RunError(f"{where} is of another model: its state {what}")
    model.load_state_dict(dict(state))
