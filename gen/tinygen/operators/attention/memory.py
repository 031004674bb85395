# SPDX-License-Identifier: Apache-2.0
"""Which buffers an attention layer needs with a schedule, how large, from when to when.

Within a loop over query rows, what one pass makes and uses up lives for its own ticks only; what
the next pass needs too (keys, values, input, output) lives through the loop.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinygen.lowering import TICKS, Site
from tinygen.lowering.live import ALIGN, Item, live_peak
from tinygen.operators.attention.layer import AttentionSlots
from tinygen.operators.attention.parameters import Parameters
from tinygen.operators.attention.schedule import AttentionSchedule
from tinygen.targets import Target

KV, Q, ATTEND, OUT, FINISH = range(TICKS)
"""The ticks of an attention layer."""


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


def needs(t: Target, op: Parameters, tokens: int, how: AttentionSchedule) -> dict[str, Need]:
    """Working buffers by role, without input and output."""
    block, a = how.row_block, operands(t, how)
    (n, inner), e = op.wo.shape, op.wq.shape[1]
    streaming = how.kind == "head-streaming"
    heads = 1 if streaming else op.heads
    pairs = tokens * tokens * op.heads
    """Of rows and keys: times the features of a head, the traffic of a product."""
    kv_last = ATTEND if how.kind == "whole" else OUT
    kept = streaming and not how.accumulate  # the context of all heads
    out_first = FINISH if kept else OUT
    made = {
        "k": Need(
            a.k_bytes(op.dim, 1 if op.keys_are_x else heads, tokens),
            *(KV, kv_last, pairs * op.dim // 2),
        ),
        "v": Need(
            a.v_bytes(op.value_dim, 1 if op.values_are_x else heads, tokens),
            *(KV, kv_last, pairs * op.value_dim // 2),
        ),
        "q": Need(a.q_bytes(op.dim, heads, block), Q, ATTEND, 2 * tokens * op.heads * op.dim),
        "context": Need(
            tokens * inner if kept else block * heads * op.value_dim,
            KV if kept else ATTEND,
            FINISH if kept else OUT,
            tokens * inner * (1 + n // 2),
        ),
        "project_scratch": Need(a.project_scratch(op.dim, e, tokens), KV, KV),
        "query_scratch": Need(a.project_scratch(op.dim, e, block), Q, Q),
        "attend_scratch": Need(
            a.attend_scratch(op.dim, block, tokens), ATTEND, ATTEND, tokens * tokens * op.heads * 8
        ),
        "output_scratch": Need(
            t.accumulate_scratch(n, op.value_dim, block)
            if how.accumulate
            else t.linear_scratch(n, inner, tokens if kept else block),
            out_first,
            out_first,
        ),
    }
    if how.accumulate:
        made["sums"] = Need(4 * tokens * n, KV, FINISH, 8 * op.heads * tokens * n)
    return made


def working_bytes(t: Target, op: Parameters, tokens: int, how: AttentionSchedule) -> int:
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


def slots(site: Site, op: Parameters, tokens: int, how: AttentionSchedule) -> AttentionSlots:
    """Buffers of one step."""
    made = {
        role: site.temporary(role, b.size, b.first, b.last, b.traffic)
        for role, b in needs(site.target, op, tokens, how).items()
    }
    q, k, v, context = (made[role] for role in ("q", "k", "v", "context"))
    assert q and k and v and context
    return AttentionSlots(
        q=q,
        k=k,
        v=v,
        context=context,
        sums=made.get("sums"),
        project_scratch=made["project_scratch"],
        query_scratch=made["query_scratch"],
        attend_scratch=made["attend_scratch"],
        output_scratch=made["output_scratch"],
    )
