# SPDX-License-Identifier: Apache-2.0
"""Layer normalisation."""

from __future__ import annotations

import math

import numpy as np

from tinygen.graph.ops import I8, LayerNorm
from tinygen.reference.requant import I64, clamp8, inverse_sqrt


def layer_norm(x: I8, op: LayerNorm) -> I8:
    """x [S, E] int8; see `LayerNorm` for the steps."""
    y = np.empty_like(x)
    normal = _in_whole_steps if op.whole else _normal
    for i, row in enumerate(x.astype(np.int64)):
        n, r, k = normal(row, op)
        t = (n * r + (1 << (k - 1))) >> k
        if op.step:
            t = np.clip(t, -(1 << 15), (1 << 15) - 1)
        y[i] = clamp8((t * op.gamma.astype(np.int64) + op.beta) >> op.s)
    return y


def _normal(row: I64, op: LayerNorm) -> tuple[I64, int, int]:
    """n, r, k of `LayerNorm`."""
    features, total = len(row), int(row.sum())
    d = features * int((row * row).sum()) - total * total
    if op.step:
        d = (min(op.most, (256 * d + op.step // 2) // op.step) * op.step) >> 8
    r, e = inverse_sqrt(d + op.eps_term)
    return features * row - total, r, 31 + e - op.frac


def _in_whole_steps(row: I64, op: LayerNorm) -> tuple[I64, int, int]:
    row = row - op.x_zp
    total = int(row.sum())
    mean = abs(total) // len(row) * (-1 if total < 0 else 1)
    n = row - mean
    v = math.isqrt(int((n * n).sum()) // len(row) + op.eps_term)
    bits = v.bit_length()
    return n, min(65535, (1 << (15 + bits)) // v), 15 + bits - op.frac
