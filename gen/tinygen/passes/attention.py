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

from tinygen.graph import Float, Node, Quant
from tinygen.numeric import U8, U16, Requant
from tinygen.operators import Attention, DotProductAttention
from tinygen.passes.engine import Result, Scope, rule
from tinygen.passes.moves import index_of, trace
from tinygen.passes.multipliers import (
    Projection,
    exp_table,
    projection,
    requant,
    row_scale,
    weight_bits,
    weight_steps,
)
from tinygen.passes.twice import MERGED

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


@dataclass(frozen=True, eq=False)
class Core:
    """Two products and the softmax between them.

    order: where the context [H, S, P] comes from, as its reader takes it.  context, scores: grids.
    rounded: the grid of the weights where the model rounds them, else None.  mask: [S or 1, T], the
    keys that a row sees, None: all.
    """

    product: Node
    softmax: Node
    weighted: Node
    order: Index
    context: Quant
    scores: Quant
    rounded: Quant | None
    mask: U8 | None

    @property
    def own_table(self) -> bool:
        return isinstance(self.softmax.op, Float) and "weights" in self.softmax.op.attrs

    @property
    def beta(self) -> float:
        return _attr(self.softmax, "beta", 1.0)

    @property
    def alpha(self) -> float:
        return _attr(self.product, "alpha", 1.0)

    @property
    def weighing(self) -> float:
        """A factor on the weighted sum."""
        return _attr(self.weighted, "alpha", 1.0)


def core(scope: Scope, reader: Node) -> Core | None:
    """What the first operand of a node is the context of."""
    joined, order = trace(scope, reader.inputs[0])
    mixed = scope.made_by(joined, "Quant")
    weighted = scope.made_by(_same_place(scope, mixed.inputs[0]), "Scores") if mixed else None
    context = scope.quant(joined)
    if weighted is None or context is None:
        return None
    softmax = scope.made_by(_rounded(scope, weighted.inputs[0]), "Softmax")
    if softmax is None:
        return None
    scored = _same_place(scope, softmax.inputs[0])
    rounding = scope.made_by(scored, "Quant")
    scores = scope.quant(scored)
    if rounding is None or scores is None:
        return None
    product = scope.made_by(_same_place(scope, rounding.inputs[0]), "Scores")
    if product is None:
        return None
    keys = scope.shape(product.output)
    if scope.shape(weighted.inputs[0]) != keys or scope.shape(softmax.output)[-1] != keys[-1]:
        return None  # a softmax over other elements than a query's keys
    rounded = scope.quant(_same_place(scope, weighted.inputs[0]))
    mask, same = _one_for_all(softmax, scope.shape(product.output)[1])
    if not same:
        return None
    found = Core(product, softmax, weighted, order, context, scores, rounded, mask)
    if found.alpha <= 0 or found.weighing <= 0 or (found.own_table and scores.scale != 1):
        return None
    return found


def _one_for_all(softmax: Node, tokens: int) -> tuple[U8 | None, bool]:
    """(mask of a head's rows, whether every head has the same)."""
    assert isinstance(softmax.op, Float)
    mask: U8 | None = softmax.op.attrs.get("mask")
    if mask is None or len(mask) in (1, tokens):
        return mask, True
    heads = mask.reshape(-1, tokens, mask.shape[1])
    first: U8 = heads[0]
    return first, bool(np.all(heads == first))


@rule("Quant")
def multi_head_attention(scope: Scope, node: Node) -> Result:
    """Four projections, two products and a softmax are one operator."""
    return _whole(scope, node, exact=False)


@rule("Quant")
def multi_head_attention_as_rounded(scope: Scope, node: Node) -> Result:
    """The same where the model does not round the weights to 8 bits."""
    return _whole(scope, node, exact=True)


