# SPDX-License-Identifier: Apache-2.0
"""Cortex-M4 and M7, and Cortex-M33 with the DSP extension.

Layouts: kernels/src/armv7em/tiles.h (weights, bias and multipliers in strips of two columns) and
attention_layout.h (q, k and v in 16 bit: twice the memory of 8, for 0.06 instructions a MAC less
and zero points that cost nothing).
"""

from __future__ import annotations

import numpy as np

from tinygen.graph.ops import I8, I32, U16, Attention, Requant
from tinygen.targets import strips
from tinygen.targets.base import PackedLinear, Target
from tinygen.targets.portable import Portable, round_up
from tinygen.targets.strips import halves


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
    _OWN = frozenset(
        {
            *_SOURCES["attention_stream"],
            *("attention_load", "attention_compact", "attention_levels"),
            *("attention_compact_levels", "dot_product_attention", "layernorm", "add", "lut"),
        }
    )

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

    def pack_output(self, op: Attention) -> PackedLinear:
        return ArmV7EMCompact().pack_output(op)

    def accumulate_scratch(self, op: Attention, rows: int) -> int:
        return ArmV7EMCompact().accumulate_scratch(op, rows)

    def q_bytes(self, op: Attention, heads: int, tokens: int) -> int:
        return 4 * heads * tokens * halves(op.dim)

    def k_bytes(self, op: Attention, heads: int, tokens: int) -> int:
        return 8 * heads * halves(tokens) * halves(op.dim)

    def v_bytes(self, op: Attention, heads: int, tokens: int) -> int:
        return 8 * heads * halves(tokens) * halves(op.value_dim)

    def attend_scratch(self, op: Attention, rows: int, tokens: int) -> int:
        return round_up(6 * self.group_rows(rows) * halves(tokens), 4)


class ArmV7EMCompact(Portable):
    """Attention with 8-bit operands: kernels/src/armv7em/compact.h, columns interleaved by two."""

    name = "armv7em"
    suffix = "_compact"
    layouts = {  # noqa: RUF012
        **Portable.layouts,
        "linear": "n2k4",
        "project": "n2k4",
        "attention_k": "s2p4",
        "attention_v": "p2s4",
        "attention_o": "n2k4",
    }
    _SOURCES = {  # noqa: RUF012
        "attention": ("attention_compact", "linear", "expand", "tiles"),
        "attention_stream": ("attention_compact", "attention_stream"),
        "attention_levels": ("attention_compact_levels",),
    }
    _OWN = ArmV7EM._OWN

    @staticmethod
    def tile_rows(rows: int) -> int:
        """`tg_tile_rows`: 4, or 1 where fewer than 3 are left."""
        return 4 if rows >= 3 else 1

    def linear_weights(self, n: int, k: int) -> int:
        return round_up(n, 2) * round_up(k, 4)

    def pack_weights(self, weight: I8) -> I8:
        n, k = weight.shape
        padded = np.zeros((round_up(n, 2), round_up(k, 4)), np.int8)
        padded[:n, :k] = weight
        tiles = padded.reshape(len(padded) // 2, 2, -1, 2, 2)  # pair, column, k / 4, k & 2, k & 1
        return tiles.transpose(0, 2, 4, 3, 1).reshape(-1)

    def pack_output(self, op: Attention) -> PackedLinear:
        return self._pack_blocks(np.split(op.wo, op.heads, axis=1), op.bo, op.ro, "attention_o")

    def linear_scratch(self, n: int, k: int, rows: int) -> int:
        return self.tile_rows(rows) * round_up(k, 4) * 2

    def accumulate_scratch(self, op: Attention, rows: int) -> int:
        return self.linear_scratch(len(op.wo), op.value_dim, rows)

    def k_bytes(self, op: Attention, heads: int, tokens: int) -> int:
        return heads * round_up(tokens, 2) * round_up(op.dim, 4)

    def v_bytes(self, op: Attention, heads: int, tokens: int) -> int:
        return heads * round_up(op.dim, 2) * round_up(tokens, 4)

    def attend_scratch(self, op: Attention, rows: int, tokens: int) -> int:
        return self.tile_rows(rows) * (2 * round_up(op.dim, 4) + 3 * round_up(tokens, 4))
