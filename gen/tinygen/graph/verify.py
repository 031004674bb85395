# SPDX-License-Identifier: Apache-2.0
"""The verifier, run after every pass: what a Graph promises to those who read it."""

from __future__ import annotations

import numpy as np

from tinygen.errors import TinygenError
from tinygen.graph import ops
from tinygen.graph.graph import Graph, Node
from tinygen.graph.shapes import infer_shape


def verify(graph: Graph, *, integer: bool = False) -> Graph:
    """Raise `TinygenError` naming the first node at fault; return the graph unchanged.

    integer: also demand that only integer operators remain, on quantised values, with shapes and
    parameters in the ranges that `tinygen.graph.ops` states.
    """
    defined = {graph.input} | {v.name for v in graph.values.values() if v.data is not None}
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
    if graph.output not in defined:
        raise TinygenError(f"the graph's output {graph.output} is never made")
    return graph


def _verify_integer(graph: Graph, node: Node) -> None:
    op = node.op
    if isinstance(op, ops.Float):
        raise TinygenError(
            f"node {node.name} ({op.kind}) has no integer form: quantise the operators around it, "
            "or open an issue with this model"
        )
    for name in (*node.inputs, *node.outputs):
        if graph.values[name].quant is None:
            raise TinygenError(f"node {node.name}: {name} has no scale")
    want = infer_shape(op, [graph.values[i].shape for i in node.inputs], node.name)
    if graph.values[node.output].shape != want:
        raise TinygenError(
            f"node {node.name} gives {want}, recorded {graph.values[node.output].shape}"
        )
    for requant in _requants(op):
        in_range = np.all(requant.m >= 0) and 1 <= requant.s <= 32 and -128 <= requant.zp <= 127
        if requant.m.dtype != np.int32 or not in_range:
            raise TinygenError(f"node {node.name}: requantisation out of range")
    tokens = graph.values[node.inputs[-1]].shape[:1]
    _check_ranges(op, node.name, tokens[0] if tokens else 1)


def _requants(op: ops.IntOp) -> list[ops.Requant]:
    return [v for v in vars(op).values() if isinstance(v, ops.Requant)]


def _check_ranges(op: ops.IntOp, name: str, tokens: int) -> None:
    """Ranges that keep 32-bit kernels exact. tokens: rows of the input, of keys if it has them."""
    match op:
        case ops.Add() if not (0 <= op.ma < 1 << 21 and 0 <= op.mb < 1 << 21 and 1 <= op.s <= 22):
            raise TinygenError(f"node {name}: residual multipliers out of range")
        case ops.Add(other=other) if (
            other is not None and other.dtype == np.int16 and not op.mb < 1 << 14
        ):
            raise TinygenError(f"node {name}: the multiplier of a 16-bit constant is out of range")
        case ops.MaxPool() if any(not 0 <= pad < op.kernel[i % 2] for i, pad in enumerate(op.pads)):
            raise TinygenError(f"node {name}: pooling has windows of padding only")
        case ops.LayerNorm() if (
            np.abs(op.gamma).max() >= 1 << 15
            or np.abs(op.beta).max() > 1 << 30
            or not 1 <= op.eps_term < (1 << 16 if op.whole else 1 << 63)
            or not 0 <= op.step < 1 << 54
            or (op.step > 0 and not 1 <= op.most <= 255)
        ):
            raise TinygenError(f"node {name}: LayerNorm parameters out of range")
        case ops.Attention():
            if not 0 <= op.levels < 256 or op.levels_up < 0:
                raise TinygenError(f"node {name}: levels of the attention weights out of range")
            _check_weights(op, name, 128, tokens)
        case ops.DotProductAttention():
            steps = op.steps
            if steps is not None and not (
                steps.total.bit_length() == op.weight_bits
                and 0 <= steps.up <= 14
                and 1 <= steps.most <= min(255, 32767 >> steps.up)
            ):
                raise TinygenError(f"node {name}: steps of the attention weights out of range")
            if op.mask is not None and not op.mask.any(axis=1).all():
                raise TinygenError(f"node {name}: a row of the mask sees no key")
            if tokens > 65536:
                raise TinygenError(f"node {name}: more than 65536 keys")
            _check_weights(op, name, 255, tokens)
        case _:
            pass


def _check_weights(
    op: ops.Attention | ops.DotProductAttention, name: str, largest: int, tokens: int
) -> None:
    """largest: of the values that are weighed."""
    c = op.context
    least = 47 - (32 - op.weight_bits) + c.frac - c.s
    ok = 1 << 14 <= c.mult < 1 << 15 and 33 <= c.s <= 40 and least >= 0 and abs(c.offset) < 1 << 30
    if not ok:
        raise TinygenError(f"node {name}: context requantisation out of range")
    full = (1 << op.weight_bits) - 1
    if op.weight_bits > 15 or not int(op.exp_table[0]) == int(op.exp_table.max()) == full:
        raise TinygenError(f"node {name}: exponent table is not full scale")
    if largest * tokens * full >= 1 << 31:
        raise TinygenError(
            f"node {name}: {op.weight_bits}-bit attention weights overflow int32 over "
            f"{tokens} tokens"
        )
