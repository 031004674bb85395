# SPDX-License-Identifier: Apache-2.0
"""MatMul and Gemm of every form: one side constant is a Linear, none is a Scores."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygen.errors import TinygenError
from tinygen.graph import Float, Node
from tinygen.passes.constants import F64, is_constant, real
from tinygen.passes.engine import Result, Scope, rule
from tinygen.passes.moves import expanded, move, rows_of, transposed
from tinygen.passes.rows import attribute, linear


def _swapped(scope: Scope, name: str) -> str:
    """The last two axes exchanged."""
    rank = len(scope.shape(name))
    return transposed(scope, name, (*range(rank - 2), rank - 1, rank - 2))


def _matrix(scope: Scope, node: Node, name: str) -> str | None:
    """A constant [1, ..., K, N] as [K, N]; None for a vector."""
    shape = scope.shape(name)
    if len(shape) < 2:
        return None
    if math.prod(shape[:-2]) != 1:
        raise TinygenError(
            f"node {node.name} (MatMul) has weights of shape {list(shape)}, other ones for each of "
            f"its {math.prod(shape[:-2])} leading places: use one matrix [K, N], or one MatMul each"
        )
    return move(scope, name, None, shape[-2:])


@rule("MatMul")
def product_with_weights(scope: Scope, node: Node) -> Result:
    """x W with a constant W is a Linear on the rows of x; so is W x, on its columns."""
    x, w = node.inputs
    if is_constant(scope, x) == is_constant(scope, w):
        return None
    out = scope.shape(node.output)
    if is_constant(scope, w):
        matrix = _matrix(scope, node, w) or move(scope, w, None, (*scope.shape(w), 1))
        rows = move(scope, x, None, rows_of(scope.shape(x)))
        y = linear(scope, node, rows, matrix, "", "KN")
        return None if y is None else move(scope, y, None, out)
    matrix = _matrix(scope, node, x) or move(scope, x, None, (1, *scope.shape(x)))
    columns = w if len(scope.shape(w)) < 2 else _swapped(scope, w)
    lead = scope.shape(columns)[:-1]
    rows = move(scope, columns, None, rows_of(scope.shape(columns)))
    y = linear(scope, node, rows, matrix, "", "NK")
    if y is None:
        return None
    y = move(scope, y, None, (*lead, scope.shape(matrix)[0]))
    return move(scope, _swapped(scope, y) if lead else y, None, out)


@rule("Gemm")
def gemm_is_linear(scope: Scope, node: Node) -> Result:
    """alpha A B + beta C: a Linear with a bias where that is all, else its parts."""
    a, b, *rest = node.inputs
    c = rest[0] if rest else ""
    alpha, beta = (float(attribute(node, k, 1.0)) for k in ("alpha", "beta"))
    if attribute(node, "transA", 0):
        a = transposed(scope, a, (1, 0))
    order = "NK" if attribute(node, "transB", 0) else "KN"
    shape = scope.shape(node.output)
    offset: Any = None if not c or beta == 0 else real(scope, c)
    plain = not c or beta == 0 or (offset is not None and _is_row(offset, shape[1]))
    if plain and alpha == 1 and is_constant(scope, b) and not is_constant(scope, a):
        bias = c if beta == 1 or offset is None else scope.constant(beta * offset)
        y = linear(scope, node, a, b, "" if offset is None else bias, order)
        if y is not None:
            return y
    b = transposed(scope, b, (1, 0)) if order == "NK" else b
    y = scope.emit(Float("MatMul"), (a, b), shape)
    if alpha != 1:
        y = scope.emit(Float("Mul"), (y, _number(scope, alpha)), shape)
    if not c or beta == 0:
        return y
    if offset is not None:
        c = scope.constant(np.asarray(beta * offset))
    elif beta != 1:
        c = scope.emit(Float("Mul"), (c, _number(scope, beta)), scope.shape(c))
    return scope.emit(Float("Add"), (y, c), shape)


def _is_row(c: F64, columns: int) -> bool:
    """Whether an addend is the same in every row: a scalar, [1], [N], [1, N]."""
    return c.size == 1 or (c.shape[-1] == columns and c.size == columns)


def _number(scope: Scope, value: float) -> str:
    return scope.constant(np.asarray(value, np.float32))


@rule("MatMul")
def product_of_activations(scope: Scope, node: Node) -> Result:
    """Batched product of two activations, all leading axes as one."""
    a, b = node.inputs
    if is_constant(scope, a) or is_constant(scope, b):
        return None
    sa, sb = scope.shape(a), scope.shape(b)
    sa, sb = (1, *sa) if len(sa) == 1 else sa, (*sb, 1) if len(sb) == 1 else sb
    first, second = a, b  # whose tensors the operands are, whatever their layout
    a, b = move(scope, a, None, sa, first), move(scope, b, None, sb, second)
    lead = np.broadcast_shapes(sa[:-2], sb[:-2])
    if math.prod(sb[:-2]) == 1:  # the same matrix everywhere: all rows of a are one matrix
        sa, lead = (math.prod(sa[:-1]), sa[-1]), ()
    else:
        a = _spread(scope, a, (*lead, *sa[-2:]))
        b = _spread(scope, b, (*lead, *sb[-2:]))
    heads = math.prod(lead)
    a3 = move(scope, a, None, (heads, *sa[-2:]), first)
    b3 = move(scope, b, None, (heads, *sb[-2:]), second)
    y = scope.emit(Float("Scores", {"alpha": 1.0}), (a3, b3), (heads, sa[-2], sb[-1]))
    return move(scope, y, None, scope.shape(node.output))


def _spread(scope: Scope, name: str, shape: tuple[int, ...]) -> str:
    return name if scope.shape(name) == shape else expanded(scope, name, shape)


PRODUCTS_OF_MATRICES = (product_with_weights, gemm_is_linear, product_of_activations)
