# SPDX-License-Identifier: Apache-2.0
"""Constant rows before the tokens: a class token."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinygen.lowering import Constant, Lowered, Names, Site, Slot, StepArgs
from tinygen.numeric import I8, Shape
from tinygen.operators.draw import Draw
from tinygen.operators.float_form import FloatForm
from tinygen.operators.operator import Case, Operator, need
from tinygen.targets import Counts, Loops

SPELLED_OUT = 64
"""Bytes that a memcpy copies without a call."""
STRAIGHT = 32
"""Bytes that it copies without a loop."""


@dataclass(frozen=True, eq=False)
class PrependTokens(Operator):
    """x [S, E] -> [R + S, E]: constant rows (a class token) before x. rows: int8 [R, E]."""

    word = "prepend"
    label = "class_token"
    float_form = FloatForm("Join", "concatenation", lambda i, _, __: np.concatenate(i), added=1)

    rows: I8

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        x = inputs[0]
        need(len(x) == 2 and self.rows.shape[1] == x[1], "token rows differ in width")
        return (self.rows.shape[0] + x[0], x[1])

    def reference(self, inputs: Sequence[I8]) -> I8:
        joined: I8 = np.concatenate([self.rows, inputs[0]])
        return joined

    @property
    def ahead(self) -> int:
        return self.rows.size

    @classmethod
    def random(cls, draw: Draw) -> Case:
        width = draw.size(70)
        return Case(cls(draw.values(draw.size(2), width)), (draw.values(draw.size(5), width),))

    def lower(self, site: Site) -> Lowered:
        """Nothing is moved where the input was made behind the rows."""
        behind = Slot(site.home.buffer, site.home.offset + self.rows.size)
        if site.places[0] == behind:
            return Lowered(CopyStep(self.rows, 0), 0, (), writes=self.rows.size)
        return Lowered(CopyStep(self.rows, site.size), site.size, ())


@dataclass(frozen=True, eq=False)
class CopyStep(StepArgs):
    """Constant rows at the start of the output, then (unless the producer wrote them there) the
    ``copy_bytes`` of the input."""

    rows: I8
    copy_bytes: int

    def constants(self) -> Iterator[Constant]:
        yield "rows", self.rows.reshape(-1)

    def call(self, c: Names) -> str:
        code = f"memcpy({c.y}, {c.symbol('rows')}, {self.rows.size});"
        if self.copy_bytes:
            code += f"\n  memcpy({c.y} + {self.rows.size}, {c.x}, {self.copy_bytes});"
        return code

    @property
    def includes(self) -> frozenset[str]:
        return frozenset({"string.h"})

    def loops(self, loops: Loops) -> Counts:
        """GCC spells small memcpys out, 16 bytes a round over 32."""
        counts: Counts = Counter({"copy.layer": 1})
        for size in (self.rows.size, self.copy_bytes):
            if not size:
                continue
            name = "copy.small" if size <= SPELLED_OUT else "copy"
            rounds = size // 16 if STRAIGHT < size <= SPELLED_OUT else 0
            counts["copy.round"] += rounds
            counts["copy.rounds"] += rounds > 0
            counts[name] += (size - 16 * rounds) // 4
            counts[f"{name}.left{size % 4}"] += 1
            counts[f"{name}.call"] += 1
        return counts

    def shared_call(self, c: Names) -> str:
        code = f"tg_cluster_load({c.y}, {c.symbol('rows')}, {self.rows.size});"
        if self.copy_bytes:
            code += (
                f"\n  if (tg_team_core() == 0)\n"
                f"    memcpy({c.y} + {self.rows.size}, {c.x}, {self.copy_bytes});\n"
                "  tg_team_barrier();"
            )
        return code

    def busiest(self, cores: int, tiles: int) -> Counts | None:
        return Counter({"copy": self.copy_bytes, "copy.call": 1, "bytes": self.rows.size})
