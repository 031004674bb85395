# SPDX-License-Identifier: Apache-2.0
"""Functions of two activations, element by element: what product, sum, quotient, extreme share."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinygen.numeric import I8, Shape
from tinygen.operators.general import Call, Field, General
from tinygen.operators.view import Strided, beyond, read


@dataclass(frozen=True, eq=False)
class Pairs(General):
    """a, b: views of the two inputs over the same four axes; a stride of 0 repeats an operand."""

    header = "binary.h"

    a: Strided
    b: Strided

    def operands(self, inputs: Sequence[I8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return read(inputs[0], self.a), read(inputs[-1], self.b)

    def fault(self, inputs: Sequence[Shape]) -> str | None:
        return beyond(self.a, inputs[0]) or beyond(self.b, inputs[-1])

    def call(self, **block: Field) -> tuple[Call, ...]:
        """The one kernel, its own fields given."""
        views = {"dims": self.a.dims, "a_strides": self.a.strides, "b_strides": self.b.strides}
        operands = ((0, self.a.offset), (-1, self.b.offset))
        return (Call(self.word, {"pairs": views, **block}, operands, self._rows, file="binary"),)

    @property
    def _rows(self) -> int:
        return math.prod(self.a.dims[:3])

    def loops(self) -> Counter[str]:
        count = math.prod(self.a.dims)
        return Counter(
            {f"{self.word}.element": count, f"{self.word}.row": self._rows, f"{self.word}.call": 1}
        )
