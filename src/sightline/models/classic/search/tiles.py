"""Sum over the bytes of many pairs of rows by the processor's own instructions.

General libraries widen each pixel to a float first. Processors have instructions that take bytes
as they are: ``psadbw`` adds absolute differences, ``vpdpbusd`` (VNNI) adds products, and without
it ``pmaddubsw`` adds products of at most six bits. LLVM's vectoriser finds few of them, with one
load of each operand an instruction; here a tile of pairs is summed side by side, which takes fewer
loads than sums.

`features` says what the compiled code may use, so that holding Numba to an older processor
(``NUMBA_CPU_NAME``, ``NUMBA_CPU_FEATURES``) holds this file to it too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numpy.typing import NDArray

from sightline.models.classic.search.kernels import compiled, over_rows

COARSE_BITS = 2
"""Lowest bits of a byte that the sums of coarse products leave away."""

_WIDE = 4  # training rows of a tile
_HELD = 3 * 2**16  # bytes of queries that stay in the second-level cache
_FITTING = 8  # products of 6 x 6 bits, two and two, that int16 holds the sum of


class Instruction(NamedTuple):
    """An instruction on vectors of bytes: what LLVM calls it, and what it needs."""

    width: int
    needs: frozenset[str]
    name: str


def _known(*rows: tuple[int, str, str]) -> list[Instruction]:
    return [Instruction(width, frozenset(needs.split()), name) for width, needs, name in rows]


_ABSOLUTE = _known(
    (64, "avx512bw", "llvm.x86.avx512.psad.bw.512"),
    (32, "avx2", "llvm.x86.avx2.psad.bw"),
    (16, "sse2", "llvm.x86.sse2.psad.bw"),
)
_EXACT = _known(
    (64, "avx512vnni avx512bw", "llvm.x86.avx512.vpdpbusd.512"),
    (32, "avx512vnni avx512vl", "llvm.x86.avx512.vpdpbusd.256"),
    (32, "avxvnni avx2", "llvm.x86.avx512.vpdpbusd.256"),
)
_COARSE = _known(
    (64, "avx512bw", "llvm.x86.avx512.pmaddubs.w.512"),
    (32, "avx2", "llvm.x86.avx2.pmadd.ub.sw"),
    (16, "ssse3", "llvm.x86.ssse3.pmadd.ub.sw.128"),
)
_WIDENING = {
    64: "llvm.x86.avx512.pmaddw.d.512",
    32: "llvm.x86.avx2.pmadd.wd",
    16: "llvm.x86.sse2.pmadd.wd",
}


@functools.cache
def features() -> frozenset[str]:
    """Return the instruction sets that Numba compiles for, by LLVM's names; see the module."""
    triple, _, flags = cpu_target.target_context.codegen().magic_tuple()
    base = {"sse2"} if triple.startswith("x86_64") else set()
    return frozenset(base | {flag[1:] for flag in flags.split(",") if flag.startswith("+")})


def _best(known: list[Instruction]) -> Instruction | None:
    return next((one for one in known if one.needs <= features()), None)


def absolute() -> Instruction | None:
    """Return the instruction that sums absolute differences; None where there is none."""
    return _best(_ABSOLUTE)


def exact_products() -> Instruction | None:
    """Return the instruction that sums products of bytes exactly; None where there is none."""
    return _best(_EXACT)


def coarse_products() -> Instruction | None:
    """Return the instruction that sums products of six bits; None where there is none."""
    return _best(_COARSE)


