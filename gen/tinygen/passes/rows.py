# SPDX-License-Identifier: Apache-2.0
"""Every operator in its one form: on [rows, features], surrounded by Moves that do the rest.

``Linear`` x [R, K]: inputs x, integers [N, K], scales [N], bias [N] (real).
``Convolve`` x [C, H, W] -> [OH*OW, N]: inputs x, integers, scales, bias; attrs as ONNX's, 2-D.
``Norm`` x [R, E]: inputs x, gamma, beta (real); attrs: see `norm`.
``Softmax`` x [R, T], over the last axis: attrs beta (a factor on x), mask [1 or R, T], as ONNX's.
``Scores`` a [H, S, P], b [H, P, T]: their product times attr alpha.
``Mean`` x [R, E] -> [1, E], times attr times (1).  ``Join`` of [Ri, E] -> [R, E].
``Embed`` ids [S], table [V, E] -> [S, E].
``Largest`` x [H, W, C] -> [OH*OW, C]: attrs kernel, strides, pads.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygen.errors import TinygenError
from tinygen.graph import Float, Node, Quant
from tinygen.operators import Embed
from tinygen.passes.constants import as_grid, is_constant, real
from tinygen.passes.elementwise import BINARY
from tinygen.passes.engine import Result, Scope, rule
from tinygen.passes.integer import rounded_from
from tinygen.passes.moves import (
    Index,
    bijective,
    expanded,
    in_rows,
    index_of,
    inverse,
    move,
    normal,
    positions,
    rows_of,
    transposed,
)
from tinygen.passes.tables import to_grid


def attribute(node: Node, key: str, default: Any = None) -> Any:
    """An attribute of a `Float` node."""
    assert isinstance(node.op, Float)
    return node.op.attrs.get(key, default)


def linear(scope: Scope, node: Node, source: str, weight: str, bias: str, order: str) -> str | None:
    """A Linear node for x [R, K] and a constant weight [K, N] or [N, K] (``order``)."""
    grid = as_grid(scope, weight)
    if grid is None:
        values = real(scope, weight)
        if values is None:
            return None
        q, scales = rounded_weights(scope, node, values if order == "NK" else values.T)
    else:
        q, scales = grid if order == "NK" else (grid[0].T, grid[1].T)
    if not np.all(scales == scales[:, :1]):
        raise TinygenError(
            f"node {node.name} ({node_kind(node)}) has weight scales along its inputs: "
            "quantise weights per tensor or per output channel"
        )
    b = np.zeros(len(q)) if not bias else real(scope, bias)
    if b is None or b.size not in (1, len(q)):
        return None
    b = np.broadcast_to(b.reshape(-1), (len(q),))
    inputs = (source, scope.constant(q), scope.constant(scales[:, 0]), scope.constant(b))
    shape = (scope.shape(source)[0], len(q))
    return scope.emit(Float("Linear"), inputs, shape)


def rounded_weights(scope: Scope, node: Node, values: Any) -> tuple[Any, Any]:
    """Weights [N, ...] that a model leaves in float -> integers and scales, one for each output."""
    if not np.all(np.isfinite(values)):
        raise TinygenError(
            f"node {node.name} ({node_kind(node)}) has weights that are not finite: "
            "train or export the model again"
        )
    largest = np.abs(values).reshape(len(values), -1).max(axis=1)
    steps = np.where(largest > 0, largest / 127, 1.0).reshape(-1, *[1] * (values.ndim - 1))
    scope.notes.append(
        f"{node.name.split('~')[0]} has float weights in the model; rounded to int8 per channel"
    )
    return np.rint(values / steps).astype(np.int32), np.broadcast_to(steps, values.shape)


def node_kind(node: Node) -> str:
    assert isinstance(node.op, Float)
    return node.op.kind


@rule("LayerNormalization")
def norm_of_rows(scope: Scope, node: Node) -> Result:
    """LayerNormalization over an axis and all after it, which are one."""
    x, gamma, *rest = node.inputs
    shape = scope.shape(x)
    axis = attribute(node, "axis", -1) % len(shape)
    inner = shape[axis:]
    g = real(scope, gamma)
    b = real(scope, rest[0]) if rest and rest[0] else np.zeros(1)
    if g is None or b is None:
        return None
    x = move(scope, x, None, (math.prod(shape[:axis]), math.prod(inner)))
    eps = attribute(node, "epsilon", 1e-5)
    if _fits(g, inner) and _fits(b, inner):
        return norm(scope, node, x, np.broadcast_to(g, inner), np.broadcast_to(b, inner), eps)
    y = norm(scope, node, x, np.ones(1), np.zeros(1), eps)
    y = scope.emit(Float("Mul"), (y, scope.constant(g)), shape)
    return scope.emit(Float("Add"), (y, scope.constant(b)), shape)


@rule("RMSNormalization")
def rms_norm_of_rows(scope: Scope, node: Node) -> Result:
    """RMSNormalization over an axis and all after it."""
    x, _gamma = node.inputs
    shape, g = scope.shape(x), real(scope, node.inputs[1])
    axis = attribute(node, "axis", -1) % len(shape)
    inner = shape[axis:]
    if g is None or not _fits(g, inner):
        return None
    rows = math.prod(shape[:axis]), math.prod(inner)
    full = np.broadcast_to(g, inner).reshape(-1).astype(np.float64)
    inputs = move(scope, x, None, rows), scope.constant(full), scope.constant(np.zeros(rows[1]))
    attrs = {"eps": float(attribute(node, "epsilon", 1e-5)), "centred": False}
    return move(scope, scope.emit(Float("Norm", attrs), inputs, rows), None, shape)


def _fits(parameter: Any, shape: tuple[int, ...]) -> bool:
    """Whether it broadcasts to the shape alone."""
    return parameter.ndim <= len(shape) and all(
        a in (1, b) for a, b in zip(parameter.shape[::-1], shape[::-1], strict=False)
    )


def norm(scope: Scope, node: Node, x: str, gamma: Any, beta: Any, eps: float, **how: Any) -> str:
    """A Norm node over the last axis of x, in the shape of the node it replaces.

    how: ``whole`` (mean and deviation in whole steps, rounded towards zero: QuantLib), ``scale``
    and ``zp`` of the variance where the model rounds it."""
    shape = scope.shape(x)
    full = [
        np.broadcast_to(np.reshape(p, -1), shape[-1:]).astype(np.float64) for p in (gamma, beta)
    ]
    rows = move(scope, x, None, rows_of(shape))
    inputs = (rows, *(scope.constant(p) for p in full))
    attrs = {"eps": float(eps), **how}
    y = scope.emit(Float("Norm", attrs), inputs, rows_of(shape))
    return move(scope, y, None, scope.shape(node.output))


@rule("Softmax")
def softmax_last_axis(scope: Scope, node: Node) -> Result:
    """Softmax over an axis: it comes last, and the axes before it are one."""
    (x,) = node.inputs
    shape = scope.shape(x)
    axis = attribute(node, "axis", -1) % len(shape)
    if len(shape) == 2 and axis == 1:
        return None
    order = [*(a for a in range(len(shape)) if a != axis), axis]
    turned = transposed(scope, x, order)
    there = scope.shape(turned)
    rows = move(scope, turned, None, rows_of(there))
    assert isinstance(node.op, Float)
    y = scope.emit(Float("Softmax", {**node.op.attrs, "axis": -1}), (rows,), rows_of(there))
    return transposed(scope, move(scope, y, None, there), list(np.argsort(order)))


@rule(*BINARY)
def residual_of_rows(scope: Scope, node: Node) -> Result:
    """Two activations of one shape meet as [rows, features]."""
    if len(node.inputs) != 2 or any(is_constant(scope, i) for i in node.inputs):
        return None
    shape = scope.shape(node.output)
    if len(shape) == 2 or any(scope.shape(i) != shape for i in node.inputs) or len(shape) < 1:
        return None
    return move(scope, in_rows(scope, node, node.inputs), None, shape)


@rule(*BINARY)
def constant_of_full_shape(scope: Scope, node: Node) -> Result:
    """A constant operand that is not a scalar is broadcast to the activation; then [rows, E]."""
    if len(node.inputs) != 2:
        return None
    held = [is_constant(scope, i) for i in node.inputs]
    if held[0] == held[1]:
        return None
    x, c = node.inputs if held[1] else node.inputs[::-1]
    shape = scope.shape(node.output)
    if math.prod(scope.shape(c)) == 1 or scope.shape(x) != shape:
        return None
    if len(shape) == 2 and scope.shape(c) == shape:
        return None
    pair = x, expanded(scope, c, shape)
    return move(scope, in_rows(scope, node, pair if held[1] else pair[::-1]), None, shape)


def reduced(scope: Scope, node: Node) -> Index | None:
    """Positions [reduced, kept] in the input of a reduction; None where its axes are not known."""
    x, *rest = node.inputs
    shape = scope.shape(x)
    axes = attribute(node, "axes")
    if node_kind(node).startswith("Global"):
        axes = list(range(2, len(shape)))
    elif rest and rest[0]:
        data = scope.data(rest[0])
        if data is None:
            return None
        axes = data.tolist()
    if not axes:  # of no axes: none or all
        axes = [] if attribute(node, "noop_with_empty_axes", 0) else list(range(len(shape)))
    away = sorted({a % len(shape) for a in axes})
    stay = [a for a in range(len(shape)) if a not in away]
    count = math.prod(shape[a] for a in away)
    index: Index = positions(shape).transpose([*away, *stay]).reshape(count, -1)
    return index


@rule("ReduceMean", "GlobalAveragePool", "ReduceSum")
def mean_of_rows(scope: Scope, node: Node) -> Result:
    """Mean over some axes: bring them to the front, then average rows. A sum is so many means."""
    index = reduced(scope, node)
    if index is None:
        return None
    attrs = {"times": float(index.shape[0])} if node_kind(node) == "ReduceSum" else {}
    x = node.inputs[0]
    rows = move(scope, x, normal(index, scope.shape(x)), index.shape)
    y = scope.emit(Float("Mean", attrs), (rows,), (1, index.shape[1]))
    return move(scope, y, None, scope.shape(node.output))


@rule("Gather")
def rows_of_a_table(scope: Scope, node: Node) -> Result:
    """Rows of a constant table picked by token ids."""
    table, ids = node.inputs
    stored = scope.data(table)
    if not is_constant(scope, table) or is_constant(scope, ids):
        return None
    if stored is not None and stored.dtype.kind != "f":
        return None  # integers that are made real after the look-up
    shape = scope.shape(table)
    if attribute(node, "axis", 0) % len(shape):
        raise TinygenError(
            f"node {node.name} (Gather) has axis={attribute(node, 'axis')}, so that token ids pick "
            "columns of a constant table: store it transposed, and use axis 0"
        )
    table = move(scope, table, None, (shape[0], math.prod(shape[1:])))
    shape = scope.shape(table)
    if shape[0] > 256:
        raise TinygenError(
            f"node {node.name} (Gather) is an embedding of {shape[0]} tokens: tinygen takes token "
            "ids of one byte, at most 256"
        )
    flat = move(scope, ids, None, (math.prod(scope.shape(ids)),))
    y = scope.emit(Float("Embed"), (flat, table), (scope.shape(flat)[0], shape[1]))
    return move(scope, y, None, scope.shape(node.output))


@rule("Quant")
def integer_embedding(scope: Scope, node: Node) -> Result:
    """round(row of a table) -> Embed, the table rounded."""
    found = rounded_from(scope, node, "Embed")
    if found is None or scope.quant(found[0].inputs[0]) != Quant(1.0, -128):
        return None
    inner, y = found
    ids, table = inner.inputs
    values = real(scope, table)
    if values is None:
        return None
    op = Embed(to_grid(values.astype(np.float32), y))
    return scope.emit(op, (ids,), scope.shape(node.output), quant=y, name=inner.name)


@rule("Concat")
def join_of_rows(scope: Scope, node: Node) -> Result:
    """Concatenation: the axis comes to the front, then rows follow rows."""
    shape = scope.shape(node.output)
    axis = attribute(node, "axis") % len(shape)
    perm = [axis, *(a for a in range(len(shape)) if a != axis)]
    parts = []
    for source in node.inputs:
        front = transposed(scope, source, perm)
        size = scope.shape(front)
        parts.append(move(scope, front, None, (size[0], math.prod(size[1:]))))
    turned = [shape[a] for a in perm]
    y = scope.emit(Float("Join"), parts, (turned[0], math.prod(turned[1:])))
    return transposed(scope, move(scope, y, None, tuple(turned)), list(np.argsort(perm)))


@rule("Linear", "Norm")
def row_operator_before_row_order(scope: Scope, node: Node) -> Result:
    """An operator on rows does not care in which order they stand."""
    x, *rest = node.inputs
    before = scope.made_by(x, "Move")
    index = index_of(before) if before is not None else None
    if before is None or index is None:
        return None
    rows, width = scope.shape(x)
    (origin,) = before.inputs
    if math.prod(scope.shape(origin)) != rows * width:
        return None
    table = index.reshape(rows, width)
    order = table[:, 0] // width
    if not np.array_equal(table, order[:, None] * width + np.arange(width)):
        return None
    if not np.array_equal(np.sort(order), np.arange(rows)):
        return None
    source = move(scope, origin, None, (rows, width))
    y = scope.emit(node.op, (source, *rest), scope.shape(node.output))
    out = scope.shape(node.output)
    back = positions(out)[order]
    return move(scope, y, normal(back, out), out)


@rule(*BINARY)
def residual_of_one_move(scope: Scope, node: Node) -> Result:
    """f(Move(x), y) = Move(f(x, Move^-1(y))) where x is rows of features and y also was moved."""
    a, b = (scope.made_by(i, "Move") for i in node.inputs[:2])
    if a is None or b is None or len(node.inputs) != 2:
        return None
    ia, shape = index_of(a), scope.shape(node.output)
    origin = a.inputs[0]
    size = math.prod(shape)
    if len(scope.shape(origin)) != 2 or math.prod(scope.shape(origin)) != size or ia is None:
        return None
    if scope.shape(node.inputs[1]) != shape or scope.shape(node.inputs[0]) != shape:
        return None
    if not bijective(ia, size):
        return None
    other = move(scope, node.inputs[1], inverse(ia, size), scope.shape(origin))
    y = scope.emit(node.op, (origin, other), scope.shape(origin))
    return move(scope, y, ia, shape)


ROWS = (
    norm_of_rows,
    rms_norm_of_rows,
    softmax_last_axis,
    residual_of_rows,
    constant_of_full_shape,
    mean_of_rows,
    rows_of_a_table,
    join_of_rows,
    row_operator_before_row_order,
    residual_of_one_move,
)
INTEGER_ROWS = (integer_embedding,)
"""After the canonical form."""
