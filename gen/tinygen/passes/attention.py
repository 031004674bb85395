# SPDX-License-Identifier: Apache-2.0
"""Multi-head self-attention, recognised by what its movements do rather than how they are written.

The pattern is Linear -> q, k, v -> Scores -> Softmax -> Scores -> Linear. Between the Linears and
the products stand Moves; `columns` reads from each which column of the projection is feature p of
head h. Any exporter's reshapes and transposes that mean the same give the same columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.errors import TinygenError
from tinygen.graph import Node, Quant
from tinygen.graph.ops import U16, Attention, Float
from tinygen.passes.engine import Result, Scope, rule
from tinygen.passes.moves import index_of, trace
from tinygen.passes.multipliers import (
    Projection,
    exp_table,
    projection,
    requant,
    row_scale,
    weight_bits,
)

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Side:
    """q, k or v: its Linear, the grid it is rounded onto, its columns [H, P]."""

    product: Node
    grid: Quant
    columns: Index


def columns(index: Index, shape: tuple[int, ...], width: int) -> Index | None:
    """[H, P] columns of a [S, width] projection, from flat positions laid out as [H, S, P]."""
    table = index.reshape(shape)
    first: Index = table[:, 0, :]
    rows = np.arange(shape[1])[None, :, None] * width
    ok = np.array_equal(table, first[:, None, :] + rows) and np.all(first < width)
    return first if ok else None


def side(scope: Scope, name: str, *, swap: bool = False) -> Side | None:
    """The projection behind an operand of a product; ``swap``: it is [H, P, S] there."""
    source, index = trace(scope, name)
    rounding = scope.made_by(source, "Quant")
    product = scope.made_by(rounding.inputs[0], "Linear") if rounding is not None else None
    grid = scope.quant(source)
    if product is None or grid is None:
        return None
    shape = scope.shape(name)
    laid = index.reshape(shape).swapaxes(1, 2) if swap else index.reshape(shape)
    found = columns(laid.reshape(-1), laid.shape, scope.shape(source)[1])
    return None if found is None else Side(product, grid, found)


def _same_place(scope: Scope, name: str) -> str:
    """The value before Moves that only reshape."""
    node = scope.made_by(name, "Move")
    return node.inputs[0] if node is not None and index_of(node) is None else name


def _rounded(scope: Scope, name: str) -> str:
    """The value before a rounding, reshapes aside."""
    name = _same_place(scope, name)
    node = scope.made_by(name, "Quant")
    return _same_place(scope, node.inputs[0]) if node is not None else name


@rule("Quant")
def multi_head_attention(scope: Scope, node: Node) -> Result:
    """Four projections, two products and a softmax are one operator."""
    out = scope.made_by(node.inputs[0], "Linear")
    y = scope.quant(node.output)
    if out is None or y is None:
        return None
    joined, order = trace(scope, out.inputs[0])
    mixed = scope.made_by(joined, "Quant")
    weighted = scope.made_by(_same_place(scope, mixed.inputs[0]), "Scores") if mixed else None
    context = scope.quant(joined)
    if weighted is None or context is None:
        return None
    softmax = scope.made_by(_rounded(scope, weighted.inputs[0]), "Softmax")
    if softmax is None:
        return None
    scored = _same_place(scope, softmax.inputs[0])
    rounded = scope.made_by(scored, "Quant")
    score_grid = scope.quant(scored)
    if rounded is None or score_grid is None:
        raise TinygenError(
            f"node {softmax.name} (Softmax) has scores without a scale: quantise the product "
            "before it"
        )
    product = scope.made_by(_same_place(scope, rounded.inputs[0]), "Scores")
    if product is None:
        return None
    q = side(scope, product.inputs[0])
    k = side(scope, product.inputs[1], swap=True)
    v = side(scope, weighted.inputs[1])
    if q is None or k is None or v is None:
        return None
    if len({s.product.inputs[0] for s in (q, k, v)}) != 1:
        return None
    heads, dim = q.columns.shape
    if k.columns.shape != (heads, dim) or v.columns.shape[0] != heads:
        return None
    if v.columns.shape[1] != dim:
        return None
    # The context [H, S, P] as the output projection reads it: [S, H*P] in some order of columns.
    tokens = scope.shape(product.output)[1]
    bits = weight_bits(tokens)
    feature = _context_columns(order, heads, tokens, dim)
    x_name = q.product.inputs[0]
    x = scope.quant(x_name)
    alpha = _attr(product, "alpha", 1.0)
    if feature is None or x is None or alpha <= 0:
        return None
    weighing = _attr(weighted, "alpha", 1.0)
    own_table = isinstance(softmax.op, Float) and "weights" in softmax.op.attrs
    if weighing <= 0 or (own_table and score_grid.scale != 1):
        return None
    scale = row_scale(Quant(v.grid.scale * weighing, v.grid.zero_point), context, bits)
    pq, pk, pv = (_project(scope, s, x) for s in (q, k, v))
    wo = _arrays(scope, out)
    # feature[n] is the flat (head, p) that column n of the output projection reads
    back = np.argsort(feature)
    po = projection(wo[0][:, back], wo[1], wo[2], context, y)
    ratio = np.asarray([q.grid.scale * k.grid.scale * alpha / score_grid.scale])
    levels = int(_attr(softmax, "levels", 0))
    if v.grid.zero_point or not 0 < levels < 256 or bits < 8:
        levels = 0
    if levels != _attr(softmax, "levels", 0) or (
        scope.quant(_same_place(scope, weighted.inputs[0])) is not None
    ):
        scope.notes.append(
            f"{softmax.name.split('~')[0]}: its output keeps {bits} bits, where the ONNX model "
            "rounds it to 8 (leave softmax and the product after it out when quantising)"
        )
    op = Attention(
        heads=heads,
        dim=dim,
        wq=pq.weight,
        bq=pq.bias,
        rq=pq.requant,
        wk=pk.weight,
        bk=pk.bias,
        rk=pk.requant,
        wv=pv.weight,
        bv=pv.bias,
        rv=pv.requant,
        score=requant(ratio, score_grid.zero_point),
        exp_table=_table(softmax, score_grid, bits),
        weight_bits=bits,
        context=scale,
        wo=po.weight,
        bo=po.bias,
        ro=po.requant,
        levels=levels,
    )
    return scope.emit(op, (x_name,), scope.shape(node.output), quant=y, name=out.name)


def _table(softmax: Node, scores: Quant, bits: int) -> U16:
    """exp(-d beta step), or the softmax's own table, for the distances d from a row's maximum."""
    assert isinstance(softmax.op, Float)
    weights = softmax.op.attrs.get("weights")
    if weights is None:
        return exp_table(scores.scale * _attr(softmax, "beta", 1.0), bits)
    table: U16 = np.rint(weights * ((1 << bits) - 1)).astype(np.uint16)
    return table


def _context_columns(order: Index, heads: int, tokens: int, dim: int) -> Index | None:
    """For each column of [S, H*P], the (head, p) it holds, flat; None if tokens are mixed up."""
    if order.size != heads * tokens * dim:
        return None
    table = order.reshape(tokens, heads * dim)
    head, row, p = np.unravel_index(table, (heads, tokens, dim))
    feature: Index = head * dim + p
    ok = np.array_equal(row, np.broadcast_to(np.arange(tokens)[:, None], row.shape))
    ok = ok and bool(np.all(feature == feature[0]))
    return feature[0] if ok and len(np.unique(feature[0])) == heads * dim else None


def _project(scope: Scope, s: Side, x: Quant) -> Projection:
    """Head-major rows of a projection."""
    q, scales, bias = _arrays(scope, s.product)
    rows = s.columns.reshape(-1)
    return projection(q[rows], scales[rows], bias[rows], x, s.grid)


def _arrays(scope: Scope, product: Node) -> tuple[Any, Any, Any]:
    arrays = [scope.data(i) for i in product.inputs[1:]]
    return arrays[0], arrays[1], arrays[2]


def _attr(node: Node, key: str, default: float) -> float:
    assert isinstance(node.op, Float)
    return float(node.op.attrs.get(key, default))


ATTENTION = (multi_head_attention,)
