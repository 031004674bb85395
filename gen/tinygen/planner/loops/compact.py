# SPDX-License-Identifier: Apache-2.0
"""armv7em/attention_compact.c and attention_stream.c: tiles of 4 rows or 1 (compact.h)."""

from __future__ import annotations

from collections import Counter

from tinygen.planner.loops.armv7em import ArmV7EMLoops
from tinygen.planner.loops.base import Counts, half, quarter


def takes(rows: int) -> dict[int, int]:
    """Rows of a tile -> tiles; 3 left-over rows go as 4."""
    four, left = divmod(rows, 4)
    return {4: four + (left == 3), 1: left % 3}


class CompactLoops(ArmV7EMLoops):
    def project(self, which: str, rows: int, e: int, dim: int, heads: int, form: int = 0) -> Counts:
        counts: Counts = Counter({"c.project.call": 1})
        for size, count in takes(rows).items():
            columns = count * heads * half(dim)
            counts += self._expand_rows("c.expand", size, count, e)
            counts[f"c.step{size}"] += columns * quarter(e)
            counts[f"c.column{size}"] += columns
            counts[f"c.{which}.column{size}"] += columns
            counts[f"c.head{size}"] += count * heads
            counts[f"c.lone{size}"] += count * heads * (dim % 2)
            counts[f"c.project.tile{size}"] += count
        return counts

    def _expand_rows(self, name: str, size: int, count: int, k: int) -> Counts:
        whole, left = divmod(k, 4)
        return Counter(
            {
                f"{name}.row": count * size,
                f"{name}.words": count * size * whole,
                f"{name}.tail": count * size * (left > 0),
                f"{name}.left": count * size * left,
            }
        )

    def attend(self, rows: int, tokens: int, dim: int, value_dim: int) -> Counts:
        counts: Counts = Counter({"c.attend.call": 1})
        whole, left = divmod(tokens, 4)
        for size, count in takes(rows).items():
            counts += self._expand_rows("c.query", size, count, dim)
            counts[f"c.score.step{size}"] += count * half(tokens) * quarter(dim)
            counts[f"c.score.column{size}"] += count * half(tokens)
            counts[f"c.context.step{size}"] += count * half(value_dim) * quarter(tokens)
            counts[f"c.context.column{size}"] += count * half(value_dim)
            counts["c.weigh.words"] += count * size * whole
            counts["c.weigh.tail"] += count * size * (left > 0)
            counts["c.weigh.left"] += count * size * left
            counts["c.weigh.row"] += count * size
            counts[f"c.attend.tile{size}"] += count
        return counts

    def accumulate(self, rows: int, n: int, dim: int, first: bool) -> Counts:
        counts: Counts = Counter({"sum.call": 1})
        which = "first" if first else "more"
        for size, count in takes(rows).items():
            counts += self._expand_rows("sum.expand", size, count, dim)
            counts[f"sum.step{size}"] += count * half(n) * quarter(dim)
            counts[f"sum.{which}.column{size}"] += count * half(n)
            counts[f"sum.tile{size}"] += count
        return counts
