# SPDX-License-Identifier: Apache-2.0
"""Normalisation by the root mean square, as Llama and T5 have it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinygen.lowering import Constant
from tinygen.numeric import I8, I32, Shape
from tinygen.numeric.requant import clamp8, inverse_sqrt
from tinygen.operators.draw import Draw
from tinygen.operators.general import Call, Field, General, Ref, Wide
from tinygen.operators.operator import Case

MOST = 66051
"""Features whose squares sum within 32 bits: 255^2 * 66051 < 2^32."""


@dataclass(frozen=True, eq=False)
class RmsNorm(General):
    """Each row of x [..., E] over its root mean square, in the steps of `LayerNorm`.

    n = E (x - x_zp);  D = E sum((x - x_zp)^2) + eps_term, >= 1;  d, r, e and t as there, t 16 bits;
    y = ``clamp((t gamma + beta) >> s)``. gamma: int32 [E], |gamma| < 2^15.  beta: int32 [E],
    rounding and zero point included, |beta| <= 2^30.  frac = 15 - ceil(log2(E) / 2).
    """

    word = "rmsnorm"
    header = "rmsnorm.h"

    gamma: I32
    beta: I32
    eps_term: int
    frac: int
    s: int
    x_zp: int

    def compute(self, inputs: Sequence[I8]) -> I8:
        width = len(self.gamma)
        x = inputs[0].reshape(-1, width).astype(np.int64) - self.x_zp
        y = np.empty(x.shape, np.int8)
        for i, row in enumerate(x):
            r, e = inverse_sqrt(width * int((row * row).sum()) + self.eps_term)
            k = 31 + e - self.frac
            t = np.clip((width * row * r + (1 << (k - 1))) >> k, -(1 << 15), (1 << 15) - 1)
            y[i] = clamp8((t * self.gamma.astype(np.int64) + self.beta) >> self.s)
        return y

    @classmethod
    def random(cls, draw: Draw) -> Case:
        rows, e = draw.size(5), draw.size(70)
        s = int(draw.integers(8, 20))
        op = cls(
            (rows, e),
            draw.integers(-(1 << 15) + 1, 1 << 15, e).astype(np.int32),
            np.full(e, (draw.zero() << s) + (1 << (s - 1)), np.int32),
            int(draw.one_of((1, draw.integers(1, 1 << 40)))),
            15 - math.ceil(math.log2(e) / 2),
            s,
            draw.zero(),
        )
        return Case(op, (draw.values(rows, e),))

    def fault(self, inputs: Sequence[Shape]) -> str | None:
        ok = (
            len(self.gamma) <= MOST
            and np.abs(self.gamma).max() < 1 << 15
            and np.abs(self.beta).max() <= 1 << 30
            and 1 <= self.eps_term < 1 << 62
        )
        return None if ok else "parameters out of range"

    def constants(self) -> Iterator[Constant]:
        yield "gamma", self.gamma.astype(np.int16)
        yield "beta", self.beta

    @property
    def _rows(self) -> int:
        return math.prod(self.out) // len(self.gamma)

    def calls(self) -> tuple[Call, ...]:
        block: dict[str, Field] = {
            **{"gamma": Ref("gamma"), "beta": Ref("beta"), "eps": Wide(self.eps_term)},
            **{"features": len(self.gamma), "frac": self.frac, "s": self.s, "x_zp": self.x_zp},
        }
        return (Call("rmsnorm", block, ((0, 0),), self._rows),)

    def loops(self) -> Counter[str]:
        rows = self._rows
        count = rows * len(self.gamma)
        return Counter({"rmsnorm.element": count, "rmsnorm.row": rows, "rmsnorm.call": 1})
