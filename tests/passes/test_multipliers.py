# SPDX-License-Identifier: Apache-2.0
"""Integer parameters against the real arithmetic they stand for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs import ends
from tinygen import operators as ops
from tinygen.errors import TinygenError
from tinygen.fidelity.quantlib import iLayerNorm
from tinygen.graph import Graph, Node, Quant, Value, verify
from tinygen.operators.dot_product_attention import in_steps
from tinygen.passes import multipliers as m

RNG = np.random.default_rng(5)


def real(q: np.ndarray, g: Quant) -> np.ndarray:
    return (q.astype(float) - g.zero_point) * g.scale


def on_grid(r: np.ndarray, g: Quant) -> np.ndarray:
    return np.clip(np.floor(r / g.scale + 0.5) + g.zero_point, -128, 127)


@given(st.floats(1e-7, 100.0))
def test_requantisation_keeps_many_bits(ratio: float) -> None:
    r = m.requant(np.asarray([ratio]), 0)
    assert 1 <= r.s <= 32 and 0 < r.m[0] < 2**31
    assert math.isclose(r.m[0] / 2**r.s, ratio, rel_tol=1e-2 if ratio < 1e-6 else 1e-4)


def test_one_multiplier_a_channel_only_where_they_differ() -> None:
    assert len(m.requant(np.asarray([0.1, 0.1]), 0).m) == 1
    assert len(m.requant(np.asarray([0.1, 0.2]), 0).m) == 2


def test_an_impossible_ratio_is_refused() -> None:
    with pytest.raises(TinygenError, match="calibrate again"):
        m.requant(np.asarray([2.0**40]), 0)


@pytest.mark.parametrize("zx,zy", [(0, 0), (17, -30), (-128, 127)])
def test_linear_with_zero_points(zx: int, zy: int) -> None:
    x, y = Quant(0.03, zx), Quant(0.05, zy)
    w, s, b = RNG.integers(-127, 128, (5, 9)), RNG.uniform(0.002, 0.01, 5), RNG.normal(size=5)
    p = m.projection(w, s, b, x, y)
    q = RNG.integers(-128, 128, (40, 9)).astype(np.int8)
    got = ops.Linear(p.weight, p.bias, p.requant).reference([q])
    want = on_grid(real(q, x) @ (w * s[:, None]).T + b, y)
    assert np.abs(got - want).max() <= 1 and (got != want).mean() < 0.02


def test_dead_channels_and_huge_biases_still_fit() -> None:
    x, y = Quant(0.01, 5), Quant(0.1, 0)
    w = np.array([[0, 0], [1, -1], [100, 3]])
    p = m.projection(w, np.array([1e-12, 1e-12, 1e-3]), np.array([3.0, -4.0, 5.0]), x, y)
    q = np.array([[5, 5]], np.int8)
    got = ops.Linear(p.weight, p.bias, p.requant).reference([q])
    assert got.tolist() == [[30, -40, 50]]


def test_asymmetric_weights_beyond_int8_get_a_coarser_grid() -> None:
    x, y = Quant(0.1, 0), Quant(1.0, 0)
    p = m.projection(np.array([[255, -10]]), np.array([0.1]), np.zeros(1), x, y)
    assert p.weight.max() == 127
    layer = ops.Linear(p.weight, p.bias, p.requant)
    assert layer.reference([np.array([[20, 0]], np.int8)])[0] == 51


@settings(max_examples=60, deadline=None)
@given(st.floats(0.01, 3.0), st.floats(0.01, 3.0), st.integers(-128, 127), st.integers(-128, 127))
def test_residual(ra: float, rb: float, za: int, zb: int) -> None:
    a, b, y = Quant(ra, za), Quant(rb, zb), Quant(1.0, 7)
    op = m.add(a, b, y, None)
    qa, qb = (RNG.integers(-128, 128, (1, 200)).astype(np.int8) for _ in range(2))
    exact = np.clip((real(qa, a) + real(qb, b)) / y.scale + y.zero_point, -128, 127)
    assert np.abs(op.reference([qa, qb]) - exact).max() < 0.501
    assert 128 * (op.ma + op.mb) + abs(op.c) < 1 << 31


@settings(max_examples=60, deadline=None)
@given(st.floats(0.01, 3.0), st.floats(1e-3, 600.0), st.integers(-128, 127))
def test_a_constant_that_no_int8_grid_holds(ratio: float, largest: float, zero: int) -> None:
    x, y = Quant(ratio, zero), Quant(1.0, 7)
    values = RNG.uniform(-largest, largest, (1, 200))
    op = m.add_constant(x, values, y)
    q = RNG.integers(-128, 128, (1, 200)).astype(np.int8)
    exact = np.clip(real(q, x) + values + y.zero_point, -128, 127)
    assert op.other is not None and op.other.dtype == np.int16 and op.mb < 1 << 14
    assert np.abs(op.reference([q]) - exact).max() < 0.5 + 0.01 * max(1, largest / 300)


@pytest.mark.parametrize("zero", [0, -128])
@pytest.mark.parametrize(("features", "spread"), [(4, 90), (18, 60), (32, 3), (363, 20)])
def test_layer_norm_in_whole_steps(features: int, spread: int, zero: int) -> None:
    """Against QuantLib's definition; it also cuts the quotient of n and v, which costs D a bit."""
    gamma = np.rint(RNG.normal(0, 2000, features))
    beta = np.rint(RNG.normal(0, 20000, features))
    x = RNG.integers(-spread, spread + 1, (400, features))
    x = x if zero == 0 else np.clip(x + 100, 0, 255)
    want = iLayerNorm.eval(
        x.astype(np.float32), gamma, beta, n_outputs=1, D=2.0**11, n_levels=256
    )  # fmt: skip
    op = m.layer_norm(
        gamma / 2**11, beta / 2**11 - 0.5, 1.0, Quant(1.0, zero), Quant(1.0, 0), whole=True
    )
    got = op.reference([(x + zero).astype(np.int8)])
    assert np.abs(got - want).max() <= 1 and (got != want).mean() < 0.005


