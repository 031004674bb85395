# SPDX-License-Identifier: Apache-2.0
"""Each rewrite rule: a pattern that it takes and one that it must leave."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rule_bench import Bench, apply, kinds, run

from tinygen.errors import TinygenError
from tinygen.graph import Float, Graph, Quant, Value
from tinygen.operators import Conv, Embed, Linear
from tinygen.passes import algebra, integer, moves, norms, quantisation, rows, twice
from tinygen.passes.attention_node import attention_node
from tinygen.passes.engine import rewrite
from tinygen.passes.products import PRODUCTS_OF_MATRICES
from tinygen.passes.rows import INTEGER_ROWS
from tinygen.passes.sharing import share_roundings
from tinygen.passes.simulate import simulate
from tinygen.passes.windows import WINDOWS

I8 = np.int8
ROWS = (attention_node, *PRODUCTS_OF_MATRICES, *rows.ROWS, *WINDOWS)


def attrs(graph: Graph, kind: str) -> dict[str, object]:
    (node,) = (n for n in graph.nodes if isinstance(n.op, Float) and n.op.kind == kind)
    assert isinstance(node.op, Float)
    return dict(node.op.attrs)


# quantisation


def pair(zero: object, dtype: type, second: float = 0.1) -> tuple[Bench, str]:
    b = Bench(2, 3)
    z = b.const(zero, dtype)
    q = b.node("QuantizeLinear", "x", b.const(0.1), z, shape=(2, 3))
    return b, b.node("DequantizeLinear", q, b.const(second), z, shape=(2, 3))


def test_a_pair_is_a_rounding() -> None:
    b, y = pair(3, I8)
    after = apply(b.graph(y), *quantisation.PAIRS)
    assert kinds(after) == ["Quant"] and attrs(after, "Quant")["zp"] == 3


def test_unsigned_bytes_are_the_same_grid_shifted() -> None:
    b, y = pair(130, np.uint8)
    after = apply(b.graph(y), *quantisation.PAIRS)
    assert attrs(after, "Quant")["zp"] == 2


def test_a_pair_with_two_scales_is_refused() -> None:
    b, y = pair(0, I8, second=0.2)
    with pytest.raises(TinygenError, match=r"dequantizelinear_\w+ .*does not undo"):
        rewrite(b.graph(y), quantisation.PAIRS)


def test_activations_of_16_bits_are_refused() -> None:
    b, y = pair(0, np.int16)
    with pytest.raises(TinygenError, match="to int16: use 8-bit activations"):
        rewrite(b.graph(y), quantisation.PAIRS)


def test_activations_per_channel_are_refused() -> None:
    b = Bench(2, 3)
    s, z = b.const([0.1, 0.2, 0.3]), b.const([0, 0, 0], I8)
    q = b.node("QuantizeLinear", "x", s, z, shape=(2, 3), axis=1)
    y = b.node("DequantizeLinear", q, s, z, shape=(2, 3), axis=1)
    with pytest.raises(TinygenError, match="per channel"):
        rewrite(b.graph(y), quantisation.PAIRS)


def test_a_scale_computed_at_run_time_is_refused() -> None:
    b = Bench(1)
    y = b.node("DequantizeLinear", b.const([1, 2], I8), "x", shape=(2,))
    with pytest.raises(TinygenError, match="computes its scale at run time"):
        rewrite(b.graph(y), quantisation.PAIRS)


def test_a_quantised_constant_is_a_grid_with_the_scale_of_every_element() -> None:
    b = Bench(2, 3)
    w = b.const([[1, 2, 3], [4, 5, 6]], I8)
    d = b.node(
        "DequantizeLinear", w, b.const([1.0, 2.0]), b.const([0, 1], I8), shape=(2, 3), axis=0
    )
    after = apply(b.graph(b.node("Add", "x", d, shape=(2, 3))), *quantisation.PAIRS)
    grid = next(n for n in after.nodes if isinstance(n.op, Float) and n.op.kind == "Grid")
    assert after.values[grid.inputs[0]].data.tolist() == [[1, 2, 3], [3, 4, 5]]
    assert after.values[grid.inputs[1]].data.tolist() == [[1, 1, 1], [2, 2, 2]]


def test_a_float_constant_quantised_in_the_graph_is_a_grid() -> None:
    b = Bench(2)
    s, z = b.const(0.5), b.const(0, I8)
    q = b.node("QuantizeLinear", b.const([1.0, 1.3]), s, z, shape=(2,))
    d = b.node("DequantizeLinear", q, s, z, shape=(2,))
    after = apply(b.graph(b.node("Add", "x", d, shape=(2,))), *quantisation.PAIRS)
    assert kinds(after) == ["Add"]


def test_rounding_twice_onto_one_grid_is_once() -> None:
    b = Bench(2)
    assert kinds(apply(b.graph(b.quant(b.quant("x"))), *quantisation.ROUNDING)) == ["Quant"]
    b = Bench(2)
    after = apply(b.graph(b.quant(b.quant("x"), 0.2)), *quantisation.ROUNDING)
    assert kinds(after) == ["Quant", "Quant"]


def test_a_constant_rounded_is_a_grid() -> None:
    b = Bench(2)
    y = b.node("Add", "x", b.quant(b.const([0.31, 0.5])), shape=(2,))
    assert kinds(apply(b.graph(y), *quantisation.ROUNDING)) == ["Add"]


def test_an_activation_without_a_scale_gets_one_before_relu_but_not_before_gelu() -> None:
    b = Bench(2)
    y = b.quant(b.node("Relu", "x", shape=(2,)))
    assert kinds(apply(b.graph(y), *quantisation.ROUNDING)) == ["Quant", "Relu", "Quant"]
    b = Bench(2)
    y = b.quant(b.node("Gelu", "x", shape=(2,)))
    assert kinds(apply(b.graph(y), *quantisation.ROUNDING)) == ["Gelu", "Quant"]


# rows


def test_products_with_weights_are_linear_on_rows() -> None:
    b = Bench(1, 2, 3)
    y = b.node("MatMul", "x", b.grid(np.ones((3, 4)), 0.1), shape=(1, 2, 4))
    assert kinds(apply(b.graph(y), *ROWS)) == ["Move", "Linear", "Move"]
    b = Bench(2, 3)
    y = b.node(
        "Gemm", "x", b.grid(np.ones((4, 3)), 0.1), b.const([1, 2, 3, 4]), shape=(2, 4), transB=1
    )
    assert kinds(apply(b.graph(y), *ROWS)) == ["Linear"]


def test_float_weights_are_rounded_for_each_output_and_that_is_said() -> None:
    b = Bench(2, 3)
    weight = np.array([[1.0, 254, 0], [0.5, -100, 0], [-0.25, 3, 0]])  # a column an output
    y = b.node("MatMul", "x", b.const(weight), shape=(2, 3))
    after = rewrite(b.graph(y), ROWS)
    (product,) = (n for n in after.nodes if isinstance(n.op, Float) and n.op.kind == "Linear")
    q, scales = (after.values[i].data for i in product.inputs[1:3])
    assert q is not None and scales is not None and np.abs(q).max() == 127
    np.testing.assert_allclose(scales, [1 / 127, 2, 1])
    np.testing.assert_allclose(q.T * scales, weight, atol=1)
    assert any("has float weights in the model; rounded" in n for n in after.notes)


def test_weight_scales_along_the_inputs_are_refused() -> None:
    b = Bench(2, 3)
    y = b.node("MatMul", "x", b.grid(np.ones((3, 4)), [[0.1], [0.2], [0.3]]), shape=(2, 4))
    with pytest.raises(TinygenError, match="weight scales along its inputs"):
        rewrite(b.graph(y), ROWS)


def test_gemm_with_alpha_is_a_product_and_a_factor() -> None:
    b = Bench(2, 3)
    y = b.node("Gemm", "x", b.grid(np.ones((3, 4)), 0.1), shape=(2, 4), alpha=2.0)
    assert kinds(rewrite(b.graph(y), ROWS)) == ["Linear", "Mul"]


@pytest.mark.parametrize(("axis", "width"), [(-1, 4), (1, 8)])
def test_layer_norm_over_the_axis_and_all_after_it(axis: int, width: int) -> None:
    b = Bench(1, 2, 4)
    gamma, beta = b.const([1, 2, 3, 4]), b.const([0, 0, 1, 1])
    y = b.node("LayerNormalization", "x", gamma, beta, shape=(1, 2, 4), axis=axis)
    after = rewrite(b.graph(y), ROWS)
    assert kinds(after) == ["Move", "Norm", "Move"]
    (norm,) = (n for n in after.nodes if n.op.kind == "Norm")
    assert after.values[norm.output].shape == (8 // width, width)


def test_mean_over_tokens_becomes_mean_of_rows() -> None:
    for axes, shape in (([1], (1, 3)), ([2], (1, 2))):
        b = Bench(1, 2, 3)
        y = b.node("ReduceMean", "x", shape=shape, axes=axes, keepdims=0)
        assert "Mean" in kinds(apply(b.graph(y), *ROWS))


def test_concatenation_along_any_axis_joins_rows() -> None:
    for axis, shape in ((1, (1, 3, 3)), (2, (1, 2, 4))):
        b = Bench(1, 2, 3)
        other = (1, 1, 3) if axis == 1 else (1, 2, 1)
        y = b.node("Concat", b.const(np.ones(other)), "x", shape=shape, axis=axis)
        assert "Join" in kinds(apply(b.graph(y), *ROWS))


def test_rows_in_another_order_pass_a_linear_but_features_do_not() -> None:
    b = Bench(3, 2)
    t = b.node("Move", "x", shape=(3, 2), index=np.array([4, 5, 0, 1, 2, 3]))
    assert kinds(apply(b.graph(b.linear(t, [[1, 2]])), *ROWS)) == ["Linear", "Move"]
    b = Bench(3, 2)
    t = b.node("Move", "x", shape=(3, 2), index=np.array([1, 0, 3, 2, 5, 4]))
    assert kinds(apply(b.graph(b.linear(t, [[1, 2]])), *ROWS)) == ["Move", "Linear"]


# algebra


def test_a_bias_after_a_rounded_product_joins_it() -> None:
    b = Bench(2, 3)
    w = np.arange(6).reshape(2, 3)
    y = b.quant(b.node("Add", b.quant(b.linear("x", w)), b.const([0.5, 1.0]), shape=(2, 2)), 0.02)
    graph = b.graph(y)
    after = rewrite(graph, (*algebra.ALGEBRA, *twice.MERGING))
    assert kinds(after) == ["Linear", "Quant"]
    assert len(after.notes) == 1 and twice.MERGED in after.notes[0]
    kept = rewrite(graph, algebra.ALGEBRA)
    assert kinds(kept) == ["Linear", "Quant", "Add", "Quant"] and not kept.notes
    linear = after.nodes[0]
    assert after.values[linear.inputs[3]].data.tolist() == [0.5, 1.0]


def test_positions_after_a_product_are_no_bias() -> None:
    b = Bench(2, 3)
    table = b.const([[0.5, 1.0], [0.0, 2.0]])
    y = b.quant(b.node("Add", b.quant(b.linear("x", np.ones((2, 3)))), table, shape=(2, 2)))
    assert kinds(rewrite(b.graph(y), algebra.ALGEBRA)) == ["Linear", "Quant", "Add", "Quant"]


def test_a_factor_joins_the_weights_unless_another_reads_the_product() -> None:
    b = Bench(2, 3)
    y = b.node("Mul", b.linear("x", np.ones((2, 3))), b.const([2.0, -3.0]), shape=(2, 2))
    assert kinds(apply(b.graph(y), *algebra.ALGEBRA)) == ["Linear"]
    b = Bench(2, 3)
    p = b.linear("x", np.ones((2, 3)))
    m = b.node("Mul", p, b.const(2.0), shape=(2, 2))
    y = b.node("Add", p, m, shape=(2, 2))
    assert kinds(apply(b.graph(y), *algebra.ALGEBRA)) == ["Linear", "Mul", "Add"]


def test_score_scales_gather_in_alpha_and_beta() -> None:
    b = Bench(2, 3, 3)
    a = b.node("Mul", "x", b.const(0.5), shape=(2, 3, 3))
    c = b.node("Div", "x", b.const(4.0), shape=(2, 3, 3))
    s = b.node("Scores", a, c, shape=(2, 3, 3), alpha=1.0)
    after = apply(b.graph(s), *algebra.ALGEBRA)
    assert kinds(after) == ["Scores"] and attrs(after, "Scores")["alpha"] == 0.125
    b = Bench(2, 3)
    y = b.node("Softmax", b.node("Mul", "x", b.const(0.5), shape=(2, 3)), shape=(2, 3), axis=-1)
    after = apply(b.graph(y), *algebra.ALGEBRA)
    assert kinds(after) == ["Softmax"] and attrs(after, "Softmax")["beta"] == 0.5


def test_a_negative_factor_before_softmax_stays() -> None:
    b = Bench(2, 3)
    y = b.node("Softmax", b.node("Mul", "x", b.const(-0.5), shape=(2, 3)), shape=(2, 3), axis=-1)
    assert kinds(apply(b.graph(y), *algebra.ALGEBRA)) == ["Mul", "Softmax"]


def test_columns_of_a_packed_projection_are_a_smaller_one_but_rows_are_not() -> None:
    b = Bench(2, 3)
    p = b.quant(b.linear("x", np.arange(12).reshape(4, 3)))
    y = b.node("Move", p, shape=(2, 2), index=np.array([2, 3, 6, 7]))
    after = apply(b.graph(y), *algebra.ALGEBRA)
    assert after.values[after.nodes[0].output].shape == (2, 2)
    b = Bench(2, 3)
    p = b.linear("x", np.arange(12).reshape(4, 3))
    y = b.node("Move", p, shape=(1, 4), index=np.array([4, 5, 6, 7]))
    assert kinds(apply(b.graph(y), *algebra.ALGEBRA)) == ["Linear", "Move"]


# norms


def spelled_out(b: Bench, axis: int, rounded: bool = False) -> str:
    shape, less = (2, 4), ((2, 1) if axis == 1 else (1, 4))
    mean = b.node("ReduceMean", "x", shape=less, axes=[axis])
    centred = b.node("Sub", "x", mean, shape=shape)
    square = b.node("Pow", centred, b.const(2.0), shape=shape)
    variance = b.node("ReduceMean", square, shape=less, axes=[axis])
    variance = b.quant(variance, 0.02) if rounded else variance
    shifted = b.node("Add", variance, b.const(1e-5), shape=less)
    shifted = b.quant(shifted, 0.02) if rounded else shifted
    root = b.node("Sqrt", shifted, shape=less)
    normal = b.node("Div", centred, root, shape=shape)
    normal = b.quant(normal, 0.03) if rounded else normal
    scaled = b.node("Mul", normal, b.const([1, 2, 3, 4]), shape=shape)
    return b.node("Add", scaled, b.const([0, 1, 0, 1]), shape=shape)


def test_layer_norm_spelled_out_is_a_norm() -> None:
    b = Bench(2, 4)
    assert kinds(apply(b.graph(spelled_out(b, 1)), *norms.NORMS)) == ["Norm"]


@pytest.mark.parametrize("rounded", [True, False])
def test_a_rounded_variance_is_the_norms(rounded: bool) -> None:
    """In one flavour of the rules; in the other it is dropped, and a note says so."""
    b = Bench(2, 4)
    y = spelled_out(b, 1, rounded=rounded)
    graph = b.graph(y)
    exact, quick = (rewrite(graph, rules) for rules in (norms.EXACT_NORMS, norms.NORMS))
    assert kinds(exact) == ["Norm"] if not rounded else kinds(exact)[0] == "Norm"
    assert ("scale" in attrs(exact, "Norm")) == rounded and not exact.notes
    assert kinds(quick) == ["Norm"] and "scale" not in attrs(quick, "Norm")
    assert bool(quick.notes) == rounded
    if rounded:
        assert kinds(exact) == ["Norm", "Quant", "Mul", "Add"]
        x = np.random.default_rng(0).normal(size=(2, 4)).astype(np.float32)
        known = simulate(replace(exact, values={**exact.values, "x": Value("x", (2, 4))}), x)
        np.testing.assert_allclose(known[exact.only_output], run(graph, x), rtol=1e-5, atol=1e-6)


def test_normalisation_over_tokens_is_a_norm_of_columns() -> None:
    b = Bench(2, 4)
    after = apply(b.graph(spelled_out(b, 0)), *norms.NORMS, *moves.MOVES)
    assert kinds(after)[:2] == ["Move", "Norm"]


@pytest.mark.parametrize(
    ("factor", "left"), [(65536.0, ["Norm", "Quant", "Mul"]), ([1, 2, 3, 4], ["Norm"])]
)
def test_a_number_behind_a_rounded_norm_is_a_change_of_scale(
    factor: object, left: list[str]
) -> None:
    """A factor for each feature is the norm's, as in a LayerNorm spelled out and rounded."""
    b = Bench(2, 4)
    norm = b.node("Norm", "x", b.const([1] * 4), b.const([0] * 4), shape=(2, 4), eps=1e-5)
    moved = b.node("Move", b.quant(norm, 1.0), shape=(2, 4), index=None)
    y = b.node("Mul", moved, b.const(factor), shape=(2, 4))
    after = kinds(rewrite(b.graph(y), norms.NORMS))
    assert [k for k in after if k != "Move"] == left


