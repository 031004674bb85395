# SPDX-License-Identifier: Apache-2.0
"""How sums become int8 on Xpulpv2: the cheapest way that gives the definition's bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinygen.numeric import I64, Requant
from tinygen.targets.base import PackedLinear
from tinygen.targets.portable import round_up

HEADER, TRAILER = 16, 32
"""Bytes before a tile's weights: four biases; and behind them: a `tg_rounding_t`."""
HIGH, LOW, CLIP, WIDE = range(4)
"""Kinds of rounding, as in tile.h."""


@dataclass(frozen=True, eq=False)
class Rounding:
    """How sums become int8, for one layer; m and bound: int64 [N], limit: int64 [N / 4]."""

    kind: int
    m: I64
    offset: int
    shift: int
    limit: I64


def rounding(requant: Requant, bound: I64) -> Rounding:
    """The cheapest kind that gives the definition's bits for all sums within +-bound [N].

    N is a multiple of 4; channels that do not exist have bound 0.
    """
    m = np.broadcast_to(requant.m, len(bound)).astype(np.int64)
    m = np.where(bound > 0, m, 0)
    none = np.full(len(m) // 4, (1 << 31) - 1)
    strip = min(int(np.gcd.reduce(m)) & -int(np.gcd.reduce(m)), 1 << (requant.s - 1))
    strip = max(strip, 1).bit_length() - 1
    short, s = m >> strip, requant.s - strip
    offset = (requant.zp << s) + (1 << (s - 1))
    room = (1 << 31) - 1 - abs(offset)
    if room > 0:
        if np.all(short * bound <= room):
            return Rounding(LOW, short, offset, s, none)
        most = np.maximum(short.reshape(-1, 4).max(axis=1), 1)
        limit = np.minimum(room // most, 1 << 31) - 1
        each = np.repeat(limit, 4)
        saturated = ((each * short + offset) >> s >= 127) & ((offset - each * short) >> s <= -128)
        if np.all(limit >= 0) and np.all(saturated | (bound <= each)):
            return Rounding(CLIP, short, offset, s, limit)
    shifted = m << (33 - requant.s)
    if np.all(shifted < 1 << 31):
        return Rounding(HIGH, shifted, 2 * requant.zp + 1, 1, none)
    return Rounding(WIDE, m, requant.zp, requant.s, none)


NAMES = ("high", "low", "clip", "wide")


def kind_of(packed: PackedLinear, k: int) -> str:
    """How the sums of packed weights with k inputs are rounded."""
    return NAMES[int(packed.w.view(np.int32)[HEADER // 4 + round_up(k, 4) + 7])]


def score_kind(m: int, s: int, zp: int, dim: int) -> str:
    """The same of scores, as kernels/src/xpulpv2/attention_attend.c chooses."""
    zeros = min((m & -m).bit_length() - 1 if m else 31, s - 1)
    if s - zeros <= 22:
        room = (1 << 31) - 1 - abs((zp << (s - zeros)) + (1 << (s - zeros - 1)))
        if not m or room // (m >> zeros) > dim * 255 * 255:
            return "low"
        if dim > 2:
            return "clip"
    return "high" if s > 2 and m <= ((1 << 31) - 1) >> (33 - s) else "wide"
