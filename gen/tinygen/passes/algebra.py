# SPDX-License-Identifier: Apache-2.0
"""Constant factors and offsets fold into the matrix product beside them; all rules of algebra."""

from __future__ import annotations

import math

import numpy as np

from tinygen.graph import Float, Node
from tinygen.passes.constants import real
from tinygen.passes.engine import Result, Scope, rule
from tinygen.passes.factors import (
    PRODUCTS,
    alone,
    factor_of,
    offset_of,
    same_size,
    scaled,
    shifted,
)
from tinygen.passes.moves import index_of, move
from tinygen.passes.packed import packed_projection
from tinygen.passes.twice import rounding_of_a_scaled_sum, rounding_once, rounding_to_two_grids


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
