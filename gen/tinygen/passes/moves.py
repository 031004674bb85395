# SPDX-License-Identifier: Apache-2.0
"""Movement: every operator that only places elements elsewhere becomes one `Move`.

``Move`` carries ``index``: output element i is input element ``index[i]``, both counted flat; None
says that the order stays (a reshape). Chains of movements compose into one, whatever operators the
exporter chose, so a pattern needs to be known in one form only. Moves sink: elementwise and row
operators go before them, until a Move meets its neighbour and both vanish, or the operator that
gives it its meaning (the heads of attention, a token picked from the rows).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.graph import Float, Node
from tinygen.passes.constants import as_grid, is_constant, is_scalar, make_grid
from tinygen.passes.elementwise import BINARY, UNARY
from tinygen.passes.engine import Result, Scope, rule

Index = NDArray[np.int64]
Shape = tuple[int, ...]


def positions(shape: Shape) -> Index:
    """Flat positions, in the shape of the tensor."""
    return np.arange(math.prod(shape), dtype=np.int64).reshape(shape)


def normal(index: Index, source: Shape) -> Index | None:
    """None where the index keeps every element in its place."""
    flat = index.reshape(-1)
    if flat.size == math.prod(source) and np.array_equal(flat, np.arange(flat.size)):
        return None
    return flat


def move(
    scope: Scope, source: str, index: Index | None, shape: Shape, origin: str | None = None
) -> str:
    """The value moved: composed with a Move that made it, done at once on a constant.

    origin: as in `Scope.emit`.
    """
    if index is None and scope.shape(source) == shape:
        return source
    if (math.prod(scope.shape(source)) if index is None else index.size) != math.prod(shape):
        raise ValueError(f"{source} has not the elements of {shape}")
    data = scope.data(source)
    if data is not None:
        return scope.constant(_take(data, index, shape))
    grid = as_grid(scope, source)
    if grid is not None:
        return make_grid(scope, _take(grid[0], index, shape), _take(grid[1], index, shape))
    before = scope.made_by(source, "Move")
    if before is not None:
        (first,) = before.inputs
        composed = compose(index_of(before), index, scope.shape(first))
        return move(scope, first, composed, shape, origin)
    op = Float("Move", {"index": index})
    return scope.emit(op, (source,), shape, quant=scope.quant(source), origin=origin)


def _take(data: NDArray[Any], index: Index | None, shape: Shape) -> NDArray[Any]:
    flat = data.reshape(-1)
    return (flat if index is None else flat[index.reshape(-1)]).reshape(shape)


def index_of(node: Node) -> Index | None:
    """The index of a Move."""
    assert isinstance(node.op, Float)
    index: Index | None = node.op.attrs["index"]
    return index


def compose(first: Index | None, second: Index | None, source: Shape) -> Index | None:
    """The index of doing ``first`` on a tensor of shape ``source``, then ``second``."""
    if first is None:
        return None if second is None else normal(second, source)
    return normal(first if second is None else first[second.reshape(-1)], source)


def inverse(index: Index | None, size: int) -> Index | None:
    """The Move that undoes a bijective one; call with `bijective` true."""
    if index is None:
        return None
    back = np.empty(size, np.int64)
    back[index.reshape(-1)] = np.arange(size)
    return back


def bijective(index: Index | None, size: int) -> bool:
    """Whether every one of ``size`` source elements occurs exactly once."""
    if index is None:
        return True
    return index.size == size and bool(np.all(np.bincount(index.reshape(-1), minlength=size) == 1))


def trace(scope: Scope, name: str) -> tuple[str, Index]:
    """The value before its Move and the flat index that leads here (identity without a Move)."""
    node = scope.made_by(name, "Move")
    if node is None:
        return name, np.arange(math.prod(scope.shape(name)), dtype=np.int64)
    index = index_of(node)
    if index is None:
        index = np.arange(math.prod(scope.shape(name)), dtype=np.int64)
    return node.inputs[0], index.reshape(-1)


def transposed(scope: Scope, name: str, perm: Sequence[int]) -> str:
    """The value with its axes permuted."""
    index = positions(scope.shape(name)).transpose(perm)
    return move(scope, name, normal(index, scope.shape(name)), index.shape)


# ONNX movement operators


def _attr(node: Node, key: str, default: Any = None) -> Any:
    assert isinstance(node.op, Float)
    return node.op.attrs.get(key, default)


@rule("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Dropout")
def reshape_is_a_move(scope: Scope, node: Node) -> Result:
    """The order of elements stays, only the shape changes."""
    if len(node.outputs) != 1:
        return None
    return move(scope, node.inputs[0], None, scope.shape(node.output))


@rule("Cast")
def cast_between_floats_is_nothing(scope: Scope, node: Node) -> Result:
    """float32 to float32 or float64 changes nothing that matters."""
    return node.inputs[0] if _attr(node, "to") in (1, 11) else None


@rule("Transpose")
def transpose_is_a_move(scope: Scope, node: Node) -> Result:
    """Axes permuted."""
    rank = len(scope.shape(node.inputs[0]))
    return transposed(scope, node.inputs[0], _attr(node, "perm") or range(rank)[::-1])


@rule("Split")
def split_is_moves(scope: Scope, node: Node) -> Result:
    """Each part is a Move of its own."""
    source = node.inputs[0]
    grid = positions(scope.shape(source))
    axis, start, parts = _attr(node, "axis", 0), 0, []
    for output in node.outputs:
        size = scope.shape(output)[axis]
        part = np.take(grid, np.arange(start, start + size), axis=axis)
        parts.append(move(scope, source, normal(part, grid.shape), part.shape))
        start += size
    return tuple(parts)


@rule("Slice")
def slice_is_a_move(scope: Scope, node: Node) -> Result:
    """A regular part of each axis."""
    source, *rest = node.inputs
    given = [scope.data(i) if i else None for i in rest]
    starts, ends, axes, steps = (given + [None] * 4)[:4]
    if starts is None or ends is None or any(i and scope.data(i) is None for i in rest):
        return None
    shape = scope.shape(source)
    where = range(len(starts)) if axes is None else axes.tolist()
    part = positions(shape)
    for n, axis in enumerate(where):
        step = 1 if steps is None else int(steps[n])
        part = part.take(_cut(int(starts[n]), int(ends[n]), step, shape[axis]), axis=axis)
    return move(scope, source, normal(part, shape), part.shape)


def _cut(start: int, end: int, step: int, size: int) -> Index:
    """The places of a Slice; ends below zero count from the back, then they are clamped."""
    low, high = (0, size) if step > 0 else (-1, size - 1)
    start, end = (v + size if v < 0 else v for v in (start, end))
    first = min(max(start, 0), high)
    return np.arange(first, min(max(end, low), high), step, dtype=np.int64)


@rule("Gather")
def gather_is_a_move(scope: Scope, node: Node) -> Result:
    """Constant indices along an axis of an activation."""
    which = scope.data(node.inputs[1])
    if which is None:
        return None
    grid = positions(scope.shape(node.inputs[0]))
    axis = _attr(node, "axis", 0)
    size, chosen = grid.shape[axis], which.astype(np.int64)
    if np.any((chosen < -size) | (chosen >= size)):
        raise ValueError("an index beyond the axis")  # numpy's wrapping would count down to it
    part = np.take(grid, chosen % size, axis=axis)
    return move(scope, node.inputs[0], normal(part, grid.shape), part.shape)


@rule("Expand")
def expand_is_a_move(scope: Scope, node: Node) -> Result:
    """Broadcasting to the output's shape."""
    grid = positions(scope.shape(node.inputs[0]))
    part = np.broadcast_to(grid, scope.shape(node.output))
    return move(scope, node.inputs[0], normal(part, grid.shape), part.shape)


