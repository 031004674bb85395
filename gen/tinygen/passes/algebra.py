# SPDX-License-Identifier: Apache-2.0
"""Constant factors, offsets and selections fold into the matrix product beside them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygen.graph import Float, Node, Quant
from tinygen.passes.constants import F64, is_constant, is_scalar, real
from tinygen.passes.elementwise import BINARY, UNARY
from tinygen.passes.engine import Result, Scope, rule
from tinygen.passes.moves import expanded, index_of, move, normal, positions
from tinygen.passes.quantisation import quant

PRODUCTS = ("Linear", "Convolve", "Scores")
MERGED = "rounds to 8 bits"
"""In notes: what the model does and the device need not."""
NARROWER = f"{MERGED} twice, to a narrower grid"


def factor_of(scope: Scope, node: Node) -> tuple[str, F64] | None:
    """(x, c) where the node is x times a constant: Mul or Div."""
    assert isinstance(node.op, Float)
    a, b = node.inputs
    if node.op.kind == "Mul" and is_constant(scope, a):
        a, b = b, a
    c = real(scope, b)
    if c is None or is_constant(scope, a) or node.op.kind not in ("Mul", "Div"):
        return None
    if node.op.kind == "Div" and not np.all(c):
        return None
    return a, c if node.op.kind == "Mul" else 1.0 / c


def offset_of(scope: Scope, node: Node) -> tuple[str, F64] | None:
    """(x, c) where the node is x plus a constant: Add or Sub."""
    assert isinstance(node.op, Float)
    a, b = node.inputs
    if node.op.kind == "Add" and is_constant(scope, a):
        a, b = b, a
    c = real(scope, b)
    if c is None or is_constant(scope, a) or node.op.kind not in ("Add", "Sub"):
        return None
    return a, c if node.op.kind == "Add" else -c


def per_column(c: F64, columns: int) -> F64 | None:
    """[columns] where a scalar or [rows, columns] constant is the same in every row."""
    if c.size == 1:
        return np.full(columns, c.reshape(-1)[0])
    table = c.reshape(-1, columns)
    return table[0] if np.all(table == table[0]) else None


def scaled(scope: Scope, product: Node, c: F64) -> str | None:
    """The product times a constant (one a column), folded into weights or alpha."""
    assert isinstance(product.op, Float)
    shape = scope.shape(product.output)
    if product.op.kind == "Scores":
        if c.size != 1:
            return None
        op = Float("Scores", {"alpha": product.op.attrs["alpha"] * float(c.reshape(-1)[0])})
        return scope.emit(op, product.inputs, shape, name=product.name)
    columns = per_column(c, shape[1])
    if columns is None or not np.all(np.isfinite(columns)):
        return None
    x, q, s, b = product.inputs
    integers, scales, bias = (scope.data(i) for i in (q, s, b))
    assert integers is not None and scales is not None and bias is not None
    sign = np.where(columns < 0, -1, 1).reshape(-1, *[1] * (integers.ndim - 1))
    parts = (integers * sign, scales * np.abs(columns), bias * columns)
    inputs = (x, *(scope.constant(p) for p in parts))
    return scope.emit(product.op, inputs, shape, name=product.name)


def shifted(scope: Scope, product: Node, c: F64) -> str | None:
    """The product plus a constant (one a column), folded into the bias."""
    assert isinstance(product.op, Float)
    shape = scope.shape(product.output)
    columns = per_column(c, shape[1]) if product.op.kind != "Scores" else None
    bias = scope.data(product.inputs[3]) if columns is not None else None
    if bias is None or columns is None:
        return None
    inputs = (*product.inputs[:3], scope.constant(bias + columns))
    return scope.emit(product.op, inputs, shape, name=product.name)


def alone(scope: Scope, name: str) -> bool:
    """Whether nobody else reads the value (unknown, so no, for one made in this sweep)."""
    return scope.fanout[name] == 1


def same_size(scope: Scope, a: str, b: str) -> bool:
    """Whether nothing is broadcast between two values."""
    return math.prod(scope.shape(a)) == math.prod(scope.shape(b))


@rule("Mul", "Div", "Add", "Sub")
def nothing_done(scope: Scope, node: Node) -> Result:
    """x 1 = x + 0 = x."""
    for find, neutral in ((factor_of, 1), (offset_of, 0)):
        found = find(scope, node)
        if found is not None and np.all(found[1] == neutral):
            return found[0] if scope.shape(found[0]) == scope.shape(node.output) else None
    return None


@rule("Mul", "Div")
def factors_are_one(scope: Scope, node: Node) -> Result:
    """(x a) b = x (a b) for two numbers."""
    found = factor_of(scope, node)
    inner = scope.made_by(found[0], "Mul", "Div") if found is not None else None
    first = factor_of(scope, inner) if inner is not None else None
    if found is None or first is None or found[1].size != 1 or first[1].size != 1:
        return None
    if scope.shape(first[0]) != scope.shape(node.output):
        return None
    factor = found[1].reshape(()) * first[1].reshape(())
    pair = first[0], scope.constant(np.asarray(factor))
    return scope.emit(Float("Mul"), pair, scope.shape(node.output))


@rule("Quant")
def rounding_of_a_scaled_sum(scope: Scope, node: Node) -> Result:
    """round((a + b) c) to steps of s = c round(a + b) to steps of s / c: a sum is rounded once."""
    step, grid = scope.made_by(node.inputs[0], "Mul", "Div"), scope.quant(node.output)
    found = factor_of(scope, step) if step is not None else None
    if step is None or found is None or found[1].size != 1 or grid is None:
        return None
    x, c = found[0], float(found[1].reshape(-1)[0])
    both = scope.made_by(x, "Add")
    if both is None or c <= 0 or not alone(scope, x):
        return None
    for name in both.inputs:
        known = scope.quant(name) is not None or scope.made_by(name, "Join") is not None
        if not known and (not is_constant(scope, name) or is_scalar(scope, name)):
            return None
    y = quant(scope, x, Quant(grid.scale / c, grid.zero_point))
    y = scope.emit(Float("Mul"), (y, scope.constant(np.asarray(c))), scope.shape(node.output))
    return quant(scope, y, grid)


@rule("Mul", "Div")
def factor_into_product(scope: Scope, node: Node) -> Result:
    """(x W) c = x (W c)."""
    found = factor_of(scope, node)
    if found is None:
        return None
    x, c = found
    product = scope.made_by(x, *PRODUCTS)
    if product is None or not alone(scope, x) or not same_size(scope, x, node.output):
        return None
    y = scaled(scope, product, c)  # a constant of more axes gives the result more
    return None if y is None else move(scope, y, None, scope.shape(node.output))


@rule("Add", "Sub")
def offset_into_product(scope: Scope, node: Node) -> Result:
    """(x W + b) + c = x W + (b + c)."""
    found = offset_of(scope, node)
    if found is None:
        return None
    x, c = found
    product = scope.made_by(x, *PRODUCTS)
    if product is None or not alone(scope, x) or not same_size(scope, x, node.output):
        return None
    y = shifted(scope, product, c)
    return None if y is None else move(scope, y, None, scope.shape(node.output))


@rule("Quant")
def rounding_once(scope: Scope, node: Node) -> Result:
    """round(round(x W) c) = round((x W) c): a product is not rounded twice.

    This rule and the next two change values, by less than the rounding that they drop: of two, the
    finer one, if what lies between is a positive number.
    """
    return _once(scope, node, lossy=False)


@rule("Quant")
def rounding_to_a_narrower_grid(scope: Scope, node: Node) -> Result:
    """The same where the second grid holds much less, so that it may cut off what is there."""
    return _once(scope, node, lossy=True)


def _once(scope: Scope, node: Node, *, lossy: bool) -> Result:
    step = scope.made_by(node.inputs[0], "Mul", "Div")
    found = factor_of(scope, step) if step is not None else None
    inner = _rounded_product(scope, step, found[0]) if step is not None and found else None
    grid = scope.quant(node.output)
    if found is None or inner is None or grid is None:
        return None
    c = found[1]
    product, first = scope.producers[inner.inputs[0]], scope.quant(inner.output)
    if first is not None and c.size == 1 and c.flat[0] > 0:
        first = Quant(first.scale * float(c.flat[0]), first.zero_point)
        grid, loses = merged(first, grid)
    else:
        loses = False
    y = scaled(scope, product, c) if loses == lossy else None
    if y is None:
        return None
    if lossy:
        scope.notes.append(f"{product.name} {NARROWER}")
    return quant(scope, y, grid)


@rule("Quant")
def rounding_before_bias(scope: Scope, node: Node) -> Result:
    """round(round(x W) + c) = round(x W + c): see `MERGING`."""
    step = scope.made_by(node.inputs[0], "Add", "Sub")
    found = offset_of(scope, step) if step is not None else None
    inner = _rounded_product(scope, step, found[0]) if step is not None and found else None
    grid = scope.quant(node.output)
    if found is None or inner is None or grid is None:
        return None
    product = scope.producers[inner.inputs[0]]
    y = shifted(scope, product, found[1])
    if y is None:
        return None
    scope.notes.append(f"{product.name} {MERGED} before its bias")
    return quant(scope, y, grid)


def _rounded_product(scope: Scope, step: Node, x: str) -> Node | None:
    """The rounding of a product that a step alone reads, the step being read by the root alone."""
    inner = scope.made_by(x, "Quant")
    product = scope.made_by(inner.inputs[0], *PRODUCTS) if inner is not None else None
    if product is None or inner is None or scope.shape(x) != scope.shape(step.output):
        return None
    ones = step.output, x, product.output
    return inner if all(alone(scope, name) for name in ones) else None


def coarser(first: Quant, second: Quant) -> Quant:
    """Of two roundings one after the other, the one that does not let the other show: the second
    where it is no finer, or cuts off a side of zero as ReLU does."""
    ends = -128, 127
    cuts = any(second.zero_point == e and first.zero_point != e for e in ends)
    return second if cuts or second.scale >= first.scale else first


SLACK = 1.5
"""Steps by which the ends of two grids of one range may differ."""
PART = 0.5
"""Ranges of the parts of a packed q/k/v are a half to all of the range of the whole; then nothing
is cut off, and the attention stays one operator."""

FINER = 0.4
"""Of two grids' steps; a side of zero that one cuts off halves them."""


