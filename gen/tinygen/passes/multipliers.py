# SPDX-License-Identifier: Apache-2.0
"""Real scales -> the integer multipliers, shifts and biases of the operators."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.errors import TinygenError
from tinygen.graph import Quant
from tinygen.numeric import I8, I32, U16, Requant, RowScale
from tinygen.operators import Add, LayerNorm, MeanPool, WeightSteps
from tinygen.operators.rms_norm import RmsNorm

F64 = NDArray[np.float64]
SHIFT = 32
"""The usual shift of a requantisation. Against onnxruntime, mean logit difference in LSB on digits,
activity, eegformer: 0.28, 0.16, 1.48 at 22; 0.23, 0.16, 0.27 at 26; 0.22, 0.16, 0.15 at 32. At 32
an ARM core takes the product's upper word as it is (SMMLAR), a RISC-V core by mulh."""
ADD_SHIFT, ADD_LIMIT = 20, 1 << 21
"""Shift and bound of a residual's multipliers: the sum of two still fits int32. 14 bits cost 0.15
LSB of mean logit difference on activity."""
WIDE_LIMIT = 1 << 14
"""Bound of the multiplier of a constant of 16 bits."""
NORM_SHIFT = 22
MOST_LOST = 0.5
"""Steps of an output that rounding a bias may cost."""
BIAS_LIMIT = 1 << 30
"""Biases stay below; products then have as much room again."""


def requant(ratio: F64, zp: int) -> Requant:
    """Multipliers for accumulator scale / output scale, one or one a channel."""
    ratio = np.atleast_1d(np.asarray(ratio, np.float64))
    if np.all(ratio == ratio[0]):
        ratio = ratio[:1]
    s = SHIFT
    while s > 1 and ratio.max() * 2.0**s >= 2.0**31 - 1:
        s -= 1
    m = np.rint(ratio * 2.0**s)
    if not np.all(np.isfinite(m)) or m.max() >= 2.0**31:
        raise TinygenError("an output scale is too small for its accumulator: calibrate again")
    return Requant(m.astype(np.int32), s, zp)


@dataclass(frozen=True, eq=False)
class Projection:
    """What a matrix product needs besides its shape."""

    weight: I8
    bias: I32
    requant: Requant


def projection(
    q: NDArray[Any],
    scales: F64,
    bias: F64,
    x: Quant,
    y: Quant,
) -> Projection:
    """Integers [N, ...], a scale and a real bias for each of N outputs, and both ends' grids."""
    if not (np.isfinite(scales).all() and np.isfinite(bias).all()):
        raise TinygenError(
            "its weights or its bias are infinite or no numbers: train or export the model again"
        )
    q, scales = _fit_int8(q, scales)
    q, scales = _fit_bias(q, scales.copy(), bias, x, y)
    flat = q.reshape(len(q), -1).astype(np.float64)
    start = bias / (x.scale * scales) - x.zero_point * flat.sum(axis=1)
    _check_sums(flat, start, x.scale * scales / y.scale)
    return Projection(
        q.astype(np.int8),
        np.clip(np.rint(start), -(2**31), 2**31 - 1).astype(np.int32),
        requant(x.scale * scales / y.scale, y.zero_point),
    )


def _check_sums(q: F64, start: F64, ratio: F64) -> None:
    """Sums stay within int32, and rounding their first term does not show in the output."""
    largest = 128 * np.abs(q).sum(axis=1) + np.abs(start)
    if np.any(largest >= 1 << 31):
        raise TinygenError(
            f"sums of {q.shape[1]} products overflow int32: quantise the model again, or split the "
            "product"
        )
    lost = float((np.abs(start - np.rint(start)) * ratio).max())
    if lost > MOST_LOST:
        raise TinygenError(
            f"its bias is rounded by {lost:.1f} steps of its output, because one step of its sums "
            f"is {float(ratio.max()):.3g} steps of it: the scale of its input or of its weights is "
            "too large, so calibrate the model again"
        )


def _fit_int8(q: NDArray[Any], scales: F64) -> tuple[NDArray[Any], F64]:
    """Weights whose zero point pushed them beyond int8 (asymmetric uint8) get a coarser grid."""
    flat = q.reshape(len(q), -1)
    wide = (flat.max(axis=1) > 127) | (flat.min(axis=1) < -128)
    if not wide.any():
        return q, scales
    step = np.where(wide, np.abs(flat).max(axis=1) / 127.0, 1.0)
    shape = (-1, *[1] * (q.ndim - 1))
    return np.rint(q / step.reshape(shape)).astype(np.int32), scales * step


def _fit_bias(q: NDArray[Any], scales: F64, bias: F64, x: Quant, y: Quant) -> tuple[Any, F64]:
    """A channel whose bias does not fit int32 in its scale gets a coarser scale.

    Its weights are then so small against its bias that their lost bits do not show.
    """
    dead = ~np.any(q.reshape(len(q), -1), axis=1)
    scales[dead] = 2.0**-10 * y.scale / x.scale
    over = np.abs(bias) / (x.scale * scales) / BIAS_LIMIT
    if not np.any(over > 1):
        return q, scales
    step = np.where(over > 1, 2.0 ** np.ceil(np.log2(np.maximum(over, 1))), 1.0)
    shape = (-1, *[1] * (q.ndim - 1))
    return np.rint(q / step.reshape(shape)).astype(np.int32), scales * step


def weight_bits(tokens: int, value_bits: int = 7) -> int:
    """Bits of unnormalised attention weights: 15, fewer where int32 sums would not hold.

    value_bits: of the values that they weigh, the sign aside.
    """
    return min(15, 31 - value_bits - math.ceil(math.log2(tokens))) if tokens > 1 else 15


