# SPDX-License-Identifier: Apache-2.0
"""Operators of constants and of shapes, which import computes."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, numpy_helper

from semantics.case import Case, each, ints, live, reals, scalar

X = live(2, 3, 4)


def tensor(*values: float) -> TensorProto:
    return numpy_helper.from_array(np.float32(values), "v")


SUMS = ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMin", "ReduceProd")
SUMS = (*SUMS, "ReduceSum", "ReduceSumSquare")


def reductions() -> list[Case]:
    """Of constants; of activations they are no part of an encoder."""
    x, found = reals(2, 3, low=0.5), []
    for op in SUMS:
        last = 12 if op == "ReduceSum" else 17
        found += each(op, (x,), [{}, {"axes": [1]}, {"keepdims": 0}], opsets=(7, last))
        found += each(op, (x, ints(1)), [{}, {"keepdims": 0}], opsets=(last + 1, 25))
        noop = {"noop_with_empty_axes": 1}
        found += [Case(op, (x,), a, opsets=(last + 1, 25)) for a in ({}, noop)]
        found.append(Case(op, (X,), {"axes": [1]}, opsets=(7, last)))
    return found


PARTS = [{"start": 1}, {"end": -1}, {"start": -2, "end": 3}]
"""Of a shape."""
CASES = [
    *reductions(),
    Case("Shape", (X,), whole=False),
    *each("Shape", (X,), PARTS, opsets=(15, 25), whole=False),
    Case("Size", (X,), whole=False),
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
    Case("Resize", (reals(1, 1, 2, 2), np.float32([1, 1, 2, 2])), opsets=(10, 10)),
    Case("Resize", (reals(1, 1, 2, 2), reals(8), np.float32([1, 1, 2, 2])), opsets=(11, 12)),
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
    Case("AveragePool", (reals(1, 1, 5),), {"kernel_shape": [2]}),
    Case("AveragePool", (reals(1, 1, 5),), {"kernel_shape": [2], "auto_pad": "SAME_UPPER"}),
    Case("IsNaN", (np.float32([1, np.nan, 2]),)),
]
