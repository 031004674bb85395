# SPDX-License-Identifier: Apache-2.0
"""Product of two activations, element by element: gates, squeeze and excitation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinygen.numeric import I8, Requant
from tinygen.numeric.requant import requantise
from tinygen.operators.draw import Draw
from tinygen.operators.general import Call
from tinygen.operators.operator import Case
from tinygen.operators.pairs import Pairs


@dataclass(frozen=True, eq=False)
class Mul(Pairs):
    """``requant((a - a_zp) (b - b_zp))``, one multiplier."""

    word = "mul"

    a_zp: int
    b_zp: int
    requant: Requant

    def compute(self, inputs: Sequence[I8]) -> I8:
        a, b = self.operands(inputs)
        return requantise((a - self.a_zp) * (b - self.b_zp), self.requant)

    @classmethod
    def random(cls, draw: Draw) -> Case:
        dims = draw.axes()
        (a, x), (b, y) = draw.view(dims), draw.view(dims)
        op = cls(dims, a, b, draw.zero(), draw.zero(), draw.requant(65_025))
        return Case(op, (x, y))

    def calls(self) -> tuple[Call, ...]:
        r = self.requant
        return self.call(a_zp=self.a_zp, b_zp=self.b_zp, m=int(r.m[0]), s=r.s, zp=r.zp)
