# SPDX-License-Identifier: Apache-2.0
"""Parts and other shapes of a tensor, as it lies there: nothing runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tinygen.lowering import Lowered, Site
from tinygen.numeric import I8, Shape
from tinygen.operators.draw import Draw
from tinygen.operators.operator import Case, Operator, need


@dataclass(frozen=True, eq=False)
class View(Operator):
    is_view = True

    def lower(self, site: Site) -> Lowered:
        raise AssertionError(f"{site.node}: a view does not run")


@dataclass(frozen=True, eq=False)
class SelectToken(View):
    """x [S, E] -> [1, E]: row ``index``."""

    word = "token"

    index: int

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        x = inputs[0]
        need(0 <= self.index < x[0], "token index out of range")
        return (1, x[1])

    def reference(self, inputs: Sequence[I8]) -> I8:
        return inputs[0][self.index : self.index + 1]

    @classmethod
    def random(cls, draw: Draw) -> Case:
        rows = draw.size(9)
        return Case(cls(int(draw.integers(rows))), (draw.values(rows, draw.size(9)),))

    def offset(self, inputs: Sequence[Shape]) -> int:
        return self.index * inputs[0][1]


@dataclass(frozen=True, eq=False)
class Reshape(View):
    """The same bytes under another shape."""

    word = "view"

    to: tuple[int, ...]

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        need(math.prod(self.to) == math.prod(inputs[0]), "reshape changes the size")
        return self.to

    def reference(self, inputs: Sequence[I8]) -> I8:
        return inputs[0].reshape(self.to)

    @classmethod
    def random(cls, draw: Draw) -> Case:
        a, b, c = (draw.size(5) for _ in "abc")
        return Case(cls((c, a * b)), (draw.values(a, b, c),))
