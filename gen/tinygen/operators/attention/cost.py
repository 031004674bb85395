# SPDX-License-Identifier: Apache-2.0
"""What an attention layer does on one core, counted from shape and schedule."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tinygen.lowering import Stream
from tinygen.operators.attention.layer import Layer
from tinygen.operators.attention.memory import operands
from tinygen.operators.attention.parameters import Parameters
from tinygen.operators.attention.schedule import AttentionSchedule
from tinygen.targets import Counts, Loops, scaled


@dataclass(frozen=True)
class AttentionShape:
    """e, n: features of input and output.  keys, values: whether they are projections; else x
    itself serves all heads."""

    tokens: int
    e: int
    dim: int
    value_dim: int
    heads: int
    n: int
    keys: bool = True
    values: bool = True
    forms: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Of the packed weights of q, k, v and the output."""
    levels: bool = False

    @classmethod
    def of_step(cls, a: Layer) -> AttentionShape:
        sizes = a.tokens, a.q.k, a.dim, a.value_dim, a.heads, a.o.n
        forms = a.q.packed.form, a.k.packed.form, a.v.packed.form, a.o.packed.form
        return cls(*sizes, a.k.n > 0, a.v.n > 0, forms, a.levels > 0)

    @classmethod
    def of(
        cls, op: Parameters, tokens: int, forms: tuple[int, int, int, int] = (0, 0, 0, 0)
    ) -> AttentionShape:
        sizes = tokens, op.wq.shape[1], op.dim, op.value_dim, op.heads, len(op.wo)
        return cls(*sizes, not op.keys_are_x, not op.values_are_x, forms, op.levels > 0)


def attention_loops(shape: AttentionShape, how: AttentionSchedule, outer: Loops) -> Counts:
    """As calls.py arranges the calls of each schedule."""
    inner = outer.compact if how.compact else outer
    s = shape
    streaming = how.kind == "head-streaming"
    heads, rounds = (1, s.heads) if streaming else (s.heads, 1)
    counts: Counts = Counter({"attention.call": 1})
    q_form, k_form, v_form, o_form = s.forms
    for which, projected, dim, form in (
        ("k", s.keys, s.dim, k_form),
        ("v", s.values, s.value_dim, v_form),
    ):
        if projected:
            counts += scaled(inner.project(which, s.tokens, s.e, dim, heads, form), rounds)
        else:
            counts += inner.load(which, s.tokens, dim)
    blocks, rest = divmod(s.tokens, how.row_block)
    for rows, times in ((how.row_block, blocks), (rest, 1)):
        if not rows or not times:
            continue
        counts += scaled(inner.project("q", rows, s.e, s.dim, heads, q_form), times * rounds)
        counts += scaled(inner.attend(rows, s.tokens, s.dim, s.value_dim), times * s.heads)
        if s.levels:
            counts += scaled(inner.levels(rows, s.tokens), times * s.heads)
        if how.accumulate:
            counts += scaled(outer.accumulate(rows, s.n, s.value_dim, True), times)
            counts += scaled(outer.accumulate(rows, s.n, s.value_dim, False), times * (rounds - 1))
        elif not streaming:
            counts += scaled(outer.linear(rows, s.n, s.heads * s.value_dim, False, o_form), times)
        counts["block"] += times * rounds
    if how.accumulate:
        counts += outer.requantise(s.tokens, s.n)
    elif streaming:
        counts += outer.linear(s.tokens, s.n, s.heads * s.value_dim, False, o_form)
    return counts


def attention_reads(s: AttentionShape, how: AttentionSchedule, stream: Stream) -> int:
    """Bytes of weights that come from flash, an inference."""
    target, read = stream.target, stream.read
    streaming = how.kind == "head-streaming"
    heads, rounds = (1, s.heads) if streaming else (s.heads, 1)
    t = operands(target, how)
    query, values = (heads * t.linear_weights(dim, s.e) for dim in (s.dim, s.value_dim))
    blocks = [how.row_block] * (s.tokens // how.row_block)
    blocks += [s.tokens % how.row_block] if s.tokens % how.row_block else []
    query_passes = sum(stream.passes(rows) for rows in blocks)
    total = rounds * read(query, query_passes)
    for size, projected in ((query, s.keys), (values, s.values)):
        if projected:
            total += rounds * read(size, stream.passes(s.tokens))
    if how.accumulate:
        total += rounds * read(target.linear_weights(s.n, s.value_dim), query_passes)
    else:
        passes = stream.passes(s.tokens) if streaming else query_passes
        total += read(target.linear_weights(s.n, s.heads * s.value_dim), passes)
    return total
