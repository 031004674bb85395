# SPDX-License-Identifier: Apache-2.0
"""Movement that no reader takes by its strides: reordering, gathering, concatenation."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinygen.lowering import Constant
from tinygen.numeric import I8, I32, Shape
from tinygen.operators.draw import Draw
from tinygen.operators.general import Call, Field, General, Ref
from tinygen.operators.operator import Case
from tinygen.operators.view import Strided, beyond


@dataclass(frozen=True, eq=False)
class Reorder(General):
    """x in another order: the elements of a view of four axes."""

    word = "move"
    header = "move.h"

    view: Strided

    def compute(self, inputs: Sequence[I8]) -> I8:
        y: I8 = inputs[0].reshape(-1)[self.view.index]
        return y

    @classmethod
    def random(cls, draw: Draw) -> Case:
        dims = draw.axes()
        found, x = draw.view(dims)
        return Case(cls(dims, found), (x,))

    def fault(self, inputs: Sequence[Shape]) -> str | None:
        return beyond(self.view, inputs[0])

    def calls(self) -> tuple[Call, ...]:
        dims = self.view.dims
        block: dict[str, Field] = {"dims": dims, "strides": self.view.strides, "y_row": dims[3]}
        return (Call("move", block, ((0, self.view.offset),), math.prod(dims[:3])),)

    def loops(self) -> Counter[str]:
        rows, width = math.prod(self.view.dims[:3]), self.view.dims[3]
        if self.view.strides[3] == 1:
            return copied(rows, width)
        return Counter({"move.element": rows * width, "move.row": rows, "move.call": 1})


def copied(rows: int, width: int) -> Counter[str]:
    """Rows without gaps, which compilers copy by memcpy."""
    return Counter({"move.byte": rows * width, "move.copy": rows, "move.call": 1})


@dataclass(frozen=True, eq=False)
class Gather(General):
    """Runs of `run` elements from anywhere: run i is x[index[i]: index[i] + run], counted flat, or
    `fill` where index[i] is negative. index: int32 [runs]."""

    word = "gather"
    header = "move.h"

    index: I32
    run: int
    fill: int = 0

    def compute(self, inputs: Sequence[I8]) -> I8:
        flat = inputs[0].reshape(-1)
        where = np.maximum(self.index, 0)[:, None] + np.arange(self.run)
        runs = np.where(self.index[:, None] < 0, np.int8(self.fill), flat[where])
        return runs.astype(np.int8)

    @classmethod
    def random(cls, draw: Draw) -> Case:
        run, runs = draw.size(9), draw.size(12)
        x = draw.values(run + draw.size(40))
        index = draw.integers(-1, x.size - run + 1, runs).astype(np.int32)
        return Case(cls((runs, run), index, run, draw.zero()), (x,))

    def fault(self, inputs: Sequence[Shape]) -> str | None:
        inside = int(self.index.max()) + self.run <= math.prod(inputs[0])
        return None if inside else "a run ends beyond its input"

    def constants(self) -> Iterator[Constant]:
        yield "index", self.index

    def calls(self) -> tuple[Call, ...]:
        block: dict[str, Field] = {"index": Ref("index"), "run": self.run, "fill": self.fill}
        return (Call("gather", block, ((0, 0),), len(self.index), file="move"),)

    def loops(self) -> Counter[str]:
        filled = int((self.index < 0).sum())
        taken = len(self.index) - filled
        return Counter(
            {
                **{"gather.element": taken * self.run, "gather.run": taken, "gather.call": 1},
                **{"gather.filled": filled * self.run, "gather.fill": filled},
            }
        )


@dataclass(frozen=True, eq=False)
class Concat(General):
    """Inputs [outer, run_i] side by side: y [outer, sum of runs]. All stand on one grid."""

    word = "concat"
    header = "move.h"

    outer: int
    runs: tuple[int, ...]

    def compute(self, inputs: Sequence[I8]) -> I8:
        parts = [x.reshape(self.outer, run) for x, run in zip(inputs, self.runs, strict=True)]
        return np.concatenate(parts, axis=1)

    @classmethod
    def random(cls, draw: Draw) -> Case:
        outer, runs = draw.size(5), tuple(draw.size(9) for _ in range(draw.size(3)))
        inputs = tuple(draw.values(outer, run) for run in runs)
        return Case(cls((outer, sum(runs)), outer, runs), inputs)

    def fault(self, inputs: Sequence[Shape]) -> str | None:
        sizes = [self.outer * run for run in self.runs]
        same = sizes == [math.prod(x) for x in inputs]
        return None if same else "its parts do not have the sizes of its inputs"

    def calls(self) -> tuple[Call, ...]:
        calls, at = [], 0
        for i, run in enumerate(self.runs):
            dims, strides = (1, 1, self.outer, run), (0, 0, run, 1)
            block: dict[str, Field] = {"dims": dims, "strides": strides, "y_row": sum(self.runs)}
            calls.append(Call("move", block, ((i, 0),), self.outer, at))
            at += run
        return tuple(calls)

    def loops(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for run in self.runs:
            counts += copied(self.outer, run)
        return counts
