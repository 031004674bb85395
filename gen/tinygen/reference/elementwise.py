# SPDX-License-Identifier: Apache-2.0
"""Look-up tables, residuals, pooling."""

from __future__ import annotations

import numpy as np

from tinygen.graph.ops import I8, Add, Lut, MeanPool
from tinygen.reference.requant import clamp8, requantise


def lut(x: I8, table: I8) -> I8:
    return table[x.astype(np.int16) + 128]


def lookup(x: I8, op: Lut) -> I8:
    return lut(x, op.table)


def add(a: I8, b: I8, op: Add) -> I8:
    return clamp8((a.astype(np.int64) * op.ma + b.astype(np.int64) * op.mb + op.c) >> op.s)


def mean_pool(x: I8, op: MeanPool) -> I8:
    return requantise(x.astype(np.int64).sum(axis=0, keepdims=True) + op.bias, op.requant)
