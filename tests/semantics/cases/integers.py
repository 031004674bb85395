# SPDX-License-Identifier: Apache-2.0
"""QuantLib's integer operators, on integers held in float."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from semantics.case import QUANTLIB, Case, Live, live

ONES = (1.0, 0)
X = live(3, 4)


def number(value: float) -> TensorProto:
    return numpy_helper.from_array(np.float32([value]), "n")


def case(op: str, *inputs: Any, **attrs: Any) -> Case:
    given = {k: v if isinstance(v, list | int) else number(v) for k, v in attrs.items()}
    return Case(op, inputs, given, domain=QUANTLIB, grid=ONES, step=1.0, says=("levels",))


def shifts() -> list[Case]:
    found = []
    mul, add = np.float32([37]), np.float32([250])
    row = np.float32([30, 50, 70, 90]), np.float32([10, -20, 30, 0])
    for levels in (256.0, 16.0, 512.0):
        for signed in (1.0, 0.0):
            how = {"div": 64.0, "n_levels_out": levels, "signed": signed}
            found.append(case("RequantShift", X, mul, add, **how))
    how = {"div": 64.0, "n_levels_out": 256.0, "signed": 1.0}
    found.append(case("RequantShift", X, *row, **how))
    found.append(case("RequantShift", live(2, 3, 4), *row, **how))
    return found


def others() -> list[Case]:
    gamma, beta = np.float32([30, 40, 50, 60]), np.float32([5, -6, 7, 0])
    exact = {"log2": 22.0, "coeffA": 1.0, "coeffB": 43.0, "coeffC": 1100.0}
    found = [case("iLayerNorm", X, gamma, beta, D=2.0, n_levels=256.0)]
    found += [case("iLayerNorm", X, gamma, beta, D=4.0, n_levels=64.0)]
    found += [case("iSoftmax", X, **exact, n_levels=n) for n in (256.0, 128.0)]
    found += [case("iGELU", X, b=-56.0, one=3000.0)]
    for axes in ([0], [1], [-1], [0, 1]):
        found += [case("IntegerMean", X, axes=axes, keepdims=k) for k in (0, 1)]
    return found


CASES = [*shifts(), *others()]
__all__ = ["CASES", "Live"]
