# SPDX-License-Identifier: Apache-2.0
"""The mean of all tokens."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygen.lowering import Cores, Lowered, Names, Share, Site, StepArgs
from tinygen.numeric import I8, Requant, Shape
from tinygen.numeric.requant import requantise
from tinygen.operators.draw import Draw
from tinygen.operators.float_form import Array, Attrs, FloatForm
from tinygen.operators.operator import Case, Operator, need
from tinygen.targets import Counts, Loops


def _real(i: list[Any], attrs: Attrs, shape: Shape) -> Array:
    y: Array = i[0].mean(axis=0) * attrs.get("times", 1.0)
    return y


@dataclass(frozen=True, eq=False)
class MeanPool(Operator):
    """x [S, E] -> [1, E]: ``requant(sum_s x + bias)``; bias = -S * zero point of x."""

    word = "mean"
    label = "pool"
    float_form = FloatForm("Mean", "mean", _real, doubled=True, added=1)

    bias: int
    requant: Requant

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        need(len(inputs[0]) == 2, "mean pooling takes [S, E]")
        return (1, inputs[0][1])

    def reference(self, inputs: Sequence[I8]) -> I8:
        total = inputs[0].astype(np.int64).sum(axis=0, keepdims=True)
        return requantise(total + self.bias, self.requant)

    @classmethod
    def random(cls, draw: Draw) -> Case:
        rows = draw.size(20)
        op = cls(-rows * draw.zero(), draw.requant(128 * rows))
        return Case(op, (draw.values(rows, draw.size(20)),))

    def lower(self, site: Site) -> Lowered:
        r = self.requant
        rows, features = site.inputs[0]
        args = MeanStep(self.bias, int(r.m[0]), r.s, r.zp, rows, features)
        return Lowered(args, site.size, site.target.sources("mean"))


@dataclass(frozen=True, eq=False)
class MeanStep(StepArgs):
    header = "mean.h"
    block_bytes = 16

    bias: int
    m: int
    s: int
    zp: int
    rows: int
    features: int

    def blocks(self, c: Names) -> str:
        return (
            f"static const tg_mean_t {c.ident} = {{.bias = {self.bias}, .m = {self.m}, "
            f".s = {self.s}, .zp = {self.zp}}};\n"
        )

    def call(self, c: Names) -> str:
        features = self.features
        return f"tg_mean_s8(&{c.ident}, {c.x}, {self.rows}, {features}, {features}, {c.y});"

    def functions(self) -> Iterator[str]:
        yield "tg_mean_s8"

    def loops(self, loops: Loops) -> Counts:
        count = self.rows * self.features
        return Counter({"mean": count, "mean.column": self.features, "mean.call": 1})

    def share(self, cores: Cores) -> Share:
        return Share(files=("cluster/mean.c",))

    def shared_call(self, c: Names) -> str:
        return f"tg_cluster_mean_s8(&{c.ident}, {c.x}, {self.rows}, {self.features}, {c.y});"

    def busiest(self, cores: int, tiles: int) -> Counts | None:
        columns = math.ceil(self.features / cores)
        return Counter({"mean": self.rows * columns, "mean.column": columns, "mean.call": 1})
