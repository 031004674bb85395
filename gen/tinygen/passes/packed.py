# SPDX-License-Identifier: Apache-2.0
"""A packed projection falls into the parts that are read of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygen.graph import Node
from tinygen.passes.constants import is_constant, is_scalar
from tinygen.passes.elementwise import BINARY, UNARY
from tinygen.passes.engine import Result, Scope, rule
from tinygen.passes.moves import expanded, index_of, move, normal, positions


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
