# SPDX-License-Identifier: Apache-2.0
"""Short arithmetic: multipliers of up to 22 fractional bits and attention weights of 8 bits.

Another integer network, the same on every core: one that has no quick 64-bit product (RISC-V with
Xpulpv2) runs it faster. Multipliers keep at least ten bits. Weights become short only in layers
whose context moves little on samples: with one dominant key and a long flat tail, eight bits lose
whole LSBs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from tinygen.graph import Graph, Node, Op, verify
from tinygen.numeric import I8, Requant
from tinygen.operators import Attention
from tinygen.operators.attention.reference import contexts
from tinygen.reference import run_all

OpT = TypeVar("OpT", bound=Op)
SHIFT, LEAST_BITS = 22, 10
WEIGHT_BITS = 8
LOSS = 0.1
"""LSB that the contexts of a layer may move on average."""
MEASURED = 16
"""Samples that this is measured on, at most."""


@dataclass(frozen=True, eq=False)
class Short:
    """losses: attention node -> mean distance in LSB of its contexts with weights of eight bits
    from those with all bits, the same queries, keys and values; empty without samples."""

    graph: Graph
    losses: Mapping[str, float]


def shorten(graph: Graph, inputs: Sequence[I8] = ()) -> Short:
    """inputs: quantised samples of the graph's input; without them attention weights stay."""
    nodes, losses = [], {}
    values = [run_all(graph, x) for x in inputs[:MEASURED]]
    for node in graph.nodes:
        op = short_requants(node.op)
        if isinstance(op, Attention) and values:
            narrow = narrow_weights(op)
            loss = None if narrow is None else _loss(op, narrow, node, values)
            if narrow is not None and loss is not None:
                losses[node.name] = loss
                op = narrow if loss <= LOSS else op
        nodes.append(replace(node, op=op))
    return Short(verify(replace(graph, nodes=tuple(nodes)), integer=True), losses)


def short_requants(op: OpT) -> OpT:
    """Of all its products."""
    fields: dict[str, Any] = {
        k: short_requant(v) for k, v in vars(op).items() if isinstance(v, Requant)
    }
    return replace(op, **fields)


def short_requant(r: Requant) -> Requant:
    """The same ratios with a shift of 22, unless a channel would keep too few bits."""
    if r.s <= SHIFT:
        return r
    drop = r.s - SHIFT
    m = (r.m.astype(np.int64) + (1 << (drop - 1))) >> drop
    live = r.m > 0
    if np.any(m[live] < 1 << (LEAST_BITS - 1)):
        return r
    return Requant(m.astype(np.int32), SHIFT, r.zp)


def narrow_weights(op: Attention) -> Attention | None:
    """Eight bits for unnormalised weights; None where they have no more, or none would fit."""
    s = min(op.context.s, 23 + op.context.frac)  # see `RowScale`: its shift is never negative
    if op.weight_bits <= WEIGHT_BITS or op.levels or s < 33:
        return None
    full, short = (1 << op.weight_bits) - 1, (1 << WEIGHT_BITS) - 1
    table = np.rint(op.exp_table * (short / full)).astype(np.uint16)
    offset = round(op.context.offset / 2 ** (op.context.s - s))
    context = replace(op.context, s=s, offset=offset)
    return replace(op, exp_table=table, weight_bits=WEIGHT_BITS, context=context)


def _loss(
    op: Attention, narrow: Attention, node: Node, values: Sequence[Mapping[str, I8]]
) -> float:
    rows = [v[node.inputs[0]] for v in values]
    pairs = [(contexts(x, op).astype(int), contexts(x, narrow)) for x in rows]
    return float(np.mean([np.abs(a - b).mean() for a, b in pairs]))
