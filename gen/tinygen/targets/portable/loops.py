# SPDX-License-Identifier: Apache-2.0
"""kernels/src/portable: tiles of 2 x 2 from bytes (common/rowmajor.h); odd ends count twice."""

from __future__ import annotations

from collections import Counter

from tinygen.targets.loops import Counts, Loops, half


class PortableLoops(Loops):
    tile = 2
    unroll = 1
    norm_unroll = 1

    def linear(self, rows: int, n: int, k: int, table: bool, form: int = 0) -> Counts:
        return self._product("table" if table else "linear", rows, n, k)

    def project(self, which: str, rows: int, e: int, dim: int, heads: int, form: int = 0) -> Counts:
        counts: Counts = Counter({"project.call": 1, "project.head": heads})
        name = "values" if which == "v" else "keys"
        for key, count in self._product(name, rows, dim, e).items():
            counts[key] += count * heads
        return counts

    @staticmethod
    def _product(name: str, rows: int, n: int, k: int) -> Counts:
        cells = half(rows) * half(n)
        return Counter(
            {
                f"{name}.step": cells * k,
                f"{name}.cell": cells,
                f"{name}.output": rows * n,
                f"{name}.rows": half(rows),
                f"{name}.call": 1,
            }
        )

    def attend(self, rows: int, tokens: int, dim: int, value_dim: int) -> Counts:
        return Counter(
            {
                "attend.call": 1,
                "attend.row": rows,
                "query": rows * dim,
                "score.step": rows * half(tokens) * dim,
                "score.pair": rows * half(tokens),
                "score.output": rows * tokens,
                "exp": rows * tokens,
                "context.step": rows * half(value_dim) * tokens,
                "context.pair": rows * half(value_dim),
                "context.output": rows * value_dim,
            }
        )

    def accumulate(self, rows: int, n: int, dim: int, first: bool) -> Counts:
        cells = half(rows) * n
        which = "first" if first else "more"
        return Counter(
            {
                "sum.call": 1,
                "sum.rows": half(rows),
                f"sum.{which}": cells,
                "sum.step": cells * dim,
            }
        )
