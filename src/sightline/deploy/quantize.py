"""Quantise an exported graph: weights and activations of 8 bits, or of 16.

int8: bytes represent real numbers, ``x = scale (q - zero)``, and convolutions run on
integers (Jacob et al., Quantization and training of neural networks for efficient
integer-arithmetic-only inference, 2018, equation 1). Scales of activations come from calibration
images, those of weights from each output channel. ONNX Runtime does the rewriting; what is decided
here is what it needs beforehand.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from sightline.deploy.runtime import INPUT
from sightline.errors import ParameterError
from sightline.types import Progress

_BATCH = 32
QUANTIZED = ("Conv", "MatMul", "Gemm", "MaxPool", "Add", "Concat", "GlobalAveragePool", "Relu")
"""Operators that run on bytes; all others, such as the softmax, stay in float32."""


def to_int8(
    source: Path, target: Path, calibration: NDArray[np.uint8], progress: Progress | None = None
) -> None:
    """Quantise a graph to int8 statically, with QuantizeLinear and DequantizeLinear nodes (QDQ).

    Parameters
    ----------
    source, target : path
    calibration : uint8 array, shape (N, H, W, C)
        Training images.
    progress : callable, optional
        Called with (images seen, images in all).

    Raises
    ------
    ParameterError
        When the graph has no convolution: there is nothing to gain.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    if not any(node.op_type == "Conv" for node in onnx.load(str(source)).graph.node):
        raise ParameterError("int8 is for networks with convolutions; export this as fp32")
    ready = target.with_suffix(".ready.onnx")
    with _quiet():
        fold_norms(source, ready)
        quant_pre_process(str(ready), str(ready), skip_symbolic_shape=True)
        quantize_static(
            str(ready),
            str(target),
            _Images(calibration, progress),
            QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTIZED),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[*_before_first(ready), *_beside_layers(ready)],
        )
    ready.unlink()


def to_fp16(source: Path, target: Path) -> None:
    """Convert a graph's weights and arithmetic to 16 bits; inputs and outputs keep their types."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with _quiet():
        smaller = convert_float_to_float16(onnx.load(str(source)), keep_io_types=True)
    onnx.save(smaller, str(target))


def fold_norms(source: Path, target: Path) -> None:
    """Fold a batch normalisation that follows a pooled convolution into the convolution.

    ``max(a x + b) = a max(x) + b`` for a > 0, so the two may change places, and a convolution takes
    up the normalisation behind it.
    """
    proto = onnx.load(str(source))
    graph = proto.graph
    made_by = {output: node for node in graph.node for output in node.output}
    arrays = {tensor.name: tensor for tensor in graph.initializer}
    users: dict[str, int] = {}
    for node in graph.node:
        for name in node.input:
            users[name] = users.get(name, 0) + 1
    for norm in [n for n in graph.node if n.op_type == "BatchNormalization"]:
        pool = made_by.get(norm.input[0])
        conv = (
            made_by.get(pool.input[0]) if pool is not None and pool.op_type == "MaxPool" else None
        )
        if pool is None or conv is None or conv.op_type != "Conv":
            continue
        if users[pool.output[0]] > 1 or users[conv.output[0]] > 1:
            continue
        gamma, beta, mean, variance = (numpy_helper.to_array(arrays[n]) for n in norm.input[1:5])
        epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5)
        factor = gamma / np.sqrt(variance + epsilon)
        if not (factor > 0).all():
            continue
        weight = numpy_helper.to_array(arrays[conv.input[1]])
        bias = numpy_helper.to_array(arrays[conv.input[2]]) if len(conv.input) > 2 else 0 * mean
        prefix = f"{conv.name}_folded"
        new = {
            f"{prefix}_weight": weight * factor[:, None, None, None],
            f"{prefix}_bias": (bias - mean) * factor + beta,
        }
        graph.initializer.extend(
            numpy_helper.from_array(a.astype(np.float32), n) for n, a in new.items()
        )
        del conv.input[1:]
        conv.input.extend(new)
        pool.output[0] = norm.output[0]
        graph.node.remove(norm)
    used = {name for node in graph.node for name in node.input}
    for tensor in [t for t in graph.initializer if t.name not in used]:
        graph.initializer.remove(tensor)
    onnx.save(proto, str(target))


class _Images:
    """Calibration images in batches, in the form that ONNX Runtime reads."""

    def __init__(self, X: NDArray[np.uint8], progress: Progress | None) -> None:
        self.X, self.progress = X, progress
        self.parts = self._batches()

    def _batches(self) -> Iterator[dict[str, Any]]:
        for start in range(0, len(self.X), _BATCH):
            yield {INPUT: self.X[start : start + _BATCH]}
            if self.progress:
                self.progress(min(start + _BATCH, len(self.X)), len(self.X))

    def get_next(self) -> dict[str, Any] | None:
        return next(self.parts, None)


def _before_first(path: Path) -> list[str]:
    """List the nodes before the first convolution: joining mirror images is free in any type."""
    names = []
    for node in onnx.load(str(path)).graph.node:
        if node.op_type == "Conv":
            break
        names.append(node.name)
    return names


LAYERS = frozenset(("Conv", "MatMul", "Gemm"))
"""Operators with weights."""

PLACES = frozenset(("NonZero", "NonMaxSuppression", "TopK", "Shape"))
"""Operators whose outputs say where something is: not what a layer computes with."""


def _beside_layers(path: Path) -> list[str]:
    """List the nodes whose outputs go into no layer: the boxes of a detector, which 8 bits move."""
    nodes = onnx.load(str(path)).graph.node
    made_by = {output: node for node in nodes for output in node.output}
    waiting = [node for node in nodes if node.op_type in LAYERS]
    inside = {node.name for node in waiting}
    while waiting:
        node = waiting.pop()
        # A region is cut by its corners, which are no numbers to compute with either.
        inputs = node.input[:1] if node.op_type == "RoiAlign" else node.input
        for name in inputs:
            source = made_by.get(name)
            if source is None or source.name in inside or source.op_type in PLACES:
                continue
            inside.add(source.name)
            waiting.append(source)
    return [node.name for node in nodes if node.name not in inside]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the quantisation tools print."""
    level = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.root.setLevel(level)
