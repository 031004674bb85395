# SPDX-License-Identifier: Apache-2.0
"""Of two roundings one after the other: the one grid that stands for both."""

from __future__ import annotations

import numpy as np

from tinygen.graph import Quant

SLACK = 1.5
"""Steps by which the ends of two grids of one range may differ."""
PART = 0.5
"""Ranges of the parts of a packed q/k/v are a half to all of the range of the whole; then nothing
is cut off, and the attention stays one operator."""
FINER = 0.4
"""Of two grids' steps; a side of zero that one cuts off halves them."""


def coarser(first: Quant, second: Quant) -> Quant:
    """Of two roundings one after the other, the one that does not let the other show: the second
    where it is no finer, or cuts off a side of zero as ReLU does."""
    ends = -128, 127
    cuts = any(second.zero_point == e and first.zero_point != e for e in ends)
    return second if cuts or second.scale >= first.scale else first


def ends(grid: Quant) -> tuple[float, float]:
    """The least and the largest number on a grid."""
    low, high = ((q - grid.zero_point) * grid.scale for q in (-128, 127))
    return low, high


def within(grid: Quant, other: Quant, part: float = 1.0) -> bool:
    """Whether a part of a grid, to both sides of 0, is within another."""
    (low, high), (lowest, highest), slack = ends(grid), ends(other), SLACK * grid.scale
    return part * low >= lowest - slack and part * high <= highest + slack


def shared(a: Quant, b: Quant) -> Quant:
    """The grid of what neither cuts off, finer than both; b where that is nothing but 0."""
    low, high = max(ends(a)[0], ends(b)[0]), min(ends(a)[1], ends(b)[1])
    scale = (high - low) / 255
    if scale <= min(a.scale, b.scale) / 255:
        return b
    return Quant(scale, int(np.clip(np.rint(-128 - low / scale), -128, 127)))


def merged(first: Quant, second: Quant) -> tuple[Quant, bool]:
    """One grid for two roundings, and whether that may show: it holds more than `PART` of what the
    second would cut off, or what the first cuts off without steps as wide as the second's."""
    kept = coarser(first, second)
    if not within(kept, second, PART):
        return kept, True
    if within(kept, first):
        return kept, False
    both = shared(first, second)
    return (both, False) if both.scale >= FINER * kept.scale else (kept, True)
