# SPDX-License-Identifier: Apache-2.0
"""Cortex-M4 and M7, and Cortex-M33 with the DSP extension.

Layouts: kernels/src/armv7em/tiles.h (weights, bias and multipliers in strips of two columns) and
attention_layout.h (q, k and v in 16 bit: twice the memory of 8, for 0.06 instructions a MAC less
and zero points that cost nothing).
"""

from __future__ import annotations

import numpy as np

from tinygen.numeric import I8, I32, U16, Requant
from tinygen.targets.armv7em import strips
from tinygen.targets.armv7em.compact import ArmV7EMCompact
from tinygen.targets.armv7em.compact_loops import CompactLoops
from tinygen.targets.armv7em.loops import ArmV7EMLoops
from tinygen.targets.armv7em.strips import halves
from tinygen.targets.base import PackedLinear, Target
from tinygen.targets.loops import Loops
from tinygen.targets.portable import Portable, round_up


class ArmV7EM(Portable):
    name = "armv7em"
    layouts = {  # noqa: RUF012
        **Portable.layouts,
        "linear": "strip8",
        "project": "strip8",
        "conv": "strip8",
        "attention_q": "group16",
        "attention_k": "strip16",
        "attention_v": "strip16",
        "attention_o": "n2k4",
    }

    _SOURCES = {  # noqa: RUF012
        **Portable._SOURCES,
        "linear": ("linear", "expand", "tiles"),
        "conv": ("conv", "linear", "expand", "tiles"),
        "attention": ("attention_project", "attention_attend", "linear", "expand", "tiles"),
        "attention_stream": (
            *("attention_project", "attention_attend", "attention_stream"),
            *("linear", "expand", "tiles"),
        ),
    }

    @property
    def loops(self) -> Loops | None:
        return ArmV7EMLoops(CompactLoops())

    @staticmethod
    def group_rows(left: int) -> int:
        """`tg_group_rows`."""
        return 4 if left >= 4 else 2 if left >= 2 else 1

    def linear_weights(self, n: int, k: int) -> int:
        return halves(n) * strips.words(k) * 4

    def _pack_blocks(
        self, blocks: list[I8], bias: I32, requant: Requant, operator: str
    ) -> PackedLinear:
        # Projections are clamped as halves of a word.
        w, form = strips.pack(blocks, bias, requant, 16 if operator == "project" else 31)
        none = np.zeros(0, np.int32)
        return PackedLinear(w, none, none, f"{self.name}/{self.layouts[operator]}", form)

    def unpack_linear(self, packed: PackedLinear, n: int, k: int) -> I8:
        return strips.unpack(packed.w, packed.form, n, k)

    def pack_exp(self, table: U16) -> U16:
        """Ascending: indexed by 255 - (maximum - score)."""
        return table[::-1].copy()

    def linear_scratch(self, n: int, k: int, rows: int) -> int:
        return self.group_rows(rows) * round_up(k, 4) * 2

    def compact(self) -> Target | None:
        return ArmV7EMCompact()

    def dot_product_scratch(self, dim: int, keys: int) -> int:
        deep, wide = halves(dim), halves(keys)
        return 4 * (keys * deep + dim * wide + 2 * deep + 2 * wide)

    def pack_output(self, weight: I8, heads: int, bias: I32, requant: Requant) -> PackedLinear:
        return ArmV7EMCompact().pack_output(weight, heads, bias, requant)

    def accumulate_scratch(self, n: int, dim: int, rows: int) -> int:
        return ArmV7EMCompact().accumulate_scratch(n, dim, rows)

    def q_bytes(self, dim: int, heads: int, tokens: int) -> int:
        return 4 * heads * tokens * halves(dim)

    def k_bytes(self, dim: int, heads: int, tokens: int) -> int:
        return 8 * heads * halves(tokens) * halves(dim)

    def v_bytes(self, dim: int, heads: int, tokens: int) -> int:
        return 8 * heads * halves(tokens) * halves(dim)

    def attend_scratch(self, dim: int, rows: int, tokens: int) -> int:
        return round_up(6 * self.group_rows(rows) * halves(tokens), 4)
