# SPDX-License-Identifier: Apache-2.0
"""Constant factors and offsets: where a node has one, and how a matrix product takes it in."""

from __future__ import annotations

import math

import numpy as np

from tinygen.graph import Float, Node
from tinygen.passes.constants import F64, is_constant, real
from tinygen.passes.engine import Scope

PRODUCTS = ("Linear", "Convolve", "Scores")


def factor_of(scope: Scope, node: Node) -> tuple[str, F64] | None:
    """(x, c) where the node is x times a constant: Mul or Div."""
    found = _beside(scope, node, "Mul", "Div")
    if found is None:
        return None
    kind, x, c = found
    if kind == "Div" and not np.all(c):
        return None
    return x, c if kind == "Mul" else 1.0 / c


def offset_of(scope: Scope, node: Node) -> tuple[str, F64] | None:
    """(x, c) where the node is x plus a constant: Add or Sub."""
    found = _beside(scope, node, "Add", "Sub")
    if found is None:
        return None
    kind, x, c = found
    return x, c if kind == "Add" else -c


def _beside(scope: Scope, node: Node, either: str, second: str) -> tuple[str, str, F64] | None:
    """(kind, x, c) of a node of two kinds with one constant operand: either one, or the second."""
    assert isinstance(node.op, Float)
    kind = node.op.kind
    a, b = node.inputs
    if kind == either and is_constant(scope, a):
        a, b = b, a
    c = real(scope, b)
    if c is None or is_constant(scope, a) or kind not in (either, second):
        return None
    return kind, a, c


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
