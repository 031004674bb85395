# SPDX-License-Identifier: Apache-2.0
"""General operators: what they compute, bit for bit. Activations int8; `Strided` reads operands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinygen.general.view import Strided
from tinygen.graph.ops import I8, I32, U8, U16, Requant, RowScale
from tinygen.reference.matmul import exact_matmul
from tinygen.reference.requant import clamp8, requantise, row_reciprocal


def read(x: NDArray[np.int8], view: Strided) -> NDArray[np.int64]:
    """x through a view, in 64 bits."""
    return x.reshape(-1)[view.index].astype(np.int64)


@dataclass(frozen=True, eq=False)
class General:
    """out: shape of the result."""

    out: tuple[int, ...]

    def shape(self, inputs: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        return self.out

    def reference(self, inputs: Sequence[I8]) -> I8:
        return self.compute(inputs).reshape(self.out)

    def compute(self, inputs: Sequence[I8]) -> I8:
        """The result in whatever shape its loops have."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class BatchMatMul(General):
    """Product of two activations: ``requant(sum_k (a - a_zp) (b - b_zp))``, one multiplier.

    a: view [B1, B2, M, K] of the first input.  b: view [B1, B2, K, N] of the second.  Result
    [B1 * B2, M, N]. K <= 33025, so that sums stay within int32.
    """

    a: Strided
    b: Strided
    a_zp: int
    b_zp: int
    requant: Requant

    def compute(self, inputs: Sequence[I8]) -> I8:
        a, b = read(inputs[0], self.a) - self.a_zp, read(inputs[1], self.b) - self.b_zp
        products = [exact_matmul(p, q) for p, q in zip(_batches(a), _batches(b), strict=True)]
        return requantise(np.stack(products), self.requant)


def _batches(x: NDArray[np.int64]) -> NDArray[np.int64]:
    return x.reshape(-1, *x.shape[2:])


@dataclass(frozen=True, eq=False)
class Softmax(General):
    """Softmax by itself: x [outer, length, inner], along the middle.

    Weights e = ``exp_table[max - x]``, L their sum; y = ``row_scale(e)``: see `RowScale`. mask: uint8
    [R, length], R a divisor of the rows, for inner = 1: element t of row r counts where
    ``mask[r % R, t]``; where not, e = 0. None: all count.
    """

    outer: int
    length: int
    inner: int
    exp_table: U16
    scale: RowScale
    mask: U8 | None = None

    def compute(self, inputs: Sequence[I8]) -> I8:
        x = inputs[0].reshape(self.outer, self.length, self.inner).astype(np.int64)
        seen = np.ones(x.shape, bool)
        if self.mask is not None:
            seen = np.resize(self.mask != 0, x.shape[:2])[:, :, None]
        seen = np.broadcast_to(seen, x.shape)
        top = np.where(seen, x, -128).max(axis=1, keepdims=True)
        e = np.where(seen, self.exp_table[np.clip(top - x, 0, 255)].astype(np.int64), 0)
        r = row_reciprocal(e.sum(axis=1), self.scale)[:, None, :]
        y = clamp8((e * r + (self.scale.offset << 32)) >> self.scale.s)
        return y.reshape(inputs[0].shape)


