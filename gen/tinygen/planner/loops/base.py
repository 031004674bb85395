# SPDX-License-Identifier: Apache-2.0
"""The interface, and what all targets have in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter

from tinygen.planner import plan as p

SPELLED_OUT = 64
"""Bytes that a memcpy copies without a call."""
STRAIGHT = 32
"""Bytes that it copies without a loop."""
Counts = Counter[str]
"""Loop -> rounds."""


def scaled(counts: Counts, factor: int) -> Counts:
    return Counter({name: n * factor for name, n in counts.items()})


class Loops(ABC):
    """Counts of one call of each kernel."""

    tile: int
    """Rows that share one pass over the weights."""
    unroll: int
    """Elements that the elementwise kernels take at once."""
    norm_unroll: int

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

    def norm_whole(self, rows: int, e: int) -> Counts:
        """kernels/src/portable/layernorm_whole.c."""
        return Counter({"norm_whole": rows * e, "norm_whole.row": rows, "norm_whole.call": 1})

    def norm_steps(self, rows: int, e: int) -> Counts:
        """kernels/src/portable/layernorm_steps.c."""
        return Counter({"norm_steps": rows * e, "norm_steps.row": rows, "norm_steps.call": 1})

    def dot_product(self, a: p.DotProductStep) -> Counts:
        """kernels/src/portable/dot_product_attention.c."""
        heads, fours, ones = a.op.heads, a.dim // 4, a.dim % 4
        pairs = heads * (a.seen + a.rows * (a.seen // a.rows % 2)) // 2
        listed = a.keys * (a.rows if a.mask is not None and len(a.mask) > 1 else 1)
        return Counter(
            {
                "dot.score": pairs * a.dim,
                "dot.pair": pairs,
                "dot.weight": heads * a.seen,
                "dot.coarse": heads * a.seen * (a.op.steps is not None),
                "dot.context.four": heads * a.seen * fours,
                "dot.context.one": heads * a.seen * ones,
                "dot.row.four": heads * a.rows * fours,
                "dot.row.one": heads * a.rows * ones,
                "dot.centre": heads * a.rows * a.dim,
                "dot.row": heads * a.rows,
                "dot.row.coarse": heads * a.rows * (a.op.steps is not None),
                "dot.list": listed,
                "dot.call": 1,
            }
        )

    def add_wide(self, count: int) -> Counts:
        """kernels/src/portable/add_wide.c."""
        return Counter({"add_wide": count, "add_wide.call": 1})

    def levels(self, rows: int, tokens: int) -> Counts:
        """One head's weights rounded down: what `Attention.levels` takes beside `attend`."""
        return Counter({"levels": rows * half(tokens), "levels.row": rows})

    def mean(self, rows: int, e: int) -> Counts:
        return Counter({"mean": rows * e, "mean.column": e, "mean.call": 1})

    def maximum(self, a: p.MaxStep) -> Counts:
        """Windows clipped to the image: kernels/src/portable/max.c."""
        (rows, _), (columns, _) = (
            within(a.size[i], a.kernel[i], a.stride[i], 1, a.pads[i], a.out[i]) for i in (0, 1)
        )
        windows = a.out[0] * a.out[1]
        return Counter(
            {
                "max": a.channels * rows * columns,
                "max.row": a.channels * rows * a.out[1],
                "max.channel": a.channels * windows,
                "max.window": windows,
                "max.call": 1,
            }
        )

    def copy(self, sizes: tuple[int, ...]) -> Counts:
        """memcpy of so many bytes each; GCC spells small ones out, 16 bytes a round over 32."""
        counts: Counts = Counter({"copy.layer": 1})
        for size in sizes:
            name = "copy.small" if size <= SPELLED_OUT else "copy"
            rounds = size // 16 if STRAIGHT < size <= SPELLED_OUT else 0
            counts["copy.round"] += rounds
            counts["copy.rounds"] += rounds > 0
            counts[name] += (size - 16 * rounds) // 4
            counts[f"{name}.left{size % 4}"] += 1
            counts[f"{name}.call"] += 1
        return counts

    def embed(self, rows: int, width: int) -> Counts:
        """memcpy of a size that the compiler does not know: kernels/src/portable/embed.c."""
        sixteens, rest = divmod(width, 16)
        return Counter(
            {
                "embed.sixteen": rows * sixteens,
                "embed.word": rows * (rest // 4),
                f"embed.left{rest % 4}": rows,
                "embed.row": rows,
                "embed.call": 1,
            }
        )

    def conv(self, a: p.ConvStep) -> Counts:
        """Windows gathered by fours, each block a product: kernels/src/portable/conv.c."""
        tokens, n, taps = a.out[0] * a.out[1], a.linear.n // a.groups, a.linear.k
        blocks, rest = divmod(tokens, 4)
        how = a.linear.table is not None, a.linear.packed.form
        counts = scaled(self.linear(4, n, taps, *how), blocks * a.groups)
        if rest:
            counts += scaled(self.linear(rest, n, taps, *how), a.groups)
        channels = a.channels // a.groups
        size = a.height, a.width
        (rows, row_rounds), (columns, column_rounds) = (
            within(size[i], a.kernel[i], a.stride[i], a.dilation[i], a.pads[i], a.out[i])
            for i in (0, 1)
        )
        gathered = a.channels * row_rounds * column_rounds
        counts += Counter(
            {
                "conv.tap": gathered,
                "conv.tap.inside": a.channels * rows * columns,
                "conv.tap.beside": a.channels * rows * (column_rounds - columns),
                "conv.row": a.groups * tokens * channels * a.kernel[0],
                "conv.channel": a.groups * tokens * channels,
                "conv.window": a.groups * tokens,
                "conv.block": a.groups * (blocks + (rest > 0)),
                "conv.group": a.groups,
                "conv.call": 1,
            }
        )
        return counts


def within(
    size: int, kernel: int, stride: int, dilation: int, pad: int, out: int
) -> tuple[int, int]:
    """(taps of all windows along an axis that lie within the image, all taps)."""
    places = [o * stride - pad + tap * dilation for o in range(out) for tap in range(kernel)]
    return sum(0 <= at < size for at in places), len(places)


def half(x: int) -> int:
    """Pairs that x values need."""
    return math.ceil(x / 2)


def quarter(x: int) -> int:
    return math.ceil(x / 4)