def ends(grid: Quant) -> tuple[float, float]:
    """The least and the largest number on a grid."""
    low, high = ((q - grid.zero_point) * grid.scale for q in (-128, 127))
    return low, high


def within(grid: Quant, other: Quant, part: float = 1.0) -> bool:
    """Whether a part of a grid, to both sides of 0, is within another."""
    (low, high), (lowest, highest), slack = ends(grid), ends(other), SLACK * grid.scale
    return part * low >= lowest - slack and part * high <= highest + slack


def shared(a: Quant, b: Quant) -> Quant:
    """The grid of what neither cuts off, finer than both; b where that is nothing but 0."""
    low, high = max(ends(a)[0], ends(b)[0]), min(ends(a)[1], ends(b)[1])
    scale = (high - low) / 255
    if scale <= min(a.scale, b.scale) / 255:
        return b
    return Quant(scale, int(np.clip(np.rint(-128 - low / scale), -128, 127)))


def merged(first: Quant, second: Quant) -> tuple[Quant, bool]:
    """One grid for two roundings, and whether that may show: it holds more than `PART` of what the
    second would cut off, or what the first cuts off without steps as wide as the second's."""
    kept = coarser(first, second)
    if not within(kept, second, PART):
        return kept, True
    if within(kept, first):
        return kept, False
    both = shared(first, second)
    return (both, False) if both.scale >= FINER * kept.scale else (kept, True)


