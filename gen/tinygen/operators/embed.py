# SPDX-License-Identifier: Apache-2.0
"""Token embedding."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygen.lowering import Constant, Cores, Lowered, Names, Share, Site, StepArgs
from tinygen.numeric import I8, Shape
from tinygen.operators.draw import Draw
from tinygen.operators.float_form import Array, Attrs, FloatForm
from tinygen.operators.operator import Case, Operator, need
from tinygen.targets import Counts, Loops


def _real(i: list[Any], attrs: Attrs, shape: Shape) -> Array:
    ids, table = i
    y: Array = table[np.clip(ids, 0, len(table) - 1).astype(int)]
    return y


@dataclass(frozen=True, eq=False)
class Embed(Operator):
    """Token ids x [S] -> [S, E]: row ``min(x + 128, V - 1)`` of the table. table: int8 [V, E].

    Ids are stored less 128, so that int8 holds 0 to 255; V <= 256.
    """

    word = "embed"
    label = "tokens"
    float_form = FloatForm("Embed", "embedding", _real, added=5, ids=True)

    table: I8

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        need(len(inputs[0]) == 1 and 1 <= len(self.table) <= 256, "an embedding takes ids [S]")
        return (inputs[0][0], self.table.shape[1])

    def reference(self, inputs: Sequence[I8]) -> I8:
        rows: I8 = self.table[np.minimum(inputs[0].astype(np.int16) + 128, len(self.table) - 1)]
        return rows

    @property
    def ids(self) -> int | None:
        return len(self.table)

    @classmethod
    def random(cls, draw: Draw) -> Case:
        table = draw.values(int(draw.integers(1, 257)), draw.size(40))
        return Case(cls(table), (draw.values(draw.size(9)),))

    def lower(self, site: Site) -> Lowered:
        return Lowered(EmbedStep(self.table, site.size), site.size, site.target.sources("embed"))


@dataclass(frozen=True, eq=False)
class EmbedStep(StepArgs):
    header = "embed.h"

    table: I8
    rows: int

    @property
    def ids(self) -> bool:
        return True

    def constants(self) -> Iterator[Constant]:
        yield "table", self.table.reshape(-1)

    def call(self, c: Names) -> str:
        return f"tg_embed_s8({self._arguments(c)});"

    def _arguments(self, c: Names) -> str:
        count, width = self.table.shape
        return f"{c.symbol('table')}, {count}, {width}, {c.x}, {self.rows}, {c.y}"

    def functions(self) -> Iterator[str]:
        yield "tg_embed_s8"

    def loops(self, loops: Loops) -> Counts:
        """memcpy of a size that the compiler does not know: kernels/src/portable/embed.c."""
        sixteens, rest = divmod(self.table.shape[1], 16)
        return Counter(
            {
                "embed.sixteen": self.rows * sixteens,
                "embed.word": self.rows * (rest // 4),
                f"embed.left{rest % 4}": self.rows,
                "embed.row": self.rows,
                "embed.call": 1,
            }
        )

    def share(self, cores: Cores) -> Share:
        return Share(files=("cluster/embed.c",))

    def shared_call(self, c: Names) -> str:
        return f"tg_cluster_embed_s8({self._arguments(c)});"

    def busiest(self, cores: int, tiles: int) -> Counts | None:
        mine = math.ceil(self.rows / cores) * self.table.shape[1]
        return Counter({"copy": mine, "copy.call": 1})
