# SPDX-License-Identifier: Apache-2.0
"""The last passes change the nodes, never the bits."""

from __future__ import annotations

import numpy as np

from graphs import ends
from tinygen import operators as ops
from tinygen.graph import Float, Graph, Node, Op, Quant, Value
from tinygen.passes.multipliers import add, layer_norm, projection
from tinygen.passes.names import systematic
from tinygen.passes.tables import make_tables, real_inputs, to_grid
from tinygen.passes.tail import drop_identities, fuse_tables, select_early
from tinygen.reference import run

G = Quant(0.05, 3)
RNG = np.random.default_rng(1)


def linear(n: int, k: int) -> ops.Linear:
    w = RNG.integers(-127, 128, (n, k))
    p = projection(w, np.full(n, 0.01), np.zeros(n), G, G)
    return ops.Linear(p.weight, p.bias, p.requant)


def build(*steps: tuple[Op, tuple[str, ...], tuple[int, ...]]) -> Graph:
    """Nodes v0, v1, ... in order; the last is the output."""
    values = {"x": Value("x", (5, 4), G)}
    nodes = []
    for i, (op, inputs, shape) in enumerate(steps):
        values[f"v{i}"] = Value(f"v{i}", shape, G)
        nodes.append(Node(f"n{i}", op, inputs, (f"v{i}",)))
    return Graph("t", values, tuple(nodes), *ends(f"v{len(steps) - 1}"))


def same(before: Graph, after: Graph) -> None:
    x = RNG.integers(-128, 128, (5, 4)).astype(np.int8)
    np.testing.assert_array_equal(run(before, x), run(after, x))


def lut() -> ops.Lut:
    return ops.Lut(RNG.integers(-128, 128, 256).astype(np.int8))


def test_a_table_that_changes_nothing_goes() -> None:
    same_bytes = ops.Lut(np.arange(-128, 128, dtype=np.int8))
    before = build(
        (linear(4, 4), ("x",), (5, 4)), (same_bytes, ("v0",), (5, 4)), (lut(), ("v0",), (5, 4))
    )
    after = drop_identities(before)
    assert [type(n.op) for n in after.nodes] == [ops.Linear, ops.Lut]
    same(before, after)
    kept = build((same_bytes, ("x",), (5, 4)))  # the input keeps its name
    assert [type(n.op) for n in drop_identities(kept).nodes] == [ops.Lut]


def test_tables_join_the_product_before_them() -> None:
    g = build((linear(4, 4), ("x",), (5, 4)), (lut(), ("v0",), (5, 4)), (lut(), ("v1",), (5, 4)))
    after = fuse_tables(g)
    assert [type(n.op) for n in after.nodes] == [ops.Linear]
    same(g, after)


def test_a_product_read_twice_keeps_its_values() -> None:
    residual = add(G, G, G, None)
    g = build(
        (linear(4, 4), ("x",), (5, 4)),
        (lut(), ("v0",), (5, 4)),
        (residual, ("v0", "v1"), (5, 4)),
    )
    after = fuse_tables(g)
    assert len(after.nodes) == 3
    same(g, after)


def test_a_token_is_picked_as_early_as_possible() -> None:
    norm = layer_norm(np.ones(4), np.zeros(4), 1e-5, G, G)
    other = RNG.integers(-128, 128, (5, 4)).astype(np.int8)
    g = build(
        (norm, ("x",), (5, 4)),
        (linear(4, 4), ("v0",), (5, 4)),
        (add(G, G, G, None), ("x", "v1"), (5, 4)),
        (add(G, G, G, other), ("v2",), (5, 4)),
        (ops.SelectToken(2), ("v3",), (1, 4)),
    )
    after = select_early(g)
    rows = [after.values[n.output].shape[0] for n in after.nodes]
    assert set(rows) == {1}
    same(g, after)


def test_a_token_is_not_picked_before_an_operator_that_others_read() -> None:
    norm = layer_norm(np.ones(4), np.zeros(4), 1e-5, G, G)
    g = build(
        (norm, ("x",), (5, 4)),
        (ops.SelectToken(0), ("v0",), (1, 4)),
        (ops.MeanPool(0, linear(4, 4).requant), ("v0",), (1, 4)),
        (add(G, G, G, None), ("v1", "v2"), (1, 4)),
    )
    assert select_early(g).nodes == g.nodes


def test_an_island_of_float_is_one_table_whatever_its_formula() -> None:
    quant = Float("Quant", {"scale": G.scale, "zp": G.zero_point})
    g = build(
        (linear(4, 4), ("x",), (5, 4)),
        (Float("Sigmoid"), ("v0",), (5, 4)),
        (Float("Mul"), ("v0", "v1"), (5, 4)),
        (quant, ("v2",), (5, 4)),
    )
    values = dict(g.values)
    for name in ("v1", "v2"):
        values[name] = Value(name, (5, 4))
    after = make_tables(Graph("t", values, g.nodes, *ends("v3")))
    assert [type(n.op) for n in after.nodes] == [ops.Linear, ops.Lut]
    r = real_inputs(G)
    (_, node) = after.nodes
    assert isinstance(node.op, ops.Lut)
    np.testing.assert_array_equal(node.op.table, to_grid(r / (1 + np.exp(-r)), G))


def test_a_sum_of_two_activations_is_no_table() -> None:
    quant = Float("Quant", {"scale": G.scale, "zp": G.zero_point})
    g = build(
        (linear(4, 4), ("x",), (5, 4)),
        (Float("Add"), ("x", "v0"), (5, 4)),
        (quant, ("v1",), (5, 4)),
    )
    g = Graph("t", {**g.values, "v1": Value("v1", (5, 4))}, g.nodes, *ends("v2"))
    assert [type(n.op) for n in make_tables(g).nodes] == [ops.Linear, Float, Float]


def test_names_are_unique_and_ends_are_called_input_and_output() -> None:
    g = build((linear(4, 4), ("x",), (5, 4)), (lut(), ("v0",), (5, 4)), (lut(), ("v1",), (5, 4)))
    named, origins = systematic(g)
    assert [n.name for n in named.nodes] == ["embed", "embed.table", "embed.table_2"]
    assert (named.only_input, named.only_output) == ("input", "output")
    assert origins["output"] == "v2"
    same(g, named)
