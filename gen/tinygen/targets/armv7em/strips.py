# SPDX-License-Identifier: Apache-2.0
"""Layout `strip8` of armv7em: two columns side by side; kernels/src/armv7em/tiles.h.

A strip is words: two biases, K / 2 of weights, two multipliers. One word holds two inputs of both
columns, inputs 0 and 2 of each four and then 1 and 3, as SXTB16 splits them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.numeric import I8, I32, Requant

JOINT, SPLIT, EXACT = 0, 1, 2
"""Forms of a layer's strips."""
HEAD, TAIL = 2, 2
"""Words around the weights of a strip."""

Bools = NDArray[np.bool_]
Wide = NDArray[np.int64]


def halves(x: int) -> int:
    """Pairs that x values need."""
    return -(-x // 2)


def words(k: int) -> int:
    """Words of one strip."""
    return HEAD + 2 * -(-k // 4) + TAIL


def pack(blocks: list[I8], bias: I32, requant: Requant, bits: int) -> tuple[I32, int]:
    """-> (words, form).  Strips start afresh at each block.

    blocks: int8 [n, K] each, stacked.  bits: that an output may take before it is clamped.
    """
    wide = [_paired(block) for block in blocks]
    m = np.broadcast_to(requant.m, len(bias)).astype(np.int64)
    form = EXACT if _far_out(np.concatenate(blocks), bias, m, requant.s, bits) else _form(wide)
    if form != EXACT:
        m = m << (32 - requant.s)
    parts, row = [], 0
    for block, pairs in zip(blocks, wide, strict=True):
        ends = np.zeros((2, 2 * len(pairs)), np.int64)
        ends[:, : len(block)] = bias[row : row + len(block)], m[row : row + len(block)]
        starts, factors = ends.reshape(2, -1, 2)
        parts.append(_pack_block(pairs, starts, factors, form))
        row += len(block)
    return np.concatenate(parts), form


def unpack(packed: I32, form: int, n: int, k: int) -> I8:
    """The inverse, for tests: int8 [N, K]."""
    strips = packed.reshape(halves(n), words(k))
    stored = np.ascontiguousarray(strips[:, HEAD:-TAIL]).view(np.int8)
    fours = stored.reshape(halves(n), -1, 2, 2, 2).astype(np.int16)
    fours[..., 1] += _borrows(fours, form)
    fours[..., 1] *= np.where(strips[:, -1] < 0, -1, 1)[:, None, None, None]
    return fours.transpose(0, 4, 1, 3, 2).reshape(2 * halves(n), -1)[:n, :k].astype(np.int8)


def _paired(block: I8) -> Wide:
    """int8 [n, K] -> [strip, column, K rounded up to fours]."""
    n, k = block.shape
    out = np.zeros((halves(n), 2, -(-k // 4) * 4), np.int64)
    out.reshape(-1, out.shape[2])[:n, :k] = block
    return out


def _far_out(weight: I8, bias: I32, m: Wide, s: int, bits: int) -> bool:
    """Does an output leave its range for some int8 input?"""
    most = 128 * np.abs(weight.astype(np.int64)).sum(axis=1) + np.abs(bias.astype(np.int64))
    reach = most * (m / 2.0**s) + 129  # with the zero point and rounding
    return bool(
        int(m.max()) << (32 - s) >= 1 << 31
        or int(most.max()) >= 1 << 23
        or reach.max() >= 2.0 ** (bits - 1)
    )


def _form(wide: list[Wide]) -> int:
    for form in (JOINT, SPLIT):
        if all(_fits(w, form).any(axis=0).all() for w in wide):
            return form
    return EXACT


def _fits(pairs: Wide, form: int) -> Bools:
    """[2, strips]: do the bytes hold a strip whose column 1 is as it is, or negated?

    A joint half word is w0 + 256 w1, and w1 = -128 takes w0 >= 0; negated it takes w0 < 0. A split
    strip is joint in its first word (inputs 0 and 2), and has bytes elsewhere.
    """
    least, negative = pairs[:, 1] == -128, pairs[:, 0] < 0
    joint = np.ones(pairs.shape[2], bool)
    if form == SPLIT:
        joint[:] = False
        joint[[0, 2]] = True
    plain = ~(least & negative & joint).any(axis=1)
    negated = ~(least & ~(negative & joint)).any(axis=1)
    return np.stack([plain, negated])


def _pack_block(pairs: Wide, starts: Wide, factors: Wide, form: int) -> I32:
    """pairs: see `_paired`.  starts, factors: [strip, column]."""
    pairs, starts, factors = pairs.copy(), starts.copy(), factors.copy()
    if form != EXACT:
        turned = ~_fits(pairs, form)[0]
        pairs[turned, 1] *= -1
        starts[turned, 1] *= -1
        factors[turned, 1] *= -1
        starts[:, 1] = starts[:, 0] + 256 * starts[:, 1]
    fours = pairs.reshape(len(pairs), 2, -1, 2, 2)  # strip, column, k / 4, k & 2, k & 1
    fours = fours.transpose(0, 2, 4, 3, 1).copy()  # strip, k / 4, k & 1, k & 2, column
    fours[..., 1] -= _borrows(fours, form)
    out = np.zeros((len(pairs), words(4 * fours.shape[1])), np.int32)
    out[:, HEAD:-TAIL] = fours.astype(np.int8).reshape(len(pairs), -1).view(np.int32)
    out[:, :HEAD], out[:, -TAIL:] = starts.astype(np.int32), factors
    return out.reshape(-1)


def _borrows(fours: NDArray[Any], form: int) -> Bools:
    """Where the high byte of w0 + 256 w1 is one less than w1: [strip, k / 4, k & 1, k & 2]."""
    out: Bools = fours[..., 0] < 0
    if form == SPLIT:
        out[:, 1:] = out[:, :, 1:] = False
    return out & (form != EXACT)
