# SPDX-License-Identifier: Apache-2.0
"""armv7em/attention_compact.c and attention_stream.c: tiles of 4 rows or 1 (compact.h)."""

from __future__ import annotations

from collections import Counter

from tinygen.targets.armv7em.loops import ArmV7EMLoops, expand_rows, takes
from tinygen.targets.loops import Counts, half, quarter


class CompactLoops(ArmV7EMLoops):
    def project(self, which: str, rows: int, e: int, dim: int, heads: int, form: int = 0) -> Counts:
        counts: Counts = Counter({"c.project.call": 1})
        for size, count in takes(rows).items():
            columns = count * heads * half(dim)
            counts += expand_rows("c.expand", size, count, e)
            counts[f"c.step{size}"] += columns * quarter(e)
            counts[f"c.column{size}"] += columns
            counts[f"c.{which}.column{size}"] += columns
            counts[f"c.head{size}"] += count * heads
            counts[f"c.lone{size}"] += count * heads * (dim % 2)
            counts[f"c.project.tile{size}"] += count
        return counts

    def attend(self, rows: int, tokens: int, dim: int, value_dim: int) -> Counts:
        counts: Counts = Counter({"c.attend.call": 1})
        whole, left = divmod(tokens, 4)
        for size, count in takes(rows).items():
            counts += expand_rows("c.query", size, count, dim)
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
