# SPDX-License-Identifier: Apache-2.0
"""The larger, or the smaller, of two activations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinygen.lowering import Constant
from tinygen.numeric import I8
from tinygen.operators.draw import Draw
from tinygen.operators.general import Call, Ref
from tinygen.operators.operator import Case
from tinygen.operators.pairs import Pairs


@dataclass(frozen=True, eq=False)
class Extreme(Pairs):
    """``max(a_table[a + 128], b_table[b + 128])``, or min: both on the result's grid first, which
    changes nothing because rounding keeps the order. tables: int8 [256]."""

    word = "extreme"

    a_table: I8
    b_table: I8
    least: bool

    def compute(self, inputs: Sequence[I8]) -> I8:
        a, b = self.operands(inputs)
        choose = np.minimum if self.least else np.maximum
        y: I8 = choose(self.a_table[a + 128], self.b_table[b + 128])
        return y

    @classmethod
    def random(cls, draw: Draw) -> Case:
        dims = draw.axes()
        (a, x), (b, y) = draw.view(dims), draw.view(dims)
        tables = np.sort(draw.values(256)), np.sort(draw.values(256))
        return Case(cls(dims, a, b, *tables, bool(draw.integers(2))), (x, y))

    def constants(self) -> Iterator[Constant]:
        yield "a_table", self.a_table
        yield "b_table", self.b_table

    def calls(self) -> tuple[Call, ...]:
        tables = {"a_table": Ref("a_table"), "b_table": Ref("b_table")}
        return self.call(**tables, least=int(self.least))
