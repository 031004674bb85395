# SPDX-License-Identifier: Apache-2.0
"""Cortex-M4 and M7, and Cortex-M33 with the DSP extension. Layouts: kernels/src/armv7em/tile.h."""

from __future__ import annotations

import numpy as np

from tinygen.graph.ops import I8, Attention
from tinygen.targets.portable import Portable, round_up


class ArmV7EM(Portable):
    name = "armv7em"
    layouts = {  # noqa: RUF012
        **Portable.layouts,
        "linear": "n2k4-sxtb16",
        "conv": "n2k4-sxtb16",
        "attention_k": "s2p4-sxtb16",
        "attention_v": "p2s4-sxtb16",
    }

    _OWN = frozenset({"linear", "attention_project", "attention_attend"})

    @staticmethod
    def tile_rows(rows: int) -> int:
        """Rows that a tile expands: 4, or 1 where fewer than 3 are left."""
        return 4 if rows >= 3 else 1

    def linear_weights(self, n: int, k: int) -> int:
        return round_up(n, 2) * round_up(k, 4)

    def pack_weights(self, weight: I8) -> I8:
        n, k = weight.shape
        padded = np.zeros((round_up(n, 2), round_up(k, 4)), np.int8)
        padded[:n, :k] = weight
        tiles = padded.reshape(len(padded) // 2, 2, -1, 2, 2)  # pair, column, k / 4, k & 2, k & 1
        return tiles.transpose(0, 2, 4, 3, 1).reshape(-1)

    def unpack_weights(self, packed: I8, n: int, k: int) -> I8:
        tiles = packed.reshape(
            round_up(n, 2) // 2, -1, 2, 2, 2
        )  # pair, k / 4, k & 1, k & 2, column
        return tiles.transpose(0, 4, 1, 3, 2).reshape(round_up(n, 2), -1)[:n, :k]

    def linear_scratch(self, n: int, k: int, rows: int) -> int:
        return self.tile_rows(rows) * round_up(k, 4) * 2

    def k_bytes(self, op: Attention, heads: int, tokens: int) -> int:
        return heads * round_up(tokens, 2) * round_up(op.dim, 4)

    def v_bytes(self, op: Attention, heads: int, tokens: int) -> int:
        return heads * round_up(op.dim, 2) * round_up(tokens, 4)

    def attend_scratch(self, op: Attention, rows: int, tokens: int) -> int:
        return self.tile_rows(rows) * (2 * round_up(op.dim, 4) + 3 * round_up(tokens, 4))
