"""Name the device that a method computes on: one knob for all of them."""

from __future__ import annotations

import functools
import os
import re
import sys
from pathlib import Path

from sightline.errors import ParameterError

_KNOWN = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_FILES = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


def check(device: str) -> str:
    """Return a device as it was given, if it can be one: auto, cpu, cuda, cuda:N or mps.

    Raises
    ------
    ParameterError
        When it is none; it is not asked whether the machine has it.
    """
    if not isinstance(device, str) or not _KNOWN.fullmatch(device):
        meant = " (a graphics processor is cuda, or mps on a Mac)" if device == "gpu" else ""
        raise ParameterError(
            f"device={device} is none of auto, cpu, cuda, cuda:1 (the second one) and mps{meant}"
        )
    return device


def parts(device: str) -> tuple[str, int | None]:
    """Return kind and number of a device: ``("cuda", 1)`` of cuda:1, else no number.

    Raises
    ------
    ParameterError
        When it is no device.
    """
    kind, _, number = check(device).partition(":")
    return kind, int(number) if number else None


def present(device: str) -> str:
    """Return the device to compute on as torch names it; auto takes a graphics processor if any.

    Raises
    ------
    ParameterError
        When the machine does not have it.
    """
    kind, number = parts(device)
    if kind == "cpu" or (kind == "auto" and not may_have_graphics()):
        return "cpu"  # known without torch, whose import takes seconds
    import torch

    if kind in ("auto", "cuda") and torch.cuda.is_available():
        if number is not None and number >= torch.cuda.device_count():
            raise ParameterError(
                f"device={device} is not there: the machine has {torch.cuda.device_count()} CUDA "
                "devices, counted from 0"
            )
        return device if kind == "cuda" else "cuda"
    if kind in ("auto", "mps") and torch.backends.mps.is_available():
        return "mps"
    if kind == "auto":
        return "cpu"
    raise ParameterError(f"device={device} is not available here; use device=cpu or device=auto")


@functools.cache
def multiplies_bfloat16() -> bool:
    """Tell whether the processor has instructions for products of bfloat16 (AVX-512 BF16, AMX).

    They take half the time of float32's; elsewhere bfloat16 is emulated, and slower.
    """
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    flags = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return flags is not None and bool({"avx512_bf16", "amx_bf16"} & set(flags[1].split()))


def may_have_graphics() -> bool:
    """Tell whether a graphics processor may be there, by the system's own files: without torch."""
    if sys.platform == "darwin":
        return os.uname().machine == "arm64"
    return sys.platform == "win32" or any(Path(file).exists() for file in _FILES)
