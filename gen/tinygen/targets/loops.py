# SPDX-License-Identifier: Apache-2.0
"""What the kernels of a target do, counted from shapes: how often each of their loops goes round.

A count is named after the loop; what one round costs on a core is fitted (costs.json beside it).
Here is what targets do each in their way; a loop that all have in common is counted in its
operator's file. Who changes a kernel's loops changes its counts, and runs benchmarks/fit_costs.py
again.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass

Counts = Counter[str]
"""Loop -> rounds."""


def scaled(counts: Counts, factor: int) -> Counts:
    return Counter({name: n * factor for name, n in counts.items()})


@dataclass(frozen=True)
class DotProduct:
    """Attention on given queries, keys and values.  seen: keys that all rows see together, of a
    head.  mask_rows: 0 without one.  coarse: weights of whole steps.  high: the shift is 32."""

    heads: int
    dim: int
    rows: int
    keys: int
    seen: int
    mask_rows: int
    coarse: bool
    high: bool


class Loops(ABC):
    """Counts of one call of each kernel."""

    tile: int
    """Rows that share one pass over the weights."""
    unroll: int
    """Elements that the elementwise kernels take at once."""
    norm_unroll: int

    def __init__(self, compact: Loops | None = None) -> None:
        self.compact: Loops = compact or self
        """Of attention with 8-bit operands, on targets that have both."""

    @abstractmethod
    def linear(self, rows: int, n: int, k: int, table: bool, form: int = 0) -> Counts:
        """rows x k by k x n.  form: of the packed weights (`PackedLinear`)."""

    @abstractmethod
    def project(self, which: str, rows: int, e: int, dim: int, heads: int, form: int = 0) -> Counts:
        """which: q | k | v, for so many heads."""

    def load(self, which: str, tokens: int, dim: int) -> Counts:
        """which: k | v, x itself in their place, for all heads."""
        places = tokens * dim
        return Counter({f"load.{which}": places, f"load.{which}.row": tokens, "load.call": 1})

    @abstractmethod
    def attend(self, rows: int, tokens: int, dim: int, value_dim: int) -> Counts:
        """One head: scores, softmax, context."""

    @abstractmethod
    def accumulate(self, rows: int, n: int, dim: int, first: bool) -> Counts:
        """One head of the output projection, into int32 sums; first: the one that starts them."""

    def requantise(self, rows: int, n: int) -> Counts:
        return Counter({"requantise": rows * n, "requantise.row": rows, "requantise.call": 1})

    def elements(self, name: str, count: int) -> Counts:
        whole, left = divmod(count, self.unroll)
        return Counter(
            {
                name: whole,
                f"{name}.some": int(whole > 0),
                f"{name}.left": left,
                f"{name}.tail": int(left > 0),
                f"{name}.call": 1,
            }
        )

    def norm(self, rows: int, e: int) -> Counts:
        whole, left = divmod(e, self.norm_unroll)
        return Counter(
            {
                "norm": rows * whole,
                "norm.some": rows * (whole > 0),
                "norm.left": rows * left,
                "norm.tail": rows * (left > 0),
                "norm.row": rows,
                "norm.call": 1,
            }
        )

    def dot_product(self, a: DotProduct) -> Counts:
        """kernels/src/portable/dot_product_attention.c."""
        heads, fours, ones = a.heads, a.dim // 4, a.dim % 4
        pairs = heads * (a.seen + a.rows * (a.seen // a.rows % 2)) // 2
        listed = a.keys * (a.rows if a.mask_rows > 1 else 1)
        return Counter(
            {
                "dot.score": pairs * a.dim,
                "dot.pair": pairs,
                "dot.weight": heads * a.seen,
                "dot.coarse": heads * a.seen * a.coarse,
                "dot.context.four": heads * a.seen * fours,
                "dot.context.one": heads * a.seen * ones,
                "dot.row.four": heads * a.rows * fours,
                "dot.row.one": heads * a.rows * ones,
                "dot.centre": heads * a.rows * a.dim,
                "dot.row": heads * a.rows,
                "dot.row.coarse": heads * a.rows * a.coarse,
                "dot.list": listed,
                "dot.call": 1,
            }
        )

    def levels(self, rows: int, tokens: int) -> Counts:
        """One head's weights rounded down: what `Attention.levels` takes beside `attend`."""
        return Counter({"levels": rows * half(tokens), "levels.row": rows})


def half(x: int) -> int:
    """Pairs that x values need."""
    return math.ceil(x / 2)


def quarter(x: int) -> int:
    return math.ceil(x / 4)
