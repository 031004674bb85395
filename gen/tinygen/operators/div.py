# SPDX-License-Identifier: Apache-2.0
"""Quotient of two activations: a product with a table of reciprocals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinygen.lowering import Constant
from tinygen.numeric import I8, I32, Shape
from tinygen.numeric.requant import clamp8
from tinygen.operators.draw import Draw
from tinygen.operators.general import Call, Ref
from tinygen.operators.operator import Case
from tinygen.operators.pairs import Pairs

LARGEST = (1 << 22) - 1


@dataclass(frozen=True, eq=False)
class Div(Pairs):
    """``clamp(zp + ((a - a_zp) reciprocals[b + 128] + 2^(s-1) >> s))``.

    reciprocals: int32 [256], below 2^22 in size: 2^s sa / (sy sb (b - b_zp)).  s: 1..22.  A
    division by zero takes the largest: the quotient saturates with the sign of a.
    """

    word = "div"

    a_zp: int
    reciprocals: I32
    s: int
    zp: int

    def compute(self, inputs: Sequence[I8]) -> I8:
        a, b = self.operands(inputs)
        product = (a - self.a_zp) * self.reciprocals[b + 128].astype(np.int64)
        return clamp8(self.zp + ((product + (1 << (self.s - 1))) >> self.s))

    @classmethod
    def random(cls, draw: Draw) -> Case:
        dims = draw.axes()
        (a, x), (b, y) = draw.view(dims), draw.view(dims)
        a_scale, b_scale = 2.0 ** draw.uniform(-8, 2), 2.0 ** draw.uniform(-8, 2)
        table, s = reciprocals(a_scale, b_scale, draw.zero(), 0.02)
        return Case(cls(dims, a, b, draw.zero(), table, s, draw.zero()), (x, y))

    def fault(self, inputs: Sequence[Shape]) -> str | None:
        if np.abs(self.reciprocals).max() > LARGEST or not 1 <= self.s <= 22:
            return "reciprocals out of range"
        return super().fault(inputs)

    def constants(self) -> Iterator[Constant]:
        yield "reciprocals", self.reciprocals

    def calls(self) -> tuple[Call, ...]:
        return self.call(reciprocals=Ref("reciprocals"), a_zp=self.a_zp, s=self.s, zp=self.zp)


def reciprocals(a_scale: float, b_scale: float, b_zp: int, y_scale: float) -> tuple[I32, int]:
    """The table of `Div` and its shift, with as many bits as fit."""
    steps = np.arange(-128, 128) - b_zp
    with np.errstate(divide="ignore"):
        exact = a_scale / (y_scale * b_scale * steps.astype(float))
    top = float(np.abs(exact[steps != 0]).max())
    s = max(1, min(22, math.floor(math.log2(LARGEST / top))))
    table = np.rint(np.where(steps == 0, np.inf, exact) * 2.0**s)
    return np.clip(table, -LARGEST, LARGEST).astype(np.int32), s
