# SPDX-License-Identifier: Apache-2.0
"""What an operator is given to be lowered, and what it gives back."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from tinygen.lowering.slot import Slot
from tinygen.lowering.step import TICKS, Buffer, StepArgs
from tinygen.numeric import Shape
from tinygen.targets import PackedLinear, Target

REUSE = 2
"""Outputs that a kernel makes from one load of an input, for the estimate of traffic."""
Packed = dict[tuple[str, str], PackedLinear]
"""(node, role) -> weights; kept between attempts, because packing large ones takes time."""


@dataclass(frozen=True, eq=False)
class Site:
    """One node on its way to a step, the `index`-th.

    inputs, output: shapes.  places, home: where they live.  schedule: how it is to run, where its
    operator has several ways.  packed, scratch: receive weights, and buffers of this step alone.
    """

    node: str
    index: int
    inputs: tuple[Shape, ...]
    output: Shape
    places: tuple[Slot, ...]
    home: Slot
    target: Target
    schedule: Hashable
    packed: Packed
    scratch: list[Buffer]

    @property
    def size(self) -> int:
        """Elements of the first input."""
        return math.prod(self.inputs[0])

    def temporary(
        self, what: str, size: int, first: int = 0, last: int = TICKS - 1, traffic: int = 0
    ) -> Slot | None:
        """A buffer that lives within this step, from tick to tick; None if empty."""
        if size == 0:
            return None
        name, base = f"{what}_{self.index}", self.index * TICKS
        self.scratch.append(Buffer(name, size, base + first, base + last, traffic or 2 * size))
        return Slot(name)

    def pack(self, role: str, pack: Callable[[], PackedLinear], node: str = "") -> PackedLinear:
        """pack: makes the weights, once.  node: whose they are, if not this one's."""
        key = (node or self.node, role)
        if key not in self.packed:
            self.packed[key] = pack()
        return self.packed[key]


@dataclass(frozen=True, eq=False)
class Lowered:
    """reads: bytes of the first input that are read, `others` of the further ones, and `writes` of
    the output written (None: once): an estimate that ranks buffers for fast memory.  span:
    (reads_until, writes_from) of `Step`.  files: C files under kernels/src.
    """

    args: StepArgs
    reads: int
    files: tuple[str, ...]
    writes: int | None = None
    others: tuple[int, ...] = ()
    macs: int = 0
    schedule: str = ""
    span: tuple[int, int] = (TICKS - 1, 0)
    work: Slot | None = None
    tiles: int = 0
