# SPDX-License-Identifier: Apache-2.0
"""An attention layer that is to run: its packed weights, sizes, and where its buffers lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinygen.lowering import Site, Slot
from tinygen.numeric import I8, I32, U16, Requant, RowScale
from tinygen.operators.attention.parameters import Parameters
from tinygen.operators.attention.schedule import AttentionSchedule
from tinygen.operators.linear import LinearArgs
from tinygen.targets import PackedLinear, Target

NO_WEIGHTS = PackedLinear(*(np.zeros(0, np.int32),) * 3, "")
"""Of a projection that fused weights have not."""


@dataclass(frozen=True)
class AttentionSlots:
    """Working buffers of an attention layer; their sizes follow from its schedule.

    sums: int32 [tokens][n] where the output projection accumulates, else None.  *_scratch: of the
    kernels, None where they need nothing.
    """

    q: Slot
    k: Slot
    v: Slot
    context: Slot
    sums: Slot | None
    project_scratch: Slot | None
    query_scratch: Slot | None
    attend_scratch: Slot | None
    output_scratch: Slot | None


@dataclass(frozen=True, eq=False)
class Layer:
    """o: packed head by head if the schedule accumulates.  suffix: of the C names of its
    projections and attend.  k, v: without outputs (n = 0) where x itself is the keys or values of
    all heads; their buffer holds one head then."""

    schedule: AttentionSchedule
    q: LinearArgs
    k: LinearArgs
    v: LinearArgs
    o: LinearArgs
    tokens: int
    heads: int
    dim: int
    value_dim: int
    score_m: int
    score_s: int
    score_zp: int
    exp_table: U16
    context: RowScale
    slots: AttentionSlots
    head_stride_k: int
    head_stride_v: int
    """Bytes between heads, 0 where all share one."""
    suffix: str = ""
    levels: int = 0
    levels_up: int = 0
    ahead: bool = False
    """Clusters: the first weights of o come while the heads are computed."""

    @property
    def projections(self) -> int:
        """Of q, k and v: those that x itself does not stand for."""
        return 1 + (self.k.n > 0) + (self.v.n > 0)

    @property
    def attend(self) -> str:
        """Between tg_attention_ and _s8, the name of the function."""
        return f"attend{self.suffix}{'_levels' if self.levels else ''}"


def pack_project(t: Target, op: Parameters, which: str) -> PackedLinear:
    """which: q | k | v."""
    weight, bias, requant = _projection(op, which)
    return t.pack_project(weight, op.heads, bias, requant) if len(weight) else NO_WEIGHTS


def pack_o(t: Target, op: Parameters) -> PackedLinear:
    return t.pack_linear(op.wo, op.bo, op.ro)


def project(site: Site, t: Target, op: Parameters, which: str) -> LinearArgs:
    """t: whose projections run."""
    weight, _, r = _projection(op, which)
    packed = site.pack(which + t.suffix, lambda: pack_project(t, op, which))
    return LinearArgs(packed, len(weight), op.wq.shape[1], r.s, r.zp)


def output(site: Site, op: Parameters, by_head: bool = False) -> LinearArgs:
    t, (n, inner) = site.target, op.wo.shape
    if by_head:
        packed = site.pack("o by head", lambda: t.pack_output(op.wo, op.heads, op.bo, op.ro))
    else:
        packed = site.pack("o", lambda: pack_o(t, op))
    return LinearArgs(packed, n, inner, op.ro.s, op.ro.zp)


def _projection(op: Parameters, which: str) -> tuple[I8, I32, Requant]:
    return {
        "q": (op.wq, op.bq, op.rq),
        "k": (op.wk, op.bk, op.rk),
        "v": (op.wv, op.bv, op.rv),
    }[which]
