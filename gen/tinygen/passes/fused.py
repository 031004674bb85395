# SPDX-License-Identifier: Apache-2.0
"""Fused weights: W_q W_k^T for the scores, W_v W_o for the value path, of each head.

In real numbers q k^T = (x W_q + b_q) (x W_k + b_k)^T = t x^T + a constant of the row, with
t = x W_q W_k^T + b_q W_k^T, and softmax cancels the constant. Likewise the mean of x_j W_v + b_v
under weights that sum to 1, times W_o, is the mean of x_j, times W_v W_o, + b_v W_o. So x itself
can be keys and values. On integers it is another layer: the products are made from the dequantised
weights and rounded again, one scale for each output channel of a head, and t, scores and contexts
get grids from the layer's inputs on samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.graph import Graph, Quant, verify
from tinygen.graph.ops import I8, I32, Attention, Fusion, Requant
from tinygen.passes.multipliers import F64, exp_table, projection, requant, row_scale
from tinygen.reference import run_all

REACH = 12.0
"""Scores so far below their row's maximum (in nats: a weight of 6e-6) may be clamped."""


def fuse(graph: Graph, forms: dict[str, Fusion], inputs: Sequence[I8]) -> Graph:
    """The graph with other weights in some attention layers.

    forms: attention node -> its form.  inputs: quantised samples of the graph's input, for scales.
    """
    places = {n.name: n.inputs[0] for n in graph.nodes if forms.get(n.name, "unfused") != "unfused"}
    seen: dict[str, list[I8]] = {name: [] for name in places}
    for sample in inputs:
        values = run_all(graph, sample)
        for name, x in places.items():
            seen[name].append(values[x])
    nodes = []
    for node in graph.nodes:
        if node.name in places:
            assert isinstance(node.op, Attention)
            x_grid, y_grid = (graph.values[v].quant for v in (node.inputs[0], node.output))
            assert x_grid is not None and y_grid is not None
            op = fuse_layer(node.op, x_grid, y_grid, seen[node.name], forms[node.name])
            node = replace(node, op=op)
        nodes.append(node)
    return verify(replace(graph, nodes=tuple(nodes)), integer=True)


def fuse_layer(op: Attention, x: Quant, y: Quant, rows: Sequence[I8], form: Fusion) -> Attention:
    """One layer. x, y: grids of its ends.  rows: int8 [S, E], its inputs on samples."""
    layer = _Real.of(op, x.zero_point)
    centred = [r.astype(np.float64) - x.zero_point for r in rows]
    if form in ("fused-scores", "fused"):
        op = _fuse_scores(op, layer, x, centred)
    if form in ("fused-values", "fused"):
        op = _fuse_values(op, layer, x, y, centred)
    return op


