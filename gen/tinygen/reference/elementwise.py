# SPDX-License-Identifier: Apache-2.0
"""Look-up tables, residuals, pooling."""

from __future__ import annotations

import numpy as np

from tinygen.graph.ops import I8, I16, Add, Embed, Lut, MaxPool, MeanPool
from tinygen.graph.shapes import pool_output
from tinygen.reference.requant import clamp8, requantise


def lut(x: I8, table: I8) -> I8:
    return table[x.astype(np.int16) + 128]


def lookup(x: I8, op: Lut) -> I8:
    return lut(x, op.table)


def add(a: I8, b: I8 | I16, op: Add) -> I8:
    return clamp8((a.astype(np.int64) * op.ma + b.astype(np.int64) * op.mb + op.c) >> op.s)


def max_pool(x: I8, op: MaxPool) -> I8:
    """x [H, W, C] -> [OH * OW, C]."""
    top, left, bottom, right = op.pads
    padded = np.pad(x, ((top, bottom), (left, right), (0, 0)), constant_values=-128)
    oh, ow = pool_output(op, x.shape[0], x.shape[1])
    y = np.full((oh, ow, x.shape[2]), -128, np.int8)
    for i, j in np.ndindex(op.kernel):
        seen = padded[i :: op.stride[0], j :: op.stride[1]]
        y = np.maximum(y, seen[:oh, :ow])
    return y.reshape(-1, x.shape[2])


def embed(x: I8, op: Embed) -> I8:
    rows: I8 = op.table[np.minimum(x.astype(np.int16) + 128, len(op.table) - 1)]
    return rows


def mean_pool(x: I8, op: MeanPool) -> I8:
    return requantise(x.astype(np.int64).sum(axis=0, keepdims=True) + op.bias, op.requant)
