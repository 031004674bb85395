# SPDX-License-Identifier: Apache-2.0
"""Attention with 8-bit operands on Cortex-M4, M7 and M33."""

from __future__ import annotations

import numpy as np

from tinygen.numeric import I8, I32, Requant
from tinygen.targets.armv7em.compact_loops import CompactLoops
from tinygen.targets.base import PackedLinear
from tinygen.targets.loops import Loops
from tinygen.targets.portable import Portable, round_up


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

    @property
    def loops(self) -> Loops | None:
        return CompactLoops()

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

    def pack_output(self, weight: I8, heads: int, bias: I32, requant: Requant) -> PackedLinear:
        return self._pack_blocks(np.split(weight, heads, axis=1), bias, requant, "attention_o")

    def linear_scratch(self, n: int, k: int, rows: int) -> int:
        return self.tile_rows(rows) * round_up(k, 4) * 2

    def accumulate_scratch(self, n: int, dim: int, rows: int) -> int:
        return self.linear_scratch(n, dim, rows)

    def k_bytes(self, dim: int, heads: int, tokens: int) -> int:
        return heads * round_up(tokens, 2) * round_up(dim, 4)

    def v_bytes(self, dim: int, heads: int, tokens: int) -> int:
        return heads * round_up(dim, 2) * round_up(tokens, 4)

    def attend_scratch(self, dim: int, rows: int, tokens: int) -> int:
        return self.tile_rows(rows) * (2 * round_up(dim, 4) + 3 * round_up(tokens, 4))
