# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graphs import GraphBuilder
from tinygen import reference
from tinygen.graph import Graph
from tinygen.numeric import Requant
from tinygen.operators import Attention
from tinygen.passes.short import LEAST_BITS, short_requant, shorten


def encoder(step: float) -> Graph:
    """One attention layer with multipliers of all bits; step: of the exponent table, in nats."""
    b = GraphBuilder((33, 12), 3)
    op = b.attention(12, 4, 3)
    table = np.rint(32767 * np.exp(-np.arange(256) * step)).astype(np.uint16)
    wide = {
        n: Requant((r.m.astype(np.int64) * 1023).astype(np.int32), 32, r.zp)
        for n, r in vars(op).items()
        if isinstance(r, Requant)
    }
    b.add("attention", replace(op, exp_table=table, **wide))
    return b.graph()


def samples(graph: Graph, count: int = 4) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    shape = graph.values[graph.only_input].shape
    return [rng.integers(-128, 128, shape).astype(np.int8) for _ in range(count)]


def attention_of(graph: Graph) -> Attention:
    (op,) = (n.op for n in graph.nodes if isinstance(n.op, Attention))
    return op


def test_everything_is_short_and_moves_little() -> None:
    graph = encoder(0.05)
    x = samples(graph)
    short = shorten(graph, x)
    op = attention_of(short.graph)
    assert op.weight_bits == 8 and op.exp_table[0] == 255
    assert {r.s for r in vars(op).values() if isinstance(r, Requant)} == {22}
    assert 0 < short.losses["attention"] <= 0.1
    moved = [
        np.abs(reference.run(graph, i).astype(int) - reference.run(short.graph, i)).mean()
        for i in x
    ]
    assert 0 < np.mean(moved) < 0.5


def test_long_flat_tails_keep_their_bits() -> None:
    """Weights of 1/600 of the largest vanish in eight bits, and there are many of them."""
    graph = encoder(0.05)
    op = attention_of(graph)
    table = np.full(256, 54, np.uint16)
    table[:20] = np.rint(32767 * np.exp(-np.arange(20)))
    node = replace(graph.nodes[0], op=replace(op, exp_table=np.maximum(table, 54)))
    graph = replace(graph, nodes=(node,))
    short = shorten(graph, samples(graph))
    assert short.losses["attention"] > 0.1
    assert attention_of(short.graph).weight_bits == 15


def test_without_samples_weights_stay() -> None:
    short = shorten(encoder(0.05))
    assert attention_of(short.graph).weight_bits == 15 and not short.losses
    assert attention_of(short.graph).rq.s == 22


@pytest.mark.parametrize(("m", "kept"), [(1 << 30, True), (1 << (LEAST_BITS + 8), False)])
def test_small_channels_keep_ten_bits(m: int, kept: bool) -> None:
    r = Requant(np.array([1 << 29, 0, m], np.int32), 32, 5)
    assert (short_requant(r).s == 22) == kept
