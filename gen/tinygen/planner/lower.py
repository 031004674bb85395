# SPDX-License-Identifier: Apache-2.0
"""Integer operators -> steps: weights packed for the target, slots filled in, buffers collected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tinygen.graph import Graph, Node, ops
from tinygen.graph.shapes import conv_output
from tinygen.planner import plan as p
from tinygen.planner.values import Homes
from tinygen.targets import PackedLinear, Target

TICKS = 4
"""Ticks a step: 0 read and project, 1 attend, 2 project the output, 3 free."""


@dataclass
class Lowering:
    """Collects steps and the buffers that live within one step."""

    graph: Graph
    target: Target
    homes: Homes
    row_block: int | None = None
    steps: list[p.Step] = field(default_factory=list)
    scratch: list[p.Buffer] = field(default_factory=list)
    operators: set[str] = field(default_factory=set)

    def run(self) -> None:
        for node in self.graph.nodes:
            if not isinstance(node.op, ops.VIEWS):
                self._lower(node)

    def _lower(self, node: Node) -> None:
        shapes = [self.graph.values[i].shape for i in node.inputs]
        x = shapes[0]
        args: p.StepArgs
        schedule = ""
        match node.op:
            case ops.Linear() as op:
                rows = math.prod(x[:-1])
                n, k = op.weight.shape
                linear = self._linear(
                    self.target.pack_linear(op.weight, op.bias, op.requant), op.requant, n, k
                )
                linear = _with_table(linear, op.table)
                size = self.target.linear_scratch(n, k, rows)
                args = p.LinearStep(linear, rows, self._temporary("scratch", size, 0, 3))
                kind, macs = "linear", rows * n * k
            case ops.Conv() as op:
                args, macs = self._conv(op, x)
                kind = "conv"
            case ops.Attention() as op:
                args = self._attention(op, x[0])
                kind, macs = "attention", attention_macs(op, x[0])
                schedule = (
                    "whole layer"
                    if args.row_block >= args.tokens
                    else f"depth-first, {args.row_block} query rows"
                )
            case ops.LayerNorm() as op:
                gamma, beta = (tuple(int(i) for i in a) for a in (op.gamma, op.beta))
                args = p.NormStep(gamma, beta, op.eps_term, op.frac, op.s, math.prod(x[:-1]))
                kind, macs = "layernorm", 0
            case ops.Add() as op:
                args = p.AddStep(op.ma, op.mb, op.c, op.s, math.prod(x), op.other)
                kind, macs = "add", 0
            case ops.Lut() as op:
                args, kind, macs = p.LutStep(op.table, math.prod(x)), "lut", 0
            case ops.MeanPool() as op:
                r = op.requant
                args = p.MeanStep(op.bias, int(r.m[0]), r.s, r.zp, *x)
                kind, macs = "mean", 0
            case ops.PrependTokens() as op:
                here, there = self.homes.slots[node.output], self.homes.slots[node.inputs[0]]
                moved = there == p.Slot(here.buffer, here.offset + op.rows.size)
                args = p.CopyStep(op.rows, 0 if moved else math.prod(x))
                kind, macs = "prepend", 0
            case _:
                raise AssertionError(node)
        self.operators.add(kind)
        self.steps.append(
            p.Step(
                node.name,
                kind,
                macs,
                tuple(self.homes.slots[i] for i in node.inputs),
                self.homes.slots[node.output],
                args,
                schedule,
            )
        )

    def _temporary(self, what: str, size: int, first: int, last: int) -> p.Slot | None:
        """A buffer that lives within the step being lowered, from tick to tick."""
        if size == 0:
            return None
        step = len(self.steps)
        name = f"{what}_{step}"
        base = step * TICKS
        self.scratch.append(p.Buffer(name, size, base + first, base + last, 2 * size))
        return p.Slot(name)

    def _linear(self, packed: PackedLinear, r: ops.Requant, n: int, k: int) -> p.LinearArgs:
        return p.LinearArgs(packed, n, k, r.s, r.zp)

    def _conv(self, op: ops.Conv, x: Sequence[int]) -> tuple[p.ConvStep, int]:
        if op.channels_last:
            (h, w, c), strides = x, (1, x[1] * x[2], x[2])
        else:
            (c, h, w), strides = x, (x[1] * x[2], x[2], 1)
        n = op.weight.shape[0]
        k = math.prod(op.weight.shape[1:])
        out = conv_output(op, h, w)
        linear = _with_table(self._linear(self.target.pack_conv(op), op.requant, n, k), op.table)
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
            scratch=self._temporary("scratch", self.target.conv_scratch(op), 0, 3),
        )
        return step, out[0] * out[1] * n * k

    def _attention(self, op: ops.Attention, tokens: int) -> p.AttentionStep:
        t = self.target
        block = min(tokens, self.row_block or tokens)
        inner, e = op.wq.shape
        n = op.wo.shape[0]
        whole = block >= tokens
        # q and context live per block; in the block loop all three phases alternate.
        q_slot = self._temporary("q", t.q_bytes(op, op.heads, block), 0, 1 if whole else 2)
        k_slot = self._temporary("k", t.k_bytes(op, op.heads, tokens), 0, 1 if whole else 2)
        v_slot = self._temporary("v", t.v_bytes(op, op.heads, tokens), 0, 1 if whole else 2)
        context_slot = self._temporary("context", block * inner, 1, 2)
        scratch = max(
            t.project_scratch(op, tokens),
            t.attend_scratch(op, block, tokens),
            t.linear_scratch(n, inner, block),
        )
        scratch_slot = self._temporary("scratch", scratch, 0, 2)
        assert q_slot and k_slot and v_slot and context_slot
        return p.AttentionStep(
            q=self._linear(t.pack_project(op, "q"), op.rq, inner, e),
            k=self._linear(t.pack_project(op, "k"), op.rk, inner, e),
            v=self._linear(t.pack_project(op, "v"), op.rv, inner, e),
            o=self._linear(t.pack_linear(op.wo, op.bo, op.ro), op.ro, n, inner),
            tokens=tokens,
            heads=op.heads,
            dim=op.dim,
            row_block=block,
            score_m=int(op.score.m[0]),
            score_s=op.score.s,
            score_zp=op.score.zp,
            exp_table=op.exp_table,
            context=op.context,
            q_slot=q_slot,
            k_slot=k_slot,
            v_slot=v_slot,
            context_slot=context_slot,
            scratch=scratch_slot,
            head_stride_k=t.k_bytes(op, 1, tokens),
            head_stride_v=t.v_bytes(op, 1, tokens),
        )


def _with_table(linear: p.LinearArgs, table: ops.I8 | None) -> p.LinearArgs:
    return p.LinearArgs(linear.packed, linear.n, linear.k, linear.s, linear.zp, table)


def attention_macs(op: ops.Attention, tokens: int) -> int:
    """Projections, scores, context, output projection."""
    inner, e = (int(i) for i in op.wq.shape)
    return tokens * inner * (3 * e + 2 * tokens + len(op.wo))


def lifetimes(low: Lowering) -> list[p.Buffer]:
    """Arena buffers with the ticks between their first write and last read."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    traffic: dict[str, int] = {}
    for i, step in enumerate(low.steps):
        base = i * TICKS
        attention = isinstance(step.args, p.AttentionStep)
        writes_from = 0
        read_until = 3
        if (
            attention
            and isinstance(step.args, p.AttentionStep)
            and (step.args.row_block >= step.args.tokens)
        ):
            writes_from, read_until = 2, 0  # the layer at once: x is done when y begins
        for slot in step.inputs:
            last[slot.buffer] = max(last.get(slot.buffer, 0), base + read_until)
            traffic[slot.buffer] = traffic.get(slot.buffer, 0) + 1
        out = step.output.buffer
        first.setdefault(out, base + writes_from)
        last[out] = max(last.get(out, 0), base + 3)
        traffic[out] = traffic.get(out, 0) + 1
    buffers = [
        p.Buffer(name, size, first[name], last[name], traffic[name] * size)
        for name, size in low.homes.sizes.items()
    ]
    return buffers + low.scratch


def params_count(graph: Graph) -> int:
    """Bytes of weights and biases as the model has them (int8 weights, int32 biases)."""
    total = 0
    for node in graph.nodes:
        for array in vars(node.op).values():
            if isinstance(array, np.ndarray):
                total += array.nbytes
    return total
