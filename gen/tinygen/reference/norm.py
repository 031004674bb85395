# SPDX-License-Identifier: Apache-2.0
"""Layer normalisation."""

from __future__ import annotations

import numpy as np

from tinygen.graph.ops import I8, LayerNorm
from tinygen.reference.requant import clamp8, inverse_sqrt


def layer_norm(x: I8, op: LayerNorm) -> I8:
    """x [S, E] int8; see `LayerNorm` for the steps."""
    rows = x.astype(np.int64)
    features = rows.shape[1]
    y = np.empty_like(x)
    for i, row in enumerate(rows):
        total = int(row.sum())
        n = features * row - total
        d = features * int((row * row).sum()) - total * total + op.eps_term
        r, e = inverse_sqrt(d)
        k = 31 + e - op.frac
        t = (n * r + (1 << (k - 1))) >> k
        y[i] = clamp8((t * op.gamma.astype(np.int64) + op.beta) >> op.s)
    return y