@dataclass(frozen=True, eq=False)
class Pairs(General):
    """Two activations, element by element. a, b: views of the inputs in the result's shape."""

    a: Strided
    b: Strided

    def operands(self, inputs: Sequence[I8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return read(inputs[0], self.a), read(inputs[-1], self.b)


@dataclass(frozen=True, eq=False)
class Mul(Pairs):
    """``requant((a - a_zp) (b - b_zp))``, one multiplier."""

    a_zp: int
    b_zp: int
    requant: Requant

    def compute(self, inputs: Sequence[I8]) -> I8:
        a, b = self.operands(inputs)
        return requantise((a - self.a_zp) * (b - self.b_zp), self.requant)


@dataclass(frozen=True, eq=False)
class Sum(Pairs):
    """``clamp((a ma + b mb + c) >> s)``: a sum or, with a negative mb, a difference.

    |ma|, |mb| < 2^21.  s: 1..22.  c holds the zero points and 2^(s-1); all sums within int32.
    """

    ma: int
    mb: int
    c: int
    s: int

    def compute(self, inputs: Sequence[I8]) -> I8:
        a, b = self.operands(inputs)
        return clamp8((a * self.ma + b * self.mb + self.c) >> self.s)


@dataclass(frozen=True, eq=False)
class Div(Pairs):
    """``clamp(zp + ((a - a_zp) reciprocals[b + 128] + 2^(s-1) >> s))``.

    reciprocals: int32 [256], |.| < 2^22: 2^s sa / (sy sb (b - b_zp)).  s: 1..22.  b = b_zp, a
    division by zero, takes the largest reciprocal: the quotient saturates with the sign of a.
    """

    a_zp: int
    reciprocals: I32
    s: int
    zp: int

    def compute(self, inputs: Sequence[I8]) -> I8:
        a, b = self.operands(inputs)
        product = (a - self.a_zp) * self.reciprocals[b + 128].astype(np.int64)
        return clamp8(self.zp + ((product + (1 << (self.s - 1))) >> self.s))


@dataclass(frozen=True, eq=False)
class Extreme(Pairs):
    """``max(a_table[a + 128], b_table[b + 128])``, or min: both on the result's grid first, which
    changes nothing because rounding keeps the order. tables: int8 [256]."""

    a_table: I8
    b_table: I8
    least: bool

    def compute(self, inputs: Sequence[I8]) -> I8:
        a, b = self.operands(inputs)
        return (np.minimum if self.least else np.maximum)(self.a_table[a + 128], self.b_table[b + 128])


@dataclass(frozen=True, eq=False)
class Move(General):
    """x in another order: the view's elements."""

    view: Strided

    def compute(self, inputs: Sequence[I8]) -> I8:
        return inputs[0].reshape(-1)[self.view.index]


@dataclass(frozen=True, eq=False)
class GatherRuns(General):
    """Runs of `run` elements from anywhere: run i is x[index[i]: index[i] + run], counted flat, or
    `fill` where index[i] is negative. index: int32 [runs]."""

    index: I32
    run: int
    fill: int = 0

    def compute(self, inputs: Sequence[I8]) -> I8:
        flat = inputs[0].reshape(-1)
        where = self.index[:, None] + np.arange(self.run)
        runs = np.where(self.index[:, None] < 0, self.fill, flat[np.maximum(where, 0)])
        return runs.astype(np.int8).reshape(-1)


@dataclass(frozen=True, eq=False)
class Concat(General):
    """Inputs [outer, run_i] side by side: y [outer, sum of runs]. All on the result's grid."""

    outer: int
    runs: tuple[int, ...]

    def compute(self, inputs: Sequence[I8]) -> I8:
        parts = [x.reshape(self.outer, run) for x, run in zip(inputs, self.runs, strict=True)]
        return np.concatenate(parts, axis=1)


def reciprocals(sa: float, sb: float, b_zp: int, sy: float) -> tuple[I32, int]:
    """The table of `Div` and its shift."""
    steps = np.arange(-128, 128) - b_zp
    largest = (1 << 22) - 1
    with np.errstate(divide="ignore"):
        exact = sa / (sy * sb * steps.astype(float))
    top = float(np.abs(exact[steps != 0]).max())
    s = max(1, min(22, math.floor(math.log2(largest / top)))) if top > 0 else 22
    table = np.clip(np.rint(np.where(steps == 0, np.inf, exact) * 2.0**s), -largest, largest)
    return table.astype(np.int32), s


@dataclass(frozen=True, eq=False)
class Weighted(General):
    """Softmax and the product that reads it, in one: scores [B, M, T] -> [B, M, N].

    Weights e of each row as in `Softmax`, but unnormalised with their 15 bits; y = ``row_scale(sum_t
    e_t (v_t - v_zp))``. b: view [B1, B2, T, N] of the values, B1 B2 = B. mask: uint8 [R, T] or None.
    """

    b: Strided
    b_zp: int
    exp_table: U16
    scale: RowScale
    mask: U8 | None = None

    def compute(self, inputs: Sequence[I8]) -> I8:
        v = _batches(read(inputs[1], self.b) - self.b_zp)
        x = inputs[0].reshape(len(v), -1, v.shape[1]).astype(np.int64)
        seen = np.ones(x.shape, bool)
        if self.mask is not None:
            seen = np.resize(self.mask != 0, (x.shape[0] * x.shape[1], x.shape[2])).reshape(x.shape)
        top = np.where(seen, x, -128).max(axis=2, keepdims=True)
        e = np.where(seen, self.exp_table[np.clip(top - x, 0, 255)].astype(np.int64), 0)
        r = row_reciprocal(e.sum(axis=2), self.scale)[:, :, None]
        acc = np.stack([exact_matmul(p, q) for p, q in zip(e, v, strict=True)])
        return clamp8((acc * r + (self.scale.offset << 32)) >> self.scale.s)
