# SPDX-License-Identifier: Apache-2.0
"""Multi-head self-attention with its four projections, as one operator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinygen.lowering import Cores, Lowered, Site
from tinygen.lowering.context import REUSE
from tinygen.lowering.cores import CHUNK, TILE, align8
from tinygen.numeric import I8, I32, Requant, Shape
from tinygen.operators.attention.cluster import attention_work
from tinygen.operators.attention.layer import AttentionSlots, output, project
from tinygen.operators.attention.memory import io_span, operands, slots
from tinygen.operators.attention.parameters import FUSIONS, Parameters
from tinygen.operators.attention.reference import attention
from tinygen.operators.attention.schedule import FEW, HEADS, AttentionSchedule
from tinygen.operators.attention.step import AttentionStep
from tinygen.operators.draw import Draw
from tinygen.operators.linear import LinearArgs, fitting_tiles, linear_work
from tinygen.operators.operator import Case, need
from tinygen.operators.weights import weights_fault
from tinygen.targets import Target


@dataclass(frozen=True, eq=False)
class Attention(Parameters):
    """Multi-head self-attention with its four projections: x [S, E] -> y [S, N].

    wq, wk, wv: int8 [H*P, E]; wo: int8 [N, H*P].  Biases int32 with input zero points folded in.
    Per head: scores = ``requant_score(sum_p (q - zq)(k - zk))`` int8; weights e = ``exp_table[max -
    score]``; context = ``row_scale(sum_j e_j v_j)`` with v raw (its zero point lives in the
    offset).
    exp_table: uint16 [256], exp_table[0] = 2^weight_bits - 1 is its maximum.

    levels: 0, or weights are rounded down to 1 / levels of their sum L, as QuantLib's iSoftmax
    does: ``z = clz32(L); f = ((2^32 - 1) // ((L << z) >> 15) * levels >> 8) + 1``; e becomes ``(e f
    >> (39 - z)) << levels_up`` and L ``levels << levels_up``. V has zero point 0.

    Fused weights: without rows in wk, x itself is the keys of every head (then P = E in q and
    scores, and zk = rk.zp); without rows in wv, x itself is the values of every head (then a
    head's context has E features, and wo is [N, H*E]).
    """

    word = "attention"

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        x = inputs[0]
        need(len(x) == 2 and x[1] == self.wq.shape[1], "attention takes [S, E]")
        need(self.wq.shape[0] == self.heads * self.dim, "projection rows are not heads x dim")
        keys = self.dim == x[1] if self.keys_are_x else self.wk.shape == self.wq.shape
        need(keys, "keys differ in width from queries")
        inner = self.heads * (x[1] if self.values_are_x else len(self.wv) // self.heads)
        need(self.wo.shape[1] == inner, "values differ in width from the output's weights")
        return (x[0], self.wo.shape[0])

    def fault(self, inputs: Sequence[Shape]) -> str | None:
        if not 0 <= self.levels < 256 or self.levels_up < 0:
            return "levels of the attention weights out of range"
        tokens = inputs[0][0]
        return weights_fault(self.context, self.exp_table, self.weight_bits, 128, tokens)

    def reference(self, inputs: Sequence[I8]) -> I8:
        return attention(inputs[0], self)

    @classmethod
    def random(cls, draw: Draw) -> Case:
        tokens, e, dim, heads, n = (draw.size(most) for most in (9, 9, 6, 3, 9))
        fusion = draw.one_of(("unfused", *FUSIONS))
        keys, values = (fusion in (what, "fused") for what in ("fused-scores", "fused-values"))

        def product(rows: int, k: int, missing: bool = False) -> tuple[I8, I32, Requant]:
            if missing:
                one = Requant(np.ones(1, np.int32), 1, draw.zero())
                return np.zeros((0, k), np.int8), np.zeros(0, np.int32), one
            return draw.values(rows, k), draw.bias(rows, 9_000 * k), draw.requant(9_000 * k, rows)

        bits = draw.one_of((8, 15))
        wide, value_dim = e if keys else dim, e if values else dim
        op = cls(
            heads,
            wide,
            *product(heads * wide, e),
            *product(heads * dim, e, keys),
            *product(heads * dim, e, values),
            draw.requant(20_000 * wide),
            draw.exp_table(bits),
            bits,
            draw.row_scale(bits),
            *product(n, heads * value_dim),
            0 if values else draw.one_of((0, 0, 15, 127, 255)),
        )
        return Case(op, (draw.values(tokens, e),))

    def lower(self, site: Site) -> Lowered:
        how, tokens = _schedule(site), site.inputs[0][0]
        t = operands(site.target, how)
        q, k, v = (project(site, t, self, which) for which in "qkv")
        o = output(site, self, by_head=how.accumulate)
        room = slots(site, self, tokens, how)
        files = t.sources("attention_stream" if how.accumulate else "attention")
        files += t.sources("attention_levels") if self.levels else ()
        files += site.target.sources("attention_load") if self.fusion != "unfused" else ()
        return Lowered(
            self._step(t, (q, k, v, o), tokens, how, room),
            site.size * (len(self.wq) + len(self.wk) + len(self.wv)) // REUSE,
            files,
            macs=self.macs(tokens),
            schedule=str(how),
            span=io_span(how),
        )

    def share(self, site: Site, cores: Cores) -> Lowered:
        how, tokens, t = _schedule(site), site.inputs[0][0], site.target
        n, inner = self.wo.shape
        size = attention_work(t, self, tokens, how, cores.count)
        tiles, ahead = 0, False
        if how != FEW:
            tiles = fitting_tiles(t, n, inner, max(size, 2 * CHUNK), cores.count)
            last = linear_work(t, n, inner, tiles, cores.count, False)
            first = align8(min(tiles, math.ceil(n / TILE)) * t.linear_weights(TILE, inner))
            # They lie behind everything, which must hold all else that the output projection needs.
            ahead = cores.ahead and how == HEADS and last - first <= size
            size = max(size + (first if ahead else 0), last)
        work = site.temporary("work", size, traffic=size * tokens)
        context = site.temporary("context", tokens * inner) if how != FEW else work
        assert work and context
        q, k, v = (project(site, t, self, which) for which in "qkv")
        room = AttentionSlots(work, work, work, context, None, None, None, None, None)
        step = self._step(t, (q, k, v, output(site, self)), tokens, how, room, ahead)
        return Lowered(
            step,
            step.projections * tokens * self.wq.shape[1],
            self._shared_files(t, how),
            macs=self.macs(tokens),
            schedule=str(how),
            span=io_span(how),
            work=work,
            tiles=tiles,
        )

    def _shared_files(self, t: Target, how: AttentionSchedule) -> tuple[str, ...]:
        fused = "_fused" * (self.fusion != "unfused")
        if how == FEW:
            return (f"cluster/attention_few{fused}.c", "xpulpv2/few.c")
        levels = "_levels" * bool(self.levels)
        files = t.sources("attention") + (t.sources("attention_load") if fused else ())
        files += (f"cluster/attention{fused}{levels}.c", "cluster/linear.c")
        if levels:
            files += t.sources("attention_levels")
        return files

    def _step(
        self,
        t: Target,
        linears: tuple[LinearArgs, LinearArgs, LinearArgs, LinearArgs],
        tokens: int,
        how: AttentionSchedule,
        room: AttentionSlots,
        ahead: bool = False,
    ) -> AttentionStep:
        """linears: q, k, v and the output projection."""
        q, k, v, o = linears
        return AttentionStep(
            schedule=how,
            q=q,
            k=k,
            v=v,
            o=o,
            tokens=tokens,
            heads=self.heads,
            dim=self.dim,
            value_dim=self.value_dim,
            score_m=int(self.score.m[0]),
            score_s=self.score.s,
            score_zp=self.score.zp,
            suffix=t.suffix,
            exp_table=t.pack_exp(self.exp_table),
            context=self.context,
            levels=self.levels,
            levels_up=self.levels_up,
            slots=room,
            head_stride_k=0 if self.keys_are_x else t.k_bytes(self.dim, 1, tokens),
            head_stride_v=0 if self.values_are_x else t.v_bytes(self.value_dim, 1, tokens),
            ahead=ahead,
        )


def _schedule(site: Site) -> AttentionSchedule:
    assert isinstance(site.schedule, AttentionSchedule)
    return site.schedule
