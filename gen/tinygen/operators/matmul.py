# SPDX-License-Identifier: Apache-2.0
"""Product of two activations."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.numeric import I8, Requant, Shape
from tinygen.numeric.matmul import exact_matmul
from tinygen.numeric.requant import requantise
from tinygen.operators.draw import Draw
from tinygen.operators.float_form import Array, Attrs, FloatForm
from tinygen.operators.general import Call, General
from tinygen.operators.operator import Case
from tinygen.operators.view import Strided, beyond, read

MOST_PRODUCTS = 33025
"""255 * 255 * 33025 < 2^31."""


def _real(i: list[Any], attrs: Attrs, shape: Shape) -> Array:
    y: Array = (i[0] @ i[1]) * attrs["alpha"]
    return y


@dataclass(frozen=True, eq=False)
class BatchMatMul(General):
    """``requant(sum_k (a - a_zp) (b - b_zp))``, one multiplier, batch by batch.

    a: view [B1, B2, M, K] of the first input.  b: view [B1, B2, K, N] of the second.  Result
    [B1 * B2, M, N]. K <= 33025, so that sums stay within int32.
    """

    word = "matmul"
    float_form = FloatForm("Scores", "product of two activations", _real, doubled=True, added=5)
    header = "matmul.h"

    a: Strided
    b: Strided
    a_zp: int
    b_zp: int
    requant: Requant

    def compute(self, inputs: Sequence[I8]) -> I8:
        a, b = read(inputs[0], self.a) - self.a_zp, read(inputs[-1], self.b) - self.b_zp
        products = [exact_matmul(p, q) for p, q in zip(batches(a), batches(b), strict=True)]
        return requantise(np.stack(products), self.requant)

    @classmethod
    def random(cls, draw: Draw) -> Case:
        outer, inner = int(draw.integers(1, 4)), int(draw.integers(1, 4))
        m, k, n = (draw.size(most) for most in (6, 40 // draw.grow + 1, 7))
        (a, x), (b, y) = draw.view((outer, inner, m, k)), draw.view((outer, inner, k, n))
        r = draw.requant(40_000 * k)
        return Case(cls((outer * inner, m, n), a, b, draw.zero(), draw.zero(), r), (x, y))

    def fault(self, inputs: Sequence[Shape]) -> str | None:
        if self.a.dims[3] > MOST_PRODUCTS:
            return f"sums of {self.a.dims[3]} products overflow int32"
        return beyond(self.a, inputs[0]) or beyond(self.b, inputs[-1])

    def macs(self) -> int:
        return math.prod(self.a.dims) * self.b.dims[3]

    def scratch(self) -> int:
        return 4 * self.a.dims[3]

    @property
    def traffic(self) -> int:
        return self.macs() // 2

    def calls(self) -> tuple[Call, ...]:
        (outer, inner, rows, k), cols = self.a.dims, self.b.dims[3]
        sa, sb, r = self.a.strides, self.b.strides, self.requant
        block = {
            **{"rows": rows, "cols": cols, "k": k, "inner": inner},
            **{"a_outer": sa[0], "a_inner": sa[1], "a_row": sa[2], "a_k": sa[3]},
            **{"b_outer": sb[0], "b_inner": sb[1], "b_k": sb[2], "b_col": sb[3]},
            **{"a_zp": self.a_zp, "b_zp": self.b_zp, "m": int(r.m[0]), "s": r.s, "zp": r.zp},
        }
        operands = ((0, self.a.offset), (-1, self.b.offset))
        return (Call("matmul", block, operands, outer * inner * rows),)

    def loops(self) -> Counter[str]:
        (outer, inner, rows, k), cols = self.a.dims, self.b.dims[3]
        pairs = outer * inner * math.ceil(rows / 2)
        cells = pairs * math.ceil(cols / 2)
        return Counter(
            {
                "matmul.step": cells * k,
                "matmul.cell": cells,
                "matmul.output": outer * inner * rows * cols,
                "matmul.centre": 2 * pairs * k,
                "matmul.rows": pairs,
                "matmul.call": 1,
            }
        )


def batches(x: NDArray[np.int64]) -> NDArray[np.int64]:
    """[B1, B2, ...] -> [B1 * B2, ...]."""
    return x.reshape(-1, *x.shape[2:])