@pytest.mark.parametrize("features", [4, 18, 32, 363])
def test_layer_norm(features: int) -> None:
    x, y = Quant(0.02, 11), Quant(0.03, -20)
    gamma, beta = RNG.normal(1, 0.3, features), RNG.normal(0, 0.3, features)
    op = m.layer_norm(gamma, beta, 1e-5, x, y)
    q = RNG.integers(-60, 90, (30, features)).astype(np.int8)
    r = real(q, x)
    c = r - r.mean(axis=1, keepdims=True)
    want = on_grid(c / np.sqrt((c**2).mean(axis=1, keepdims=True) + 1e-5) * gamma + beta, y)
    got = op.reference([q])
    assert np.abs(got - want).max() <= 1 and (got != want).mean() < 0.02


def test_mean_pool() -> None:
    x, y = Quant(0.02, 11), Quant(0.01, -20)
    q = RNG.integers(-128, 128, (7, 50)).astype(np.int8)
    got = m.mean_pool(7, x, y).reference([q])
    assert np.abs(got - on_grid(real(q, x).mean(axis=0, keepdims=True), y)).max() <= 1


@pytest.mark.parametrize("tokens,bits", [(1, 15), (512, 15), (513, 14), (4096, 12)])
def test_weight_bits(tokens: int, bits: int) -> None:
    assert m.weight_bits(tokens) == bits


def attention(zeros: tuple[int, ...]) -> tuple[ops.Attention, dict[str, Quant], list]:
    """An attention of 2 heads of 4 on 6 features, and the real weights behind it."""
    heads, dim, features = 2, 4, 6
    names = ("x", "q", "k", "v", "s", "c", "y")
    scales = (0.02, 0.03, 0.03, 0.02, 0.04, 0.015, 0.02)
    g = {n: Quant(s, z) for n, s, z in zip(names, scales, zeros, strict=True)}
    w = [RNG.integers(-127, 128, (heads * dim, features)) for _ in range(3)]
    w.append(RNG.integers(-127, 128, (features, heads * dim)))
    b = [RNG.normal(0, 0.2, len(i)) for i in w]
    step = np.full(8, 0.006)
    p = [m.projection(w[i], step, b[i], g["x"], g[n]) for i, n in enumerate("qkv")]
    bits = m.weight_bits(9)
    context = m.row_scale(g["v"], g["c"], bits)
    po = m.projection(w[3], np.full(features, 0.006), b[3], g["c"], g["y"])
    ratio = np.asarray([g["q"].scale * g["k"].scale / 2 / g["s"].scale])
    table = m.exp_table(g["s"].scale, bits)
    op = ops.Attention(
        heads, dim,
        p[0].weight, p[0].bias, p[0].requant,
        p[1].weight, p[1].bias, p[1].requant,
        p[2].weight, p[2].bias, p[2].requant,
        m.requant(ratio, g["s"].zero_point), table, bits,
        context, po.weight, po.bias, po.requant,
    )  # fmt: skip
    return op, g, [(i * 0.006, j) for i, j in zip(w, b, strict=True)]


