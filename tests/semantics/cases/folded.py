# SPDX-License-Identifier: Apache-2.0
"""Operators of constants and of shapes, which import computes."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, numpy_helper

from semantics.case import Case, each, ints, live, reals, scalar

X = live(2, 3, 4)


def tensor(*values: float) -> TensorProto:
    return numpy_helper.from_array(np.float32(values), "v")


CASES = [
    Case("Shape", (X,)),
    *each("Shape", (X,), [{"start": 1}, {"end": -1}, {"start": -2, "end": 3}], opsets=(15, 25)),
    Case("Size", (X,)),
    Case("Constant", (), {"value": tensor(1, 2, 3)}),
    *each("Constant", (), [{"value_float": 0.5}, {"value_floats": [1.0, 2.0]}], opsets=(12, 25)),
    *each("Constant", (), [{"value_int": 3}, {"value_ints": [3, 4]}], opsets=(12, 25)),
    Case("ConstantOfShape", (ints(2, 3),)),
    Case("ConstantOfShape", (ints(2, 3),), {"value": tensor(1.5)}),
    Case("EyeLike", (reals(3, 4),)),
    Case("EyeLike", (reals(3, 4),), {"k": 1, "dtype": TensorProto.FLOAT}),
    Case("Range", (scalar(1), scalar(6), scalar(2))),
    Case("OneHot", (ints(0, 2, -1), np.asarray(3, np.int64), np.float32([0.5, 2]))),
    Case("OneHot", (ints(0, 2), np.asarray(3, np.int64), np.float32([0, 1])), {"axis": 0}),
    Case("Tile", (reals(2, 3), ints(2, 1))),
    Case("Expand", (reals(3, 1), ints(2, 3, 4))),
    Case("Pad", (reals(2, 3),), {"pads": [0, 1, 1, 0], "value": 2.0}, opsets=(7, 10)),
    Case("Pad", (reals(2, 3), ints(0, 1, 1, 0), scalar(2.0)), opsets=(11, 25)),
    Case("Pad", (reals(3, 3), ints(0, 1, 1, 0)), {"mode": "reflect"}, opsets=(11, 25)),
    Case("Pad", (reals(2, 3), ints(1, 0), None, ints(1)), opsets=(18, 25)),
    Case("Resize", (reals(1, 1, 2, 2), None, np.float32([1, 1, 2, 2])), opsets=(11, 25)),
    Case("Softmax", (reals(2, 3, 4),)),
    Case("Softmax", (reals(2, 3, 4),), {"axis": 0}),
    Case("ReduceMean", (reals(2, 3, 4),), {"axes": [1]}, opsets=(7, 17)),
    Case("ReduceMax", (reals(2, 3, 4), ints(1)), opsets=(18, 25)),
    Case("Clip", (reals(2, 3),), {"max": 0.5}, opsets=(7, 10)),
    Case("Clip", (reals(2, 3), None, scalar(0.5)), opsets=(11, 25)),
    Case("Squeeze", (reals(2, 1, 3),), {"axes": [1]}, opsets=(7, 12)),
    Case("Split", (reals(4, 3),), outputs=("a", "b"), read=1, opsets=(7, 17)),
    Case("Slice", (reals(4, 3),), {"starts": [1], "ends": [3]}, opsets=(7, 9)),
    Case("Cast", (reals(2, 3, low=-9, high=9),), {"to": TensorProto.INT64}),
    Case("Dropout", (reals(2, 3),), {"ratio": 0.5}, opsets=(7, 11)),
    Case("Max", (reals(2, 3), reals(3, seed=2), scalar(0.1)), opsets=(8, 25)),
    Case("Mean", (reals(2, 3), reals(3, seed=2)), opsets=(8, 25)),
    Case("IsNaN", (np.float32([1, np.nan, 2]),)),
]
