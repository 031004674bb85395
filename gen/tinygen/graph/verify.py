# SPDX-License-Identifier: Apache-2.0
"""The verifier, run after every pass: what a Graph promises to those who read it."""

from __future__ import annotations

import numpy as np

from tinygen.errors import TinygenError
from tinygen.graph.float import Float
from tinygen.graph.graph import Graph, Node
from tinygen.numeric import Requant
from tinygen.operators import infer_shape


def verify(graph: Graph, *, integer: bool = False) -> Graph:
    """Raise `TinygenError` naming the first node at fault; return the graph unchanged.

    integer: also demand that only integer operators remain, on quantised values, with shapes and
    parameters in the ranges that their operators state.
    """
    defined = {*graph.input_values} | {v.name for v in graph.values.values() if v.data is not None}
    for key, value in graph.values.items():
        if key != value.name:
            raise TinygenError(f"value {value.name} is filed under {key}")
    for node in graph.nodes:
        for name in node.inputs:
            if name and name not in defined:
                raise TinygenError(f"node {node.name}: {name} is used before it is made")
        for name in node.outputs:
            if name in defined:
                raise TinygenError(f"node {node.name}: {name} is made twice")
            if name not in graph.values:
                raise TinygenError(f"node {node.name}: {name} has no entry among the values")
            defined.add(name)
        if integer:
            _verify_integer(graph, node)
    for name in graph.output_values:
        if name not in defined:
            raise TinygenError(f"the graph's output {name} is never made")
    return graph


def _verify_integer(graph: Graph, node: Node) -> None:
    op = node.op
    if isinstance(op, Float):
        raise TinygenError(
            f"node {node.name} ({op.kind}) has no integer form: quantise the operators around it, "
            "or open an issue with this model"
        )
    for name in (*node.inputs, *node.outputs):
        if graph.values[name].quant is None:
            raise TinygenError(f"node {node.name}: {name} has no scale")
    inputs = [graph.values[i].shape for i in node.inputs]
    want = infer_shape(op, inputs, node.name)
    if graph.values[node.output].shape != want:
        raise TinygenError(
            f"node {node.name} gives {want}, recorded {graph.values[node.output].shape}"
        )
    for requant in (v for v in vars(op).values() if isinstance(v, Requant)):
        in_range = np.all(requant.m >= 0) and 1 <= requant.s <= 32 and -128 <= requant.zp <= 127
        if requant.m.dtype != np.int32 or not in_range:
            raise TinygenError(f"node {node.name}: requantisation out of range")
    fault = op.fault(inputs)
    if fault is not None:
        raise TinygenError(f"node {node.name}: {fault}")
