# SPDX-License-Identifier: Apache-2.0
"""Sum or difference of two activations, either repeated along axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinygen.numeric import I8, Shape
from tinygen.numeric.requant import clamp8
from tinygen.operators.draw import Draw
from tinygen.operators.general import Call
from tinygen.operators.operator import Case
from tinygen.operators.pairs import Pairs

LIMIT = 1 << 21
"""Of the multipliers."""


@dataclass(frozen=True, eq=False)
class Sum(Pairs):
    """``clamp((a ma + b mb + c) >> s)``; a difference has a negative mb.

    |ma|, |mb| < 2^21.  s: 1..22.  c holds the zero points and 2^(s-1); all sums within int32.
    """

    word = "sum"

    ma: int
    mb: int
    c: int
    s: int

    def compute(self, inputs: Sequence[I8]) -> I8:
        a, b = self.operands(inputs)
        return clamp8((a * self.ma + b * self.mb + self.c) >> self.s)

    @classmethod
    def random(cls, draw: Draw) -> Case:
        dims = draw.axes()
        (a, x), (b, y) = draw.view(dims), draw.view(dims)
        s = int(draw.integers(1, 23))
        top = min((1 << 21) - 1, max(2, 1 << s))
        ma, mb = (int(draw.one_of((-top, 0, top, draw.integers(-top, top + 1)))) for _ in "ab")
        c = int(draw.integers(-128, 128)) * (1 << min(s, 20)) + (1 << (s - 1))
        return Case(cls(dims, a, b, ma, mb, c, s), (x, y))

    def fault(self, inputs: Sequence[Shape]) -> str | None:
        largest = 128 * (abs(self.ma) + abs(self.mb)) + abs(self.c)
        if max(abs(self.ma), abs(self.mb)) >= LIMIT or largest >= 1 << 31 or not 1 <= self.s <= 22:
            return "multipliers out of range"
        return super().fault(inputs)

    def calls(self) -> tuple[Call, ...]:
        return self.call(ma=self.ma, mb=self.mb, c=self.c, s=self.s)