@dataclass(frozen=True, eq=False)
class _Real:
    """What the integers of a layer stand for, in units of one LSB of x (centred) and of y.

    t: [H, E, E] and t0: [H, E], so that x_i' t_h x_j + t0_h x_j + row constant are the scores in
    nats.  vo: [H, N, E] and y0: [N], so that sum_h vo_h (weighted mean of x) + y0 is y, centred.
    """

    t: F64
    t0: F64
    vo: F64
    y0: F64

    @staticmethod
    def of(op: Attention, x_zp: int) -> _Real:
        q, q0 = _matrix(op.wq, op.bq, op.rq, x_zp)
        k, _ = _matrix(op.wk, op.bk, op.rk, x_zp)
        v, v0 = _matrix(op.wv, op.bv, op.rv, x_zp)
        o, o0 = _matrix(op.wo, op.bo, op.ro, 0)
        h, e = op.heads, op.wq.shape[1]
        q, k, v = (a.reshape(h, -1, e) for a in (q, k, v))
        o = o.reshape(len(o), h, -1).swapaxes(0, 1)
        nats = score_step(op) * float(op.score.m[0]) / 2.0**op.score.s
        per_v = op.context.mult * 2.0**-op.context.frac  # of the context's LSB
        one = 1 << (op.context.s - 32)
        at_zero = (op.context.offset - one // 2) / one + per_v * op.rv.zp
        y0 = o0 + o.sum(axis=(0, 2)) * at_zero
        return _Real(
            t=nats * np.einsum("hpj,hpi->hji", k, q),
            t0=nats * np.einsum("hpj,hp->hj", k, q0.reshape(h, -1)),
            vo=per_v * np.einsum("hnp,hpe->hne", o, v),
            y0=y0 + per_v * np.einsum("hnp,hp->n", o, v0.reshape(h, -1)),
        )

    def queries(self, x: F64) -> F64:
        """x [S, E] centred -> t [H, S, E]."""
        t: F64 = np.einsum("hji,si->hsj", self.t, x) + self.t0[:, None, :]
        return t

    def scores(self, x: F64) -> F64:
        """x [S, E] centred -> [H, S, S] in nats, without what is constant along a row."""
        return self.queries(x) @ x.T

    def means(self, x: F64) -> F64:
        """x [S, E] centred -> what each head sees of it, [H, S, E]."""
        s = self.scores(x)
        e = np.exp(s - s.max(axis=2, keepdims=True))
        seen: F64 = e / e.sum(axis=2, keepdims=True) @ x
        return seen


def _matrix(w: I8, b: I32, r: Requant, x_zp: int) -> tuple[F64, F64]:
    """Weights [N, K] and offsets [N] in LSB of the output for one LSB of the centred input."""
    m = np.broadcast_to(r.m, len(w)) / 2.0**r.s
    return m[:, None] * w, m * (b + x_zp * w.sum(axis=1, dtype=np.int64))


def score_step(op: Attention) -> float:
    """Nats in one LSB of the scores, from the entry of the table that tells it best."""
    table = op.exp_table.astype(np.float64)
    usable = np.flatnonzero(table > 0)[1:]
    if not len(usable):
        return float(np.log(2.0 * table[0]))  # at least this much
    d = usable[np.argmin(np.abs(table[usable] - table[0] / np.e))]
    return float(np.log(table[0] / table[d]) / d)


def _fuse_scores(op: Attention, layer: _Real, x: Quant, rows: Sequence[F64]) -> Attention:
    made = np.stack([layer.queries(r) for r in rows])
    t = _grid(float(made.min()), float(made.max()))
    scores = np.stack([layer.scores(r) for r in rows])
    least = min(float((scores.max(axis=-1) - REACH).min()), 0.0)
    score = _grid(max(float(scores.min()), least), float(scores.max()))
    e = rows[0].shape[1]
    q, scales = _rounded(layer.t.reshape(-1, e))
    p = projection(q, scales, layer.t0.reshape(-1), Quant(1.0, x.zero_point), t)
    return replace(
        op,
        dim=e,
        wq=p.weight,
        bq=p.bias,
        rq=p.requant,
        **_nothing("k", x.zero_point, e),
        score=requant(np.asarray([t.scale / score.scale]), score.zero_point),
        exp_table=exp_table(score.scale, op.weight_bits),
    )


def _fuse_values(op: Attention, layer: _Real, x: Quant, y: Quant, rows: Sequence[F64]) -> Attention:
    means = np.stack([layer.means(r) for r in rows])
    context = _grid(float(means.min()), float(means.max()))
    scale = row_scale(Quant(1.0, x.zero_point), context, op.weight_bits)
    e = rows[0].shape[1]
    w, scales = _rounded(layer.vo.swapaxes(0, 1).reshape(len(layer.y0), -1))
    p = projection(w, scales, layer.y0, context, Quant(1.0, y.zero_point))
    return replace(
        op,
        **_nothing("v", x.zero_point, e),
        context=scale,
        wo=p.weight,
        bo=p.bias,
        ro=p.requant,
    )


def _nothing(which: str, x_zp: int, e: int) -> dict[str, Any]:
    """A projection that is not there."""
    one = Requant(np.ones(1, np.int32), 1, x_zp)
    return {
        f"w{which}": np.zeros((0, e), np.int8),
        f"b{which}": np.zeros(0, np.int32),
        f"r{which}": one,
    }


def _rounded(w: F64) -> tuple[NDArray[np.int32], F64]:
    """int8 [N, K] and a scale for each row."""
    largest = np.abs(w).max(axis=1)
    scales = np.where(largest > 0, largest / 127.0, 1.0)
    return np.rint(w / scales[:, None]).astype(np.int32), scales


def _grid(low: float, high: float) -> Quant:
    """An int8 grid that holds a range and zero."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255 or 1.0
    return Quant(scale, int(np.clip(np.rint(-128 - low / scale), -128, 127)))