def test_float_weights_must_be_finite() -> None:
    b = Bench(2, 2)
    y = b.node("MatMul", "x", b.const([[1.0, np.inf], [0.0, 1.0]]), shape=(2, 2))
    with pytest.raises(TinygenError, match="has weights that are not finite"):
        rewrite(b.graph(y), ROWS)


@pytest.mark.parametrize(
    ("first", "zero", "second", "kept"),
    [(0.2, 0, 0.1, 0.1), (0.2, 0, 0.099, 0.1), (0.199, 0, 0.1, 0.1), (0.2, -128, 0.05, 0.05)],
)
def test_of_two_roundings_the_finer_one_goes(
    first: float, zero: int, second: float, kept: float
) -> None:
    """Through a factor of 1/2; a second one that cuts off all below zero stays."""
    b = Bench(2, 3)
    once = b.quant(b.linear("x", np.eye(3)), first)
    half = b.node("Mul", once, b.const(0.5), shape=(2, 3))
    after = rewrite(b.graph(b.quant(half, second, zero)), algebra.ALGEBRA)
    assert kinds(after) == ["Linear", "Quant"]
    assert attrs(after, "Quant")["scale"] == pytest.approx(kept)


@pytest.mark.parametrize(
    ("first", "zero", "second", "other", "ends"),
    [
        (0.2, 0, 0.03, 0, (-12.8, 12.7)),
        (0.1, 0, 0.1, 0, (-6.4, 6.35)),
        (0.2, -128, 0.1, 0, (0, 12.7)),
    ],
)
def test_of_two_roundings_neither_range_is_lost(
    first: float, zero: int, second: float, other: int, ends: tuple[float, float]
) -> None:
    """What either cuts off stays cut off, by a grid of what both hold; where the second holds less
    only with a note, so that it is measured."""
    b = Bench(2, 3)
    once = b.quant(b.linear("x", np.eye(3)), first, zero)
    half = b.node("Mul", once, b.const(0.5), shape=(2, 3))
    after = rewrite(b.graph(b.quant(half, second, other)), (*algebra.ALGEBRA, *twice.MERGING))
    assert kinds(after) == ["Linear", "Quant"]
    assert len(after.notes) == (second < 0.05)
    at = attrs(after, "Quant")
    found = [(q - int(at["zp"])) * float(at["scale"]) for q in (-128, 127)]  # type: ignore[call-overload]
    assert found == pytest.approx(ends, abs=0.06)


