# SPDX-License-Identifier: Apache-2.0
"""Exact integer products, and the operators that are one product and a requantisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.graph.ops import I8, Conv, Linear
from tinygen.reference.elementwise import lut
from tinygen.reference.requant import I64, requantise


def exact_matmul(a: NDArray[Any], b: NDArray[Any]) -> I64:
    """a @ b on integers, through BLAS: float64 is exact below 2^53 and operands here stay there."""
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)


def linear(x: I8, op: Linear) -> I8:
    y = requantise(exact_matmul(x, op.weight.T) + op.bias, op.requant)
    return y if op.table is None else lut(y, op.table)


def conv(x: I8, op: Conv) -> I8:
    """Window by window in row-major order of the output; see `Conv`."""
    if op.channels_last:
        x = np.moveaxis(x, -1, 0)
    n_out, c_group, kh, kw = op.weight.shape
    top, left, bottom, right = op.pads
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right)), constant_values=op.x_zp)
    (sh, sw), (dh, dw) = op.stride, op.dilation
    span_h, span_w = (kh - 1) * dh + 1, (kw - 1) * dw + 1
    span = (span_h, span_w)
    windows: I8 = np.lib.stride_tricks.sliding_window_view(padded, span, (1, 2))  # type: ignore[call-overload]
    windows = windows[:, ::sh, ::sw, ::dh, ::dw]  # [C, OH, OW, KH, KW]
    tokens = windows.shape[1] * windows.shape[2]
    acc = np.empty((tokens, n_out), np.int64)
    per_group = n_out // op.groups
    for g in range(op.groups):
        outs = slice(g * per_group, (g + 1) * per_group)
        cols = windows[g * c_group : (g + 1) * c_group].transpose(1, 2, 0, 3, 4)
        acc[:, outs] = exact_matmul(
            cols.reshape(tokens, -1), op.weight[outs].reshape(per_group, -1).T
        )
    y = requantise(acc + op.bias, op.requant)
    return y if op.table is None else lut(y, op.table)
