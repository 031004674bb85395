# SPDX-License-Identifier: Apache-2.0
"""kernels/src/armv7em: groups of 4, 2 or 1 rows times strips of two columns (tiles.h)."""

from __future__ import annotations

from collections import Counter

from tinygen.targets.loops import Counts, DotProduct, Loops, half, quarter

EXACT = 2
"""Form of weights whose strips C finishes."""
UNROLLED = 32
"""Pairs of the inner loop's body; more go round again."""


def groups(rows: int) -> dict[int, int]:
    """Rows of a group -> groups."""
    four, left = divmod(rows, 4)
    return {4: four, 2: left // 2, 1: left % 2}


def tiles(name: str, size: int, strips: int, pairs: int) -> Counts:
    """One call of `tg_project_<size>` or `tg_attend_<size>`: the first pair is the strip's."""
    again = (pairs - 1) // UNROLLED
    return Counter(
        {
            f"{name}strip{size}": strips,
            f"{name}pair{size}": strips * (pairs - 1),
            f"{name}again{size}": strips * again,
            f"{name}long{size}": strips * (again > 0),
        }
    )


def takes(rows: int) -> dict[int, int]:
    """Rows of a tile of compact.h -> tiles; 3 left-over rows go as 4."""
    four, left = divmod(rows, 4)
    return {4: four + (left == 3), 1: left % 3}


def expand_rows(name: str, size: int, count: int, k: int) -> Counts:
    whole, left = divmod(k, 4)
    return Counter(
        {
            f"{name}.row": count * size,
            f"{name}.words": count * size * whole,
            f"{name}.tail": count * size * (left > 0),
            f"{name}.left": count * size * left,
        }
    )


class ArmV7EMLoops(Loops):
    tile = 4
    unroll = 16
    norm_unroll = 8

    def linear(self, rows: int, n: int, k: int, table: bool, form: int = 0) -> Counts:
        counts: Counts = Counter({"linear.call": 1})
        strips, lone, name = n // 2, n % 2, "table" if table else "linear"
        if form == EXACT:
            strips, lone, name = 0, half(n), "exact"
        for size, count in groups(rows).items():
            counts += self._expand(size, count, k)
            counts += tiles(f"w{form}.", size, count * (strips + lone), 2 * quarter(k))
            counts[f"linear.group{size}"] += count * (strips > 0)
            counts[f"{name}.strip{size}"] += count * strips
            counts[f"{name}.lone{size}"] += count * lone
        return counts

    def dot_product(self, a: DotProduct) -> Counts:
        """Two rows by two keys, then by two features, a word deep a round."""
        heads, deep, wide = a.heads, half(a.dim), half(a.keys)
        rows, weights = heads * half(a.rows), heads * a.rows * a.keys
        score = "dot.score.high" if a.high else "dot.score"
        return Counter(
            {
                "dot.depth": rows * deep * wide,
                score: rows * wide,
                "dot.context": rows * deep * wide,
                "dot.column": rows * deep,
                "dot.weight": weights,
                "dot.masked": weights * (a.mask_rows > 0),
                "dot.coarse": weights * a.coarse,
                "dot.row": heads * a.rows,
                "dot.row.coarse": heads * a.rows * a.coarse,
                "dot.value": heads * a.rows * a.dim,
                "dot.widen": heads * (2 * a.keys + a.rows) * deep,
                "dot.widen.row": heads * (a.keys + a.dim + a.rows),
                "dot.head": heads,
                "dot.call": 1,
            }
        )

    def project(self, which: str, rows: int, e: int, dim: int, heads: int, form: int = 0) -> Counts:
        counts: Counts = Counter({"project.call": 1})
        strips = heads * half(dim)
        for size, count in groups(rows).items():
            counts += self._expand(size, count, e)
            counts += tiles(f"w{form}.", size, count * strips, 2 * quarter(e))
            counts[f"project.group{size}"] += count
            name = "exact" if form == EXACT else which
            counts[f"{name}.strip{size}"] += count * strips
            counts["project.head"] += count * heads
        return counts

    def _expand(self, size: int, count: int, k: int) -> Counts:
        whole, left = divmod(k, 4)
        return Counter(
            {
                f"expand.group{size}": count,
                f"expand.words{size}": count * whole,
                "expand.tail": count * size * (left > 0),
                "expand.left": count * size * left,
            }
        )

    def load(self, which: str, tokens: int, dim: int) -> Counts:
        whole, left = divmod(dim, 4)
        return Counter(
            {
                f"load.{which}": half(tokens) * whole,
                f"load.{which}.tail": half(tokens) * (left > 0),
                f"load.{which}.left": half(tokens) * left,
                f"load.{which}.row": half(tokens),
                "load.call": 1,
            }
        )

    def attend(self, rows: int, tokens: int, dim: int, value_dim: int) -> Counts:
        counts: Counts = Counter({"attend.call": 1})
        pairs, keys = half(dim), half(tokens)
        eights, left = divmod(tokens // 2, 8)
        for size, count in groups(rows).items():
            counts += tiles("a.", size, count * keys, pairs)
            counts += tiles("a.", size, count * half(value_dim), keys)
            counts[f"score.strip{size}"] += count * keys
            counts[f"context.strip{size}"] += count * (value_dim // 2)
            counts[f"context.lone{size}"] += count * (value_dim % 2)
            counts[f"attend.group{size}"] += count
            counts[f"exp.eight{size}"] += count * size * eights
            counts[f"exp.pair{size}"] += count * size * left
            counts[f"exp.odd{size}"] += count * size * (tokens % 2)
            counts[f"attend.whole{size}"] += count * (value_dim > 1)
        return counts

    def accumulate(self, rows: int, n: int, dim: int, first: bool) -> Counts:
        """attention_stream.c, in tiles of compact.h."""
        counts: Counts = Counter({"sum.call": 1})
        which = "first" if first else "more"
        for size, count in takes(rows).items():
            counts += expand_rows("sum.expand", size, count, dim)
            counts[f"sum.step{size}"] += count * half(n) * quarter(dim)
            counts[f"sum.{which}.column{size}"] += count * half(n)
            counts[f"sum.tile{size}"] += count
        return counts