def looked_up(rows_: int, axis: int = 0) -> Graph:
    b = Bench(1, 5)
    ids = b.quant("x", 1.0, -128)
    shape = (1, 5, 3) if axis == 0 else (rows_, 1, 5)
    table = b.const(np.arange(3.0 * rows_).reshape(rows_, 3))
    return b.graph(b.quant(b.node("Gather", table, ids, shape=shape, axis=axis), 0.5, 0))


def test_rows_of_a_table_are_an_embedding() -> None:
    after = rewrite(looked_up(10), (*ROWS, *moves.MOVES))
    assert [k for k in kinds(after) if k != "Move"] == ["Quant", "Embed", "Quant"]
    (node,) = (n for n in rewrite(after, INTEGER_ROWS).nodes if isinstance(n.op, Embed))
    assert isinstance(node.op, Embed) and node.op.table[1].tolist() == [6, 8, 10]


def test_a_table_of_stored_integers_is_an_embedding_too() -> None:
    b = Bench(1, 5)
    ids = b.quant("x", 1.0, -128)
    table = b.const(np.arange(30).reshape(10, 3), I8)
    scale, zero = b.const(0.5), b.const(4, I8)
    y = b.node("Gather", table, ids, shape=(1, 5, 3), axis=0)
    y = b.node("DequantizeLinear", y, scale, zero, shape=(1, 5, 3))
    graph = rewrite(b.graph(y), (*quantisation.PAIRS, *ROWS, *moves.MOVES))
    (node,) = (n for n in rewrite(graph, INTEGER_ROWS).nodes if isinstance(n.op, Embed))
    assert isinstance(node.op, Embed) and node.op.table[1].tolist() == [3, 4, 5]
    assert graph.values[graph.only_output].quant == Quant(0.5, 4)