class Sums:
    """Sums over the bytes of some queries, shape (m, d), and of training rows, for all pairs.

    Parameters
    ----------
    Q : int8 or uint8 array, shape (m, d)
        d is at most 2**13.
    instruction : Instruction
    coarse : bool
        Take the six highest bits of the training rows.
    q_shift : int32 array, shape (m,)
        Added to each query's sums.
    eighths : int
        So many eighths of the sum of a training row are added too, rounded down.
    """

    def __init__(
        self, Q: NDArray[Any], instruction: Instruction | None, coarse: bool = False,
        q_shift: NDArray[np.int32] | None = None, eighths: int = 0,
    ) -> None:  # fmt: skip
        assert instruction
        self.coarse, self.eighths, self.tall = coarse, eighths, _tall(instruction.width)
        m = -(-len(Q) // self.tall) * self.tall
        self.queries = _aligned(m, -(-Q.shape[1] // instruction.width) * instruction.width, Q.dtype)
        self.queries[: len(Q), : Q.shape[1]] = Q
        self.shift = np.zeros(m, np.int32)
        if q_shift is not None:
            self.shift[: len(Q)] = q_shift
        self.room = np.empty(0, np.int32)

    def __call__(self, X: NDArray[np.uint8]) -> NDArray[np.int32]:
        """Return the sums for training rows X, (c, d), until the next call.

        Returns
        -------
        int32 array, shape (at least m, at least c)
            Of the first m rows and c columns; the others mean nothing.
        """
        shape = len(self.queries), -(-len(X) // _WIDE) * _WIDE
        if self.room.size < shape[0] * shape[1]:
            self.room = np.empty(shape[0] * shape[1], np.int32)
        out = self.room[: shape[0] * shape[1]].reshape(shape)
        over_rows(
            _fill, shape[1] // _WIDE,
            self.queries, X, self.coarse, self.shift, self.eighths, self.tall, out,
        )  # fmt: skip
        return out


def absolute_sums(Q: NDArray[np.uint8]) -> Sums:
    """Return sums of ``|Q[i, t] - X[j, t]|`` over t: exact, nothing wraps."""
    return Sums(Q, absolute())


def products(Q: NDArray[np.uint8]) -> Sums:
    """Return sums of ``Q[i, t] X[j, t]`` over t: exact, where VNNI is.

    Computed is ``(Q - 128) X``, as one factor has a sign, and ``128 X`` is added.
    """
    return Sums((Q ^ 128).view(np.int8), exact_products(), eighths=128 * 8)


def six_bit_products(Q: NDArray[np.uint8], q_shift: NDArray[np.int32], eighths: int) -> Sums:
    """Return sums of ``(Q[i, t] >> 2) (X[j, t] >> 2)`` over t, with what is added; see `Sums`."""
    signed = ((Q >> COARSE_BITS) - np.uint8(32)).view(np.int8)
    return Sums(signed, coarse_products(), True, q_shift, 32 * 8 + eighths)


def _tall(width: int) -> int:
    """Return the queries of a tile: as many as leave its sums in registers."""
    return 4 if width == 64 else 2


def _aligned(rows: int, columns: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return zeros where rows of whole vectors cross no line of the cache."""
    room = np.zeros(rows * columns + 64, np.uint8)
    first = -room.ctypes.data % 64
    return room[first : first + rows * columns].view(dtype).reshape(rows, columns)


@compiled
def _pack(source: Any, row: Any, coarse: bool) -> Any:
    """Copy a row, or its six highest bits; return their sum. A shift by a constant is fast."""
    if coarse:
        for t in range(row.shape[0]):
            row[t] = source[t] >> COARSE_BITS
    else:
        for t in range(row.shape[0]):
            row[t] = source[t]
    total = np.int32(0)
    for t in range(row.shape[0]):
        total = np.int32(total + np.int32(row[t]))
    return total


@compiled
def _fill(
    Q: Any, X: Any, coarse: bool, q_shift: Any, eighths: int, tall: int, out: Any,
    start: int, stop: int,
) -> None:  # fmt: skip
    """Fill ``out`` for the tiles of training rows ``start`` to ``stop``."""
    x_shift = np.zeros(_WIDE, np.int32)
    length, m = Q.shape[1], Q.shape[0]
    room = np.zeros(_WIDE * length + 64, np.uint8)
    rows = room[-room.ctypes.data % 64 :]
    q, x, sums = Q.ctypes.data, rows.ctypes.data, out.ctypes.data
    held = max(tall, _HELD // length // tall * tall)
    for first in range(0, m, held):
        last = min(m, first + held)
        for j in range(_WIDE * start, _WIDE * stop, _WIDE):
            for b in range(min(_WIDE, X.shape[0] - j)):
                row = rows[b * length : b * length + X.shape[1]]
                x_shift[b] = eighths * _pack(X[j + b], row, coarse) >> 3
            for i in range(first, last, tall):
                _tile(  # type: ignore[call-arg]
                    Q, q + i * length, x, length, q_shift.ctypes.data + 4 * i,
                    x_shift.ctypes.data, sums + 4 * (i * out.shape[1] + j), 4 * out.shape[1],
                )  # fmt: skip


@intrinsic  # type: ignore[untyped-decorator,unused-ignore]
def _tile(context, Q, q, x, length, q_shift, x_shift, out, stride):  # type: ignore[no-untyped-def]
    """Sum a tile of pairs into ``out``; all but Q are addresses and numbers of bytes.

    The type of Q says what is summed: absolute differences of uint8, products of int8.
    """
    products = exact_products() or coarse_products()
    instruction = absolute() if Q.dtype == types.uint8 else products
    assert instruction
    signature = types.void(Q, *[types.intp] * 7)
    return signature, lambda _, builder, __, arguments: _emit(builder, instruction, arguments[1:])


def _emit(builder: Any, instruction: Instruction, arguments: Any) -> Any:
    q, x, length, q_shift, x_shift, out, stride = arguments
    width, tall = instruction.width, _tall(instruction.width)
    word, number = ir.IntType(64), ir.IntType(32)
    many = ir.VectorType(ir.IntType(8), width)
    lanes = ir.VectorType(number, width // 4)
    halves = ir.VectorType(ir.IntType(16), width // 2)
    four = ir.VectorType(number, _WIDE)

    def constant(value: int) -> Any:
        return ir.Constant(word, value)

    def pointer(base: Any, place: Any, kind: Any) -> Any:
        return builder.inttoptr(builder.add(base, place), kind.as_pointer())

    def load(base: Any, place: Any, kind: Any, align: int) -> Any:
        value = builder.load(pointer(base, place, kind))
        value.align = align
        return value

    def call(name: str, result: Any, *values: Any) -> Any:
        kind = ir.FunctionType(result, [value.type for value in values])
        return builder.call(builder.module.declare_intrinsic(name, (), kind), values)

    def add(total: Any, u: Any, v: Any) -> Any:
        """Add what a vector of a query and one of a training row give, lane by lane."""
        if "vpdpbusd" in instruction.name:
            u, v = builder.bitcast(u, lanes), builder.bitcast(v, lanes)
            return call(instruction.name, lanes, total, v, u)
        if "psad" in instruction.name:
            sums = call(instruction.name, ir.VectorType(word, width // 8), u, v)
            return builder.add(total, builder.bitcast(sums, lanes))
        return builder.add(total, call(instruction.name, halves, v, u))

    def step(t: Any, totals: list[Any]) -> list[Any]:
        def at(base: Any, row: int) -> Any:
            return load(base, builder.add(t, builder.mul(length, constant(row))), many, width)

        rows = [at(x, b) for b in range(_WIDE)]
        queries = [at(q, a) for a in range(tall)]
        pairs = [(u, v) for u in queries for v in rows]
        return [add(total, *pair) for total, pair in zip(totals, pairs, strict=True)]

    def group(t: Any, totals: list[Any]) -> list[Any]:
        """Add as many products as 16 bits hold, then widen their sums."""
        most = builder.add(t, constant(_FITTING * width))
        end = builder.select(builder.icmp_signed("<", most, length), most, length)
        zeros = [ir.Constant(halves, None)] * len(totals)
        parts = _loop(builder, t, end, width, zeros, step)
        ones = ir.Constant(halves, [1] * (width // 2))
        wide = [call(_WIDENING[width], lanes, part, ones) for part in parts]
        return [builder.add(total, value) for total, value in zip(totals, wide, strict=True)]

    zeros = [ir.Constant(lanes, None)] * (tall * _WIDE)
    if "pmadd" in instruction.name:
        totals = _loop(builder, constant(0), length, _FITTING * width, zeros, group)
    else:
        totals = _loop(builder, constant(0), length, width, zeros, step)
    sums = _add_lanes(builder, totals)
    more = load(x_shift, constant(0), four, 4)
    for a in range(tall):
        vector, place = divmod(a * _WIDE, width // 4)
        mask = ir.Constant(four, list(range(place, place + _WIDE)))
        part = builder.shuffle_vector(sums[vector], sums[vector], mask)
        one = load(q_shift, constant(4 * a), number, 4)
        alone = builder.insert_element(ir.Constant(four, ir.Undefined), one, constant(0))
        spread = builder.shuffle_vector(alone, alone, ir.Constant(four, [0] * _WIDE))
        total = builder.add(part, builder.add(more, spread))
        builder.store(total, pointer(out, builder.mul(stride, constant(a)), four), align=4)
    return ir.Constant(ir.IntType(8).as_pointer(), None)


def _loop(
    builder: Any, first: Any, end: Any, step: int, values: list[Any],
    body: Callable[[Any, list[Any]], list[Any]],
) -> list[Any]:  # fmt: skip
    """Return what values end as that a loop, run at least once, carries along."""
    before = builder.block
    inside, after = (builder.append_basic_block(name) for name in ("again", "done"))
    builder.branch(inside)
    builder.position_at_end(inside)
    t = builder.phi(first.type)
    carried = [builder.phi(value.type) for value in values]
    results = body(t, carried)
    following = builder.add(t, ir.Constant(t.type, step))
    for phi, value, result in zip([t, *carried], [first, *values], [following, *results],
                                  strict=True):  # fmt: skip
        phi.add_incoming(value, before)
        phi.add_incoming(result, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, end), inside, after)
    builder.position_at_end(after)
    return results


def _add_lanes(builder: Any, totals: list[Any]) -> list[Any]:
    """Add up the lanes of each vector: the sums in order, as many a vector as it has lanes."""
    lanes = totals[0].type.count
    kind = ir.VectorType(ir.IntType(32), lanes)
    run = 1
    for _ in range(lanes.bit_length() - 1):
        masks = [ir.Constant(kind, _halves(lanes, run, side)) for side in (0, 1)]
        totals = [
            builder.add(*(builder.shuffle_vector(u, v, mask) for mask in masks))
            for u, v in zip(totals[::2], totals[1::2], strict=True)
        ]
        run = min(2 * run, 4)
    return totals


def _halves(lanes: int, run: int, side: int) -> list[int]:
    """Return which lanes of two vectors to take, so that both sides together are all of them.

    Runs of 1 or 2 lanes come from one half of each 128 bits, a run of either vector in turns
    (``punpckl`` and ``punpckh``); of runs of 4 every second one of the first, then of the second.
    """
    if run == 4:
        return [lane for lane in range(2 * lanes) if lane // 4 % 2 == side]
    starts = [start + 2 * side for start in range(0, lanes, 4)]
    units = [unit for start in starts for unit in range(start, start + 2, run)]
    return [source + unit + k for unit in units for source in (0, lanes) for k in range(run)]
