# SPDX-License-Identifier: Apache-2.0
"""The verifier refuses what kernels could not compute exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from graphs import GraphBuilder, random_encoder
from tinygen import operators as ops
from tinygen.errors import TinygenError
from tinygen.graph import Float, Graph, verify
from tinygen.numeric import U8, Requant


def with_op(graph: Graph, name: str, **changes: object) -> Graph:
    nodes = tuple(
        replace(n, op=replace(n.op, **changes)) if n.name == name else n for n in graph.nodes
    )
    return replace(graph, nodes=nodes)


def attention_of(graph: Graph) -> ops.Attention:
    return next(n.op for n in graph.nodes if isinstance(n.op, ops.Attention))


def test_accepts_a_whole_encoder() -> None:
    verify(random_encoder(), integer=True)


def test_exponent_table_must_start_at_full_scale() -> None:
    graph = random_encoder()
    table = attention_of(graph).exp_table.copy()
    table[0] -= 1
    with pytest.raises(TinygenError, match=r"block0\.attention.*full scale"):
        verify(with_op(graph, "block0.attention", exp_table=table), integer=True)


def test_exponent_table_must_not_rise_above_full_scale() -> None:
    graph = random_encoder()
    table = attention_of(graph).exp_table.copy()
    table[5] = 65535
    with pytest.raises(TinygenError, match="full scale"):
        verify(with_op(graph, "block0.attention", exp_table=table), integer=True)


def test_attention_weights_must_fit_int32_sums() -> None:
    builder = GraphBuilder((513, 4))
    builder.add("attention", builder.attention(4, 2, 1))
    with pytest.raises(TinygenError, match="overflow int32 over 513 tokens"):
        builder.graph()


def dot_product(mask: U8 | None = None, **changes: Any) -> Graph:
    """Three tokens, one head of four features."""
    b = GraphBuilder((3, 4))
    base = b.attention(4, 4, 1)
    op = ops.DotProductAttention(
        1, 0, 0, 0, base.score, base.exp_table, 15, base.context, mask, **changes
    )
    b.add("attention", op, "x", "x", "x")
    return b.graph()


def test_a_mask_leaves_every_row_a_key() -> None:
    causal = np.tril(np.ones((3, 3), np.uint8))
    dot_product(causal)
    with pytest.raises(TinygenError, match="a row of the mask sees no key"):
        dot_product(causal - np.eye(3, dtype=np.uint8))
    with pytest.raises(TinygenError, match="mask rows are not queries"):
        dot_product(causal[:2])
    with pytest.raises(TinygenError, match="mask columns are not keys"):
        dot_product(causal[:, :2])


@pytest.mark.parametrize(
    ("total", "up", "most"), [(127, 8, 127), (127 << 8, 15, 1), (127 << 8, 8, 128), (1 << 14, 6, 0)]
)
def test_steps_of_weights(total: int, up: int, most: int) -> None:
    dot_product(steps=ops.WeightSteps(127 << 8, 8, 127))
    with pytest.raises(TinygenError, match="steps of the attention weights out of range"):
        dot_product(steps=ops.WeightSteps(total, up, most))


def test_value_used_before_it_is_made() -> None:
    graph = random_encoder()
    with pytest.raises(TinygenError, match="before it is made"):
        verify(replace(graph, nodes=graph.nodes[::-1]))


def test_float_operator_left_over() -> None:
    graph = random_encoder()
    first = replace(graph.nodes[0], op=Float("Sin"))
    with pytest.raises(TinygenError, match=r"embed \(Sin\) has no integer form"):
        verify(replace(graph, nodes=(first, *graph.nodes[1:])), integer=True)


def test_recorded_shape_must_follow_from_the_operator() -> None:
    graph = random_encoder()
    wrong = replace(graph.values["head_y"], shape=(1, 7))
    with pytest.raises(TinygenError, match="node head gives"):
        verify(replace(graph, values={**graph.values, "head_y": wrong}), integer=True)


def test_requantisation_out_of_range() -> None:
    graph = random_encoder()
    bad = Requant(np.array([1], np.int32), 33, 0)
    with pytest.raises(TinygenError, match="node head: requantisation"):
        verify(with_op(graph, "head", requant=bad), integer=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"wk": np.zeros((0, 8), np.int8)}, "keys differ in width"),
        ({"wv": np.zeros((0, 8), np.int8)}, "values differ in width"),
    ],
)
def test_fused_weights_need_the_width_of_x(changes: dict[str, object], message: str) -> None:
    with pytest.raises(TinygenError, match=message):
        verify(with_op(random_encoder(), "block0.attention", **changes), integer=True)


@pytest.mark.parametrize("fusion", ["fused-scores", "fused-values", "fused"])
def test_accepts_fused_weights(fusion: ops.Fusion) -> None:
    builder = GraphBuilder((5, 7))
    builder.add("attention", builder.attention(7, 3, 2, fusion=fusion))
    assert attention_of(builder.graph()).fusion == fusion
