# SPDX-License-Identifier: Apache-2.0
"""Evaluate an integer graph, node by node."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.errors import TinygenError
from tinygen.graph import Float, Graph, Input
from tinygen.graph.packed import apart, given, outputs_of, together
from tinygen.numeric import I8
from tinygen.numeric.requant import clamp8


def run_all(graph: Graph, x: I8) -> dict[str, I8]:
    """Every value of the graph for one quantised sample (int8, see `tinygen.graph.packed`)."""
    values: dict[str, I8] = {}
    for name, part in given(graph, x).items():
        values[name] = part
    for node in graph.nodes:
        if isinstance(node.op, Float):
            raise TinygenError(f"node {node.name} ({node.op.kind}) is not an integer operator")
        values[node.output] = node.op.reference([values[i] for i in node.inputs])
    return values


def run(graph: Graph, x: I8) -> I8:
    """The outputs for one quantised sample."""
    return outputs_of(graph, run_all(graph, x))


def quantise(graph: Graph, x: NDArray[Any]) -> I8:
    """A sample, float -> int8, each input by its scale and zero point (round half even, as ONNX
    does).

    A model that takes integers gets them as they are, uint8 less 128. Divides in float32 like
    onnxruntime, so that both see the same integers.
    """
    if len(graph.inputs) == 1:
        return _quantised(graph, graph.inputs[0], x)
    return together([_quantised(graph, i, given(graph, x)[i.value]) for i in graph.inputs])


def _quantised(graph: Graph, entry: Input, x: NDArray[Any]) -> I8:
    quant = graph.quant(entry.value)
    if entry.integers:
        return clamp8(x.astype(np.int64) - (128 if entry.integers == "uint8" else 0))
    if entry.normalisation is not None:
        x = entry.normalisation.apply(x.reshape(graph.values[entry.value].shape))
    with np.errstate(over="ignore"):  # infinite is beyond the range too
        q = np.rint(x.astype(np.float32) / np.float32(quant.scale)) + quant.zero_point
    return clamp8(q)


def dequantise(graph: Graph, y: I8) -> NDArray[np.float32]:
    """int8 outputs -> float, each by its scale and zero point."""
    if len(graph.outputs) == 1:
        return _real(graph, graph.output_values[0], y)
    parts = apart(graph, graph.output_values, y.reshape(1, -1))
    return together(
        [_real(graph, name, p[0]) for name, p in zip(graph.output_values, parts, strict=True)]
    )


def _real(graph: Graph, name: str, y: I8) -> NDArray[np.float32]:
    quant = graph.quant(name)
    real: NDArray[np.float32] = (y.astype(np.float32) - quant.zero_point) * np.float32(quant.scale)
    return real
