# SPDX-License-Identifier: Apache-2.0
"""What no pattern fused: general integer operators, one rule each.

An operand that a Move brings is read through strides where loops can follow its order; what is left
of the Moves runs by itself.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygen import operators as g
from tinygen.graph import Float, Node, Quant
from tinygen.numeric import Shape
from tinygen.operators import Lut, Reshape
from tinygen.operators.div import reciprocals
from tinygen.operators.matmul import MOST_PRODUCTS
from tinygen.operators.view import MOST_AXES, Strided, contiguous, factored, within
from tinygen.passes.constants import is_constant
from tinygen.passes.engine import Result, Scope, rule
from tinygen.passes.integer import rounded_from
from tinygen.passes.moves import Index, index_of, positions
from tinygen.passes.multipliers import ADD_LIMIT, exp_table, requant, row_scale, weight_bits
from tinygen.passes.tables import real_inputs, to_grid


def read_through(scope: Scope, name: str) -> tuple[str, Index]:
    """The value whose bytes are read, and the flat positions in it."""
    shape = scope.shape(name)
    index = positions(shape)
    node = scope.made_by(name, "Move")
    if node is None or scope.quant(node.inputs[0]) is None:
        return name, index
    moved = index_of(node)
    return node.inputs[0], index if moved is None else moved.reshape(shape)


def operand(scope: Scope, name: str, dims: tuple[int, ...]) -> tuple[str, Strided]:
    """A value as loops over dims read it; where they cannot, the moved value itself."""
    source, index = read_through(scope, name)
    view = within(index.reshape(dims), dims)
    return (name, contiguous(dims)) if view is None else (source, view)


def on_grid(scope: Scope, *names: str) -> list[Quant] | None:
    """The grids of activations, if all have one."""
    grids = [scope.quant(n) for n in names]
    ready = all(q is not None for q in grids) and not any(is_constant(scope, n) for n in names)
    return [q for q in grids if q is not None] if ready else None


def _attrs(node: Node) -> Any:
    assert isinstance(node.op, Float)
    return node.op.attrs


@rule("Quant")
def weighted_sum(scope: Scope, node: Node) -> Result:
    """round(softmax(x) v) -> Weighted: the weights keep their 15 bits."""
    found = rounded_from(scope, node, "Scores")
    if found is None:
        return None
    product, y = found
    name = product.inputs[0]
    moved = scope.made_by(name, "Move")
    if moved is not None and index_of(moved) is None:
        name = moved.inputs[0]
    softmax = scope.made_by(name, "Softmax")
    grids = on_grid(scope, softmax.inputs[0], product.inputs[1]) if softmax is not None else None
    if softmax is None or grids is None or _own_weights(softmax):
        return None
    group, rest = divmod(scope.shape(softmax.output)[-1], scope.shape(product.inputs[0])[-1])
    if rest or (group > 1 and _mask(softmax) is not None):
        return None
    batch, tokens, wide = scope.shape(product.inputs[1])
    source, view = operand(scope, product.inputs[1], (1, batch, tokens, wide))
    bits = weight_bits(tokens * group, 8)
    alpha = float(_attrs(product)["alpha"])
    if alpha <= 0:
        return None
    scale = row_scale(Quant(grids[1].scale * alpha, 0), y, bits)
    table, shape = _table(softmax, grids[0], bits), scope.shape(node.output)
    op = g.Weighted(shape, view, grids[1].zero_point, table, scale, _mask(softmax), group)
    inputs = softmax.inputs[0], source
    return scope.emit(op, inputs, scope.shape(node.output), quant=y, name=product.name)


@rule("Quant")
def integer_softmax(scope: Scope, node: Node) -> Result:
    """round(softmax(x)) -> Softmax."""
    found = rounded_from(scope, node, "Softmax")
    grids = on_grid(scope, found[0].inputs[0]) if found else None
    if found is None or grids is None or _own_weights(found[0]):
        return None
    softmax, y = found
    rows, length = scope.shape(softmax.output)
    bits = weight_bits(length, 8)
    scale = row_scale(Quant(1.0, 0), y, bits)
    op = g.Softmax(
        (rows, length), rows, length, 1, _table(softmax, grids[0], bits), scale, _mask(softmax)
    )
    return scope.emit(op, softmax.inputs, scope.shape(node.output), quant=y, name=softmax.name)


def _own_weights(softmax: Node) -> bool:
    return any(k in _attrs(softmax) for k in ("weights", "levels"))


def _table(softmax: Node, x: Quant, bits: int) -> Any:
    return exp_table(x.scale * float(_attrs(softmax).get("beta", 1.0)), bits)


def _mask(softmax: Node) -> Any:
    return _attrs(softmax).get("mask")


@rule("Quant")
def integer_product(scope: Scope, node: Node) -> Result:
    """round(a b) of two activations -> BatchMatMul."""
    found = rounded_from(scope, node, "Scores")
    grids = on_grid(scope, *found[0].inputs) if found else None
    if found is None or grids is None:
        return None
    product, y = found
    a, b = product.inputs
    batch, rows, k = scope.shape(a)
    wide = scope.shape(b)[2]
    ratio = grids[0].scale * grids[1].scale * float(_attrs(product)["alpha"]) / y.scale
    if ratio <= 0 or k > MOST_PRODUCTS:
        return None
    x1, view1 = operand(scope, a, (1, batch, rows, k))
    x2, view2 = operand(scope, b, (1, batch, k, wide))
    zeros = grids[0].zero_point, grids[1].zero_point
    op = g.BatchMatMul(
        scope.shape(node.output), view1, view2, *zeros, requant(np.asarray([ratio]), y.zero_point)
    )
    return scope.emit(op, (x1, x2), scope.shape(node.output), quant=y, name=product.name)


def pair(scope: Scope, names: tuple[str, ...], shape: tuple[int, ...]) -> Any:
    """Two operands, broadcast to a shape: (sources, views over the same axes), at most four."""
    read = [read_through(scope, n) for n in names]
    wide = [np.broadcast_to(index, shape) for _, index in read]
    views = [within(w, shape) for w in wide]
    for i, view in enumerate(views):
        if view is None:  # the move runs by itself
            own = np.broadcast_to(positions(scope.shape(names[i])), shape)
            read[i], views[i] = (names[i], own), within(own, shape)
    a, b = views
    if a is None or b is None:
        return None
    first, second = merged(a, b)
    if len(first.dims) > MOST_AXES:
        return None
    return (read[0][0], read[1][0]), (first, second)


def merged(a: Strided, b: Strided) -> tuple[Strided, Strided]:
    """The same loops with axes of one element gone, neighbours joined where both allow it, filled
    up to four."""
    loops: list[tuple[int, int, int]] = []
    for size, sa, sb in zip(a.dims, a.strides, b.strides, strict=True):
        if size == 1:
            continue
        if loops and loops[-1][1] == sa * size and loops[-1][2] == sb * size:
            loops[-1] = (loops[-1][0] * size, sa, sb)
        else:
            loops.append((size, sa, sb))
    loops = [(1, 0, 0)] * (MOST_AXES - len(loops)) + loops
    dims = tuple(n for n, _, _ in loops)
    return (
        Strided(dims, tuple(s for _, s, _ in loops), a.offset),
        Strided(dims, tuple(s for _, _, s in loops), b.offset),
    )


BINARY = ("Mul", "Add", "Sub", "Div", "Max", "Min")


@rule("Quant")
def integer_pair(scope: Scope, node: Node) -> Result:
    """round(f(a, b)) of two activations, broadcast either way -> Mul, Sum, Div, Extreme."""
    found = rounded_from(scope, node, *BINARY)
    if found is None or len(found[0].inputs) != 2:
        return None
    inner, y = found
    grids = on_grid(scope, *inner.inputs)
    if grids is None:
        return None
    shape = scope.shape(inner.output)
    operands = pair(scope, inner.inputs, shape)
    if operands is None:
        return None
    sources, views = operands
    op = _pair_op(_kind(inner), (shape, *views), grids[0], grids[1], y)
    if op is None:
        return None
    return scope.emit(op, sources, scope.shape(node.output), quant=y, name=inner.name)


def _kind(node: Node) -> str:
    assert isinstance(node.op, Float)
    return node.op.kind


def _pair_op(kind: str, views: tuple[Shape, Strided, Strided], a: Quant, b: Quant, y: Quant) -> Any:
    match kind:
        case "Mul":
            ratio = requant(np.asarray([a.scale * b.scale / y.scale]), y.zero_point)
            return g.Mul(*views, a.zero_point, b.zero_point, ratio)
        case "Add" | "Sub":
            return _sum(views, a, b, y, -1 if kind == "Sub" else 1)
        case "Div":
            table, s = reciprocals(a.scale, b.scale, b.zero_point, y.scale)
            return g.Div(*views, a.zero_point, table, s, y.zero_point)
        case _:
            first, second = to_grid(real_inputs(a), y), to_grid(real_inputs(b), y)
            return g.Extreme(*views, first, second, kind == "Min")


def _sum(views: tuple[Shape, Strided, Strided], a: Quant, b: Quant, y: Quant, sign: int) -> Any:
    ra, rb = a.scale / y.scale, sign * b.scale / y.scale
    s = 20
    while s > 1 and max(abs(ra), abs(rb)) * 2**s >= ADD_LIMIT - 1:
        s -= 1
    ma, mb = round(ra * 2**s), round(rb * 2**s)
    if max(abs(ma), abs(mb)) >= ADD_LIMIT:
        return None
    offset = y.zero_point - a.zero_point * ra - b.zero_point * rb
    c = round(offset * 2**s) + (1 << (s - 1))
    if 128 * (abs(ma) + abs(mb)) + abs(c) >= 1 << 31:
        return None
    return g.Sum(*views, ma, mb, c, s)


@rule("Quant")
def integer_concatenation(scope: Scope, node: Node) -> Result:
    """round(rows after rows) -> Concat, every part brought to the result's grid first."""
    found = rounded_from(scope, node, "Join")
    grids = on_grid(scope, *found[0].inputs) if found else None
    if found is None or grids is None:
        return None
    inner, y = found
    parts = []
    for name, grid in zip(inner.inputs, grids, strict=True):
        if grid != y:
            table = to_grid(real_inputs(grid), y)
            name = scope.emit(Lut(table), (name,), scope.shape(name), quant=y, name=inner.name)
        parts.append(name)
    runs = tuple(math.prod(scope.shape(p)) for p in parts)
    shape = scope.shape(node.output)
    return scope.emit(g.Concat(shape, 1, runs), parts, shape, quant=y, name=inner.name)