def test_ids_are_one_byte_and_pick_rows() -> None:
    with pytest.raises(TinygenError, match="is an embedding of 257 tokens"):
        rewrite(looked_up(257), ROWS)
    with pytest.raises(TinygenError, match="has axis=1"):
        rewrite(looked_up(3, axis=1), ROWS)


# sharing


def test_readers_of_one_value_share_its_rounding_if_there_is_one() -> None:
    for scales, shared in (((0.1,), True), ((0.1, 0.2), False)):
        b = Bench(2, 3)
        raw = b.linear("x", np.eye(3))
        rounded = [b.quant(raw, s) for s in scales]
        y = b.node("Add", raw, rounded[-1], shape=(2, 3))
        after = share_roundings(b.graph(y))
        assert (after.nodes[-1].inputs[0] == rounded[0]) == shared
        assert bool(after.notes) == shared


# batch norm, the Attention node


def batch_norm(**attrs: object) -> Graph:
    b = Bench(1, 3, 2)
    parts = [b.const(v) for v in ([1, 2, 3], [0, 1, 2], [1, 1, 0], [1, 4, 2])]
    return b.graph(b.node("BatchNormalization", "x", *parts, shape=(1, 3, 2), **attrs))


def test_batch_norm_is_a_factor_and_an_offset() -> None:
    after = rewrite(batch_norm(epsilon=0.0), norms.NORMS)
    assert kinds(after) == ["Mul", "Add"]
    x = np.arange(6, dtype=np.float32).reshape(1, 3, 2)
    expected = [[-1, 0], [2, 3], [2 + 12 / 2**0.5, 2 + 15 / 2**0.5]]
    np.testing.assert_allclose(run(after, x)[0], expected, rtol=1e-5)


