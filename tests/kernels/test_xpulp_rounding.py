# SPDX-License-Identifier: Apache-2.0
"""Every kind of rounding gives the definition's bits for all sums that can occur."""

from __future__ import annotations

import numpy as np
import pytest

from tinygen.numeric import I8, Requant
from tinygen.numeric.requant import requantise
from tinygen.targets.xpulpv2.rounding import CLIP, HIGH, I64, LOW, WIDE, Rounding, rounding

CASES = {  # m, s, zp, bound -> kind
    "short sums": ([5000, 4000, 3000, 2500], 22, -9, 1 << 17, LOW),
    "zeros below": ([5000 << 10, 4000 << 10, 3000 << 10, 2500 << 10], 32, 7, 1 << 17, LOW),
    "long sums": ([5000, 4000, 3000, 2500], 22, 127, 1 << 22, CLIP),
    "negative zero point": ([5000, 4000, 3000, 2500], 22, -128, 1 << 22, CLIP),
    "too far apart to clip": ([9001, 9001, 9001, 17], 22, 0, 1 << 22, HIGH),
    "all bits": ([5000001, 4000003, 3000003, 2500001], 32, 5, 1 << 22, HIGH),
    "large": ([(1 << 31) - 1, 3, 5, 7], 32, 0, 1 << 22, WIDE),
    "nothing": ([0, 0, 0, 0], 32, 5, 1 << 20, HIGH),
}


def apply(how: Rounding, acc: I64) -> I8:
    """acc [n, 4], with the words of 32 bits that the kernels have."""
    if how.kind == WIDE:
        y = how.offset + ((acc * how.m + (1 << (how.shift - 1))) >> how.shift)
        return np.clip(y, -128, 127).astype(np.int8)
    if how.kind == CLIP:
        acc = np.clip(acc, -how.limit - 1, how.limit)
    product = acc * how.m
    if how.kind == HIGH:
        product >>= 32
    assert np.all(np.abs(product + how.offset) < 1 << 31)
    clipped: I8 = np.clip((product + how.offset) >> how.shift, -128, 127).astype(np.int8)
    return clipped


@pytest.mark.parametrize("case", CASES)
def test_bits(case: str) -> None:
    m, s, zp, bound, kind = CASES[case]
    requant = Requant(np.array(m, np.int32), s, zp)
    how = rounding(requant, np.full(4, bound, np.int64))
    assert how.kind == kind
    near = np.arange(-1000, 1000)
    steps = (np.arange(-300, 300)[:, None] * (1 << s) + (1 << (s - 1))) // np.maximum(m, 1)
    thresholds = (steps[:, None] + np.arange(-2, 3)[:, None]).reshape(-1, 4)
    edges = np.array([-bound, 1 - bound, bound - 1, bound])
    wide = np.random.default_rng(0).integers(-bound, bound + 1, (100_000, 4))
    acc = np.concatenate([thresholds, wide, np.tile(np.concatenate([near, edges]), (4, 1)).T])
    acc = np.clip(acc, -bound, bound)
    assert np.array_equal(apply(how, acc), requantise(acc, requant))


def test_limit_of_each_tile() -> None:
    """The second tile's multipliers are small: its sums need not be clipped as soon."""
    m = np.array([5000] * 4 + [500] * 4, np.int32)
    how = rounding(Requant(m, 22, 0), np.full(8, 1 << 22, np.int64))
    assert how.kind == CLIP
    assert how.limit[1] > 9 * how.limit[0]
