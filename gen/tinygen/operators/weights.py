# SPDX-License-Identifier: Apache-2.0
"""Attention's weights: what keeps their sums exact in 32 bits."""

from __future__ import annotations

from tinygen.numeric import U16, RowScale


def weights_fault(
    scale: RowScale, exp_table: U16, weight_bits: int, largest: int, tokens: int
) -> str | None:
    """largest: of the values that are weighed, over so many tokens."""
    if not scale_fits(scale, weight_bits):
        return "context requantisation out of range"
    full = (1 << weight_bits) - 1
    if weight_bits > 15 or not int(exp_table[0]) == int(exp_table.max()) == full:
        return "exponent table is not full scale"
    if largest * tokens * full >= 1 << 31:
        return f"{weight_bits}-bit attention weights overflow int32 over {tokens} tokens"
    return None


def scale_fits(scale: RowScale, weight_bits: int) -> bool:
    """Whether a row's reciprocal stays within its ranges; weight_bits: of the least sum."""
    least = 47 - (32 - weight_bits) + scale.frac - scale.s
    ok = 1 << 14 <= scale.mult < 1 << 15 and 33 <= scale.s <= 40 and least >= 0
    return ok and abs(scale.offset) < 1 << 30
