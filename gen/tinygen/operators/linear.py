# SPDX-License-Identifier: Apache-2.0
"""A product with constant weights: S tokens, K inputs, N outputs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinygen.lowering import Constant, Cores, Lowered, Names, Share, Site, Slot, StepArgs, Stream
from tinygen.lowering.context import REUSE
from tinygen.lowering.cores import CHUNK, TABLE, TILE, align8
from tinygen.numeric import I8, I32, Requant, Shape
from tinygen.numeric.matmul import exact_matmul
from tinygen.numeric.requant import requantise
from tinygen.operators.draw import Draw
from tinygen.operators.float_form import Array, Attrs, FloatForm
from tinygen.operators.lut import lut
from tinygen.operators.operator import Case, Operator, need
from tinygen.targets import Counts, Loops, PackedLinear, Target
from tinygen.targets.portable import round_up
from tinygen.targets.xpulpv2.rounding import kind_of

FEW_ROWS = 5
"""Rows that fit one register tile of the cluster's kernels for few tokens."""


def _real(i: list[Any], attrs: Attrs, shape: Shape) -> Array:
    x, weight, scales, bias = i
    y: Array = x @ (weight * scales[:, None]).T + bias
    return y


@dataclass(frozen=True, eq=False)
class Linear(Operator):
    """x [S, K] -> y [S, N]: ``requant(x w^T + bias)``, then ``table`` if there is one.

    weight: int8 [N, K].  bias: int32 [N], the input's zero point already in it.
    table: int8 [256] indexed by q + 128 (a fused activation), or None.
    """

    word = "linear"
    float_form = FloatForm("Linear", "matrix product with weights", _real)

    weight: I8
    bias: I32
    requant: Requant
    table: I8 | None = None

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        n, k = self.weight.shape
        need(inputs[0][-1] == k, f"weight takes {k} features")
        return (*inputs[0][:-1], n)

    def reference(self, inputs: Sequence[I8]) -> I8:
        y = requantise(exact_matmul(inputs[0], self.weight.T) + self.bias, self.requant)
        return y if self.table is None else lut(y, self.table)

    @classmethod
    def random(cls, draw: Draw) -> Case:
        rows, n, k = draw.size(9), draw.size(9), draw.size(40)
        r = draw.requant(9_000 * k, n)
        op = cls(draw.values(n, k), draw.bias(n, 9_000 * k), r, draw.table())
        return Case(op, (draw.values(rows, k),))

    def lower(self, site: Site) -> Lowered:
        (n, k), rows = self.weight.shape, math.prod(site.inputs[0][:-1])
        packed = site.pack(
            "", lambda: site.target.pack_linear(self.weight, self.bias, self.requant)
        )
        macs = rows * n * k
        size = site.target.linear_scratch(n, k, rows)
        args = LinearStep(
            LinearArgs(packed, n, k, self.requant.s, self.requant.zp, self.table),
            rows,
            site.temporary("scratch", size, traffic=macs // REUSE),
        )
        return Lowered(args, macs // REUSE, site.target.sources("linear"), macs=macs)


@dataclass(frozen=True, eq=False)
class LinearArgs:
    """One `tg_linear_t`: rows x k -> rows x n. n = 0: there is no such product."""

    packed: PackedLinear
    n: int
    k: int
    s: int
    zp: int
    table: I8 | None = None

    def constants(self, prefix: str = "") -> Iterator[Constant]:
        if self.n == 0:
            return
        yield f"{prefix}w", self.packed.w.reshape(-1)
        if self.packed.bias.size:  # else the weights hold both
            yield f"{prefix}bias", self.packed.bias
            yield f"{prefix}m", self.packed.m
        if self.table is not None:
            yield f"{prefix}table", self.table

    def block(self, c: Names, prefix: str = "") -> str:
        """The initialiser."""
        if self.n == 0:
            return f"{{.k = {self.k}, .zp = {self.zp}}}"

        def name(role: str) -> str:
            return c.symbol(prefix + role)

        table = name("table") if self.table is not None else "NULL"
        apart = bool(self.packed.bias.size)
        bias, m = (name("bias"), name("m")) if apart else ("NULL", "NULL")
        form = f", .form = {self.packed.form}" if self.packed.form else ""
        return (
            f"{{.w = {name('w')}, .bias = {bias}, .m = {m}, .table = {table}, "
            f".k = {self.k}, .n = {self.n}, .s = {self.s}, .zp = {self.zp}{form}}}"
        )

    def loops(self, loops: Loops, rows: int) -> Counts:
        return loops.linear(rows, self.n, self.k, self.table is not None, self.packed.form)

    @property
    def kind(self) -> str:
        """How a cluster rounds its sums."""
        return kind_of(self.packed, self.k)


@dataclass(frozen=True, eq=False)
class LinearStep(StepArgs):
    """few: on a cluster, all rows in one register tile."""

    header = "linear.h"
    block_bytes = 32

    linear: LinearArgs
    rows: int
    scratch: Slot | None
    few: bool = False

    @property
    def function(self) -> str:
        return "linear_few" if self.few else "linear"

    def constants(self) -> Iterator[Constant]:
        return self.linear.constants()

    def blocks(self, c: Names) -> str:
        return f"static const tg_linear_t {c.ident} = {self.linear.block(c)};\n"

    def call(self, c: Names) -> str:
        k, n, scratch = self.linear.k, self.linear.n, c.place(self.scratch)
        return f"tg_linear_s8(&{c.ident}, {c.x}, {self.rows}, {k}, {c.y}, {n}, {scratch});"

    def functions(self) -> Iterator[str]:
        yield "tg_linear_s8"

    def loops(self, loops: Loops) -> Counts:
        return self.linear.loops(loops, self.rows)

    def weight_reads(self, stream: Stream) -> int:
        return stream.product(self.linear.packed.w.nbytes, self.rows)

    # -- on a cluster -----------------------------------------------------------------------------

    def share(self, cores: Cores) -> Share:
        t, n, k, table = cores.target, self.linear.n, self.linear.k, self.linear.table is not None
        tiles = min(math.ceil(n / TILE), max(1, CHUNK // t.linear_weights(TILE, k)))
        if self.rows == FEW_ROWS and n % 4 == 0 and self.linear.kind != "wide":
            files = ("cluster/linear_few.c", "xpulpv2/few.c", "xpulpv2/lut.c")
            few = replace(self, few=True)
            return Share(linear_few_work(t, n, k, tiles, table), tiles, files, few)
        work = linear_work(t, n, k, tiles, cores.count, table)
        return Share(work, tiles, ("cluster/linear.c",))

    def shared_call(self, c: Names) -> str:
        return (
            f"tg_cluster_{self.function}_s8(&{c.ident}, {c.x}, {self.rows}, {c.y}, {c.tiles}, "
            f"{c.place(c.work)});"
        )

    def busiest(self, cores: int, tiles: int) -> Counts | None:
        if self.few:
            return self._busiest_few(cores, tiles)
        return linear_busiest(self.rows, self.linear, tiles, cores)

    def _busiest_few(self, cores: int, chunk: int) -> Counts:
        tiles, words = self.linear.n // 4, math.ceil(self.linear.k / 4)
        chunk = min(chunk, tiles)
        chunks = [min(chunk, tiles - first) for first in range(0, tiles, chunk)]
        mine = sum(math.ceil(here / cores) for here in chunks)
        counts: Counts = Counter({"few.linear.call": 1, "linear.chunk": len(chunks)})
        counts["few.depth"] = mine * words
        counts[f"few.tile.{'high' if self.linear.kind == 'high' else 'low'}"] = mine
        counts["few.interleave"] = math.ceil(words / cores) * (4 if self.linear.k % 4 else 1)
        counts["bytes"] = chunk * (48 + 16 * words)
        if self.linear.table is not None:
            counts["lut"] = 4 * self.rows * mine
        return counts


def linear_busiest(rows: int, a: LinearArgs, chunk: int, cores: int) -> Counts:
    """Each chunk of tiles is shared out by groups and tiles."""
    tiles, words = math.ceil(a.n / 4), math.ceil(a.k / 4)
    chunk = min(chunk or tiles, tiles)
    whole, lone = row_groups(rows)
    groups = whole + lone
    counts: Counts = Counter({"linear.call": 1})
    for first in range(0, tiles, chunk):
        here = min(chunk, tiles - first)
        units = math.ceil(groups * here / cores)
        alone = 0 if whole else units  # the busiest core has none, if there are others
        counts["depth"] += (units - alone) * words
        counts[f"tile.{a.kind}"] += units - alone
        counts["lone.depth"] += alone * words
        counts[f"lone.{a.kind}"] += alone
        counts["linear.bytes" if a.k % 4 else "linear.group"] += math.ceil(units / here) * words
        counts["linear.chunk"] += 1
        if a.n % 4:  # results wait on the stack
            counts["linear.staged"] += math.ceil(units / here)
        if a.table is not None:  # row by row
            counts["table.row"] += 4 * math.ceil(units / here)
    counts["bytes"] += chunk * (48 + 16 * words)
    if a.table is not None:
        counts["table"] += math.ceil(rows * a.n / cores)
        counts["table.call"] = 1
    elif a.n % 4:
        counts["ragged"] += math.ceil(rows * a.n / cores)
    return counts


def row_groups(rows: int) -> tuple[int, int]:
    """Groups of four rows that take a whole tile, and lone rows."""
    return math.ceil(rows / 4) - (rows % 4 == 1), int(rows % 4 == 1)


def tile_products(times: int, rows: int, tiles: int, words: int, kind: str) -> Counts:
    """`times` products of rows against tiles of four channels, `words` of four inputs deep."""
    groups, lone = row_groups(rows)
    return Counter(
        {
            "depth": times * groups * tiles * words,
            f"tile.{kind}": times * groups * tiles,
            "lone.depth": times * lone * tiles * words,
            f"lone.{kind}": times * lone * tiles,
        }
    )


def linear_work(t: Target, n: int, k: int, tiles: int, cores: int, table: bool) -> int:
    """`tg_cluster_linear_s8`."""
    every = math.ceil(n / TILE)
    buffers = (2 if tiles < every else 1) * align8(tiles * t.linear_weights(TILE, k))
    return buffers + (TABLE if table else 0) + cores * align8(t.linear_scratch(TILE, k, 4))


def linear_few_work(t: Target, n: int, k: int, tiles: int, table: bool) -> int:
    """`tg_cluster_linear_few_s8`."""
    buffers = (2 if tiles < n // TILE else 1) * align8(tiles * t.linear_weights(TILE, k))
    return buffers + (TABLE if table else 0) + align8(5 * round_up(k, 4))


def fitting_tiles(t: Target, n: int, k: int, limit: int, cores: int) -> int:
    """The most tiles a chunk whose working memory stays within limit; 1 if none does."""
    every = math.ceil(n / TILE)
    fit = [c for c in range(1, every + 1) if linear_work(t, n, k, c, cores, False) <= limit]
    return max(fit, default=1)