@rule("Quant")
def rounding_to_two_grids(scope: Scope, node: Node) -> Result:
    """round(round(x W)) onto a second grid = round(x W) onto the coarser: the parts of a packed
    q/k/v that QOperator rounds together, then each by itself."""
    return _onto_the_coarser(scope, node, lossy=False)


@rule("Quant")
def parts_to_narrower_grids(scope: Scope, node: Node) -> Result:
    """The same where the second grid holds much less."""
    return _onto_the_coarser(scope, node, lossy=True)


def _onto_the_coarser(scope: Scope, node: Node, *, lossy: bool) -> Result:
    inner = scope.made_by(node.inputs[0], "Quant")
    grid = scope.quant(node.output)
    if inner is None or grid is None or not alone(scope, inner.output):
        return None
    product = scope.made_by(inner.inputs[0], *PRODUCTS)
    if product is None or not alone(scope, product.output):
        return None
    first = scope.quant(inner.output)
    assert first is not None
    kept, loses = merged(first, grid)
    if loses != lossy:
        return None
    if lossy:
        scope.notes.append(f"{product.name} {NARROWER}")
    return quant(scope, product.output, kept)


@rule("Scores")
def factor_before_scores(scope: Scope, node: Node) -> Result:
    """(c a) b = c (a b)."""
    assert isinstance(node.op, Float)
    for side in (0, 1):
        source = node.inputs[side]
        before = scope.made_by(source, "Move")
        step = scope.made_by(source if before is None else before.inputs[0], "Mul", "Div")
        found = factor_of(scope, step) if step is not None else None
        if found is None or found[1].size != 1:
            continue
        x = found[0]
        if before is not None:
            x = move(scope, x, index_of(before), scope.shape(source))
        pair = (x, node.inputs[1]) if side == 0 else (node.inputs[0], x)
        alpha = node.op.attrs["alpha"] * float(found[1].reshape(-1)[0])
        return scope.emit(Float("Scores", {"alpha": alpha}), pair, scope.shape(node.output))
    return None


