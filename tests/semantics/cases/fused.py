# SPDX-License-Identifier: Apache-2.0
"""Integer operators that are spelled out: onnxruntime's, and the two that ONNX has."""

from __future__ import annotations

from typing import Any

import numpy as np

from semantics.case import MICROSOFT, Case, Step, Stored, reals

S, Z = Step(), Step(zero=True)
OUT = (np.float32(0.06), np.int8(4))
STEP = np.float32(0.01)
ROW = np.float32([0.01, 0.015, 0.02])


def integers(*shape: int, seed: int = 5) -> Any:
    return np.random.default_rng(seed).integers(-60, 61, shape).astype(np.int8)


def case(op: str, *inputs: Any, domain: str = MICROSOFT, **how: Any) -> Case:
    how.setdefault("after", OUT)
    how.setdefault("step", 0.06)
    return Case(op, inputs, domain=domain, **how)


def products() -> list[Case]:
    x, q = (Stored((2, 4)), S, Z), integers(4, 3)
    zero, zeros = np.int8(0), np.zeros(3, np.int8)
    bias = np.int32([100, -200, 300])
    w, per = (q, STEP, zero), (q, ROW, zeros)
    found = [
        case("QLinearMatMul", *x, *w, *OUT, domain=""),
        case("QLinearMatMul", *x, *per, *OUT, domain=""),
        case("QLinearMatMul", *x, q, STEP, np.int8(3), *OUT, domain=""),
        case("QLinearMatMul", Stored((2, 2, 4)), S, Z, *w, *OUT, domain=""),
        case("QLinearMatMul", *x, Stored((4, 3)), S, Z, *OUT, domain=""),
        case("QGemm", *x, *w, None, *OUT),
        case("QGemm", *x, *w, bias, *OUT),
        case("QGemm", *x, *per, bias, *OUT),
        case("QGemm", *x, *w, bias, after=None),
    ]
    for attrs in ({"alpha": 0.5}, {"transB": 1}, {"transA": 1}, {"transA": 1, "transB": 1}):
        a = (Stored((4, 2)), S, Z) if attrs.get("transA") else x
        b = (integers(3, 4), STEP, zero) if attrs.get("transB") else w
        found.append(case("QGemm", *a, *b, bias, *OUT, attrs=attrs))
    turned = (integers(3, 4), ROW, zeros)
    found.append(case("QGemm", *x, *turned, bias, *OUT, attrs={"transB": 1}))
    return found + convolutions()


def convolutions() -> list[Case]:
    x, w = (Stored((1, 2, 5)), S, Z), (integers(3, 2, 3), STEP, np.int8(0))
    per = (integers(3, 2, 3), ROW, np.zeros(3, np.int8))
    bias = np.int32([100, -200, 300])
    found = [
        case("QLinearConv", *x, *w, *OUT, domain=""),
        case("QLinearConv", *x, *w, *OUT, bias, domain=""),
        case("QLinearConv", *x, *per, *OUT, bias, domain=""),
    ]
    for attrs in (
        {"strides": [2]},
        {"pads": [1, 2]},
        {"dilations": [2]},
        {"kernel_shape": [3]},
        {"auto_pad": "SAME_UPPER"},
        {"auto_pad": "SAME_LOWER", "strides": [2]},
        {"auto_pad": "VALID"},
    ):
        found.append(case("QLinearConv", *x, *w, *OUT, domain="", attrs=attrs))
    grouped = (integers(4, 1, 3), STEP, np.int8(0))
    x = (Stored((1, 2, 5)), S, Z)
    found.append(case("QLinearConv", *x, *grouped, *OUT, domain="", attrs={"group": 2}))
    return found


def others() -> list[Case]:
    x = (Stored((2, 3, 4)), S, Z)
    constant = (integers(2, 3, 4), STEP, np.int8(3))
    row = (integers(4), STEP, np.int8(3))
    found = []
    for op in ("QLinearAdd", "QLinearMul"):
        found += [
            case(op, *x, *x, *OUT),
            case(op, *x, *constant, *OUT),
            case(op, *row, *x, *OUT),
            case(op, *x, *row, *OUT),
        ]
    found.append(case("QLinearSigmoid", *x, *OUT))
    found.append(case("QLinearLeakyRelu", *x, *OUT))
    found.append(case("QLinearLeakyRelu", *x, *OUT, attrs={"alpha": 0.3}))
    fine = (np.float32(1 / 256), np.int8(-128))
    for opset in (11, 13):
        for axis in (None, 0, 1, 2, -1, -2):
            attrs = {"opset": opset} if axis is None else {"opset": opset, "axis": axis}
            how = {"attrs": attrs, "after": fine, "step": 1 / 256}
            found.append(case("QLinearSoftmax", *x, *fine, **how))
    for axes in ([0], [1], [2], [0, 2], [-1], [-2, -1]):
        for keep in (0, 1):
            attrs = {"axes": axes, "keepdims": keep}
            found.append(case("QLinearReduceMean", *x, *OUT, attrs=attrs))
    plane = (Stored((1, 2, 6, 6)), S, Z)
    for attrs in (
        {},
        {"strides": [2, 2]},
        {"pads": [1, 0, 0, 1]},
        {"pads": [1, 1, 1, 1], "count_include_pad": 1},
        {"ceil_mode": 1, "strides": [3, 3]},
        {"auto_pad": "SAME_UPPER"},
        {"channels_last": 1},
    ):
        how = {"kernel_shape": [2, 2], **attrs}
        found.append(case("QLinearAveragePool", *plane, *OUT, attrs=how))
    for last in (0, 1):
        how = {"channels_last": last}
        found.append(case("QLinearGlobalAveragePool", *plane, *OUT, attrs=how))
    for axis in (0, 1, 2, -1):
        found.append(case("QLinearConcat", *OUT, *x, *x, attrs={"axis": axis}))
        found.append(case("QLinearConcat", *OUT, *constant, *x, attrs={"axis": axis}))
    return found


def wrapped() -> list[Case]:
    """onnxruntime's own QuantizeLinear and DequantizeLinear."""
    x = Stored((2, 3))
    found = [Case("DequantizeLinear", (x, S, Z), domain=MICROSOFT)]
    step, zero = np.float32([0.1, 0.2, 0.3]), np.zeros(3, np.int8)
    for attrs in ({}, {"axis": 1}, {"axis": -1}):
        inputs = (integers(2, 3), step, zero)
        found.append(Case("DequantizeLinear", inputs, attrs, domain=MICROSOFT))
    real = reals(2, 3, low=-6, high=6)
    for attrs in ({}, {"axis": 1}):
        how = {"domain": MICROSOFT, "after": (step, zero)}
        found.append(Case("QuantizeLinear", (real, step, zero), attrs, **how))
    return found


CASES = [*products(), *others(), *wrapped()]