@pytest.mark.parametrize(
    "zeros",
    [
        (0,) * 7,
        (5, -11, 30, 0, 7, 3, -9),
        (-20, 9, -40, 37, 0, 20, 50),
        (0, 0, 0, -33, 0, -50, 0),
    ],
)
def test_attention_with_zero_points(zeros: tuple[int, ...]) -> None:
    op, g, weights = attention(zeros)
    x = RNG.integers(-128, 128, (9, 6)).astype(np.int8)
    got = op.reference([x])

    def split(n: int, grid: Quant) -> np.ndarray:
        flat = real(x, g["x"]) @ weights[n][0].T + weights[n][1]
        return real(on_grid(flat, grid), grid).reshape(9, 2, 4).swapaxes(0, 1)

    q, k, v = split(0, g["q"]), split(1, g["k"]), split(2, g["v"])
    s = on_grid(q @ k.swapaxes(1, 2) / 2, g["s"])
    e = np.exp(real(s, g["s"]))
    c = (e / e.sum(axis=-1, keepdims=True) @ v).swapaxes(0, 1).reshape(9, 8)
    low, high = (real(np.array(n), g["c"]) for n in (-128, 127))
    want = on_grid(np.clip(c, low, high) @ weights[3][0].T + weights[3][1], g["y"])
    # without the context's own rounding, of half a step: 8 inputs, weights below 0.76
    assert np.abs(got - want).max() <= 2
    assert np.abs(got - want).mean() < 0.35
    values = {"x": Value("x", (9, 6), g["x"]), "y": Value("y", (9, 6), g["y"])}
    verify(
        Graph("t", values, (Node("n", op, ("x",), ("y",)),), *ends("y")),
        integer=True,
    )


@pytest.mark.parametrize("bits", [12, 15])
@pytest.mark.parametrize(
    ("scale", "zp"), [(1 / 127, 0), (1 / 255, -128), (1 / 256, -128), (0.0077, 0), (1 / 127, -128)]
)
def test_steps_of_rounded_probabilities(scale: float, zp: int, bits: int) -> None:
    """Each probability is rounded to its grid, but for ties and for sums of 16 bits."""
    to = m.weight_steps(Quant(scale, zp), bits)
    assert to is not None and to.total.bit_length() == bits
    full = (1 << bits) - 1
    e = RNG.integers(0, full, (200, 40)) * RNG.choice([1, 0.1], (200, 40))
    e[:, 0] = full
    e = e.astype(np.int64)
    e[:20, 1:] = 0
    total = e.sum(axis=1)
    got, of = in_steps(e, total, to)
    assert np.all(of == to.total) and np.all(got % (1 << to.up) == 0)
    want = np.minimum(np.rint(e / total[:, None] / scale), 127 - zp)
    off = np.abs((got >> to.up) - want)
    assert off.max() <= 1 and off.mean() < 0.003


def test_probabilities_finer_than_weights_are_not_rounded() -> None:
    assert m.weight_steps(Quant(2.0**-16, 0), 15) is None


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_an_infinite_bias_is_refused(bad: float) -> None:
    grid = Quant(0.1, 0)
    with pytest.raises(TinygenError, match="infinite or no numbers"):
        m.projection(np.eye(2, dtype=np.int32), np.ones(2), np.array([0.0, bad]), grid, grid)