@rule("Move")
def moves_compose(scope: Scope, node: Node) -> Result:
    """Two Moves are one, a Move of a constant is a constant, one that does nothing goes."""
    (source,) = node.inputs
    shape = scope.shape(node.output)
    if scope.made_by(source, "Move", "Grid") or is_constant(scope, source):
        return move(scope, source, index_of(node), shape)
    return source if index_of(node) is None and shape == scope.shape(source) else None


# Moves sink


@rule(*UNARY)
def unary_before_move(scope: Scope, node: Node) -> Result:
    """f(Move(x)) = Move(f(x)) for a function of one element."""
    source, *rest = node.inputs
    before = scope.made_by(source, "Move")
    if before is None or not all(is_scalar(scope, r) for r in rest if r):
        return None
    (origin,) = before.inputs
    inner = scope.emit(
        node.op, (origin, *rest), scope.shape(origin), quant=scope.quant(node.output)
    )
    return move(scope, inner, index_of(before), scope.shape(node.output))


@rule(*BINARY)
def binary_with_constant_before_move(scope: Scope, node: Node) -> Result:
    """f(Move(x), c) = Move(f(x, c moved back)) where the Move loses nothing."""
    for side in (0, 1):
        before = scope.made_by(node.inputs[side], "Move")
        other = node.inputs[1 - side]
        if before is None or not is_constant(scope, other):
            continue
        (origin,) = before.inputs
        size = math.prod(scope.shape(origin))
        index = index_of(before)
        shape = scope.shape(node.output)
        scalar = is_scalar(scope, other)
        same_size = math.prod(shape) == math.prod(scope.shape(node.inputs[side]))
        if not same_size or not (scalar or bijective(index, size)):
            continue
        if index is None and len(shape) == 2 != len(scope.shape(origin)):
            continue  # [rows, features] is the form to stay in
        if scalar:
            pair = (origin, other) if side == 0 else (other, origin)
            return move(scope, scope.emit(node.op, pair, scope.shape(origin)), index, shape)
        wide = expanded(scope, other, shape)
        other = move(scope, wide, inverse(index, size), scope.shape(origin))
        pair = (origin, other) if side == 0 else (other, origin)
        return move(scope, in_rows(scope, node, pair), index, shape)
    return None


