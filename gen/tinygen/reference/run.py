# SPDX-License-Identifier: Apache-2.0
"""Evaluate an integer graph, node by node."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.errors import TinygenError
from tinygen.graph import ops
from tinygen.graph.graph import Graph
from tinygen.graph.operator import Operator
from tinygen.graph.ops import I8, IntOp
from tinygen.reference import elementwise, matmul
from tinygen.reference.attention import attention
from tinygen.reference.dot_product import dot_product_attention
from tinygen.reference.norm import layer_norm
from tinygen.reference.requant import clamp8


def run_op(op: IntOp, inputs: list[I8]) -> I8:
    """One operator on its activations (no batch axis)."""
    x = inputs[0]
    if isinstance(op, Operator):
        return op.reference(inputs)
    match op:
        case ops.Linear():
            return matmul.linear(x, op)
        case ops.Conv():
            return matmul.conv(x, op)
        case ops.Attention():
            return attention(x, op)
        case ops.DotProductAttention():
            return dot_product_attention(inputs, op)
        case ops.LayerNorm():
            return layer_norm(x, op)
        case ops.Add():
            return elementwise.add(x, inputs[1] if op.other is None else op.other, op)
        case ops.Lut():
            return elementwise.lookup(x, op)
        case ops.MeanPool():
            return elementwise.mean_pool(x, op)
        case ops.MaxPool():
            return elementwise.max_pool(x, op)
        case ops.Embed():
            return elementwise.embed(x, op)
        case ops.PrependTokens():
            joined: I8 = np.concatenate([op.rows, x])
            return joined
        case ops.SelectToken():
            return x[op.index : op.index + 1]
        case ops.Reshape():
            return x.reshape(op.shape)
    raise TinygenError(f"no integer definition of {type(op).__name__}")


def run_all(graph: Graph, x: I8) -> dict[str, I8]:
    """Every value of the graph for one quantised input (int8, the input's shape)."""
    values = {graph.input: x}
    for node in graph.nodes:
        if isinstance(node.op, ops.Float):
            raise TinygenError(f"node {node.name} ({node.op.kind}) is not an integer operator")
        values[node.output] = run_op(node.op, [values[i] for i in node.inputs])
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
