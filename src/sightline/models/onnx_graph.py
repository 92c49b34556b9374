"""Write a network as an ONNX graph."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from sightline.errors import ParameterError

OPSET = 20


def can_write() -> bool:
    """Tell whether the libraries that write a graph and run it are installed."""
    needed = ("onnx", "onnxscript", "onnxruntime")
    return all(importlib.util.find_spec(name) is not None for name in needed)


def write(
    module: nn.Module, some: Any, inputs: Sequence[str], outputs: Sequence[str],
    dynamic: Mapping[int, Any], path: Path, translations: Mapping[Any, Any] | None = None,
) -> None:  # fmt: skip
    """Write what a module computes as an ONNX file.

    Parameters
    ----------
    module : Module
        In evaluation mode.
    some : Tensor, or tuple of Tensor
        An example of its input, or of each of several.
    inputs, outputs : sequence of str
        Their names.
    dynamic : mapping of int to dimension
        Which dimensions of each input may differ from the example's; see `dynamic`.
    path : path
    translations : mapping, optional
        How operators that are ours are written: to functions of onnxscript.

    Raises
    ------
    ParameterError
        When the module computes what ONNX has not.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = some if isinstance(some, tuple) else (some,)
        try:
            made = torch.onnx.export(
                module, given, input_names=inputs, output_names=outputs, dynamo=True,
                dynamic_shapes=tuple(dict(dynamic) for _ in given), opset_version=OPSET,
                verbose=False,
                custom_translation_table=dict(translations or {}),
            )  # fmt: skip
        except torch.onnx.OnnxExporterError as error:
            why = str(error.__cause__ or error).strip().splitlines()[0]
            raise ParameterError(f"the network cannot be exported to ONNX: {why}") from error
    cast(Any, made).save(path, external_data=False)


def dynamic() -> Any:
    """Return the mark of a dimension that may have any size."""
    return torch.export.Dim.DYNAMIC
