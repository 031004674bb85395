# SPDX-License-Identifier: Apache-2.0
"""RISC-V cores with Xpulpv2: GAP9 and the open PULP cluster."""

from __future__ import annotations

import numpy as np

from tinygen.numeric import I8, I32, U16, Requant
from tinygen.targets.base import PackedLinear
from tinygen.targets.loops import Loops
from tinygen.targets.portable import Portable, round_up
from tinygen.targets.xpulpv2.rounding import CLIP, HEADER, LOW, TRAILER, Rounding, rounding


class Xpulpv2(Portable):
    name = "xpulpv2"
    layouts = {  # noqa: RUF012 (declared on Target)
        "linear": "tile4",
        "project": "tile4",
        "conv": "tile4",
        "attention_q": "quads",
        "attention_k": "quads-start",
        "attention_v": "features4",
    }
    _TILES = frozenset(
        {"linear", *(f"attention_{f}" for f in ("project", "attend", "load", "levels"))}
    )
    _SOURCES = Portable._SOURCES | {"add_wide": ("add",)}

    @property
    def loops(self) -> Loops | None:
        return None  # a cluster's costs are counted by operator, on all its cores

    def sources(self, kernel: str) -> tuple[str, ...]:
        files = super().sources(kernel)
        own = any(f == f"{self.name}/{tiled}.c" for f in files for tiled in self._TILES)
        more = tuple(f"{self.name}/{f}.c" for f in ("group", "tiles", "wide", "lut"))
        return (*files, *more) if own else files

    def linear_weights(self, n: int, k: int) -> int:
        return -(-n // 4) * (HEADER + 4 * round_up(k, 4) + TRAILER)

    def linear_scratch(self, n: int, k: int, rows: int) -> int:
        return 4 * round_up(k, 4)

    def _pack_blocks(
        self, blocks: list[I8], bias: I32, requant: Requant, operator: str
    ) -> PackedLinear:
        tiles = [-(-len(block) // 4) for block in blocks]
        bound = np.zeros(4 * sum(tiles), np.int64)
        m = np.zeros(len(bound), np.int64)
        first, real = 0, 0
        for block, many in zip(blocks, tiles, strict=True):
            here, these = slice(first, first + len(block)), slice(real, real + len(block))
            weight = np.abs(block.astype(np.int64)).sum(axis=1)
            bound[here] = 128 * weight + np.abs(bias[these].astype(np.int64))
            m[here] = np.broadcast_to(requant.m, len(bias))[these]
            first, real = first + 4 * many, real + len(block)
        how = rounding(Requant(m.astype(np.int32), requant.s, requant.zp), bound)
        parts, first, real = [], 0, 0
        for block, many in zip(blocks, tiles, strict=True):
            biases = bias[real : real + len(block)]
            parts.append(_tiles(block, biases, how, first))
            first, real = first + many, real + len(block)
        none = np.zeros(0, np.int32)
        layout = f"{self.name}/{self.layouts[operator]}"
        return PackedLinear(np.concatenate(parts), none, none, layout)

    def unpack_weights(self, packed: I8, n: int, k: int) -> I8:
        words = round_up(k, 4)
        tiles = packed.view(np.int8).reshape(-1, HEADER + 4 * words + TRAILER)[:, HEADER:-TRAILER]
        w: I8 = tiles.reshape(len(tiles), words // 4, 4, 4).transpose(0, 2, 1, 3)
        return w.reshape(4 * len(tiles), words)[:n, :k]

    def pack_exp(self, table: U16) -> U16:
        """High eight and low seven bits, as bytes, the farthest from the maximum first; or, where
        eight bits are enough, those and zeros."""
        high, low = (table, 0 * table) if table.max() < 256 else (table >> 7, table & 127)
        halves = np.concatenate([high[::-1], low[::-1]]).astype(np.uint8)
        paired: U16 = halves.view(np.uint16)
        return paired

    def q_bytes(self, dim: int, heads: int, tokens: int) -> int:
        return heads * round_up(dim, 4) * round_up(tokens, 4)

    def k_bytes(self, dim: int, heads: int, tokens: int) -> int:
        return heads * (round_up(dim, 4) + 4) * round_up(tokens, 4)

    def v_bytes(self, dim: int, heads: int, tokens: int) -> int:
        return heads * round_up(dim, 4) * round_up(tokens, 4)

    def attend_scratch(self, dim: int, rows: int, tokens: int) -> int:
        return 12 * round_up(tokens, 4)


def _tiles(weight: I8, bias: I32, how: Rounding, first: int) -> I32:
    """Tiles of four channels: biases, a word of each channel for every four inputs, rounding.

    first: the block's first tile within the layer.
    """
    n, k = weight.shape
    tiles, words = -(-n // 4), -(-k // 4)
    padded = np.zeros((4 * tiles, 4 * words), np.int8)
    padded[:n, :k] = weight
    w = padded.reshape(tiles, 4, words, 4).transpose(0, 2, 1, 3)
    header = np.zeros(4 * tiles, np.int32)
    header[:n] = bias
    body = np.ascontiguousarray(w).reshape(tiles, -1).view(np.int32)
    trailer = np.zeros((tiles, 8), np.int64)
    less = int(how.kind in (LOW, CLIP))  # see tile.h
    trailer[:, :4] = how.m.reshape(-1, 4)[first : first + tiles] - less
    trailer[:, 4:6] = how.offset, how.shift
    trailer[:, 6] = how.limit[first : first + tiles]
    trailer[:, 7] = how.kind
    parts = [header.reshape(tiles, 4), body, trailer.astype(np.int32)]
    joined: I32 = np.concatenate(parts, axis=1).astype(np.int32).reshape(-1)
    return joined
