# SPDX-License-Identifier: Apache-2.0
"""Multi-head self-attention, head by head, with the S x S map in plain sight.

No schedule of the planner may give other bits than this.
"""

from __future__ import annotations

import numpy as np

from tinygen.numeric import I8, I32, I64, U16, Requant
from tinygen.numeric.matmul import exact_matmul
from tinygen.numeric.requant import clamp8, level_factor, requantise, row_reciprocal
from tinygen.operators.attention.parameters import Parameters


def scores(q: I8, k: I8, op: Parameters) -> I8:
    """q, k [S, P] of one head -> int8 [S, S]."""
    acc = exact_matmul(q.astype(np.int64) - op.rq.zp, (k.astype(np.int64) - op.rk.zp).T)
    return requantise(acc, op.score)


def weights(score: I8, exp_table: U16) -> I64:
    """int8 scores [S, S] -> unnormalised weights; each row's maximum is full scale."""
    wide = score.astype(np.int64)
    e: I64 = exp_table[wide.max(axis=1, keepdims=True) - wide].astype(np.int64)
    return e


def context(e: I64, v: I8, op: Parameters) -> I8:
    """weights [S, S], v [S, P] -> int8 [S, P], normalised by one reciprocal a row."""
    total = e.sum(axis=1)
    if op.levels:
        e, total = rounded_down(e, total, op)
    r = row_reciprocal(total, op.context)[:, None]
    acc = exact_matmul(e, v)
    return clamp8((acc * r + (op.context.offset << 32)) >> op.context.s)


def rounded_down(e: I64, total: I64, op: Parameters) -> tuple[I64, I64]:
    """Weights [S, S] and their sums [S] -> those of `Attention.levels`."""
    factor, shift = level_factor(total, op.levels)
    levels = (e * factor[:, None]) >> shift[:, None]
    return levels << op.levels_up, np.full_like(total, op.levels << op.levels_up)


def attention(x: I8, op: Parameters) -> I8:
    """x [S, E] -> y [S, N]; see `Attention`."""

    return requantise(exact_matmul(contexts(x, op), op.wo.T) + op.bo, op.ro)


def contexts(x: I8, op: Parameters) -> I8:
    """x [S, E] -> the context of all heads [S, H*P], what the output projection reads."""

    def project(w: I8, b: I32, r: Requant) -> I8:
        if not len(w):  # fused weights: x itself, the same for every head
            return np.broadcast_to(x, (op.heads, *x.shape))
        flat = requantise(exact_matmul(x, w.T) + b, r)
        return flat.reshape(len(x), op.heads, -1).swapaxes(0, 1)  # [H, S, P]

    q, k, v = (
        project(w, b, r)
        for w, b, r in ((op.wq, op.bq, op.rq), (op.wk, op.bk, op.rk), (op.wv, op.bv, op.rv))
    )
    heads = [
        context(weights(scores(q[h], k[h], op), op.exp_table), v[h], op) for h in range(op.heads)
    ]
    return np.concatenate(heads, axis=1)