@rule("Softmax")
def factor_before_softmax(scope: Scope, node: Node) -> Result:
    """softmax(c x) keeps c as its attribute beta."""
    assert isinstance(node.op, Float)
    before = scope.made_by(node.inputs[0], "Move")
    name = node.inputs[0] if before is None else before.inputs[0]
    step = scope.made_by(name, "Mul", "Div")
    found = factor_of(scope, step) if step is not None else None
    if found is None or found[1].size != 1 or found[1].reshape(-1)[0] <= 0:
        return None
    if "weights" in node.op.attrs:
        return None
    x = found[0]
    if before is not None:
        x = move(scope, x, index_of(before), scope.shape(node.inputs[0]))
    beta = node.op.attrs.get("beta", 1.0) * float(found[1].reshape(-1)[0])
    op = Float("Softmax", {**node.op.attrs, "beta": beta})
    return scope.emit(op, (x,), scope.shape(node.output))


@rule("Move")
def packed_projection(scope: Scope, node: Node) -> Result:
    """Some columns of a Linear are a smaller Linear: a packed q/k/v falls into its three parts."""
    index = index_of(node)
    if index is None:
        return None
    chain: list[tuple[Node, str]] = []
    (name,) = node.inputs
    while (step := scope.made_by(name, *UNARY, *BINARY)) is not None:
        active = [i for i in step.inputs if i and not is_constant(scope, i)]
        if len(active) != 1:
            return None
        chain.append((step, name := active[0]))
    product = scope.made_by(name, "Linear")
    if product is None:
        return None
    rows, width = scope.shape(name)
    columns = np.unique(index % width)
    if len(columns) == width or len(np.unique(index // width)) != rows:
        return None
    x, *parts = product.inputs
    cut = []
    for part in parts:
        data = scope.data(part)
        assert data is not None
        cut.append(scope.constant(data[columns]))
    shape = (rows, len(columns))
    y = scope.emit(product.op, (x, *cut), shape, name=product.name)
    for step, source in reversed(chain):
        renamed = (y if i == source else _columns(scope, i, name, columns) for i in step.inputs)
        y = scope.emit(step.op, renamed, shape, quant=scope.quant(step.output), name=step.name)
    inside = (index // width) * len(columns) + np.searchsorted(columns, index % width)
    return move(scope, y, normal(inside, shape), scope.shape(node.output))


def _columns(scope: Scope, constant: str, beside: str, columns: Any) -> str:
    """Those columns of a constant that stands beside a value [rows, width]; one number stays."""
    if not constant or is_scalar(scope, constant):
        return constant
    full = expanded(scope, constant, scope.shape(beside))
    index = positions(scope.shape(beside))[:, columns]
    return move(scope, full, index.reshape(-1), index.shape)


@rule("Sub", "Div", "Mul", "Add")
def constant_pair(scope: Scope, node: Node) -> Result:
    """An operator on two constants is a constant."""
    a, b = (real(scope, i) for i in node.inputs)
    if a is None or b is None:
        return None
    kind = node.op.kind if isinstance(node.op, Float) else ""
    y = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}[kind](a, b)
    if math.prod(y.shape) != math.prod(scope.shape(node.output)):
        return None
    return scope.constant(np.asarray(y, np.float64))


ALGEBRA = (
    constant_pair,
    nothing_done,
    factors_are_one,
    rounding_of_a_scaled_sum,
    factor_into_product,
    offset_into_product,
    rounding_once,
    rounding_to_two_grids,
    factor_before_scores,
    factor_before_softmax,
    packed_projection,
)
MERGING = (rounding_before_bias, rounding_to_a_narrower_grid, parts_to_narrower_grids)
"""Rules that drop a rounding which the model makes; only where that moves its outputs little."""
