r"""Describe a network layer by layer: shapes, weights, multiply-adds, receptive fields.

The receptive field of a layer is the side of the square of input pixels that one of its outputs
depends on. With kernel :math:`k_l`, dilation :math:`d_l` and stride :math:`s_l`

.. math:: r_l = r_{l-1} + (k_l - 1)\, d_l\, j_{l-1}, \qquad j_l = j_{l-1} s_l

where :math:`j` is the distance of neighbours in input pixels (Araujo, Norris & Sim, Computing
receptive fields of convolutional neural networks, Distill 2019, equation 2); where branches meet,
the largest counts. The numbers are read off a forward pass, operation by operation, so that they
hold for any network, whatever its ``forward`` does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

ALL = math.inf
"""Receptive field of what depends on the whole image."""

_aten: Any = torch.ops.aten


@dataclass(slots=True)
class Layer:
    """One use of a layer: its shape, weights, multiply-adds and receptive field.

    Parameters
    ----------
    name : str
        In the network, such as ``features.0``; empty for weights of the network itself.
    kind : str
        Of its class, such as ``Conv2d``.
    block, block_kind : str
        Name and class of the part of the network that it belongs to: an inception module, a
        residual block, or the layer itself.
    shape : tuple of int
        Of its output, without the batch: (C, H, W) or (D,).
    kernel, stride : (int, int), optional
    parameters : int
        Weights; 0 at the second use of the same layer.
    multiply_adds : int
        Of convolutions and products of matrices, for one image.
    field : (float, float), optional
        Height and width of the receptive field, pixels; `ALL` for the whole image, None where
        the input does not matter.
    """

    name: str
    kind: str
    block: str
    block_kind: str
    shape: tuple[int, ...]
    kernel: tuple[int, int] | None
    stride: tuple[int, int] | None
    parameters: int
    multiply_adds: int
    field: tuple[float, float] | None


@dataclass(slots=True)
class Description:
    """The layers of a network, in the order of use.

    Parameters
    ----------
    input : (channels, height, width)
    layers : list of Layer
    blocks : dict of str to tuple of int
        Shape of what each block gives, by its name.
    """

    input: tuple[int, int, int]
    layers: list[Layer] = field(default_factory=list)
    blocks: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        """Return the number of weights that serve in evaluation; auxiliary heads do not."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Return the multiply-adds of one image."""
        return sum(layer.multiply_adds for layer in self.layers)