def test_batch_norm_in_training_stays() -> None:
    assert kinds(rewrite(batch_norm(training_mode=1), norms.NORMS)) == ["BatchNormalization"]


def test_the_worked_example_of_contributing_is_that_rule() -> None:
    page = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    example = page.split("```python\n")[1].split("```")[0]
    assert example in Path(norms.__file__).read_text()


def test_an_attention_node_is_spelled_out() -> None:
    b = Bench(1, 4, 6)
    y = b.node("Attention", "x", "x", "x", shape=(1, 4, 6), q_num_heads=2, kv_num_heads=2)
    after = rewrite(b.graph(y), (*ROWS, *moves.MOVES))
    assert {"Scores", "Softmax"} <= set(kinds(after)) and "Attention" not in kinds(after)
    x = np.random.default_rng(0).normal(size=(1, 4, 6)).astype(np.float32)
    heads = x.reshape(4, 2, 3).transpose(1, 0, 2)
    e = np.exp(heads @ heads.transpose(0, 2, 1) / 3**0.5)
    mixed = e / e.sum(axis=-1, keepdims=True) @ heads
    np.testing.assert_allclose(run(after, x)[0], mixed.transpose(1, 0, 2).reshape(4, 6), rtol=1e-4)


def test_attention_with_capped_scores_stays() -> None:
    b = Bench(1, 2, 4, 3)
    y = b.node("Attention", "x", "x", "x", shape=(1, 2, 4, 3), softcap=5.0)
    assert kinds(rewrite(b.graph(y), ROWS)) == ["Attention"]


