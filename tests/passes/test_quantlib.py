# SPDX-License-Identifier: Apache-2.0
"""QuantLib's nodes: each rule against the definition, and what it must leave."""

from __future__ import annotations

import numpy as np
import pytest
from rule_bench import Bench, kinds, run

from tinygen.errors import TinygenError
from tinygen.fidelity.quantlib import iSoftmax
from tinygen.graph import Float, Graph, Quant
from tinygen.passes import algebra, quantlib
from tinygen.passes.engine import rewrite

EVERY = np.arange(-128, 128, dtype=np.float32).reshape(1, 256)


def shift(mul: float, add: float, div: float, signed: int, levels: int) -> Graph:
    b = Bench(1, 256)
    x = b.quant("x", 1.0)
    named = {"div": np.asarray(div), "signed": np.asarray([signed]), "n_levels_out": levels}
    y = b.node("RequantShift", x, b.const(mul), b.const(add), shape=(1, 256), **named)
    return b.graph(y)


@pytest.mark.parametrize("mul", [1.0, 3.0, -5.0])
@pytest.mark.parametrize(
    ("signed", "levels", "low", "high"), [(1, 256, -128, 127), (0, 256, 0, 255), (1, 16, -8, 7)]
)
def test_requant_shift(mul: float, signed: int, levels: int, low: int, high: int) -> None:
    """For every input, halves included."""
    graph = rewrite(shift(mul, 6.0, 4.0, signed, levels), quantlib.QUANTLIB)
    want = np.clip(np.floor((EVERY * mul + 6) / 4 + 0.5), low, high)
    np.testing.assert_array_equal(run(graph, EVERY), want)


def test_more_than_8_bits_are_refused() -> None:
    with pytest.raises(TinygenError, match="gives 65536 levels: use 8 bits or fewer"):
        rewrite(shift(1.0, 0.0, 4.0, 1, 1 << 16), quantlib.QUANTLIB)


def test_floor_and_clip() -> None:
    b = Bench(1, 256)
    y = b.node("Mul", b.quant("x", 1.0), b.const(0.25), shape=(1, 256))
    y = b.node("Floor", b.node("Add", y, b.const(0.5), shape=(1, 256)), shape=(1, 256))
    y = b.node("Clip", y, shape=(1, 256), min=-20.0, max=20.0)
    graph = rewrite(b.graph(y), quantlib.QUANTLIB)
    assert "Floor" not in kinds(graph)
    np.testing.assert_array_equal(run(graph, EVERY), np.clip(np.floor(EVERY / 4 + 0.5), -20, 20))


def test_a_plain_clip_stays() -> None:
    b = Bench(1, 4)
    y = b.node("Clip", "x", shape=(1, 4), min=0.0, max=6.0)
    assert kinds(rewrite(b.graph(y), quantlib.QUANTLIB)) == ["Clip"]


@pytest.mark.parametrize(("weight", "taken"), [([[1.0, -128.0]], True), ([[1.0, 0.5]], False)])
def test_integer_weights(weight: list[list[float]], taken: bool) -> None:
    b = Bench(1, 1)
    graph = rewrite(
        b.graph(b.node("MatMul", "x", b.const(weight), shape=(1, 2))), quantlib.QUANTLIB
    )
    assert any(isinstance(n.op, Float) and n.op.kind == "Grid" for n in graph.nodes) is taken


@pytest.mark.parametrize(("rounded", "taken"), [(True, True), (False, False)])
def test_integer_mean(rounded: bool, taken: bool) -> None:
    b = Bench(1, 3, 4)
    x = b.quant("x", 1.0, -128) if rounded else "x"
    y = b.node("IntegerMean", x, shape=(1, 4), axes=[1], keepdims=0)
    graph = rewrite(b.graph(y), quantlib.QUANTLIB)
    assert ("ReduceMean" in kinds(graph)) is taken
    if taken:
        assert graph.values[graph.only_output].quant == Quant(1.0, -128)


def test_polynomial_of_the_softmax() -> None:
    """The weights are those that QuantLib's definition gives before it rounds them."""
    names = {"log2": 20.0, "coeffA": 1.0, "coeffB": 27.0, "coeffC": 384.0}
    weights = quantlib.polynomial_weights(*names.values())
    x = -np.arange(100, dtype=np.float32)[None]
    huge = float(1 << 20)
    fine = iSoftmax.eval(x, n_outputs=1, n_levels=huge + 1, **names)
    np.testing.assert_allclose(fine[0], weights[:100] / weights[:100].sum() * huge, atol=1.01)


def test_coefficients_without_sense_stay() -> None:
    b = Bench(1, 4)
    named = {"log2": 0.0, "coeffA": 1.0, "coeffB": 1.0, "coeffC": 1.0, "n_levels": 256}
    y = b.node("iSoftmax", "x", shape=(1, 4), **named)
    assert kinds(rewrite(b.graph(y), quantlib.QUANTLIB)) == ["iSoftmax"]


def sum_of_two(factor: float) -> list[str]:
    b = Bench(2, 3)
    one, two = b.quant("x", 0.1), b.quant("x", 0.2)
    total = b.node("Add", one, two, shape=(2, 3))
    y = b.quant(b.node("Mul", total, b.const(factor), shape=(2, 3)), 0.3)
    return kinds(rewrite(b.graph(y), algebra.ALGEBRA))


def test_a_scaled_sum_is_rounded_before_the_factor() -> None:
    assert sum_of_two(0.5) == ["Quant", "Quant", "Add", "Quant", "Mul", "Quant"]


def test_a_negative_factor_stays() -> None:
    assert sum_of_two(-0.5) == ["Quant", "Quant", "Add", "Mul", "Quant"]
