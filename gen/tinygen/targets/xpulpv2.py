# SPDX-License-Identifier: Apache-2.0
"""RISC-V cores with Xpulpv2: GAP9 and the open PULP cluster."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinygen.graph.ops import I8, I32, U16, Attention, Requant
from tinygen.targets.base import PackedLinear
from tinygen.targets.portable import Portable, round_up

I64 = NDArray[np.int64]

HEADER, TRAILER = 16, 32
"""Bytes before a tile's weights: four biases; and behind them: a `tg_rounding_t`."""
HIGH, LOW, CLIP, WIDE = range(4)
"""Kinds of rounding, as in tile.h."""


@dataclass(frozen=True, eq=False)
class Rounding:
    """How sums become int8, for one layer; m and bound: int64 [N], limit: int64 [N / 4]."""

    kind: int
    m: I64
    offset: int
    shift: int
    limit: I64


def rounding(requant: Requant, bound: I64) -> Rounding:
    """The cheapest kind that gives the definition's bits for all sums within +-bound [N].

    N is a multiple of 4; channels that do not exist have bound 0.
    """
    m = np.broadcast_to(requant.m, len(bound)).astype(np.int64)
    m = np.where(bound > 0, m, 0)
    none = np.full(len(m) // 4, (1 << 31) - 1)
    strip = min(int(np.gcd.reduce(m)) & -int(np.gcd.reduce(m)), 1 << (requant.s - 1))
    strip = max(strip, 1).bit_length() - 1
    short, s = m >> strip, requant.s - strip
    offset = (requant.zp << s) + (1 << (s - 1))
    room = (1 << 31) - 1 - abs(offset)
    if room > 0:
        if np.all(short * bound <= room):
            return Rounding(LOW, short, offset, s, none)
        most = np.maximum(short.reshape(-1, 4).max(axis=1), 1)
        limit = np.minimum(room // most, 1 << 31) - 1
        each = np.repeat(limit, 4)
        saturated = ((each * short + offset) >> s >= 127) & ((offset - each * short) >> s <= -128)
        if np.all(limit >= 0) and np.all(saturated | (bound <= each)):
            return Rounding(CLIP, short, offset, s, limit)
    shifted = m << (33 - requant.s)
    if np.all(shifted < 1 << 31):
        return Rounding(HIGH, shifted, 2 * requant.zp + 1, 1, none)
    return Rounding(WIDE, m, requant.zp, requant.s, none)


NAMES = ("high", "low", "clip", "wide")


def kind_of(packed: PackedLinear, k: int) -> str:
    """How the sums of packed weights with k inputs are rounded."""
    return NAMES[int(packed.w.view(np.int32)[HEADER // 4 + round_up(k, 4) + 7])]


def score_kind(m: int, s: int, zp: int, dim: int) -> str:
    """The same of scores, as kernels/src/xpulpv2/attention_attend.c chooses."""
    zeros = min((m & -m).bit_length() - 1 if m else 31, s - 1)
    if s - zeros <= 22:
        room = (1 << 31) - 1 - abs((zp << (s - zeros)) + (1 << (s - zeros - 1)))
        if not m or room // (m >> zeros) > dim * 255 * 255:
            return "low"
        if dim > 2:
            return "clip"
    return "high" if s > 2 and m <= ((1 << 31) - 1) >> (33 - s) else "wide"


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
    _OWN = _TILES | {"conv", "layernorm", "add", "lut"}
    _SOURCES = Portable._SOURCES | {"add_wide": ("add",)}

    def sources(self, operator: str) -> tuple[str, ...]:
        files = super().sources(operator)
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

    def q_bytes(self, op: Attention, heads: int, tokens: int) -> int:
        return heads * round_up(op.dim, 4) * round_up(tokens, 4)

    def k_bytes(self, op: Attention, heads: int, tokens: int) -> int:
        return heads * (round_up(op.dim, 4) + 4) * round_up(tokens, 4)

    def v_bytes(self, op: Attention, heads: int, tokens: int) -> int:
        return heads * round_up(op.value_dim, 4) * round_up(tokens, 4)

    def attend_scratch(self, op: Attention, rows: int, tokens: int) -> int:
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
