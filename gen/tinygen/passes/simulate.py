# SPDX-License-Identifier: Apache-2.0
"""Run the canonical float graph in numpy: what its values are on samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.errors import TinygenError
from tinygen.graph import Float, Graph, Node
from tinygen.graph.packed import given
from tinygen.passes.canonical import form_of
from tinygen.passes.elementwise import ELEMENTWISE, evaluate
from tinygen.passes.unsupported import unsupported

Array = NDArray[Any]


def simulate(graph: Graph, x: Array) -> dict[str, Array]:
    """Every value for one sample of real numbers (`tinygen.graph.packed`)."""
    data = {k: v.data for k, v in graph.values.items() if v.data is not None}
    known: dict[str, Array] = dict(data)
    for name, part in given(graph, x).items():
        known[name] = _on_grid(graph, name, part)
    for node in graph.nodes:
        assert isinstance(node.op, Float)
        inputs = [known[i] if i else None for i in node.inputs]
        shape = graph.values[node.output].shape
        known[node.output] = evaluated(node, inputs, shape)
    return known


def evaluated(node: Node, inputs: list[Any], shape: tuple[int, ...]) -> Array:
    """One float operator."""
    with np.errstate(over="ignore", invalid="ignore"):  # of damaged or untrained models
        return np.asarray(_run(node, inputs, shape), np.float32).reshape(shape)


def _on_grid(graph: Graph, name: str, x: Array) -> Array:
    quant = graph.values[name].quant
    shape = graph.values[name].shape
    if quant is None:
        return x.reshape(shape).astype(np.float32)
    with np.errstate(over="ignore"):
        steps = x / np.float32(quant.scale)
    q = np.clip(np.rint(steps) + quant.zero_point, -128, 127)
    return ((q - quant.zero_point) * quant.scale).reshape(shape).astype(np.float32)


def _run(node: Node, i: list[Any], shape: tuple[int, ...]) -> Array:
    assert isinstance(node.op, Float)
    kind, attrs = node.op.kind, node.op.attrs
    if kind == "Softmax" and attrs.get("axis", -1) not in (-1, i[0].ndim - 1):
        raise TinygenError(
            f"node {node.name} (Softmax) is along axis {attrs['axis']}, which was not brought "
            "last: open an issue with this model"
        )
    if kind == "Grid":
        return np.asarray(i[0] * i[1])
    if kind == "Move":
        return _moved(i[0], attrs["index"])
    if kind == "Padded":
        widths = list(zip(attrs["before"], attrs["after"], strict=True))
        return np.pad(i[0], widths, constant_values=attrs["value"])
    form = form_of(node)
    if form is not None:
        return np.asarray(form.compute(i, attrs, shape))
    if kind in ELEMENTWISE:
        return evaluate(kind, attrs, i)
    raise TinygenError(unsupported(node))


def _moved(x: Array, index: Array | None) -> Array:
    flat = x.reshape(-1)
    return flat if index is None else flat[index.reshape(-1)]
