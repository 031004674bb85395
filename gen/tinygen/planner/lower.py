# SPDX-License-Identifier: Apache-2.0
"""Integer operators -> steps: weights packed for the target, slots filled in, buffers collected."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tinygen.graph import Graph, Node, ops
from tinygen.graph.operator import Operator
from tinygen.graph.shapes import conv_output, pool_output
from tinygen.planner import attention, feedforward
from tinygen.planner import plan as p
from tinygen.planner.plan import TICKS
from tinygen.planner.schedule import AttentionSchedule, FeedForwardSchedule, Schedule
from tinygen.planner.values import Homes
from tinygen.targets import PackedLinear, Target

REUSE = 2
"""Outputs that a kernel makes from one load of an input, for the estimate of traffic."""


@dataclass
class Lowering:
    """Collects steps, the buffers that live within one step, and the traffic of all buffers."""

    graph: Graph
    target: Target
    homes: Homes
    schedules: Mapping[str, Schedule]
    """Attention node, or the first of two linear ones -> how it runs."""
    packed: dict[tuple[str, str], PackedLinear] = field(default_factory=dict)
    """(node, role) -> weights; kept between attempts, because packing large ones takes time."""
    steps: list[p.Step] = field(default_factory=list)
    scratch: list[p.Buffer] = field(default_factory=list)
    traffic: dict[str, int] = field(default_factory=dict)
    step_traffic: dict[int, dict[str, int]] = field(default_factory=dict)
    """Step -> buffer -> bytes."""
    sources: set[str] = field(default_factory=set)
    """C files under kernels/src."""
    more_sources: tuple[str, ...] = ()
    """C files beside those of the operators."""

    def run(self) -> Lowering:
        together = feedforward.blocked(feedforward.pairs(self.graph), self.schedules)
        at_last = {pair.nodes[-1].name: (pair, how) for pair, how in together.values()}
        skipped = {n.name for pair, _ in together.values() for n in pair.nodes[:-1]}
        for node in self.graph.nodes:
            if node.name in at_last:
                self.steps.append(self._feed_forward(*at_last[node.name]))
            elif not isinstance(node.op, ops.VIEWS) and node.name not in skipped:
                self.steps.append(self._lower(node))
        return self

    def _feed_forward(self, pair: feedforward.Pair, how: FeedForwardSchedule) -> p.Step:
        first, last = pair.nodes[0], pair.nodes[-1]
        args, macs = feedforward.lower(self, pair, how)
        self.sources.update(self.target.sources("linear"))
        self._count(first.inputs[0], pair.rows * args.up.k)
        self._count(last.output, pair.rows * args.down.n)
        x, y = (self.homes.slots[v] for v in (first.inputs[0], last.output))
        return p.Step(first.name, "feed-forward", macs, (x,), y, args, str(how))

    def temporary(
        self, what: str, size: int, first: int, last: int, traffic: int = 0
    ) -> p.Slot | None:
        """A buffer that lives within the step being lowered, from tick to tick; None if empty."""
        if size == 0:
            return None
        step = len(self.steps)
        name = f"{what}_{step}"
        base = step * TICKS
        self.scratch.append(p.Buffer(name, size, base + first, base + last, traffic or 2 * size))
        self.step_traffic.setdefault(step, {})[name] = traffic or 2 * size
        return p.Slot(name)

    def linear(
        self,
        node: str,
        role: str,
        pack: Callable[[], PackedLinear],
        requant: ops.Requant,
        shape: tuple[int, int],
        table: ops.I8 | None = None,
    ) -> p.LinearArgs:
        """shape: (N, K).  pack: makes the weights, once."""
        key = (node, role)
        if key not in self.packed:
            self.packed[key] = pack()
        return p.LinearArgs(self.packed[key], *shape, requant.s, requant.zp, table)

    def touch(self, node: Node, reads: int, writes: int = 0) -> None:
        """Add to the traffic of a node's first input and of its output, bytes."""
        for value, count in ((node.inputs[0], reads), (node.output, writes)):
            self._count(value, count)

    def _count(self, value: str, count: int) -> None:
        buffer = self.homes.slots[value].buffer
        here = self.step_traffic.setdefault(len(self.steps), {})
        for traffic in (self.traffic, here):
            traffic[buffer] = traffic.get(buffer, 0) + count

    def attention_schedule(self, node: Node) -> AttentionSchedule:
        how = self.schedules[node.name]
        assert isinstance(how, AttentionSchedule)
        return how

    def _lower(self, node: Node) -> p.Step:
        x = self.graph.values[node.inputs[0]].shape
        size, made = math.prod(x), math.prod(self.graph.values[node.output].shape)
        macs, span, schedule = 0, (TICKS - 1, 0), ""
        reads = size
        args: p.StepArgs
        match node.op:
            case ops.Linear() as op:
                kind = "linear"
                args, macs = self._linear_step(node, op, math.prod(x[:-1]))
                reads = macs // REUSE
            case ops.Conv() as op:
                kind = "conv"
                args, macs = self._conv_step(node, op, x)
                reads = macs // len(op.weight)
            case ops.Attention() as op:
                kind, how = "attention", self.attention_schedule(node)
                macs, schedule = attention.macs(op, x[0]), str(how)
                args, span = attention.lower(self, node, op, x[0], how)
                files = attention.operands(self.target, how).sources(
                    "attention_stream" if how.accumulate else kind
                )
                self.sources.update(files)
                if op.levels:
                    operands = attention.operands(self.target, how)
                    self.sources.update(operands.sources("attention_levels"))
                if op.fusion != "unfused":
                    self.sources.update(self.target.sources("attention_load"))
                reads = size * (len(op.wq) + len(op.wk) + len(op.wv)) // REUSE
            case ops.DotProductAttention() as op:
                kind, keys = "dot_product_attention", self.graph.values[node.inputs[1]].shape[0]
                args = self._dot_product_step(op, x, keys)
                macs = 2 * args.seen * size // x[0]
                for name in node.inputs[1:]:
                    self._count(name, macs // (2 * REUSE))
            case ops.LayerNorm() as op:
                gamma, beta = (tuple(int(i) for i in a) for a in (op.gamma, op.beta))
                kind = "layernorm"
                args = p.NormStep(
                    *(gamma, beta, op.eps_term, op.frac, op.s, math.prod(x[:-1])),
                    *(op.whole, op.x_zp, op.step, op.most),
                )
                reads = 2 * size
            case ops.Add() as op:
                kind, args = "add", p.AddStep(op.ma, op.mb, op.c, op.s, size, op.other)
                if op.other is None:
                    self._count(node.inputs[1], size)
            case ops.Lut() as op:
                kind, args = "lut", p.LutStep(op.table, size)
            case ops.MeanPool() as op:
                r = op.requant
                kind, args = "mean", p.MeanStep(op.bias, int(r.m[0]), r.s, r.zp, *x)
            case ops.MaxPool() as op:
                h, w, c = x
                size2, out = (h, w), pool_output(op, h, w)
                kind = "max"
                args = p.MaxStep(size2, c, op.kernel, op.stride, op.pads[:2], out)
                reads = made * math.prod(op.kernel)
            case ops.Embed() as op:
                kind, args = "embed", p.EmbedStep(op.table, size)
            case ops.PrependTokens() as op:
                here, there = self.homes.slots[node.output], self.homes.slots[node.inputs[0]]
                moved = there == p.Slot(here.buffer, here.offset + op.rows.size)
                kind, args = "prepend", p.CopyStep(op.rows, 0 if moved else size)
                reads, made = (0, op.rows.size) if moved else (size, made)
            case Operator() as op:
                kind, macs, reads = op.word, op.macs(), op.traffic
                args = self._operator_step(op)
                for name in node.inputs[1:]:
                    self._count(name, op.traffic)
            case _:
                raise AssertionError(node)
        self.touch(node, reads, made)
        slots = tuple(self.homes.slots[i] for i in node.inputs)
        home = self.homes.slots[node.output]
        step = p.Step(node.name, kind, macs, slots, home, args, schedule, *span)
        if isinstance(args, p.OperatorStep):
            for call in args.op.calls():
                self.sources.update(self.target.sources(call.function))
        elif kind not in ("attention", "prepend"):
            self.sources.update(self.target.sources(step.function))
        return step

    def _operator_step(self, op: Operator) -> p.OperatorStep:
        size = op.scratch()
        return p.OperatorStep(op, self.temporary("scratch", size, 0, TICKS - 1, op.traffic))

    def _dot_product_step(
        self, op: ops.DotProductAttention, x: Sequence[int], keys: int
    ) -> p.DotProductStep:
        dim = x[1] // op.heads
        seen, mask = x[0] * keys, None
        if op.mask is not None:
            mask = np.packbits(op.mask != 0, axis=1, bitorder="little")
            seen = int(np.count_nonzero(op.mask)) * x[0] // len(op.mask)
        size = self.target.dot_product_scratch(dim, keys)
        scratch = self.temporary("scratch", size, 0, TICKS - 1, 5 * op.heads * seen)
        return p.DotProductStep(op, x[0], keys, dim, mask, seen, scratch)

    def _linear_step(self, node: Node, op: ops.Linear, rows: int) -> tuple[p.LinearStep, int]:
        n, k = op.weight.shape

        def pack() -> PackedLinear:
            return self.target.pack_linear(op.weight, op.bias, op.requant)

        linear = self.linear(node.name, "", pack, op.requant, (n, k), op.table)
        macs = rows * n * k
        scratch = self.temporary(
            "scratch", self.target.linear_scratch(n, k, rows), 0, TICKS - 1, macs // REUSE
        )
        return p.LinearStep(linear, rows, scratch), macs

    def _conv_step(self, node: Node, op: ops.Conv, x: Sequence[int]) -> tuple[p.ConvStep, int]:
        if op.channels_last:
            (h, w, c), strides = x, (1, x[1] * x[2], x[2])
        else:
            (c, h, w), strides = x, (x[1] * x[2], x[2], 1)
        n, k = op.weight.shape[0], math.prod(op.weight.shape[1:])
        out = conv_output(op, h, w)
        macs = out[0] * out[1] * n * k
        linear = self.linear(
            node.name, "", lambda: self.target.pack_conv(op), op.requant, (n, k), op.table
        )
        step = p.ConvStep(
            linear=linear,
            channels=c,
            height=h,
            width=w,
            kernel=(op.weight.shape[2], op.weight.shape[3]),
            stride=op.stride,
            dilation=op.dilation,
            pads=op.pads[:2],
            out=out,
            groups=op.groups,
            x_zp=op.x_zp,
            x_strides=strides,
            scratch=self.temporary(
                "scratch", self.target.conv_scratch(op), 0, TICKS - 1, macs // REUSE
            ),
        )
        return step, macs


def lifetimes(low: Lowering) -> list[p.Buffer]:
    """Arena buffers with the ticks between their first write and last read."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for i, step in enumerate(low.steps):
        base = i * TICKS
        for slot in step.inputs:
            last[slot.buffer] = max(last.get(slot.buffer, 0), base + step.reads_until)
        first.setdefault(step.output.buffer, base + step.writes_from)
        last[step.output.buffer] = max(last.get(step.output.buffer, 0), base + TICKS - 1)
    buffers = [
        p.Buffer(name, size, first.get(name, 0), last[name], low.traffic.get(name, 0))
        for name, size in low.homes.sizes.items()
    ]
    return buffers + low.scratch
