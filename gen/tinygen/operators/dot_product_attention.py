# SPDX-License-Identifier: Apache-2.0
"""Attention on queries, keys and values that other layers made, with a mask or coarse weights."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinygen.lowering import Constant, Cores, Lowered, Names, Share, Site, Slot, StepArgs
from tinygen.lowering.context import REUSE
from tinygen.lowering.cores import EXP, align8
from tinygen.numeric import I8, I64, U8, U16, Requant, RowScale, Shape
from tinygen.numeric.matmul import exact_matmul
from tinygen.numeric.requant import clamp8, reciprocal, requantise, row_reciprocal
from tinygen.operators.draw import Draw
from tinygen.operators.operator import Case, Operator, need
from tinygen.operators.weights import weights_fault
from tinygen.targets import Counts, DotProduct, Loops


@dataclass(frozen=True, eq=False)
class WeightSteps:
    """Attention weights rounded to whole steps, as a model does that keeps its softmax in 8 bits.

    A weight e of a row with the sum L becomes ``n << up`` and L becomes ``total``: ``z = clz32(L);
    f = ((2^32 - 1) // ((L << z) >> 15) * total + 2^(up+7)) >> (up + 8); n = min(most, (e f +
    2^(38-z)) >> (39 - z))``, that is e / L in steps of 2^up / total.

    total: of as many bits as the exponent table's first entry.  1 <= most <= 255, most << up of 15
    bits.
    """

    total: int
    up: int
    most: int


@dataclass(frozen=True, eq=False)
class DotProductAttention(Operator):
    """q [S, H*P], k [T, H*P], v [T, H*P] -> context [S, H*P]: attention whose projections are
    layers of their own, for what `Attention` does not hold: masks, projections that are rounded
    twice, weights of 8 bits.

    Scores and weights e as in `Attention`; context = ``row_scale(sum_j e_j (v_j - v_zp))``.
    mask: uint8 [S, T], or [1, T] for all rows: nonzero where a row sees a key; every row sees one.
    None: all of them. Keys that a row does not see count neither for its maximum nor for its sum.
    """

    word = "dot_product_attention"

    heads: int
    q_zp: int
    k_zp: int
    v_zp: int
    score: Requant
    exp_table: U16
    weight_bits: int
    context: RowScale
    mask: U8 | None = None
    steps: WeightSteps | None = None

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        x = inputs[0]
        need(len(x) == 2 and len(inputs) == 3, "attention takes q, k and v")
        fits = x[1] == inputs[1][1] and x[1] % self.heads == 0
        need(fits, "keys differ in width from queries")
        need(inputs[1] == inputs[2], "values differ in shape from keys")
        seen = None if self.mask is None else self.mask.shape
        need(seen is None or seen[0] in (1, x[0]), "mask rows are not queries")
        need(seen is None or seen[1] == inputs[1][0], "mask columns are not keys")
        return x

    def fault(self, inputs: Sequence[Shape]) -> str | None:
        steps, keys = self.steps, inputs[-1][0]
        if steps is not None and not (
            steps.total.bit_length() == self.weight_bits
            and 0 <= steps.up <= 14
            and 1 <= steps.most <= min(255, 32767 >> steps.up)
        ):
            return "steps of the attention weights out of range"
        if self.mask is not None and not self.mask.any(axis=1).all():
            return "a row of the mask sees no key"
        if keys > 65536:
            return "more than 65536 keys"
        return weights_fault(self.context, self.exp_table, self.weight_bits, 255, keys)

    def reference(self, inputs: Sequence[I8]) -> I8:
        parts = (np.split(a, self.heads, axis=1) for a in inputs)
        return np.concatenate([self._head(q, k, v) for q, k, v in zip(*parts, strict=True)], axis=1)

    def _head(self, q: I8, k: I8, v: I8) -> I8:
        acc = exact_matmul(q.astype(np.int64) - self.q_zp, (k.astype(np.int64) - self.k_zp).T)
        score = requantise(acc, self.score).astype(np.int64)
        mask = np.ones((1, len(k)), np.uint8) if self.mask is None else self.mask
        seen = np.broadcast_to(mask != 0, score.shape)
        top = np.where(seen, score, -128).max(axis=1, keepdims=True)
        e = np.where(seen, self.exp_table[np.clip(top - score, 0, 255)].astype(np.int64), 0)
        total = e.sum(axis=1)
        if self.steps is not None:
            e, total = in_steps(e, total, self.steps)
        r = row_reciprocal(total, self.context)[:, None]
        acc = exact_matmul(e, v.astype(np.int64) - self.v_zp)
        return clamp8((acc * r + (self.context.offset << 32)) >> self.context.s)

    @classmethod
    def random(cls, draw: Draw) -> Case:
        rows, keys, dim, heads = draw.size(6), draw.size(12), draw.size(6), draw.size(3)
        bits = int(draw.choice([8, 15]))
        steps = None
        if draw.integers(2):
            up = int(draw.integers(0, bits))
            total = int(draw.integers(1 << (bits - 1), 1 << bits))
            steps = WeightSteps(total, up, min(int(draw.integers(1, 256)), 32767 >> up))
        op = cls(
            heads,
            *(draw.zero(), draw.zero(), draw.zero()),
            draw.requant(20_000 * dim),
            draw.exp_table(bits),
            bits,
            draw.row_scale(bits),
            draw.mask(draw.one_of((1, rows)), keys),
            steps,
        )
        return Case(op, tuple(draw.values(n, heads * dim) for n in (rows, keys, keys)))

    def lower(self, site: Site) -> Lowered:
        (rows, width), keys = site.inputs[0], site.inputs[1][0]
        dim = width // self.heads
        seen, mask = rows * keys, None
        if self.mask is not None:
            mask = np.packbits(self.mask != 0, axis=1, bitorder="little")
            seen = int(np.count_nonzero(self.mask)) * rows // len(self.mask)
        size = site.target.dot_product_scratch(dim, keys)
        scratch = site.temporary("scratch", size, traffic=5 * self.heads * seen)
        macs = 2 * seen * site.size // rows
        return Lowered(
            DotProductStep(self, rows, keys, dim, mask, seen, scratch),
            site.size,
            site.target.sources(self.word),
            others=(macs // (2 * REUSE),) * 2,
            macs=macs,
        )


def in_steps(e: I64, total: I64, to: WeightSteps) -> tuple[I64, I64]:
    """Weights [S, T] and their sums [S] -> those of `WeightSteps`."""
    q, z = reciprocal(total)
    f = (q * to.total + (1 << (to.up + 7))) >> (to.up + 8)
    shift = (39 - z)[:, None]
    n = np.minimum(to.most, (e * f[:, None] + (1 << (shift - 1))) >> shift)
    return n << to.up, np.full_like(total, to.total)


@dataclass(frozen=True, eq=False)
class DotProductStep(StepArgs):
    """One `tg_dot_product_attention_t`. op: its numbers.  mask: its bits [rows or 1, bytes] or
    None.  seen: keys that all rows see together, of a head."""

    header = "dot_product_attention.h"

    op: DotProductAttention
    rows: int
    keys: int
    dim: int
    mask: U8 | None
    seen: int
    scratch: Slot | None

    @property
    def function(self) -> str:
        return self.op.word

    @property
    def _mask_rows(self) -> int:
        return 0 if self.mask is None else len(self.mask)

    def constants(self) -> Iterator[Constant]:
        yield "exp", self.op.exp_table
        if self.mask is not None:
            yield "mask", self.mask.reshape(-1)

    def blocks(self, c: Names) -> str:
        op, scale, to = self.op, self.op.context, self.op.steps
        masked = f", .mask = {c.symbol('mask')}" if self.mask is not None else ""
        if self.mask is not None and len(self.mask) > 1:
            masked += f", .mask_stride = {self.mask.shape[1]}"
        coarse = f", .total = {to.total}, .up = {to.up}, .most = {to.most}" if to else ""
        return (
            f"static const tg_dot_product_attention_t {c.ident} = {{.heads = {op.heads}, "
            f".dim = {self.dim}, .q_zp = {op.q_zp}, .k_zp = {op.k_zp}, .v_zp = {op.v_zp}, "
            f".score_m = {op.score.m[0]}, .score_s = {op.score.s}, "
            f".score_zp = {op.score.zp}, .exp_table = {c.symbol('exp')}, "
            f".context_mult = {scale.mult}, .context_frac = {scale.frac}, "
            f".context_s = {scale.s}, .context_offset = {scale.offset}{masked}{coarse}}};\n"
        )

    def call(self, c: Names) -> str:
        q, k, v = c.inputs
        return (
            f"tg_dot_product_attention_s8(&{c.ident}, {q}, {k}, {v}, 0, {self.rows}, {self.keys}, "
            f"{c.y}, {c.place(self.scratch)});"
        )

    def functions(self) -> Iterator[str]:
        yield "tg_dot_product_attention_s8"

    def loops(self, loops: Loops) -> Counts:
        coarse, high = self.op.steps is not None, self.op.score.s == 32
        sizes = self.op.heads, self.dim, self.rows, self.keys, self.seen
        return loops.dot_product(DotProduct(*sizes, self._mask_rows, coarse, high))

    # -- on a cluster -----------------------------------------------------------------------------

    def share(self, cores: Cores) -> Share:
        each = align8(cores.target.dot_product_scratch(self.dim, self.keys))
        return Share(EXP + cores.count * each, files=("cluster/dot_product_attention.c",))

    def shared_call(self, c: Names) -> str:
        q, k, v = c.inputs
        return (
            f"tg_cluster_dot_product_attention_s8(&{c.ident}, {q}, {k}, {v}, {self.rows}, "
            f"{self.keys}, {c.y}, {c.place(c.work)});"
        )

    def busiest(self, cores: int, tiles: int) -> Counts | None:
        """Of the core whose rows see the most keys; all cores go through the mask of theirs."""
        heads, dim = self.op.heads, self.dim
        seen = np.full(self.rows, self.keys)
        if self.mask is not None:
            seen = seen * 0 + np.unpackbits(self.mask, axis=1).sum(axis=1, dtype=int)
        ends = [self.rows * core // cores for core in range(cores + 1)]
        mine = max((seen[i:j] for i, j in itertools.pairwise(ends)), key=lambda part: part.sum())
        keys, pairs, rows = int(mine.sum()), int((mine + 1).sum()) // 2, len(mine)
        coarse = self.op.steps is not None
        return Counter(
            {
                "dot.score": heads * pairs * dim,
                "dot.pair": heads * pairs,
                "dot.weight": heads * keys * (1 + 2 * coarse),
                "dot.context": heads * keys * (dim // 4 + dim % 4),
                "dot.column": heads * rows * dim,
                "dot.row": heads * rows,
                "dot.list": self.keys * (rows if self._mask_rows > 1 else 1),
                "dot.call": 1,
            }
        )