@rule("Padded")
def integer_padding(scope: Scope, node: Node) -> Result:
    """Padding of rounded values -> Gather with a value to fill in."""
    (x,) = node.inputs
    grid, attrs = scope.quant(x), _attrs(node)
    if grid is None or is_constant(scope, x):
        return None
    around = list(zip(attrs["before"], attrs["after"], strict=True))
    index = np.pad(positions(scope.shape(x)), around, constant_values=-1)
    fill = int(to_grid(np.asarray([attrs["value"]], np.float32), grid)[0])
    op = runs_of(index, scope.shape(node.output), fill)
    return scope.emit(op, (x,), scope.shape(node.output), quant=grid, name=node.name)


@rule("Move")
def movement(scope: Scope, node: Node) -> Result:
    """What no reader took by its strides runs: loops where there are some, else runs."""
    (x,) = node.inputs
    grid, shape, index = scope.quant(x), scope.shape(node.output), index_of(node)
    if grid is None:
        return None
    if index is None:
        return scope.emit(Reshape(shape), (x,), shape, quant=grid)
    view = factored(index)
    op: Any
    if view is not None and len(view.dims) <= MOST_AXES:
        lead = MOST_AXES - len(view.dims)
        dims, strides = (1,) * lead + view.dims, (0,) * lead + view.strides
        op = g.Reorder(shape, Strided(dims, strides, view.offset))
    else:
        op = runs_of(index, shape)
    moved = scope.emit(op, (x,), shape, quant=grid)
    return moved


def runs_of(index: Index, shape: tuple[int, ...], fill: int = 0) -> g.Gather:
    """The longest runs of neighbours that cut the whole evenly; -1 is what is filled in."""
    flat = index.reshape(-1)
    inside = flat >= 0
    along = (np.diff(flat) == 1) & inside[1:] & inside[:-1]
    along |= ~inside[1:] & ~inside[:-1]
    starts = np.flatnonzero(np.concatenate([[True], ~along]))
    run = int(np.gcd.reduce(np.append(starts[1:], flat.size)))
    return g.Gather(shape, flat[::run].astype(np.int32), run, fill)


GENERAL = (
    integer_padding,
    weighted_sum,
    integer_softmax,
    integer_product,
    integer_pair,
    integer_concatenation,
)
MOVEMENT = (movement,)
