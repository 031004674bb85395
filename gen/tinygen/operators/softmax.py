# SPDX-License-Identifier: Apache-2.0
"""Softmax by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.lowering import Constant
from tinygen.numeric import I8, U8, U16, RowScale, Shape
from tinygen.numeric.requant import clamp8, row_reciprocal
from tinygen.operators.draw import Draw
from tinygen.operators.float_form import Array, Attrs, FloatForm
from tinygen.operators.general import Call, Field, General, Ref
from tinygen.operators.operator import Case
from tinygen.operators.weights import scale_fits


def _real(i: list[Any], attrs: Attrs, shape: Shape) -> Array:
    scores, mask = i[0], attrs.get("mask")
    if mask is not None:  # [S or 1, T] for every head's rows
        rows = np.resize(mask, scores.shape) if len(mask) > 1 else mask
        scores = np.where(rows, scores, -np.inf)
    y = real_softmax(scores * attrs.get("beta", 1.0), attrs.get("weights"))
    levels = attrs.get("levels")  # QuantLib's rounds them down
    return y if levels is None else np.asarray(np.floor(y * levels) / levels)


def real_softmax(x: Array, weights: Array | None = None) -> Array:
    """Over the last axis. weights: a table of its own for the distances from the maximum."""
    below = x.max(axis=-1, keepdims=True) - x
    e = np.exp(-below) if weights is None else weights[np.rint(below).astype(int)]
    y: Array = e / e.sum(axis=-1, keepdims=True)
    return y


@dataclass(frozen=True, eq=False)
class Softmax(General):
    """Of x [outer, length, inner], along the middle.

    Weights e = ``exp_table[max - x]``, L their sum; y = ``row_scale(e)``: see `RowScale`.
    exp_table: uint16 [256], its first entry full scale; length * exp_table[0] < 2^31. mask: uint8
    [R, length], for inner = 1: element t of row r counts where ``mask[r % R, t]``, and e = 0 where
    it does not. None: all count.
    """

    word = "softmax"
    float_form = FloatForm("Softmax", "softmax", _real, rounds=False)
    header = "softmax.h"

    outer: int
    length: int
    inner: int
    exp_table: U16
    scale: RowScale
    mask: U8 | None = None

    def compute(self, inputs: Sequence[I8]) -> I8:
        x = inputs[0].reshape(self.outer, self.length, self.inner).astype(np.int64)
        seen = np.ones((self.outer, self.length), bool)
        if self.mask is not None:
            seen = np.resize(self.mask != 0, seen.shape)
        e = row_weights(x, np.broadcast_to(seen[:, :, None], x.shape), self.exp_table, axis=1)
        r = row_reciprocal(e.sum(axis=1), self.scale)[:, None, :]
        return clamp8((e * r + (self.scale.offset << 32)) >> self.scale.s)

    @classmethod
    def random(cls, draw: Draw) -> Case:
        outer, length, inner = draw.size(5), draw.size(40), draw.size(4)
        bits = draw.one_of((8, 12, 15))
        op = cls(
            (outer, length, inner),
            *(outer, length, inner),
            draw.exp_table(bits),
            draw.row_scale(bits),
            draw.mask(draw.size(outer), length) if inner == 1 else None,
        )
        return Case(op, (draw.values(outer, length, inner),))

    def fault(self, inputs: Sequence[Shape]) -> str | None:
        if self.length * int(self.exp_table[0]) >= 1 << 31:
            return f"weights of {self.length} elements overflow 32 bits"
        return scale_fault(self.scale, self.exp_table) or mask_fault(self.mask)

    def constants(self) -> Iterator[Constant]:
        yield "exp", self.exp_table
        yield from mask_bits(self.mask)

    @property
    def traffic(self) -> int:
        return 3 * self.outer * self.length * self.inner

    def calls(self) -> tuple[Call, ...]:
        block = {"length": self.length, "inner": self.inner, **weights_block(self.scale, self.mask)}
        return (Call("softmax", block, ((0, 0),), self.outer * self.inner),)

    def loops(self) -> Counter[str]:
        rows = self.outer * self.inner
        name = "softmax.element" if self.inner == 1 else "softmax.strided"
        counts = Counter({name: rows * self.length})
        if self.mask is not None:
            counts = masked("softmax", self.mask, rows)
        return counts + Counter({"softmax.row": rows, "softmax.call": 1})


def masked(word: str, mask: U8, rows: int) -> Counter[str]:
    """What rows under a mask look at, and what of it they see."""
    seen = int(np.resize((mask != 0).sum(axis=1), rows).sum())
    return Counter({f"{word}.masked": rows * mask.shape[1], f"{word}.seen": seen})


def row_weights(
    x: NDArray[np.int64], seen: NDArray[np.bool_], table: U16, axis: int
) -> NDArray[np.int64]:
    """exp_table[max - x] along an axis, 0 where not seen."""
    top = np.where(seen, x, -128).max(axis=axis, keepdims=True)
    e: NDArray[np.int64] = np.where(seen, table[np.clip(top - x, 0, 255)].astype(np.int64), 0)
    return e


def weights_block(scale: RowScale, mask: U8 | None) -> dict[str, Field]:
    """The fields of a parameter block that a softmax brings."""
    block: dict[str, Field] = {"exp_table": Ref("exp"), "mult": scale.mult, "frac": scale.frac}
    block |= {"s": scale.s, "offset": scale.offset}
    if mask is not None:
        block |= {"mask": Ref("mask"), "mask_rows": len(mask)}
        block |= {"mask_stride": -(-mask.shape[1] // 8)}
    return block


def mask_bits(mask: U8 | None) -> Iterator[Constant]:
    if mask is not None:
        yield "mask", np.packbits(mask != 0, axis=1, bitorder="little").reshape(-1)


def mask_fault(mask: U8 | None) -> str | None:
    dark = mask is not None and not mask.any(axis=1).all()
    return "a row of the mask sees nothing" if dark else None


def scale_fault(scale: RowScale, table: U16) -> str | None:
    """table: its first entry is the least that the weights of a row sum to."""
    if scale_fits(scale, int(table[0]).bit_length()):
        return None
    return "its output's scale is out of range, so calibrate the model again"
