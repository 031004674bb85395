# SPDX-License-Identifier: Apache-2.0
"""One attention layer -> its step: which buffers its schedule needs, how large, from when to when.

Within a loop over query rows, what one pass makes and uses up lives for its own ticks only; what
the next pass needs too (keys, values, input, output) lives through the loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinygen.graph import Node, ops
from tinygen.planner import plan as p
from tinygen.planner.check import ALIGN
from tinygen.planner.exact import Item, live_peak
from tinygen.planner.schedule import AttentionSchedule
from tinygen.targets import Target

if TYPE_CHECKING:
    from tinygen.planner.lower import Lowering

KV, Q, ATTEND, OUT, FINISH = range(p.TICKS)
"""The ticks of an attention layer."""


def macs(op: ops.Attention, tokens: int) -> int:
    """Projections, scores, context, output projection."""
    inner, e = (int(i) for i in op.wq.shape)
    return tokens * inner * (3 * e + 2 * tokens + len(op.wo))


def map_bytes(op: ops.Attention, tokens: int) -> int:
    """Working memory of the textbook schedule: input, Q, K, V and the whole int8 attention map."""
    inner, e = (int(i) for i in op.wq.shape)
    return tokens * e + 3 * tokens * inner + op.heads * tokens * tokens


def lower(
    low: Lowering, node: Node, op: ops.Attention, tokens: int, how: AttentionSchedule
) -> tuple[p.AttentionStep, tuple[int, int]]:
    """The step, and its (reads_until, writes_from)."""
    n, inner = op.wo.shape
    e = op.wq.shape[1]
    t = operands(low.target, how)

    def project(which: str, requant: ops.Requant) -> p.LinearArgs:
        return low.linear(
            node.name, which + t.suffix, lambda: t.pack_project(op, which), requant, (inner, e)
        )

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
        q=project("q", op.rq),
        k=project("k", op.rk),
        v=project("v", op.rv),
        o=output(),
        tokens=tokens,
        heads=op.heads,
        dim=op.dim,
        score_m=int(op.score.m[0]),
        score_s=op.score.s,
        score_zp=op.score.zp,
        suffix=t.suffix,
        exp_table=t.pack_exp(op.exp_table),
        context=op.context,
        slots=_slots(low, op, tokens, how),
        head_stride_k=t.k_bytes(op, 1, tokens),
        head_stride_v=t.v_bytes(op, 1, tokens),
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
    pairs = tokens * tokens * inner
    """Multiplications of one of the two products, as a measure of traffic."""
    kv_last = ATTEND if how.kind == "whole" else OUT
    kept = streaming and not how.accumulate  # the context of all heads
    out_first = FINISH if kept else OUT
    made = {
        "k": Need(a.k_bytes(op, heads, tokens), KV, kv_last, pairs // 2),
        "v": Need(a.v_bytes(op, heads, tokens), KV, kv_last, pairs // 2),
        "q": Need(a.q_bytes(op, heads, block), Q, ATTEND, 2 * tokens * inner),
        "context": Need(
            tokens * inner if kept else block * heads * op.dim,
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