def on_paper(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network without memory for its weights, where its builder allows that."""
    try:
        with torch.device("meta"):
            return build()
    except (RuntimeError, NotImplementedError):  # it computes with its weights
        return build().to("meta")


def describe(model: nn.Module, input: tuple[int, int, int]) -> Description:
    """Describe a network by sending one image through it in evaluation.

    Parameters
    ----------
    model : Module
        On any device, ``meta`` included; is left as it is.
    input : (channels, height, width)

    Raises
    ------
    RuntimeError
        When the network cannot take such images.
    """
    device = next(model.parameters()).device
    training = {m: m.training for m in model.modules()}
    description = Description(input)
    watch = _Watch()
    blocks = _blocks(model)
    counted: set[int] = set()
    handles = []
    for name, module in model.named_modules():
        if name in blocks:
            handles.append(module.register_forward_hook(_Shape(name, description)))
        own = list(module.parameters(recurse=False))
        if own or not list(module.children()):
            handles.append(
                module.register_forward_hook(_Note(name, blocks, description, watch, counted, own))
            )
    try:
        model.eval()
        x = torch.zeros(1, *input, device=device)
        with torch.no_grad(), watch:
            watch.seen[id(x)] = (x, _Field((1.0, 1.0), (1.0, 1.0)))
            model(x)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in training.items():
            module.training = mode
    _add_inner(model, description, counted)
    return description


def _add_inner(model: nn.Module, description: Description, counted: set[int]) -> None:
    """Count as a layer's own the weights that it uses without calling their module (attention)."""
    layers = {layer.name: layer for layer in reversed(description.layers)}
    for name, parameter in model.named_parameters():
        parts = name.split(".")
        above = (".".join(parts[:n]) for n in range(len(parts) - 1, 0, -1))
        owner = next((layers[a] for a in above if a in layers), None)
        if owner is not None and id(parameter) not in counted:
            owner.parameters += parameter.numel()


class _Shape:
    """A hook that notes the shape of a block's output."""

    def __init__(self, name: str, description: Description) -> None:
        self.name, self.description = name, description

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self.description.blocks[self.name] = tuple(_first(output).shape[1:])


class _Note:
    """A hook that notes a layer when it has been used."""

    def __init__(
        self, name: str, blocks: dict[str, str], description: Description, watch: _Watch,
        counted: set[int], own: list[nn.Parameter],
    ) -> None:  # fmt: skip
        self.name, self.blocks, self.description = name, blocks, description
        self.watch, self.counted, self.own = watch, counted, own

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> None:
        output = _first(output)
        new = [p for p in self.own if id(p) not in self.counted]
        self.counted.update(id(p) for p in new)
        seen = self.watch.field_of(output)
        done, self.watch.done = self.watch.done, 0
        block = _longest_prefix(self.name, self.blocks)
        self.description.layers.append(
            Layer(
                self.name, type(module).__name__, block, self.blocks.get(block, ""),
                tuple(output.shape[1:]), _pair(getattr(module, "kernel_size", None)),
                _pair(getattr(module, "stride", None)), sum(p.numel() for p in new), done,
                None if seen is None else seen.size,
            )
        )  # fmt: skip


def _first(output: Any) -> Tensor:
    """Return the tensor itself, or the first of several."""
    while isinstance(output, tuple | list):
        output = output[0]
    tensor: Tensor = output
    return tensor


@dataclass(frozen=True, slots=True)
class _Field:
    """Receptive field and distance of neighbours, each (height, width) in input pixels."""

    size: tuple[float, float]
    jump: tuple[float, float]

    def through(self, kernel: Any, stride: Any, dilation: Any = 1) -> _Field:
        k, s, d = _pair(kernel), _pair(stride), _pair(dilation)
        assert k is not None
        s, d = s or k, d or (1, 1)
        a, b = (r + (k[i] - 1) * d[i] * self.jump[i] for i, r in enumerate(self.size))
        return _Field((a, b), (self.jump[0] * s[0], self.jump[1] * s[1]))


_EVERYTHING = _Field((ALL, ALL), (1.0, 1.0))


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows the receptive field of every tensor, and counts multiply-adds."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # The tensor is kept with its field: else another one could get the same id.
        self.seen: dict[int, tuple[Tensor, _Field]] = {}
        self.done = 0

    def field_of(self, tensor: Any) -> _Field | None:
        """Return the receptive field of a tensor; None when it does not depend on the image."""
        entry = self.seen.get(id(tensor))
        return entry[1] if entry else None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and note the receptive field of its outputs."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        packet = func.overloadpacket
        if packet in flop_registry:
            self.done += flop_registry[packet](*args, **kwargs, out_val=out) // 2
        inputs = [t for t in torch.utils._pytree.tree_leaves((args, kwargs)) if id(t) in self.seen]
        if inputs:
            seen = _after(packet, args, inputs, [self.seen[id(t)][1] for t in inputs], out)
            for tensor in torch.utils._pytree.tree_leaves(out):
                if isinstance(tensor, Tensor):
                    self.seen[id(tensor)] = (tensor, seen)
        return out


def _after(packet: Any, args: Any, inputs: list[Tensor], fields: list[_Field], out: Any) -> _Field:
    """Return the receptive field of an operation's output from those of its inputs."""
    before = fields[0]
    if packet is _aten.convolution:
        return before.through(args[1].shape[2:], args[3], args[5])
    if packet in (_aten.max_pool2d_with_indices, _aten.avg_pool2d):
        stride = args[2] if len(args) > 2 and args[2] else args[1]
        return before.through(args[1], stride)
    if packet in (_aten._adaptive_avg_pool2d, _aten.adaptive_max_pool2d):
        given, wanted = args[0].shape[-2:], _pair(args[1])
        assert wanted is not None
        if wanted == (1, 1) and given != (1, 1):
            return _EVERYTHING
        kernel = [-(-g // w) for g, w in zip(given, wanted, strict=True)]
        return before.through(kernel, [max(g // w, 1) for g, w in zip(given, wanted, strict=True)])
    first = inputs[0]
    result = out[0] if isinstance(out, tuple | list) else out
    places = math.prod(first.shape[2:])
    merged = first.ndim == 4 and places > 1 and result.ndim == 2 and len(result) == len(first)
    meeting = packet in (_aten.bmm, _aten.baddbmm) and len(inputs) > 1  # attention: every place
    if merged or meeting or "attention" in str(packet):
        return _EVERYTHING
    if packet is _aten.mean and first.ndim == 4 and places > 1 and {2, 3} <= _dims(args, first):
        return _EVERYTHING
    a, b = (max(f.size[i] for f in fields) for i in (0, 1))
    c, d = (max(f.jump[i] for f in fields) for i in (0, 1))
    return _Field((a, b), (c, d))


def _dims(args: Any, tensor: Tensor) -> set[int]:
    given = args[1] if len(args) > 1 and args[1] is not None else range(tensor.ndim)
    return {d % tensor.ndim for d in ([given] if isinstance(given, int) else given)}


def _pair(value: Any) -> tuple[int, int] | None:
    """Return height and width of what may be given once for both."""
    if isinstance(value, int):
        return (value, value)
    if isinstance(value, tuple | list | torch.Size) and value:
        return (int(value[0]), int(value[-1]))
    return None


def _blocks(model: nn.Module, prefix: str = "") -> dict[str, str]:
    """Return the parts that a drawing shows as one box, name to class: children, and theirs."""
    parts: dict[str, str] = {}
    for name, child in model.named_children():
        path = f"{prefix}{name}"
        if isinstance(child, nn.Sequential | nn.ModuleList):
            parts |= _blocks(child, f"{path}.")
        else:
            parts[path] = type(child).__name__
    return parts


def _longest_prefix(name: str, blocks: dict[str, str]) -> str:
    parts = name.split(".")
    heads = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((h for h in heads if h in blocks), parts[0])
