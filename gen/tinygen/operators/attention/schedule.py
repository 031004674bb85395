# SPDX-License-Identifier: Apache-2.0
"""The ways to run an attention layer. All give the same bits; they differ in memory and time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tinygen.operators.linear import FEW_ROWS

Kind = Literal["whole", "depth-first", "head-streaming", "heads-to-cores", "rows-to-cores"]
KINDS: tuple[Kind, ...] = ("whole", "depth-first", "head-streaming")
"""Those of one core; the others are a cluster's."""
BLOCKS = (1, 2, 4, 8, 16, 32, 64, 128)
"""Query-row blocks that are tried, besides all rows at once."""


@dataclass(frozen=True, order=True)
class AttentionSchedule:
    """None of them ever holds an S x S map: scores live for a few rows.

    whole           Q, K, V and the context of all heads and tokens
    depth-first     K and V of all heads; `row_block` query rows at a time go from the input to the
                    output, which may then lie over the input
    head-streaming  K and V of one head; `row_block` query rows at a time. Either the output
                    projection accumulates head by head in int32 [S][N] (accumulate), or the
                    context of all heads is kept as int8 [S][H * P]
    heads-to-cores, rows-to-cores   of a cluster (cluster.py)
    """

    kind: Kind
    row_block: int
    accumulate: bool = False
    compact: bool = False
    """Q, K and V in 8 bits, on targets that would hold them in 16."""
    teams: int = 1
    """Of cores, each with a head of its own, whose rows it shares out (rows-to-cores)."""

    @property
    def in_place(self) -> bool:
        """The output may overwrite the input, row by row."""
        return self.kind == "depth-first"

    def __str__(self) -> str:
        rows = f"{self.row_block} row{'s' if self.row_block > 1 else ''}"
        bits = ", 8-bit" if self.compact else ""
        if self.kind == "whole":
            return f"whole layer{bits}"
        if self.kind in ("heads-to-cores", "rows-to-cores"):
            few = f", up to {rows} at once" if self.row_block > 4 else ""
            if self.teams > 1:
                return f"heads to {self.teams} teams, rows to their cores"
            return self.kind.replace("-", " ") + few
        if self.kind == "depth-first":
            return f"depth-first, {rows}{bits}"
        return f"head-streaming ({'int32 sums' if self.accumulate else 'context'}), {rows}{bits}"


HEADS = AttentionSchedule("heads-to-cores", 4)
ROWS = AttentionSchedule("rows-to-cores", 4)
FEW = AttentionSchedule("heads-to-cores", FEW_ROWS)
"""All tokens, five at most, in one register tile."""


def attention_schedules(
    tokens: int,
    kind: Kind | None = None,
    row_block: int | None = None,
    compact: tuple[bool, ...] = (False,),
) -> Iterator[AttentionSchedule]:
    """Every schedule of a layer of so many tokens that the wishes allow, larger blocks first.

    row_block: query rows at a time, at most `tokens` of them.  compact: which of both operand
    widths to try.
    """
    if row_block is not None:
        blocks = [min(row_block, tokens)]
    else:
        blocks = [tokens, *(b for b in reversed(BLOCKS) if b < tokens)]
    for small in compact:
        if kind in (None, "whole") and (row_block is None or kind == "whole"):
            yield AttentionSchedule("whole", tokens, compact=small)
        if kind in (None, "depth-first"):
            yield from (AttentionSchedule("depth-first", b, compact=small) for b in blocks)
        if kind in (None, "head-streaming"):
            for sums in (False, True):
                yield from (AttentionSchedule("head-streaming", b, sums, small) for b in blocks)
