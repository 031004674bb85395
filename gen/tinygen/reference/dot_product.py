# SPDX-License-Identifier: Apache-2.0
"""Attention on queries, keys and values that other layers made, with a mask or coarse weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygen.graph.ops import I8, DotProductAttention, WeightSteps
from tinygen.reference.matmul import exact_matmul
from tinygen.reference.requant import I64, clamp8, reciprocal, requantise, row_reciprocal


def dot_product_attention(inputs: Sequence[I8], op: DotProductAttention) -> I8:
    """q [S, H*P], k and v [T, H*P] -> context [S, H*P]; see `DotProductAttention`."""
    parts = (np.split(a, op.heads, axis=1) for a in inputs)
    return np.concatenate([_head(q, k, v, op) for q, k, v in zip(*parts, strict=True)], axis=1)


def _head(q: I8, k: I8, v: I8, op: DotProductAttention) -> I8:
    acc = exact_matmul(q.astype(np.int64) - op.q_zp, (k.astype(np.int64) - op.k_zp).T)
    score = requantise(acc, op.score).astype(np.int64)
    mask = np.ones((1, len(k)), np.uint8) if op.mask is None else op.mask
    seen = np.broadcast_to(mask != 0, score.shape)
    top = np.where(seen, score, -128).max(axis=1, keepdims=True)
    e = np.where(seen, op.exp_table[np.clip(top - score, 0, 255)].astype(np.int64), 0)
    total = e.sum(axis=1)
    if op.steps is not None:
        e, total = in_steps(e, total, op.steps)
    r = row_reciprocal(total, op.context)[:, None]
    acc = exact_matmul(e, v.astype(np.int64) - op.v_zp)
    return clamp8((acc * r + (op.context.offset << 32)) >> op.context.s)


def in_steps(e: I64, total: I64, to: WeightSteps) -> tuple[I64, I64]:
    """Weights [S, T] and their sums [S] -> those of `WeightSteps`."""
    q, z = reciprocal(total)
    f = (q * to.total + (1 << (to.up + 7))) >> (to.up + 8)
    shift = (39 - z)[:, None]
    n = np.minimum(to.most, (e * f[:, None] + (1 << (shift - 1))) >> shift)
    return n << to.up, np.full_like(total, to.total)
