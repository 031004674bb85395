# SPDX-License-Identifier: Apache-2.0
"""Softmax and the product that reads it, in one: general attention from its scores on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinygen.lowering import Constant
from tinygen.numeric import I8, U8, U16, RowScale, Shape
from tinygen.numeric.matmul import exact_matmul
from tinygen.numeric.requant import clamp8, row_reciprocal
from tinygen.operators.draw import Draw
from tinygen.operators.general import Call, General
from tinygen.operators.matmul import batches
from tinygen.operators.operator import Case
from tinygen.operators.softmax import (
    mask_bits,
    mask_fault,
    masked,
    row_weights,
    scale_fault,
    weights_block,
)
from tinygen.operators.view import Strided, beyond, read


@dataclass(frozen=True, eq=False)
class Weighted(General):
    """Scores [B, M, T] and values -> [B, M, N].

    Weights e of each row as in `Softmax`, but unnormalised with all their bits; y = ``row_scale(
    sum_t e_t (v_t - v_zp))``. v: view [B1, B2, T, N] of the second input, B1 B2 = B. mask: uint8
    [R, T], row r of all B M rows takes mask row r % R; None: all count. group: rows, one after the
    other, that share one softmax (below opset 13 an axis and all after it are one); it divides
    their number. 255 group T exp_table[0] < 2^31.
    """

    word = "weighted"
    header = "weighted.h"

    v: Strided
    v_zp: int
    exp_table: U16
    scale: RowScale
    mask: U8 | None = None
    group: int = 1

    def compute(self, inputs: Sequence[I8]) -> I8:
        v = batches(read(inputs[1], self.v) - self.v_zp)
        x = inputs[0].reshape(len(v), -1, v.shape[1]).astype(np.int64)
        seen = np.ones((x.shape[0] * x.shape[1], x.shape[2]), bool)
        if self.mask is not None:
            seen = np.resize(self.mask != 0, seen.shape)
        rows = x.reshape(-1, self.group * x.shape[2])
        e = row_weights(rows, seen.reshape(rows.shape), self.exp_table, axis=1)
        total = np.repeat(e.sum(axis=1), self.group).reshape(x.shape[:2])
        e = e.reshape(x.shape)
        r = row_reciprocal(total, self.scale)[:, :, None]
        acc = np.stack([exact_matmul(p, q) for p, q in zip(e, v, strict=True)])
        return clamp8((acc * r + (self.scale.offset << 32)) >> self.scale.s)

    @classmethod
    def random(cls, draw: Draw) -> Case:
        outer, inner = int(draw.integers(1, 4)), int(draw.integers(1, 4))
        rows, tokens, cols = (draw.size(most) for most in (5, 20, 7))
        v, y = draw.view((outer, inner, tokens, cols))
        group = int(draw.choice([1, 1, rows]))
        bits = min(15, ((1 << 31) // (255 * group * tokens)).bit_length() - 1)
        op = cls(
            (outer * inner, rows, cols),
            v,
            draw.zero(),
            draw.exp_table(bits),
            draw.row_scale(bits),
            draw.mask(draw.size(rows), tokens) if group == 1 else None,
            group,
        )
        return Case(op, (draw.values(outer * inner, rows, tokens), y))

    def fault(self, inputs: Sequence[Shape]) -> str | None:
        tokens = self.group * self.v.dims[2]
        if 255 * tokens * int(self.exp_table[0]) >= 1 << 31:
            return f"weighted sums over {tokens} elements overflow int32"
        return (
            scale_fault(self.scale, self.exp_table)
            or mask_fault(self.mask)
            or beyond(self.v, inputs[1])
            or (None if self._fits(math.prod(inputs[0])) else "scores do not fit values")
        )

    def _fits(self, scores: int) -> bool:
        return scores == self._rows * self.v.dims[2] and self._rows % self.group == 0

    @property
    def _rows(self) -> int:
        return math.prod(self.out) // self.v.dims[3]

    def macs(self) -> int:
        return math.prod(self.out) * self.v.dims[2]

    def scratch(self) -> int:
        return -(-2 * self.v.dims[2] // 4) * 4

    def constants(self) -> Iterator[Constant]:
        yield "exp", self.exp_table
        yield from mask_bits(self.mask)

    @property
    def traffic(self) -> int:
        return self.macs() // 2

    def calls(self) -> tuple[Call, ...]:
        outer, inner, tokens, cols = self.v.dims
        s = self.v.strides
        block = {
            **{"rows": self._rows // (outer * inner), "cols": cols, "length": tokens},
            **({"group": self.group} if self.group > 1 else {}),
            **{"inner": inner, "v_outer": s[0], "v_inner": s[1], "v_row": s[2], "v_col": s[3]},
            **{"v_zp": self.v_zp, **weights_block(self.scale, self.mask)},
        }
        return (Call("weighted", block, ((0, 0), (1, self.v.offset)), self._rows),)

    def loops(self) -> Counter[str]:
        _, _, tokens, cols = self.v.dims
        rows, pairs = self._rows, math.ceil(cols / 2)
        looks = Counter({"weighted.exp": rows * tokens})
        if self.mask is not None:
            looks = masked("weighted", self.mask, rows)
        return looks + Counter(
            {
                "weighted.step": rows * pairs * tokens,
                "weighted.pair": rows * pairs,
                "weighted.row": rows,
                "weighted.call": 1,
            }
        )