def exp_table(step: float, bits: int) -> U16:
    """Full scale times exp(-d * step) for the distances d = 0..255 from a row's maximum."""
    full = (1 << bits) - 1
    table: U16 = np.rint(full * np.exp(-step * np.arange(256))).astype(np.uint16)
    return table


def row_scale(v: Quant, y: Quant, bits: int) -> RowScale:
    """Context requantisation, from the grid of V to the context's.

    v enters raw, so sum e (v - zv) / L = acc / L - zv: the constant -zv * sv / sy joins the zero
    point in the offset.
    """
    ratio = v.scale / y.scale
    mantissa, exponent = math.frexp(ratio)
    mult, frac = round(mantissa * (1 << 15)), 15 - exponent
    if mult == 1 << 15:
        mult, frac = mult >> 1, frac - 1
    s = 40
    while s > 33 and 47 - (32 - bits) + frac - s < 0:
        s -= 1
    one = 1 << (s - 32)
    offset = round((y.zero_point - v.zero_point * ratio) * one) + one // 2
    return RowScale(mult, frac, s, offset)


def weight_steps(grid: Quant, bits: int) -> WeightSteps | None:
    """Probabilities on a grid of 8 bits; None where its steps are finer than the weights."""
    up = bits - math.frexp(1 / grid.scale)[1]
    total = round(2.0**up / grid.scale)
    if total >> bits:
        up, total = up - 1, round(2.0 ** (up - 1) / grid.scale)
    # No weight is more than the sum: where the grid goes further, its last steps stay unused.
    return WeightSteps(total, up, min(127 - grid.zero_point, 32767 >> up)) if up >= 0 else None


def layer_norm(
    gamma: F64,
    beta: F64,
    eps: float,
    x: Quant,
    y: Quant,
    *,
    whole: bool = False,
    variance: Quant | None = None,
) -> LayerNorm:
    """Real gamma and beta [E]; see `LayerNorm` for the fixed-point steps. variance: its grid."""
    features = len(gamma)
    room = 3 if whole else 4 if variance is not None else 1
    frac = 15 - math.ceil(math.log2(room * features) / 2)
    g, b = gamma / y.scale, beta / y.scale + y.zero_point
    s = NORM_SHIFT
    while s > 1 and np.abs(np.rint(g * 2.0 ** (s - frac))).max() >= 1 << 15:
        s -= 1
    limit = 1 << 30
    gi = np.clip(np.rint(g * 2.0 ** (s - frac)), 1 - (1 << 15), (1 << 15) - 1)
    bi = np.clip(np.rint(b * 2.0**s) + (1 << (s - 1)), -limit, limit)
    eps_term = max(1, round(features * features * eps / (x.scale * x.scale)))
    gi, bi = gi.astype(np.int32), bi.astype(np.int32)
    if whole:
        return LayerNorm(gi, bi, max(1, round(eps)), frac, s, True, x.zero_point)
    if variance is None:
        return LayerNorm(gi, bi, eps_term, frac, s)
    if eps < variance.scale / 2:  # the model rounds it away
        eps_term = 1
    step = max(1, round(256 * features * features * variance.scale / (x.scale * x.scale)))
    most = 127 - variance.zero_point
    return LayerNorm(gi, bi, eps_term, frac, s, step=step, most=most)


def rms_norm(
    shape: tuple[int, ...], gamma: F64, beta: F64, eps: float, x: Quant, y: Quant
) -> RmsNorm:
    """The same without a mean."""
    plain = layer_norm(gamma, beta, eps, x, y)
    parts = plain.gamma, plain.beta, plain.eps_term, plain.frac, plain.s
    return RmsNorm(shape, *parts, x.zero_point)


def add(a: Quant, b: Quant, y: Quant, other: I8 | None) -> Add:
    """A residual with two scales and one rounding."""
    ra, rb = a.scale / y.scale, b.scale / y.scale
    s = ADD_SHIFT
    while s > 1 and max(round(ra * 2**s), round(rb * 2**s)) >= ADD_LIMIT:
        s -= 1
    offset = y.zero_point - a.zero_point * ra - b.zero_point * rb
    ma, mb = round(ra * 2**s), round(rb * 2**s)
    if max(ma, mb) >= ADD_LIMIT:
        raise TinygenError("a residual's output scale is too small: calibrate the model again")
    return Add(ma, mb, round(offset * 2**s) + (1 << (s - 1)), s, other)


def add_constant(a: Quant, values: F64, y: Quant) -> Add:
    """A real constant beside an activation, in 16 bits whose step the multiplier gives exactly."""
    ra, span = a.scale / y.scale, float(np.abs(values).max()) / y.scale
    s = ADD_SHIFT
    while s > 1 and (round(ra * 2**s) >= ADD_LIMIT or span * 2**s / 32767 >= WIDE_LIMIT - 1):
        s -= 1
    ma, mb = round(ra * 2**s), max(1, math.ceil(span * 2**s / 32767))
    if ma >= ADD_LIMIT or mb >= WIDE_LIMIT:
        raise TinygenError("a residual's output scale is too small: calibrate the model again")
    other = np.rint(values / y.scale * 2**s / mb).astype(np.int16)
    c = round((y.zero_point - a.zero_point * ra) * 2**s) + (1 << (s - 1))
    return Add(ma, mb, c, s, other)


def mean_pool(rows: int, x: Quant, y: Quant, times: float = 1.0) -> MeanPool:
    """Mean over ``rows`` tokens, times a number."""
    ratio = np.asarray([x.scale * times / (rows * y.scale)])
    return MeanPool(-rows * x.zero_point, requant(ratio, y.zero_point))