def _whole(scope: Scope, node: Node, *, exact: bool) -> str | None:
    out = scope.made_by(node.inputs[0], "Linear")
    y = scope.quant(node.output)
    found = core(scope, out) if out is not None else None
    if out is None or y is None or found is None or found.mask is not None:
        return None
    softmax, weighted, product = found.softmax, found.weighted, found.product
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
    feature = _context_columns(found.order, heads, tokens, dim)
    if scope.shape(out.inputs[0]) != (tokens, heads * dim):
        return None  # rows of another width than a token's
    x_name = q.product.inputs[0]
    x = scope.quant(x_name)
    if feature is None or x is None:
        return None
    wanted = int(_attr(softmax, "levels", 0))
    levels = 0 if v.grid.zero_point or not 0 < wanted < 256 or bits < 8 else wanted
    if levels != wanted or found.rounded is not None:
        if exact and not wanted:
            return None
        scope.notes.append(f"{softmax.name} {MERGED} before the product with the values")
    scale = row_scale(Quant(v.grid.scale * found.weighing, v.grid.zero_point), found.context, bits)
    pq, pk, pv = (_project(scope, s, x) for s in (q, k, v))
    wo = _arrays(scope, out)
    # feature[n] is the flat (head, p) that column n of the output projection reads
    back = np.argsort(feature)
    po = projection(wo[0][:, back], wo[1], wo[2], found.context, y)
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
        score=_score(found, q.grid, k.grid),
        exp_table=_table(softmax, found.scores, bits),
        weight_bits=bits,
        context=scale,
        wo=po.weight,
        bo=po.bias,
        ro=po.requant,
        levels=levels,
    )
    return scope.emit(op, (x_name,), scope.shape(node.output), quant=y, name=out.name)


@rule("Linear")
def dot_product_attention(scope: Scope, node: Node) -> Result:
    """Two products and a softmax on rounded queries, keys and values, whatever made these."""
    found = core(scope, node)
    if found is None or found.own_table:
        return None
    names = *found.product.inputs, found.weighted.inputs[1]
    q, k, v = (_operand(scope, n, swap=i == 1) for i, n in enumerate(names))
    if q is None or k is None or v is None or len({o.columns for o in (q, k, v)}) != 1:
        return None
    (heads, dim), (_, tokens, keys) = q.columns, scope.shape(found.product.output)
    feature = _context_columns(found.order, heads, tokens, dim)
    if feature is None or scope.shape(node.inputs[0]) != (tokens, heads * dim):
        return None
    bits = weight_bits(keys, 8)
    # The values' zero point is taken off before they are weighed.
    scale = row_scale(Quant(v.grid.scale * found.weighing, 0), found.context, bits)
    steps = None if found.rounded is None else weight_steps(found.rounded, bits)
    zeros = q.grid.zero_point, k.grid.zero_point, v.grid.zero_point
    op = DotProductAttention(
        heads,
        *zeros,
        score=_score(found, q.grid, k.grid),
        exp_table=_table(found.softmax, found.scores, bits),
        weight_bits=bits,
        context=scale,
        mask=found.mask,
        steps=steps,
    )
    inputs, shape = (q.name, k.name, v.name), (tokens, heads * dim)
    rounded, _ = trace(scope, node.inputs[0])
    how = {"name": found.product.name, "origin": rounded}
    context = scope.emit(op, inputs, shape, quant=found.context, **how)
    integers, scales, bias = _arrays(scope, node)
    back = np.argsort(feature)
    weights = (scope.constant(a) for a in (integers[:, back], scales, bias))
    return scope.emit(Float("Linear"), (context, *weights), scope.shape(node.output))


@dataclass(frozen=True, eq=False)
class Operand:
    """A rounded value [S, H*P], head by head. columns: (H, P)."""

    name: str
    grid: Quant
    columns: tuple[int, int]


def _operand(scope: Scope, name: str, *, swap: bool) -> Operand | None:
    """What q, k or v of a product are read from; ``swap``: they are [H, P, S] there."""
    source, index = trace(scope, name)
    grid, shape = scope.quant(source), scope.shape(name)
    if grid is None or len(scope.shape(source)) != 2 or len(shape) != 3:
        return None
    laid = index.reshape(shape).swapaxes(1, 2) if swap else index.reshape(shape)
    width = scope.shape(source)[1]
    found = columns(laid.reshape(-1), laid.shape, width)
    if found is None or not np.array_equal(found.reshape(-1), np.arange(width)):
        return None
    return Operand(source, grid, (found.shape[0], found.shape[1]))


def _score(found: Core, q: Quant, k: Quant) -> Requant:
    ratio = np.asarray([q.scale * k.scale * found.alpha / found.scores.scale])
    return requant(ratio, found.scores.zero_point)


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
EXACT_ATTENTION = (multi_head_attention_as_rounded,)
SEPARATE_ATTENTION = (dot_product_attention,)
"""For what the others leave."""
