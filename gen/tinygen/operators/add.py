# SPDX-License-Identifier: Apache-2.0
"""Residual sums, and the addition of a constant."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinygen.lowering import Constant, Cores, Lowered, Names, Share, Site, StepArgs
from tinygen.numeric import I8, I16, Shape
from tinygen.numeric.requant import clamp8
from tinygen.operators.draw import Draw
from tinygen.operators.operator import Case, Operator, need
from tinygen.targets import Counts, Loops


@dataclass(frozen=True, eq=False)
class Add(Operator):
    """``clamp((a ma + b mb + c) >> s)``: two scales, one rounding, within int32.

    0 <= ma, mb < 2^21.  c holds the zero points and 2^(s-1).  ``other`` is b when b is a constant
    (the shape of a), else None and b is the second input. A constant that int8 does not hold
    exactly is int16, and then mb < 2^14.
    """

    word = "add"
    label = "positions"
    overwrites = True

    ma: int
    mb: int
    c: int
    s: int
    other: I8 | I16 | None = None

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        other = self.other.shape if self.other is not None else inputs[1]
        need(inputs[0] == other, "residual operands differ in shape")
        return inputs[0]

    def fault(self, inputs: Sequence[Shape]) -> str | None:
        if not (0 <= self.ma < 1 << 21 and 0 <= self.mb < 1 << 21 and 1 <= self.s <= 22):
            return "residual multipliers out of range"
        wide = self.other is not None and self.other.dtype == np.int16
        if wide and not self.mb < 1 << 14:
            return "the multiplier of a 16-bit constant is out of range"
        return None

    def reference(self, inputs: Sequence[I8]) -> I8:
        a, b = inputs[0], inputs[1] if self.other is None else self.other
        total = a.astype(np.int64) * self.ma + b.astype(np.int64) * self.mb + self.c
        return clamp8(total >> self.s)

    @classmethod
    def random(cls, draw: Draw) -> Case:
        s, shape = int(draw.integers(1, 23)), (draw.size(5), draw.size(30))
        c = int(draw.integers(-(1 << 30), 1 << 30)) if draw.integers(2) else 1 << (s - 1)
        ma, mb = (int(draw.integers(0, min(1 << 21, 4 << s))) for _ in "ab")
        kind = draw.integers(3)
        if kind == 0:
            return Case(cls(ma, mb, c, s), (draw.values(*shape), draw.values(*shape)))
        if kind == 1:
            return Case(cls(ma, mb, c, s, draw.values(*shape)), (draw.values(*shape),))
        wide = draw.integers(-(1 << 15), 1 << 15, shape, np.int16)
        return Case(cls(ma, mb % (1 << 14), c, s, wide), (draw.values(*shape),))

    def lower(self, site: Site) -> Lowered:
        args = AddStep(self.ma, self.mb, self.c, self.s, site.size, self.other)
        others = (site.size,) if self.other is None else ()
        return Lowered(args, site.size, site.target.sources(args.function), others=others)


@dataclass(frozen=True, eq=False)
class AddStep(StepArgs):
    header = "add.h"
    block_bytes = 16

    ma: int
    mb: int
    c: int
    s: int
    count: int
    other: I8 | I16 | None

    @property
    def wide(self) -> bool:
        """Is the constant int16?"""
        return self.other is not None and self.other.itemsize == 2

    @property
    def function(self) -> str:
        return "add_wide" if self.wide else "add"

    def constants(self) -> Iterator[Constant]:
        if self.other is not None:
            yield "other", self.other.reshape(-1)

    def blocks(self, c: Names) -> str:
        return (
            f"static const tg_add_t {c.ident} = {{.ma = {self.ma}, .mb = {self.mb}, "
            f".c = {self.c}, .s = {self.s}}};\n"
        )

    def call(self, c: Names) -> str:
        b = c.symbol("other") if self.other is not None else c.inputs[1]
        return f"tg_{self.function}_s8(&{c.ident}, {c.x}, {b}, {self.count}, {c.y});"

    def functions(self) -> Iterator[str]:
        yield f"tg_{self.function}_s8"

    def loops(self, loops: Loops) -> Counts:
        if self.wide:  # kernels/src/portable/add_wide.c
            return Counter({"add_wide": self.count, "add_wide.call": 1})
        return loops.elements("add", self.count)

    def share(self, cores: Cores) -> Share:
        work = 0 if self.other is None else self.other.nbytes
        return Share(work, files=(f"cluster/{self.function}.c",))

    def shared_call(self, c: Names) -> str:
        if self.other is None:
            return f"tg_cluster_add_s8(&{c.ident}, {c.x}, {c.inputs[1]}, {self.count}, {c.y});"
        work, kind = c.place(c.work), f"int{8 * self.other.itemsize}_t"
        return (
            f"tg_cluster_load({work}, {c.symbol('other')}, {self.other.nbytes});\n"
            f"  tg_cluster_{self.function}_s8(&{c.ident}, {c.x}, ({kind} *){work}, {self.count}, "
            f"{c.y});"
        )

    def busiest(self, cores: int, tiles: int) -> Counts | None:
        counts: Counts = Counter({"add": math.ceil(self.count / cores), "add.call": 1})
        if self.other is not None:
            counts.update({"bytes": self.other.nbytes, "load": 1})
        return counts
