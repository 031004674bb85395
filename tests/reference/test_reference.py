# SPDX-License-Identifier: Apache-2.0
"""How close the integer definitions are to real arithmetic, where that is a promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygen.graph import Quant
from tinygen.numeric import Requant, RowScale
from tinygen.numeric.requant import inverse_sqrt, requantise
from tinygen.operators import Attention, DotProductAttention, LayerNorm, Linear, WeightSteps
from tinygen.operators.attention import reference as att
from tinygen.passes.multipliers import layer_norm

BITS = 15
fixed_seed = settings(derandomize=True, database=None, max_examples=60, deadline=None)


def attend_op(step: float, ratio: float, zp: int) -> Attention:
    """Only what context needs: scores of scale `step`, scale_v / scale_context = ratio."""
    full = (1 << BITS) - 1
    table = np.rint(full * np.exp(-step * np.arange(256))).astype(np.uint16)
    frac = 14 - math.floor(math.log2(ratio))
    mult = round(ratio * 2**frac)
    if mult == 1 << 15:
        mult, frac = mult >> 1, frac - 1
    one, none = np.zeros((1, 1), np.int8), np.zeros(1, np.int32)
    requant = Requant(np.ones(1, np.int32), 1, 0)
    s = min(40, 47 - (32 - BITS) + frac)
    scale = RowScale(mult, frac, s, (2 * zp + 1) << (s - 33))
    projections = (one, none, requant) * 3
    return Attention(1, 1, *projections, requant, table, BITS, scale, one, none, requant)


def context_error(scores: np.ndarray, v: np.ndarray, step: float, ratio: float, zp: int) -> tuple:
    """(mean, max) distance in LSB from the exact softmax of the same integer scores."""
    op = attend_op(step, ratio, zp)
    got = att.context(att.weights(scores, op.exp_table), v, op)
    wide = scores.astype(np.float64) * step
    e = np.exp(wide - wide.max(axis=1, keepdims=True))
    exact = (e / e.sum(axis=1, keepdims=True)) @ v.astype(np.float64) * ratio + zp
    error = np.abs(got - np.clip(np.rint(exact), -128, 127))
    return error.mean(), error.max()


@pytest.mark.parametrize("s", [1, 2, 5, 66, 81, 197, 512])
@pytest.mark.parametrize("step", [0.002, 0.02, 0.06, 0.3])
def test_context_of_random_scores(s: int, step: float) -> None:
    rng = np.random.default_rng(s)
    scores = rng.integers(-128, 128, (min(s, 64), s), np.int8)
    v = rng.integers(-128, 128, (s, 16), np.int8)
    mean, most = context_error(scores, v, step, max(1.0, math.sqrt(s) / 2), 0)
    assert mean <= 0.25
    assert most <= 1


@pytest.mark.parametrize("s", [81, 512])
@pytest.mark.parametrize("gap", [40, 80, 120, 200])
def test_context_of_one_dominant_key_and_a_long_flat_tail(s: int, gap: int) -> None:
    """The case where 8-bit weights lose the whole tail."""
    rng = np.random.default_rng(gap)
    scores = np.full((32, s), 100 - gap, np.int8)
    scores[np.arange(32), rng.integers(0, s, 32)] = 100
    v = np.concatenate([np.full((s, 4), 127), rng.integers(90, 128, (s, 12))], axis=1)
    v[0] = -128
    for step in (0.02, 0.05):
        mean, most = context_error(scores, v.astype(np.int8), step, 1.0, 0)
        assert mean <= 0.25
        assert most <= 1


@fixed_seed
@given(
    st.integers(1, 512),
    st.floats(0.002, 0.5),
    st.floats(0.3, 8),
    st.integers(-20, 20),
    st.integers(0, 999),
)
def test_context_of_anything(s: int, step: float, ratio: float, zp: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    spread = rng.integers(1, 128)
    scores = rng.integers(-spread, spread + 1, (4, s)).astype(np.int8)
    v = rng.integers(-128, 128, (s, 8), np.int8)
    mean, most = context_error(scores, v, step, ratio, zp)
    assert most <= 1
    assert mean <= 0.25


@pytest.mark.parametrize("kind", ["all", "causal", "steps"])
@pytest.mark.parametrize(("s", "zp"), [(6, 0), (81, -40), (200, 127)])
def test_dot_product_attention(s: int, zp: int, kind: str) -> None:
    """Against the exact softmax of the same scores, masked or rounded to steps of 1/127."""
    rng, step, ratio, dim = np.random.default_rng(s), 0.03, 2.0, 8
    base = attend_op(step, ratio, 3)
    q, k, v = (rng.integers(-128, 128, (s, dim), np.int8) for _ in range(3))
    score = Requant(np.array([round(2**16 * 40 / (74 * 74 * math.sqrt(dim)))], np.int32), 16, 0)
    mask = np.tril(np.ones((s, s), np.uint8)) if kind == "causal" else None
    steps = WeightSteps(127 << 8, 8, 127) if kind == "steps" else None
    op = DotProductAttention(1, 5, -9, zp, score, base.exp_table, BITS, base.context, mask, steps)
    got = op.reference([q, k, v])
    acc = (q.astype(int) - 5) @ (k.astype(int) + 9).T
    wide = requantise(acc, score) * step
    wide = np.where(np.ones((s, s)) if mask is None else mask, wide, -np.inf)
    e = np.exp(wide - wide.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    p = np.rint(127 * p) / 127 if steps else p
    exact = np.clip(np.rint(p @ (v.astype(float) - zp) * ratio + 3), -128, 127)
    error = np.abs(got - exact)
    assert error.mean() <= 0.05 and error.max() <= (3 if steps else 1)


# -- LayerNorm -----------------------------------------------------------------------------------


def norm_op(g: np.ndarray, b: np.ndarray, eps: float, scale: float, out: float, zp: int) -> tuple:
    features = len(g)
    frac = 15 - math.ceil(math.log2(features) / 2)
    real_gamma, real_beta = g / out, b / out + zp
    s = frac + math.floor(math.log2(32767 / max(np.abs(real_gamma).max(), 1e-9)))
    s = min(s, math.floor(math.log2((1 << 29) / max(np.abs(real_beta).max(), 1))), 30)
    gamma = np.rint(real_gamma * 2.0 ** (s - frac)).astype(np.int32)
    beta = (np.rint(real_beta * 2.0**s) + (1 << (s - 1))).astype(np.int32)
    eps_term = max(1, round(features**2 * eps / scale**2))
    return LayerNorm(gamma, beta, eps_term, frac, s), real_gamma, real_beta


@fixed_seed
@given(st.integers(2, 1024), st.integers(1, 128), st.floats(0.005, 0.2), st.integers(0, 999))
def test_layer_norm_is_within_one_lsb(e: int, spread: int, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    g, b = rng.uniform(0.2, 2, e), rng.uniform(-1, 1, e)
    op, gamma, beta = norm_op(g, b, 1e-5, scale, 7 / 127, int(rng.integers(-9, 10)))
    middle = int(rng.integers(-128 + spread // 2, 128 - spread // 2))
    x = np.clip(middle + rng.integers(-spread, spread + 1, (3, e)), -128, 127).astype(np.int8)
    wide = x.astype(np.float64)
    centred = wide - wide.mean(axis=1, keepdims=True)
    # The integer epsilon is at least 1, which only rows of a few near-equal features can tell from
    # the model's; the error that is promised is the arithmetic's.
    eps = op.eps_term / e**2
    real = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + eps) * gamma + beta
    error = np.abs(op.reference([x]) - np.clip(np.rint(real), -128, 127))
    assert error.max() <= 1
    assert error.mean() <= 0.1


@pytest.mark.parametrize("value", [-128, -1, 0, 127])
@pytest.mark.parametrize("e", [1, 18, 363, 1024])
def test_layer_norm_of_a_constant_row_is_beta(value: int, e: int) -> None:
    op, _, beta = norm_op(np.ones(e), np.linspace(-1, 1, e), 1e-12, 0.1, 1 / 32, 3)
    y = op.reference([np.full((1, e), value, np.int8)])
    np.testing.assert_allclose(y[0], beta, atol=0.51)


def test_layer_norm_with_its_variance_in_steps() -> None:
    """As of a model that keeps variances in 8 bits: most rows to a step of the exact result."""
    rng, e, scale, step = np.random.default_rng(0), 64, 0.05, 0.02
    x = np.clip(rng.normal(0, rng.uniform(2, 40, (50, 1)), (50, e)), -128, 127).astype(np.int8)
    grid, out = Quant(step, 0), Quant(4 / 127, 5)
    op = layer_norm(np.ones(e), np.zeros(e), 1e-5, Quant(scale, 3), out, variance=grid)
    wide = scale * (x.astype(float) - 3)
    centred = wide - wide.mean(axis=1, keepdims=True)
    variance = np.clip(np.rint((centred**2).mean(axis=1, keepdims=True) / step), 0, 127) * step
    some = variance[:, 0] > 0
    real = centred[some] / np.sqrt(variance[some]) / out.scale + 5
    error = np.abs(op.reference([x])[some] - np.clip(np.rint(real), -128, 127))
    assert error.max() <= 1 and error.mean() < 0.01
    assert len(np.unique(variance)) > 20 and variance.max() == np.float64(127 * step)


# -- scalar arithmetic ---------------------------------------------------------------------------


@given(st.integers(1, 2**60))
def test_inverse_sqrt_has_16_bits(d: int) -> None:
    r, e = inverse_sqrt(d)
    assert 1 << 15 <= r < 1 << 16
    assert abs(r * 2.0 ** (-31 - e) * math.sqrt(d) - 1) < 2**-14


def test_requantisation_rounds_half_up_and_saturates() -> None:
    acc = np.array([-6, -2, -1, 0, 1, 2, 6, 10**9, -(10**9)])
    got = requantise(acc, Requant(np.array([1], np.int32), 2, 10))
    assert got.tolist() == [9, 10, 10, 10, 10, 11, 12, 127, -128]


def test_table_follows_requantisation() -> None:
    table = np.arange(256).astype(np.uint8).view(np.int8)  # q -> q + 128, wrapped
    op = Linear(
        np.ones((1, 1), np.int8),
        np.zeros(1, np.int32),
        Requant(np.array([2], np.int32), 1, 0),
        table,
    )
    x = np.array([[-128], [0], [127]], np.int8)
    assert op.reference([x]).reshape(-1).tolist() == [0, -128, -1]
