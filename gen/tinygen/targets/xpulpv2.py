# SPDX-License-Identifier: Apache-2.0
"""RISC-V cores with Xpulpv2: GAP9 and the open PULP cluster."""

from __future__ import annotations

import numpy as np

from tinygen.graph.ops import I8, I32, U16, Attention, Requant
from tinygen.targets.base import PackedLinear
from tinygen.targets.portable import Portable, round_up

HEADER = 32
"""Bytes before a tile's weights: bias and multiplier of four channels."""


def multipliers(requant: Requant, n: int) -> I32:
    """[n] as the kernels want them: shifted so that the high half of a product is the result
    doubled, or ~m where one does not fit."""
    m = np.broadcast_to(requant.m, n).astype(np.int64)
    shifted = m << (33 - requant.s)
    return (shifted if np.all(shifted < 1 << 31) else ~m).astype(np.int32)


class Xpulpv2(Portable):
    name = "xpulpv2"
    fuses = False
    layouts = {  # noqa: RUF012 (declared on Target)
        "linear": "tile4-header",
        "conv": "tile4-header",
        "attention_q": "quads",
        "attention_k": "quads-start",
        "attention_v": "features4",
    }
    _OWN = frozenset({"linear", "attention_project", "attention_attend"})

    def sources(self, operator: str) -> tuple[str, ...]:
        files = super().sources(operator)
        own = any(f.startswith(self.name) for f in files)
        more = (f"{self.name}/group.c", f"{self.name}/wide.c")
        return (*files, *more) if own else files

    def linear_weights(self, n: int, k: int) -> int:
        return -(-n // 4) * (HEADER + 4 * round_up(k, 4))

    def linear_scratch(self, n: int, k: int, rows: int) -> int:
        return 4 * round_up(k, 4)

    def _pack_blocks(
        self, blocks: list[I8], bias: I32, requant: Requant, operator: str
    ) -> PackedLinear:
        m = multipliers(requant, len(bias))
        parts, first = [], 0
        for block in blocks:
            here = slice(first, first + len(block))
            parts.append(_tiles(block, bias[here], m[here]))
            first += len(block)
        none = np.zeros(0, np.int32)
        layout = f"{self.name}/{self.layouts[operator]}"
        return PackedLinear(np.concatenate(parts), none, none, layout)

    def unpack_weights(self, packed: I8, n: int, k: int) -> I8:
        words = round_up(k, 4)
        tiles = packed.view(np.int8).reshape(-1, HEADER + 4 * words)[:, HEADER:]
        w: I8 = tiles.reshape(len(tiles), words // 4, 4, 4).transpose(0, 2, 1, 3)
        return w.reshape(4 * len(tiles), words)[:n, :k]

    def pack_exp(self, table: U16) -> U16:
        """High eight and low seven bits, as bytes."""
        halves = np.concatenate([table >> 7, table & 127]).astype(np.uint8)
        paired: U16 = halves.view(np.uint16)
        return paired

    def q_bytes(self, op: Attention, heads: int, tokens: int) -> int:
        return heads * round_up(op.dim, 4) * round_up(tokens, 4)

    def k_bytes(self, op: Attention, heads: int, tokens: int) -> int:
        return heads * (round_up(op.dim, 4) + 4) * round_up(tokens, 4)

    def v_bytes(self, op: Attention, heads: int, tokens: int) -> int:
        return heads * round_up(op.dim, 4) * round_up(tokens, 4)

    def attend_scratch(self, op: Attention, rows: int, tokens: int) -> int:
        return 12 * round_up(tokens, 4)


def _tiles(weight: I8, bias: I32, m: I32) -> I32:
    """Tiles of four channels: header, then a word of each channel for every four inputs."""
    n, k = weight.shape
    tiles, words = -(-n // 4), -(-k // 4)
    padded = np.zeros((4 * tiles, 4 * words), np.int8)
    padded[:n, :k] = weight
    w = padded.reshape(tiles, 4, words, 4).transpose(0, 2, 1, 3)
    header = np.zeros((2, 4 * tiles), np.int32)
    header[:, :n] = bias, m
    header[1, n:] = -1 if m[0] < 0 else 0
    body = np.ascontiguousarray(w).reshape(tiles, -1).view(np.int32)
    head = header.reshape(2, tiles, 4).transpose(1, 0, 2).reshape(tiles, 8)
    joined: I32 = np.concatenate([head, body], axis=1).astype(np.int32).reshape(-1)
    return joined
