# SPDX-License-Identifier: Apache-2.0
"""One attention layer -> its step: which buffers its schedule needs, how large, from when to when.

Within a loop over query rows, what one pass makes and uses up lives for its own ticks only; what
the next pass needs too (keys, values, input, output) lives through the loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tinygen.graph import Node, ops
from tinygen.planner import plan as p
from tinygen.planner.check import ALIGN
from tinygen.planner.exact import Item, live_peak
from tinygen.planner.schedule import AttentionSchedule
from tinygen.targets import PackedLinear, Target

if TYPE_CHECKING:
    from tinygen.planner.lower import Lowering

KV, Q, ATTEND, OUT, FINISH = range(p.TICKS)
"""The ticks of an attention layer."""
NO_WEIGHTS = PackedLinear(*(np.zeros(0, np.int32),) * 3, "")
"""Of a projection that fused weights have not."""


def macs(op: ops.Attention, tokens: int) -> int:
    """Projections, scores, context, output projection."""
    e = int(op.wq.shape[1])
    projections = len(op.wq) + len(op.wk) + len(op.wv)
    values = op.heads * op.value_dim
    attend = tokens * (op.heads * op.dim + values)
    return tokens * (projections * e + attend + values * len(op.wo))


def map_bytes(op: ops.Attention, tokens: int) -> int:
    """Working memory of the textbook schedule: input, Q, K, V and the whole int8 attention map."""
    projections = len(op.wq) + len(op.wk) + len(op.wv)
    return tokens * (int(op.wq.shape[1]) + projections + op.heads * tokens)


def lower(
    low: Lowering, node: Node, op: ops.Attention, tokens: int, how: AttentionSchedule
) -> tuple[p.AttentionStep, tuple[int, int]]:
    """The step, and its (reads_until, writes_from)."""
    n, inner = op.wo.shape
    e = op.wq.shape[1]
    t = operands(low.target, how)

    def project(which: str, weight: ops.I8, requant: ops.Requant) -> p.LinearArgs:
        def pack() -> PackedLinear:
            return t.pack_project(op, which) if len(weight) else NO_WEIGHTS

        return low.linear(node.name, which + t.suffix, pack, requant, (len(weight), e))

    def output() -> p.LinearArgs:
        if how.accumulate:
            return low.linear(
                node.name, "o by head", lambda: low.target.pack_output(op), op.ro, (n, inner)
            )
        return low.linear(
            node.name,
            "o",
            lambda: low.target.pack_linear(op.wo, op.bo, op.ro),
            op.ro,
            (n, inner),
        )

    step = p.AttentionStep(
        schedule=how,
        q=project("q", op.wq, op.rq),
        k=project("k", op.wk, op.rk),
        v=project("v", op.wv, op.rv),
        o=output(),
        tokens=tokens,
        heads=op.heads,
        dim=op.dim,
        value_dim=op.value_dim,
        score_m=int(op.score.m[0]),
        score_s=op.score.s,
        score_zp=op.score.zp,
        suffix=t.suffix,
        exp_table=t.pack_exp(op.exp_table),
        context=op.context,
        levels=op.levels,
        levels_up=op.levels_up,
        slots=_slots(low, op, tokens, how),
        head_stride_k=0 if op.keys_are_x else t.k_bytes(op, 1, tokens),
        head_stride_v=0 if op.values_are_x else t.v_bytes(op, 1, tokens),
    )
    return step, io_span(how)


def operands(target: Target, how: AttentionSchedule) -> Target:
    """Whose projections and attend the schedule calls."""
    return (target.compact() or target) if how.compact else target


def io_span(how: AttentionSchedule) -> tuple[int, int]:
    """(reads_until, writes_from): the ticks of the last read of x and the first write of y."""
    match how.kind:
        case "whole":
            return Q, OUT
        case "depth-first":
            return OUT, Q
        case "head-streaming":
            return OUT, FINISH
        case "heads-to-cores" | "rows-to-cores":
            return ATTEND, OUT


@dataclass(frozen=True)
class Need:
    """size in bytes, [first, last] ticks of the layer, traffic in bytes."""

    size: int
    first: int
    last: int
    traffic: int = 0


def needs(t: Target, op: ops.Attention, tokens: int, how: AttentionSchedule) -> dict[str, Need]:
    """Working buffers by role, without input and output."""
    block, a = how.row_block, operands(t, how)
    n, inner = op.wo.shape
    streaming = how.kind == "head-streaming"
    heads = 1 if streaming else op.heads
    pairs = tokens * tokens * op.heads
    """Of rows and keys: times the features of a head, the traffic of a product."""
    kv_last = ATTEND if how.kind == "whole" else OUT
    kept = streaming and not how.accumulate  # the context of all heads
    out_first = FINISH if kept else OUT
    made = {
        "k": Need(
            a.k_bytes(op, 1 if op.keys_are_x else heads, tokens), KV, kv_last, pairs * op.dim // 2
        ),
        "v": Need(
            a.v_bytes(op, 1 if op.values_are_x else heads, tokens),
            KV,
            kv_last,
            pairs * op.value_dim // 2,
        ),
        "q": Need(a.q_bytes(op, heads, block), Q, ATTEND, 2 * tokens * op.heads * op.dim),
        "context": Need(
            tokens * inner if kept else block * heads * op.value_dim,
            KV if kept else ATTEND,
            FINISH if kept else OUT,
            tokens * inner * (1 + n // 2),
        ),
        "project_scratch": Need(a.project_scratch(op, tokens), KV, KV),
        "query_scratch": Need(a.project_scratch(op, block), Q, Q),
        "attend_scratch": Need(
            a.attend_scratch(op, block, tokens), ATTEND, ATTEND, tokens * tokens * op.heads * 8
        ),
        "output_scratch": Need(
            t.accumulate_scratch(op, block)
            if how.accumulate
            else t.linear_scratch(n, inner, tokens if kept else block),
            out_first,
            out_first,
        ),
    }
    if how.accumulate:
        made["sums"] = Need(4 * tokens * n, KV, FINISH, 8 * op.heads * tokens * n)
    return made


def working_bytes(t: Target, op: ops.Attention, tokens: int, how: AttentionSchedule) -> int:
    """Peak of input, output and working buffers together, each aligned; weights excluded."""
    reads_until, writes_from = io_span(how)
    x, y = tokens * op.wq.shape[1], tokens * len(op.wo)
    if how.in_place and x == y:
        ends = [Need(x, KV, FINISH)]
    else:
        ends = [Need(x, KV, reads_until), Need(y, writes_from, FINISH)]
    items = [
        Item(-(-b.size // ALIGN) * ALIGN, b.first, b.last)
        for b in (*ends, *needs(t, op, tokens, how).values())
    ]
    return live_peak(items)


def _slots(
    low: Lowering, op: ops.Attention, tokens: int, how: AttentionSchedule
) -> p.AttentionSlots:
    slots = {
        role: low.temporary(role, b.size, b.first, b.last, b.traffic)
        for role, b in needs(low.target, op, tokens, how).items()
    }
    q, k, v, context = (slots[role] for role in ("q", "k", "v", "context"))
    assert q and k and v and context
    return p.AttentionSlots(
        q=q,
        k=k,
        v=v,
        context=context,
        sums=slots.get("sums"),
        project_scratch=slots["project_scratch"],
        query_scratch=slots["query_scratch"],
        attend_scratch=slots["attend_scratch"],
        output_scratch=slots["output_scratch"],
    )
