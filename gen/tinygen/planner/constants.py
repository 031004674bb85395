# SPDX-License-Identifier: Apache-2.0
"""What a step keeps in flash."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.planner import plan as p

Constant = tuple[str, NDArray[Any]]
"""(role, array); the emitter's symbol is <step>_<role>."""


def constants(step: p.Step) -> Iterator[Constant]:
    """Every constant array of a step, in the order in which it is written out."""
    match step.args:
        case p.LinearStep(linear=linear) | p.ConvStep(linear=linear):
            yield from _linear("", linear)
        case p.FeedForwardStep(up=up, down=down):
            yield from _linear("up_", up)
            yield from _linear("down_", down)
        case p.AttentionStep() as a:
            for name in "qkvo":
                yield from _linear(f"{name}_", getattr(a, name))
            yield "exp", a.exp_table
        case p.DotProductStep(op=op, mask=mask):
            yield "exp", op.exp_table
            if mask is not None:
                yield "mask", mask.reshape(-1)
        case p.NormStep() as n:
            yield "gamma", np.array(n.gamma, np.int16)
            yield "beta", np.array(n.beta, np.int32)
        case p.AddStep(other=other) if other is not None:
            yield "other", other.reshape(-1)
        case p.LutStep(table=table) | p.EmbedStep(table=table):
            yield "table", table.reshape(-1)
        case p.OperatorStep(op=op):
            yield from op.constants()
        case p.CopyStep(rows=rows):
            yield "rows", rows.reshape(-1)
        case _:
            pass


def _linear(prefix: str, linear: p.LinearArgs) -> Iterator[Constant]:
    if linear.n == 0:  # fused weights have no such projection
        return
    yield f"{prefix}w", linear.packed.w.reshape(-1)
    if linear.packed.bias.size:  # else the weights hold both
        yield f"{prefix}bias", linear.packed.bias
        yield f"{prefix}m", linear.packed.m
    if linear.table is not None:
        yield f"{prefix}table", linear.table


def const_bytes(steps: Sequence[p.Step]) -> int:
    """Flash for constants, each array rounded up to 4 bytes."""
    return sum(-(-array.nbytes // 4) * 4 for step in steps for _, array in constants(step))
