# SPDX-License-Identifier: Apache-2.0
"""Evaluate an integer graph, node by node."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.errors import TinygenError
from tinygen.graph import Float, Graph
from tinygen.numeric import I8
from tinygen.numeric.requant import clamp8


def run_all(graph: Graph, x: I8) -> dict[str, I8]:
    """Every value of the graph for one quantised input (int8, the input's shape)."""
    values = {graph.input: x}
    for node in graph.nodes:
        if isinstance(node.op, Float):
            raise TinygenError(f"node {node.name} ({node.op.kind}) is not an integer operator")
        values[node.output] = node.op.reference([values[i] for i in node.inputs])
    return values


def run(graph: Graph, x: I8) -> I8:
    """The output for one quantised input."""
    return run_all(graph, x)[graph.output]


def quantise(graph: Graph, x: NDArray[Any]) -> I8:
    """float [...] -> int8 by the input's scale and zero point (round half even, as ONNX does).

    A model that takes integers gets them as they are, uint8 less 128. Divides in float32 like
    onnxruntime, so that both see the same integers.
    """
    quant = graph.values[graph.input].quant
    assert quant is not None
    if graph.integer_input:
        return clamp8(x.astype(np.int64) - (128 if graph.integer_input == "uint8" else 0))
    if graph.normalisation is not None:
        x = graph.normalisation.apply(x.reshape(graph.values[graph.input].shape))
    with np.errstate(over="ignore"):  # infinite is beyond the range too
        q = np.rint(x.astype(np.float32) / np.float32(quant.scale)) + quant.zero_point
    return clamp8(q)


def dequantise(graph: Graph, y: I8) -> NDArray[np.float32]:
    quant = graph.values[graph.output].quant
    assert quant is not None
    real: NDArray[np.float32] = (y.astype(np.float32) - quant.zero_point) * np.float32(quant.scale)
    return real
