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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.graph import Graph, Quant, verify
from tinygen.numeric import I8, I32, Requant
from tinygen.operators import Attention, Fusion
from tinygen.operators.attention.reference import attention
from tinygen.passes.multipliers import F64, exp_table, projection, requant, row_scale
from tinygen.passes.short import short_requants
from tinygen.reference import run_all

MEASURED = 16
"""Samples that a layer's errors are measured on, at most."""
REACH = 12.0
"""Scores so far below their row's maximum (in nats: a weight of 6e-6) may be clamped."""


@dataclass(frozen=True, eq=False)
class Fused:
    """errors: node -> mean distance in LSB of its output from the dequantised layer in real
    arithmetic, before and after, on samples that chose the scales."""

    graph: Graph
    errors: Mapping[str, tuple[float, float]]


def fuse(
    graph: Graph, forms: Mapping[str, Fusion], inputs: Sequence[I8], short: bool = False
) -> Fused:
    """The graph with other weights in some attention layers.

    forms: attention node -> its form.  inputs: quantised samples of the graph's input, for scales.
    short: with short multipliers, as the rest of the graph (`tinygen.passes.short`).
    """
    places = {n.name: n.inputs[0] for n in graph.nodes if forms.get(n.name, "unfused") != "unfused"}
    inputs_of: dict[str, list[I8]] = {name: [] for name in places}
    for sample in inputs:
        values = run_all(graph, sample)
        for name, value in places.items():
            inputs_of[name].append(values[value])
    nodes, errors = [], {}
    for node in graph.nodes:
        if node.name in places:
            assert isinstance(node.op, Attention)
            x = graph.values[node.inputs[0]].quant
            assert x is not None
            rows = inputs_of[node.name]
            op, real = _fuse_layer(node.op, x.zero_point, rows, forms[node.name])
            op = short_requants(op) if short else op
            before, after = (_error(o, rows, real) for o in (node.op, op))
            errors[node.name] = before, after
            node = replace(node, op=op)
        nodes.append(node)
    return Fused(verify(replace(graph, nodes=tuple(nodes)), integer=True), errors)


def fuse_layer(op: Attention, x_zp: int, rows: Sequence[I8], form: Fusion) -> Attention:
    """One layer. x_zp: its input's zero point.  rows: int8 [S, E], its inputs on samples."""
    return _fuse_layer(op, x_zp, rows, form)[0]


def _fuse_layer(
    op: Attention, x_zp: int, rows: Sequence[I8], form: Fusion
) -> tuple[Attention, list[F64]]:
    """And what it stands for: y [S, N] of each sample."""
    layer = _Real.of(op, x_zp)
    seen = _Seen.of(layer, x_zp, rows)
    if form in ("fused-scores", "fused"):
        op = _fuse_scores(op, layer, seen, Quant(1.0, x_zp))
    if form in ("fused-values", "fused"):
        op = _fuse_values(op, layer, seen, Quant(1.0, x_zp))
    return op, [np.clip(r + op.ro.zp, -128, 127) for r in seen.outputs]


def _error(op: Attention, rows: Sequence[I8], real: Sequence[F64]) -> float:
    some = list(zip(rows, real, strict=True))[:MEASURED]
    return float(np.mean([np.abs(attention(x, op) - y).mean() for x, y in some]))


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
            t=nats * (k.swapaxes(1, 2) @ q),
            t0=nats * np.einsum("hpj,hp->hj", k, q0.reshape(h, -1)),
            vo=per_v * (o @ v),
            y0=y0 + per_v * np.einsum("hnp,hp->n", o, v0.reshape(h, -1)),
        )

    def queries(self, x: F64) -> F64:
        """x [S, E] centred -> t [H, S, E]."""
        t: F64 = x @ self.t.swapaxes(1, 2) + self.t0[:, None, :]
        return t

    def means(self, x: F64, scores: F64) -> F64:
        """What each head sees of x, [H, S, E]. scores: t x^T [H, S, S]."""
        e = np.exp(scores - scores.max(axis=2, keepdims=True))
        seen: F64 = e @ x / e.sum(axis=2, keepdims=True)
        return seen

    def outputs(self, means: F64) -> F64:
        """-> y [S, N] centred."""
        y: F64 = (means @ self.vo.swapaxes(1, 2)).sum(axis=0) + self.y0
        return y


@dataclass(frozen=True, eq=False)
class _Seen:
    """A layer on samples. t, scores, means: (least, largest).  peaks: least maximum of a row of
    scores.  outputs: y [S, N] of each sample, centred."""

    t: tuple[float, float]
    scores: tuple[float, float]
    peaks: float
    means: tuple[float, float]
    outputs: tuple[F64, ...]

    @staticmethod
    def of(layer: _Real, x_zp: int, rows: Sequence[I8]) -> _Seen:
        ends: dict[str, list[float]] = {"t": [], "scores": [], "peaks": [], "means": []}
        outputs = []
        for r in rows:
            x = r.astype(np.float64) - x_zp
            t = layer.queries(x)
            scores = t @ x.T
            means = layer.means(x, scores)
            outputs.append(layer.outputs(means))
            every = {"t": t, "scores": scores, "peaks": scores.max(axis=2), "means": means}
            for name, values in every.items():
                ends[name] += [float(values.min()), float(values.max())]
        low, high = ({name: f(v) for name, v in ends.items()} for f in (min, max))
        return _Seen(
            t=(low["t"], high["t"]),
            scores=(low["scores"], high["scores"]),
            peaks=low["peaks"],
            means=(low["means"], high["means"]),
            outputs=tuple(outputs),
        )


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


def is_exponential(op: Attention) -> bool:
    """Whether a layer's softmax is the real one, not a table of its own (QuantLib's)."""
    real = exp_table(score_step(op), op.weight_bits).astype(np.int64)
    return not op.levels and bool(
        np.abs(real - op.exp_table).max() <= 1 + (1 << op.weight_bits) // 1000
    )


def _fuse_scores(op: Attention, layer: _Real, seen: _Seen, x: Quant) -> Attention:
    t = _grid(*seen.t)
    score = _grid(max(seen.scores[0], seen.peaks - REACH), seen.scores[1])
    e = op.wq.shape[1]
    q, scales = _rounded(layer.t.reshape(-1, e))
    p = projection(q, scales, layer.t0.reshape(-1), x, t)
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


def _fuse_values(op: Attention, layer: _Real, seen: _Seen, x: Quant) -> Attention:
    context = _grid(*seen.means)
    scale = row_scale(x, context, op.weight_bits)
    e = op.wq.shape[1]
    w, scales = _rounded(layer.vo.swapaxes(0, 1).reshape(len(layer.y0), -1))
    p = projection(w, scales, layer.y0, context, Quant(1.0, op.ro.zp))
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
