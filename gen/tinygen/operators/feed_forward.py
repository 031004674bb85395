# SPDX-License-Identifier: Apache-2.0
"""Two linear layers as one step that never holds the hidden activation whole.

A block of rows goes through both before the next; the output may lie over the input, because a row
of it depends on the same row only. No operator of the graph: the planner makes it of two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tinygen.lowering import Constant, Names, Slot, StepArgs, Stream
from tinygen.operators.linear import LinearArgs
from tinygen.targets import Counts, Loops, scaled

WORD = "feed-forward"


@dataclass(frozen=True, order=True)
class FeedForwardSchedule:
    """Two linear layers in a row. row_block: rows that go through both at a time.  whole: all rows
    through one layer, then through the other, as two steps."""

    row_block: int
    whole: bool = False
    kind: Literal["row-blocks"] = "row-blocks"

    def __str__(self) -> str:
        return "one after the other" if self.whole else f"row blocks of {self.row_block}"


@dataclass(frozen=True, eq=False)
class FeedForwardStep(StepArgs):
    """rows x k through `up` and `down`, `schedule.row_block` of them at a time; hidden: a block of
    what is between."""

    header = "linear.h"
    block_bytes = 64

    schedule: FeedForwardSchedule
    up: LinearArgs
    down: LinearArgs
    rows: int
    hidden: Slot
    scratch: Slot | None

    def constants(self) -> Iterator[Constant]:
        yield from self.up.constants("up_")
        yield from self.down.constants("down_")

    def blocks(self, c: Names) -> str:
        return "".join(
            f"static const tg_linear_t {c.ident}_{which} = {linear.block(c, which + '_')};\n"
            for which, linear in (("up", self.up), ("down", self.down))
        )

    def call(self, c: Names) -> str:
        """A loop over blocks of rows."""
        block, left = self.schedule.row_block, f"{self.rows} - row"
        rows = str(block) if self.rows % block == 0 else "rows"
        define = f"    const int32_t rows = {left} < {block} ? {left} : {block};\n"
        hidden, scratch = f"(int8_t *){c.place(self.hidden)}", c.place(self.scratch)
        k, h, n = self.up.k, self.up.n, self.down.n
        up, down = f"&{c.ident}_up", f"&{c.ident}_down"
        return (
            f"for (int32_t row = 0; row < {self.rows}; row += {block}) {{\n"
            + (define if rows == "rows" else "")
            + f"    tg_linear_s8({up}, {c.x} + row * {k}, {rows}, {k}, {hidden}, {h}, {scratch});\n"
            f"    tg_linear_s8({down}, {hidden}, {rows}, {h}, {c.y} + row * {n}, {n}, {scratch});\n"
            "  }"
        )

    def functions(self) -> Iterator[str]:
        yield from ("tg_linear_s8", "tg_linear_s8")

    def loops(self, loops: Loops) -> Counts:
        shapes = tuple(product_shape(a) for a in (self.up, self.down))
        return block_loops(loops, self.rows, self.schedule.row_block, shapes)

    def weight_reads(self, stream: Stream) -> int:
        sizes = (self.up.packed.w.nbytes, self.down.packed.w.nbytes)
        return block_reads(sizes, self.rows, self.schedule.row_block, stream)

    def shared_call(self, c: Names) -> str:
        raise AssertionError("a cluster runs one layer after the other")


ProductShape = tuple[int, int, bool, int]
"""N, K, whether a table follows, and the form of the packed weights."""


def product_shape(a: LinearArgs) -> ProductShape:
    return a.n, a.k, a.table is not None, a.packed.form


def block_loops(loops: Loops, rows: int, block: int, products: tuple[ProductShape, ...]) -> Counts:
    """Rows in blocks through several products."""
    counts: Counts = Counter()
    whole, rest = divmod(rows, block)
    for size, times in ((block, whole), (rest, 1)):
        if size and times:
            counts["block"] += times
            for shape in products:
                counts += scaled(loops.linear(size, *shape), times)
    return counts


def block_reads(sizes: tuple[int, ...], rows: int, block: int, stream: Stream) -> int:
    """sizes: bytes of the weights that each block of rows goes through."""
    passes = rows // block * stream.passes(block) + stream.passes(rows % block)
    return sum(stream.read(size, passes) for size in sizes)
