# SPDX-License-Identifier: Apache-2.0
"""Quantising and dequantising, of activations and of constants."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from onnx import TensorProto

from semantics.case import Case, Step, Stored, each, live, reals

X = live(2, 3)
SCALE, ROW = np.float32(0.05), np.float32([0.05, 0.06, 0.07])
INT8, UINT8 = TensorProto.INT8, TensorProto.UINT8


def integers(*shape: int, dtype: Any = np.int8) -> Any:
    info = ml_dtypes.iinfo(dtype)
    low, high = max(int(info.min), -1000), min(int(info.max), 1000)
    return np.random.default_rng(3).integers(low, high, shape).astype(dtype)


def _q(x: Any, scale: Any, zero: Any = None, **how: Any) -> Case:
    given = () if zero is None else (zero,)
    return Case("QuantizeLinear", (x, scale, *given), after=(scale, zero), **how)


def activations() -> list[Case]:
    found = [
        _q(X, SCALE, np.int8(5)),
        _q(X, SCALE, np.uint8(140)),
        _q(X, SCALE),
        _q(X, SCALE.reshape(1), np.int8([5]), opsets=(13, 25)),
        _q(X, SCALE, np.int16(5), opsets=(21, 25), says=("int16",)),
        _q(X, SCALE, np.uint16(30000), opsets=(21, 25), says=("uint16",)),
        _q(X, ROW, np.zeros(3, np.int8), opsets=(13, 25), says=("per channel",)),
    ]
    axes = [{"axis": 0}, {"axis": -1}, {"axis": 1}]
    found += [_q(X, SCALE, np.int8(5), attrs=a, opsets=(13, 25)) for a in axes]
    found += [_q(X, SCALE, np.int8(5), attrs={"saturate": s}, opsets=(19, 25)) for s in (0, 1)]
    wide = ((TensorProto.INT16, "int16"), (TensorProto.INT4, "int4"))
    for kind, name in ((INT8, "int8"), (UINT8, "uint8"), *wide):
        attrs = {"output_dtype": kind}
        found.append(_q(X, SCALE, attrs=attrs, opsets=(21, 25), says=(name,)))
    blocks = {"block_size": 3, "axis": 1}
    per_block = (np.float32([[0.05], [0.06]]), np.zeros((2, 1), np.int8))
    found.append(_q(X, *per_block, attrs=blocks, opsets=(21, 25), says=("block_size",)))
    found.append(_q(X, SCALE, np.int8(5), attrs={"precision": 1}, opsets=(23, 25)))
    return found


def stored() -> list[Case]:
    how = {"says": ("does not undo", "scale")}
    return [
        Case("DequantizeLinear", (Stored((2, 3)), Step(), Step(zero=True))),
        Case("DequantizeLinear", (Stored((2, 3)), Step())),
        Case("DequantizeLinear", (Stored((2, 3)), SCALE, Step(zero=True)), **how),
        Case("DequantizeLinear", (Stored((2, 3)), Step(), np.int8(3)), **how),
        Case("DequantizeLinear", (Stored((2, 3)), ROW), opsets=(13, 25), says=("per channel",)),
    ]


def constants() -> list[Case]:
    q = integers(2, 3)
    zeros = np.int8([1, -2, 3])
    found = [
        Case("DequantizeLinear", (q, SCALE)),
        Case("DequantizeLinear", (q, SCALE, np.int8(-7))),
        Case("DequantizeLinear", (integers(2, 3, dtype=np.uint8), SCALE, np.uint8(130))),
        Case("DequantizeLinear", (integers(2, 3, dtype=np.uint8), SCALE)),
        Case("DequantizeLinear", (integers(2, 3, dtype=np.int32), SCALE)),
        Case("DequantizeLinear", (q, ROW, zeros), opsets=(13, 25)),
        Case("DequantizeLinear", (q, ROW), opsets=(13, 25)),
    ]
    for axis, size in ((0, 2), (1, 3), (-1, 3), (-2, 2)):
        parts = (q, ROW[:size], zeros[:size])
        found.append(Case("DequantizeLinear", parts, {"axis": axis}, opsets=(13, 25)))
    for dtype in (np.int16, np.uint16, ml_dtypes.int4, ml_dtypes.uint4):
        parts = (integers(2, 3, dtype=dtype), SCALE, np.asarray(3, dtype))
        found.append(Case("DequantizeLinear", parts, opsets=(21, 25), note=np.dtype(dtype).name))
    small = reals(2, 3).astype(ml_dtypes.float8_e4m3fn)
    found.append(Case("DequantizeLinear", (small, SCALE), opsets=(19, 25), says=("float8",)))
    blocks = np.float32([[0.1], [0.2]])
    found += each("DequantizeLinear", (q, blocks), [{"block_size": 3}], opsets=(21, 25))
    kinds = [{"output_dtype": k} for k in (TensorProto.FLOAT, TensorProto.FLOAT16)]
    found += each("DequantizeLinear", (q, SCALE), kinds, opsets=(23, 25))
    return found + floats()


def floats() -> list[Case]:
    """Constants that the model holds in float and quantises itself."""
    x = reals(2, 3, low=-9, high=9)
    found = [
        _q(x, SCALE, np.int8(5)),
        _q(x, SCALE, np.uint8(140)),
        _q(x, SCALE),
        _q(x, ROW, np.int8([1, 2, 3]), opsets=(13, 25)),
        _q(x, ROW[:2], np.int8([1, 2]), attrs={"axis": 0}, opsets=(13, 25)),
        _q(x, ROW[:2], np.int8([1, 2]), attrs={"axis": -2}, opsets=(13, 25)),
        _q(x, SCALE, np.int16(5), opsets=(21, 25)),
        _q(x, SCALE, np.uint16(900), opsets=(21, 25)),
        _q(x, SCALE, ml_dtypes.int4(1), opsets=(21, 25), note="int4"),
        _q(x, SCALE, attrs={"output_dtype": INT8}, opsets=(21, 25)),
        _q(x, SCALE, attrs={"output_dtype": TensorProto.INT16}, opsets=(21, 25)),
    ]
    return found


def dynamic() -> list[Case]:
    """Operators that choose their scales at run time."""
    q = integers(3, 4)
    return [
        Case("DynamicQuantizeLinear", (X,), outputs=("y", "s", "z"), says=("dynamically",)),
        Case("MatMulInteger", (Stored((2, 3)), q), says=("dynamically",)),
        Case("ConvInteger", (Stored((1, 1, 4)), integers(1, 1, 2)), says=("dynamically",)),
    ]


CASES = [*activations(), *stored(), *constants(), *dynamic()]
