# SPDX-License-Identifier: Apache-2.0
"""Constant attention masks, in the spellings of exporters, and what is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from rule_bench import Bench, kinds

from tinygen.errors import TinygenError
from tinygen.graph import Float, Graph
from tinygen.operators import DotProductAttention, Weighted
from tinygen.operators.softmax import real_softmax
from tinygen.passes import import_model
from tinygen.passes.attention_node import attention_node
from tinygen.passes.engine import rewrite
from tinygen.passes.masks import MASKS, refuse_weak_masks
from tinygen.passes.moves import MOVES
from tinygen.passes.products import PRODUCTS_OF_MATRICES
from tinygen.passes.rows import ROWS
from tinygen.passes.simulate import simulate

MODELS = Path(__file__).parents[1] / "corpus" / "models"
S = 3
CAUSAL = np.tril(np.ones((S, S), bool))
RULES = (*MASKS, *MOVES, attention_node, *PRODUCTS_OF_MATRICES, *ROWS)


def added(b: Bench, x: str, low: float = -1e4, seen: Any = CAUSAL) -> str:
    return b.node("Add", x, b.const(np.where(seen, 0, low)), shape=(1, 2, S, S))


def chosen(b: Bench, x: str, low: float = -np.inf, seen: Any = CAUSAL) -> str:
    """Scores in the second place, where the condition does not hold."""
    hidden = b.const(~seen, bool)
    return b.node("Where", hidden, b.const(low), x, shape=(1, 2, S, S))


def masked(spell: Any, *, grid: float = 0.0, factor: float = 1.0, **how: Any) -> Graph:
    """Two heads of scores, a mask, a softmax."""
    b = Bench(1, 2, S, S)
    y = spell(b, "x", **how)
    y = b.quant(y, grid) if grid else y
    y = b.node("Mul", y, b.const(factor), shape=(1, 2, S, S)) if factor != 1 else y
    return b.graph(b.node("Softmax", y, shape=(1, 2, S, S), axis=-1))


def mask_of(graph: Graph) -> Any:
    (node,) = (n for n in graph.nodes if isinstance(n.op, Float) and n.op.kind == "Softmax")
    assert isinstance(node.op, Float)
    return node.op.attrs.get("mask")


@pytest.mark.parametrize("spell", [added, chosen])
@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_a_mask_becomes_the_softmaxs(spell: Any, factor: float) -> None:
    after = rewrite(masked(spell, factor=factor), RULES)
    assert {k for k in kinds(after) if k not in ("Move", "Mul")} == {"Softmax"}
    assert np.array_equal(mask_of(after), CAUSAL)
    x = np.random.default_rng(0).normal(size=(1, 2, S, S)).astype(np.float32)
    want = real_softmax(factor * np.where(CAUSAL, x, -np.inf))
    np.testing.assert_allclose(simulate(after, x)[after.only_output], want, rtol=1e-5)


def test_a_padding_mask_is_one_row() -> None:
    seen = np.array([True, True, False])
    assert mask_of(rewrite(masked(added, seen=seen), RULES)).tolist() == [[1, 1, 0]]


def test_two_masks_are_one() -> None:
    b = Bench(1, 2, S, S)
    y = added(b, chosen(b, "x"), seen=np.array([True, False, True]) | np.eye(S, dtype=bool))
    after = rewrite(b.graph(b.node("Softmax", y, shape=(1, 2, S, S), axis=-1)), RULES)
    assert mask_of(after).tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]


@pytest.mark.parametrize(("grid", "through"), [(100.0, True), (0.1, False)])
def test_a_rounding_goes_before_a_mask_that_its_grid_holds(grid: float, through: bool) -> None:
    after = rewrite(masked(added, grid=grid), RULES)
    assert (mask_of(after) is not None) == through
    assert ("Mask" in kinds(after)) != through


@pytest.mark.parametrize(
    ("spell", "how"),
    [
        (added, {"low": -9.0}),  # a bias
        (added, {"low": 1e4}),
        (chosen, {"low": 0.0}),
    ],
)
def test_what_is_no_mask_stays(spell: Any, how: dict[str, Any]) -> None:
    after = rewrite(masked(spell, **how), RULES)
    assert mask_of(after) is None and {"Add", "Where"} & set(kinds(after))


def test_a_row_without_a_key_is_refused() -> None:
    with pytest.raises(TinygenError, match=r"add_\w+ masks every key of row 1, so"):
        rewrite(masked(added, seen=CAUSAL & (np.arange(S) != 1)[:, None]), RULES)


@pytest.mark.parametrize("alike", [True, False])
def test_one_mask_for_all_heads(alike: bool, tmp_path: Path) -> None:
    """A real export with a mask for each of its two heads."""
    model = onnx.load(MODELS / "dynamo20-qdq-padding.onnx")
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    (mask,) = (t for t in model.graph.initializer if np.any(stored[t.name] == np.float32(-1e4)))
    heads = np.zeros((1, 2, 6, 6), np.float32)
    heads[..., 4:] = -1e4
    heads[0, 1, 0, 3] = 0 if alike else -1e4
    mask.CopyFrom(onnx.numpy_helper.from_array(heads, mask.name))
    path = tmp_path / "heads.onnx"
    onnx.save(model, path)
    if alike:
        ops = {n.op for n in import_model(path).nodes if isinstance(n.op, DotProductAttention)}
        assert [op.mask.tolist() for op in ops if op.mask is not None] == [[[1, 1, 1, 1, 0, 0]]]
    else:
        ops = [n.op for n in import_model(path).nodes if isinstance(n.op, Weighted)]
        assert ops and all(op.mask is not None and len(op.mask) == 12 for op in ops)
        assert ops[0].mask is not None and ops[0].mask[6, 3] == 0 and ops[0].mask[0, 3] == 1


def test_a_computed_condition_is_no_mask() -> None:
    b = Bench(1, 2, S, S)
    test = b.node("Cast", "x", shape=(1, 2, S, S))
    y = b.node("Where", test, "x", b.const(-np.inf), shape=(1, 2, S, S))
    assert "Where" in kinds(rewrite(b.graph(y), MASKS))


@pytest.mark.parametrize("nothing", [0.0, 1.0])
def test_a_softmax_is_a_number(nothing: float) -> None:
    b = Bench(2, S)
    y = b.node("Softmax", "x", shape=(2, S), axis=-1)
    test = b.node("IsNaN", y, shape=(2, S))
    y = b.node("Where", test, b.const(nothing), y, shape=(2, S))
    left = kinds(rewrite(b.graph(y), MASKS))
    assert left == (["Softmax"] if nothing == 0 else ["Softmax", "IsNaN", "Where"])


@pytest.mark.parametrize("kind", ["causal", "boolean", "added", "computed"])
def test_the_attention_node_with_a_mask(kind: str) -> None:
    b = Bench(1, 2, S, 4)
    named: dict[str, Any] = {"is_causal": 1} if kind == "causal" else {}
    mask = {
        "causal": "",
        "boolean": b.const(CAUSAL, bool),
        "added": b.const(np.where(CAUSAL, 0, -1e9)),
        "computed": b.node("Relu", b.const(np.where(CAUSAL, 0, -1e9)), shape=(S, S)),
    }[kind]
    inputs = ("x", "x", "x", mask) if mask else ("x", "x", "x")
    after = rewrite(b.graph(b.node("Attention", *inputs, shape=(1, 2, S, 4), **named)), RULES)
    if kind == "computed":
        assert "Attention" in kinds(after)
    else:
        assert np.array_equal(mask_of(after), CAUSAL)


@pytest.mark.parametrize(
    ("low", "scale", "weak"), [(-200, 4.0, True), (-200, 0.5, False), (-1e9, 4.0, False)]
)
def test_a_mask_that_scores_reach_over(low: float, scale: float, weak: bool) -> None:
    """What is hidden weighs something where scores are further apart than the mask is low."""
    b = Bench(1, 2, S, S)
    y = b.node("Softmax", added(b, b.quant("x", scale), low), shape=(1, 2, S, S), axis=-1)
    graph = rewrite(b.graph(y), RULES)
    if not weak:
        return refuse_weak_masks(graph)
    with pytest.raises(TinygenError, match="mask of -200 does not hide"):
        refuse_weak_masks(graph)