# maxima


@pytest.mark.parametrize("pads", [(0, 0), (1, 1)])
def test_windows_of_a_signal(pads: tuple[int, int]) -> None:
    b = Bench(1, 3, 8)
    named = {"kernel_shape": [3], "strides": [2], "pads": list(pads)}
    y = b.node("MaxPool", "x", shape=(1, 3, (8 + sum(pads) - 3) // 2 + 1), **named)
    after = apply(b.graph(y), *ROWS, *moves.MOVES)
    assert kinds(after) == ["Move", "Largest", "Move"]


def test_dilated_windows_stay() -> None:
    b = Bench(1, 3, 8)
    y = b.node("MaxPool", "x", shape=(1, 3, 4), kernel_shape=[3], dilations=[2])
    assert kinds(rewrite(b.graph(y), ROWS)) == ["MaxPool"]


def test_the_largest_token_is_one_window() -> None:
    b = Bench(1, 5, 4)
    y = b.node("ReduceMax", "x", shape=(1, 4), axes=[1], keepdims=0)
    after = apply(b.graph(y), *ROWS, *moves.MOVES)
    assert "Largest" in kinds(after) and attrs(after, "Largest")["kernel"] == (1, 5)


def test_rounding_goes_before_the_largest() -> None:
    b = Bench(1, 5, 4)
    y = b.quant(b.node("ReduceMax", "x", shape=(1, 4), axes=[1], keepdims=0))
    after = apply(b.graph(y), *ROWS, *moves.MOVES, *quantisation.ROUNDING)
    assert kinds(after).index("Quant") < kinds(after).index("Largest")
    integers = rewrite(after, (*integer.INTEGER, *integer.VIEWS))
    assert "MaxPool" in kinds(integers)


def test_the_largest_of_float_values_stays() -> None:
    b = Bench(5, 1, 4)
    named = {"kernel": (5, 1), "strides": (1, 1), "pads": (0, 0, 0, 0)}
    y = b.node("Largest", "x", shape=(1, 4), **named)
    assert kinds(rewrite(b.graph(y), integer.INTEGER)) == ["Largest"]


# roundings of a product


@pytest.mark.parametrize(
    ("scales", "note"), [((0.2, 0.05), 1), ((0.2, 0.1), 0), ((0.1, 0.2), 0), ((0.2, 0.2), 0)]
)
def test_a_product_rounded_to_two_grids_is_rounded_to_the_coarser(
    scales: tuple[float, float], note: int
) -> None:
    """With a note where that could cut off less, so that it is measured."""
    b = Bench(2, 3)
    y = b.quant(b.quant(b.linear("x", np.eye(3)), scales[0]), scales[1])
    after = rewrite(b.graph(y), (*algebra.ALGEBRA, *twice.MERGING))
    assert kinds(after) == ["Linear", "Quant"]
    assert attrs(after, "Quant")["scale"] == pytest.approx(scales[0])
    assert len(after.notes) == note
    both = kinds(rewrite(b.graph(y), algebra.ALGEBRA))
    assert both == ["Linear", "Quant"] + ["Quant"] * note


def test_a_rounding_that_others_read_stays() -> None:
    b = Bench(2, 3)
    first = b.quant(b.linear("x", np.eye(3)), 0.2)
    y = b.node("Add", first, b.quant(first, 0.1), shape=(2, 3))
    assert kinds(rewrite(b.graph(y), algebra.ALGEBRA)) == ["Linear", "Quant", "Quant", "Add"]


# affine without a product


@pytest.mark.parametrize("width", [3, integer.DIAGONAL + 1])
def test_an_affine_of_features_is_a_product(width: int) -> None:
    """With a diagonal matrix, or where that were large depthwise."""
    b = Bench(4, width)
    factors, offsets = np.resize([2.0, -1.0, 0.5], (1, width)), np.full((1, width), 0.1)
    scaled = b.node("Mul", b.quant("x"), b.const(factors), shape=(4, width))
    y = b.quant(b.node("Add", scaled, b.const(offsets), shape=(4, width)))
    after = rewrite(b.graph(y), integer.INTEGER)
    dense = width <= integer.DIAGONAL
    assert kinds(after) == (["Quant", "Linear"] if dense else ["Quant", "Move", "Conv"])
    op = after.nodes[-1].op
    assert isinstance(op, Linear | Conv)
    flat = op.weight.diagonal() if dense else op.weight.reshape(-1)
    assert flat[:3].tolist() == [127, -127, 127]


def test_a_factor_that_differs_between_rows_is_none() -> None:
    b = Bench(2, 2)
    y = b.quant(b.node("Mul", b.quant("x"), b.const([[1.0, 2.0], [3.0, 4.0]]), shape=(2, 2)))
    assert "Conv" not in kinds(rewrite(b.graph(y), integer.INTEGER))


# what others than projections read


def test_an_operand_that_broadcasts_does_not_move_back() -> None:
    """f(Move(x), y): a part of x, as wide as the result only with y."""
    b = Bench(2, 6)
    part = b.node("Move", "x", shape=(1, 6), index=np.arange(6)[::-1])
    other = b.node(
        "Move", b.node("Relu", "x", shape=(2, 6)), shape=(2, 6), index=np.arange(12)[::-1]
    )
    y = b.node("Add", part, other, shape=(2, 6))
    assert kinds(rewrite(b.graph(y), (rows.residual_of_one_move,)))[-1] == "Add"


def test_a_division_by_zero_is_no_factor() -> None:
    b = Bench(2, 3)
    y = b.node("Div", b.linear("x", np.eye(3)), b.const(0.0), shape=(2, 3))
    assert kinds(rewrite(b.graph(y), algebra.ALGEBRA)) == ["Linear", "Div"]


@pytest.mark.parametrize("kind", ["Add", "Mul"])
def test_a_constant_of_more_axes_gives_the_result_more(kind: str) -> None:
    b = Bench(2, 3)
    y = b.node(kind, b.linear("x", np.eye(3)), b.const([[[1.0, 2.0, 3.0]]]), shape=(1, 2, 3))
    after = apply(b.graph(y), *algebra.ALGEBRA)
    assert kinds(after) == ["Linear", "Move"] and after.values[after.only_output].shape == (1, 2, 3)
    b = Bench(1, 3)  # and one that broadcasts the product stays
    y = b.node(kind, b.linear("x", np.eye(3)), b.const(np.ones((2, 3)) * 2), shape=(2, 3))
    assert kinds(apply(b.graph(y), *algebra.ALGEBRA)) == ["Linear", kind]


def test_a_part_of_a_plane_is_no_plane_turned() -> None:
    """A Move that takes the first elements of a larger tensor in their order."""
    b = Bench(1, 9)
    part = b.node("Move", "x", shape=(3, 1, 1), index=np.arange(3))
    constants = b.const(np.ones((2, 3, 1, 1)), np.int32), b.const(np.ones(2)), b.const(np.zeros(2))
    attrs = {"strides": [1, 1], "dilations": [1, 1], "pads": [0] * 4, "group": 1}
    y = b.node("Convolve", part, *constants, shape=(1, 2), channels_last=False, **attrs)
    assert kinds(rewrite(b.graph(y), WINDOWS)) == ["Move", "Convolve"]
