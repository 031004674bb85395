# SPDX-License-Identifier: Apache-2.0
"""A function of one tensor, element by element."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinygen.lowering import Constant, Cores, Lowered, Names, Share, Site, StepArgs
from tinygen.lowering.cores import TABLE
from tinygen.numeric import I8, Shape
from tinygen.operators.draw import Draw
from tinygen.operators.operator import Case, Operator
from tinygen.targets import Counts, Loops


@dataclass(frozen=True, eq=False)
class Lut(Operator):
    """Elementwise ``table[q + 128]``; also a change of scale. table: int8 [256]."""

    word = "lut"
    label = "table"
    overwrites = True

    table: I8

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        return inputs[0]

    def reference(self, inputs: Sequence[I8]) -> I8:
        return lut(inputs[0], self.table)

    @classmethod
    def random(cls, draw: Draw) -> Case:
        return Case(cls(draw.values(256)), (draw.values(draw.size(70)),))

    def lower(self, site: Site) -> Lowered:
        args = LutStep(self.table, site.size)
        return Lowered(args, site.size, site.target.sources("lut"))


def lut(x: I8, table: I8) -> I8:
    return table[x.astype(np.int16) + 128]


@dataclass(frozen=True, eq=False)
class LutStep(StepArgs):
    header = "lut.h"

    table: I8
    count: int

    def constants(self) -> Iterator[Constant]:
        yield "table", self.table.reshape(-1)

    def call(self, c: Names) -> str:
        return f"tg_lut_s8({c.symbol('table')}, {c.x}, {self.count}, {c.y});"

    def functions(self) -> Iterator[str]:
        yield "tg_lut_s8"

    def loops(self, loops: Loops) -> Counts:
        return loops.elements("lut", self.count)

    def share(self, cores: Cores) -> Share:
        return Share(TABLE, files=("cluster/lut.c",))

    def shared_call(self, c: Names) -> str:
        return (
            f"tg_cluster_lut_s8({c.symbol('table')}, {c.x}, {self.count}, {c.y}, "
            f"{c.place(c.work)});"
        )

    def busiest(self, cores: int, tiles: int) -> Counts | None:
        return Counter({"lut": math.ceil(self.count / cores), "lut.call": 1})
