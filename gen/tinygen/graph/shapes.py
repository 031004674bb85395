# SPDX-License-Identifier: Apache-2.0
"""Shapes of the integer operators (no batch axis)."""

from __future__ import annotations

import math

from tinygen.errors import TinygenError
from tinygen.graph import ops
from tinygen.graph.operator import Operator

Shape = tuple[int, ...]


def infer_shape(op: ops.IntOp, inputs: list[Shape], name: str = "") -> Shape:
    """Output shape; raises `TinygenError` when inputs do not fit the operator."""

    def need(ok: bool, what: str) -> None:
        if not ok:
            raise TinygenError(f"node {name}: {what} (inputs {inputs})")

    x = inputs[0]
    if isinstance(op, Operator):
        fault = op.fault(inputs)
        need(fault is None, fault or "")
        return op.out
    match op:
        case ops.Linear():
            need(x[-1] == op.weight.shape[1], f"weight takes {op.weight.shape[1]} features")
            return (*x[:-1], op.weight.shape[0])
        case ops.Conv():
            need(len(x) == 3, "convolution takes [C, H, W]")
            h, w = (x[0], x[1]) if op.channels_last else (x[1], x[2])
            oh, ow = conv_output(op, h, w)
            need(oh > 0 and ow > 0, "window larger than the input")
            return (oh * ow, op.weight.shape[0])
        case ops.Attention():
            need(len(x) == 2 and x[1] == op.wq.shape[1], "attention takes [S, E]")
            need(op.wq.shape[0] == op.heads * op.dim, "projection rows are not heads x dim")
            keys = op.dim == x[1] if op.keys_are_x else op.wk.shape == op.wq.shape
            need(keys, "keys differ in width from queries")
            inner = op.heads * (x[1] if op.values_are_x else len(op.wv) // op.heads)
            need(op.wo.shape[1] == inner, "values differ in width from the output's weights")
            return (x[0], op.wo.shape[0])
        case ops.DotProductAttention():
            need(len(x) == 2 and len(inputs) == 3, "attention takes q, k and v")
            need(x[1] == inputs[1][1] and x[1] % op.heads == 0, "keys differ in width from queries")
            need(inputs[1] == inputs[2], "values differ in shape from keys")
            seen = None if op.mask is None else op.mask.shape
            need(seen is None or seen[0] in (1, x[0]), "mask rows are not queries")
            need(seen is None or seen[1] == inputs[1][0], "mask columns are not keys")
            return x
        case ops.LayerNorm():
            need(x[-1] == len(op.gamma), f"gamma has {len(op.gamma)} features")
            return x
        case ops.Add():
            other = op.other.shape if op.other is not None else inputs[1]
            need(x == other, "residual operands differ in shape")
            return x
        case ops.Lut():
            return x
        case ops.MeanPool():
            need(len(x) == 2, "mean pooling takes [S, E]")
            return (1, x[1])
        case ops.MaxPool():
            need(len(x) == 3, "maximum pooling takes [H, W, C]")
            oh, ow = pool_output(op, x[0], x[1])
            need(oh > 0 and ow > 0, "window larger than the input")
            return (oh * ow, x[2])
        case ops.Embed():
            need(len(x) == 1 and 1 <= len(op.table) <= 256, "an embedding takes ids [S]")
            return (x[0], op.table.shape[1])
        case ops.PrependTokens():
            need(len(x) == 2 and op.rows.shape[1] == x[1], "token rows differ in width")
            return (op.rows.shape[0] + x[0], x[1])
        case ops.SelectToken():
            need(0 <= op.index < x[0], "token index out of range")
            return (1, x[1])
        case ops.Reshape():
            need(math.prod(op.shape) == math.prod(x), "reshape changes the size")
            return op.shape


def pool_output(op: ops.MaxPool, h: int, w: int) -> tuple[int, int]:
    """(OH, OW) of pooling over an h x w plane."""
    top, left, bottom, right = op.pads
    oh = (h + top + bottom - op.kernel[0]) // op.stride[0] + 1
    ow = (w + left + right - op.kernel[1]) // op.stride[1] + 1
    return oh, ow


def conv_output(op: ops.Conv, h: int, w: int) -> tuple[int, int]:
    """(OH, OW) of a convolution over an h x w plane."""
    _, _, kh, kw = op.weight.shape
    top, left, bottom, right = op.pads
    oh = (h + top + bottom - (kh - 1) * op.dilation[0] - 1) // op.stride[0] + 1
    ow = (w + left + right - (kw - 1) * op.dilation[1] - 1) // op.stride[1] + 1
    return oh, ow
