# SPDX-License-Identifier: Apache-2.0
"""General integer operators, one file each; `Operator` is all that the stages know of them."""

from tinygen.graph.operator import Call, Field, Operator, Ref
from tinygen.operators.div import Div
from tinygen.operators.extreme import Extreme
from tinygen.operators.matmul import BatchMatMul
from tinygen.operators.movement import Concat, Gather, Reorder
from tinygen.operators.mul import Mul
from tinygen.operators.rms_norm import RmsNorm
from tinygen.operators.softmax import Softmax
from tinygen.operators.sum import Sum
from tinygen.operators.weighted import Weighted

__all__ = [
    "BatchMatMul",
    "Call",
    "Concat",
    "Div",
    "Extreme",
    "Field",
    "Gather",
    "Mul",
    "Operator",
    "Ref",
    "Reorder",
    "RmsNorm",
    "Softmax",
    "Sum",
    "Weighted",
]