@rule(*BINARY)
def binary_of_equal_moves(scope: Scope, node: Node) -> Result:
    """f(Move(x), Move(y)) = Move(f(x, y)) where both moved alike."""
    a, b = (scope.made_by(i, "Move") for i in node.inputs)
    if a is None or b is None:
        return None
    i, j = index_of(a), index_of(b)
    x, y = a.inputs[0], b.inputs[0]
    alike = np.array_equal(i, j) if i is not None and j is not None else i is j
    if not alike or scope.shape(x) != scope.shape(y):
        return None
    shape = scope.shape(node.output)
    if not shape == scope.shape(node.inputs[0]) == scope.shape(node.inputs[1]):
        return None
    if i is None and len(shape) == 2 != len(scope.shape(x)):
        return None  # [rows, features] is the form to stay in
    return move(scope, in_rows(scope, node, (x, y)), i, shape)


def rows_of(shape: Shape) -> tuple[int, int]:
    """[..., E] as [rows, E]."""
    return math.prod(shape[:-1]), shape[-1]


def in_rows(scope: Scope, node: Node, operands: Sequence[str]) -> str:
    """A function of two values of one shape, on [rows, features]: the form that it ends in."""
    flat = rows_of(scope.shape(operands[0]))
    assert isinstance(node.op, Float)
    return scope.emit(node.op, [move(scope, x, None, flat) for x in operands], flat)


def expanded(scope: Scope, name: str, shape: Shape) -> str:
    """A constant broadcast to a shape."""
    here = positions(scope.shape(name))
    index = np.broadcast_to(here, shape)
    return move(scope, name, normal(index, here.shape), shape)


MOVES = (
    reshape_is_a_move,
    cast_between_floats_is_nothing,
    transpose_is_a_move,
    split_is_moves,
    slice_is_a_move,
    gather_is_a_move,
    expand_is_a_move,
    moves_compose,
    unary_before_move,
    binary_with_constant_before_move,
    binary_of_equal_moves,
)
