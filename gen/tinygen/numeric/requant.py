# SPDX-License-Identifier: Apache-2.0
"""From accumulators to int8: the scalar arithmetic that every operator shares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.numeric.types import I32, I64


@dataclass(frozen=True, eq=False)
class Requant:
    """int32 accumulator -> int8: ``clamp(zp + ((acc * m + 2^(s-1)) >> s))``, the product exact.

    m: int32 [1] (per tensor) or [N] (per output channel), 0 <= m < 2^31.  s: 1..32.
    """

    m: I32
    s: int
    zp: int


@dataclass(frozen=True, eq=False)
class RowScale:
    """Context requantisation with one reciprocal a row (softmax's normalisation folded in).

    For a row with weight sum L (uint32): ``z = clz32(L); q = (2^32 - 1) // ((L << z) >> 15)``;
    ``r = (q * mult) >> (47 - z + frac - s)``; ``y = clamp((acc * r + 2^32 * offset) >> s)``.

    mult: 2^14 <= mult < 2^15, scale_v / scale_context = mult * 2^-frac.  s: 33..40, chosen so that
    the shift is never negative.  offset: zero point and rounding with s - 32 fractional bits; V's
    zero point is in it, which is why an integer zero point would not do.  |offset| < 2^30.
    """

    mult: int
    frac: int
    s: int
    offset: int


def clamp8(x: NDArray[Any]) -> NDArray[np.int8]:
    return np.clip(x, -128, 127).astype(np.int8)


def requantise(acc: NDArray[Any], r: Requant) -> NDArray[np.int8]:
    """int32 acc [..., N] -> int8; see `Requant`."""
    product = acc.astype(np.int64) * r.m.astype(np.int64)
    return clamp8(r.zp + ((product + (1 << (r.s - 1))) >> r.s))


def row_reciprocal(total: NDArray[Any], r: RowScale) -> I64:
    """Weight sums L (1 <= L < 2^32) -> the row's multiplier; see `RowScale`."""
    q, z = reciprocal(total)
    out: I64 = (q * r.mult) >> (47 - z + r.frac - r.s)
    return out


def level_factor(total: NDArray[Any], levels: int) -> tuple[I64, I64]:
    """Weight sums L -> (f, shift) for whole levels: e f >> shift; see `Attention`."""
    q, z = reciprocal(total)
    return (q * levels >> 8) + 1, 39 - z


def reciprocal(total: NDArray[Any]) -> tuple[I64, I64]:
    """Weight sums L -> (q, z): (2^32 - 1) / L with 16 bits, and the zeros before L's first bit."""
    total = total.astype(np.int64)
    z: I64 = 32 - np.vectorize(int.bit_length, otypes=[np.int64])(total)
    return ((1 << 32) - 1) // ((total << z) >> 15), z


def inverse_sqrt(d_full: int) -> tuple[int, int]:
    """D >= 1 -> (r, e): 1 / sqrt(D) = r * 2^(-31-e), r of 16 bits; see `LayerNorm`."""
    e = (d_full.bit_length() + 1) // 2 - 16
    d = d_full >> (2 * e) if e >= 0 else d_full << (-2 * e)
    return min(65535, math.isqrt((1 << 62) // d)), e


def on_grid(x: NDArray[Any], scale: float, zp: int) -> NDArray[np.float32]:
    """Real numbers rounded onto an int8 grid and back."""
    step = np.float32(scale)
    q = np.clip(np.rint(x / step) + zp, -128, 127)
    real: NDArray[np.float32] = (q - zp).astype(np.float32) * step
    return real
