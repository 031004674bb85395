# SPDX-License-Identifier: Apache-2.0
"""The integer operators, one file each (attention is a package).

`OPERATORS` is the registry: who adds an operator writes its file, its kernels, the rule of
`tinygen.passes` that makes it, and a line here.
"""

from tinygen.operators.add import Add
from tinygen.operators.attention import FUSIONS, Attention, Fusion
from tinygen.operators.conv import Conv
from tinygen.operators.div import Div
from tinygen.operators.dot_product_attention import DotProductAttention, WeightSteps
from tinygen.operators.embed import Embed
from tinygen.operators.extreme import Extreme
from tinygen.operators.general import General
from tinygen.operators.layer_norm import LayerNorm
from tinygen.operators.linear import Linear
from tinygen.operators.lut import Lut
from tinygen.operators.matmul import BatchMatMul
from tinygen.operators.max_pool import MaxPool
from tinygen.operators.mean_pool import MeanPool
from tinygen.operators.movement import Concat, Gather, Reorder
from tinygen.operators.mul import Mul
from tinygen.operators.operator import Operator, infer_shape
from tinygen.operators.prepend_tokens import PrependTokens
from tinygen.operators.rms_norm import RmsNorm
from tinygen.operators.softmax import Softmax
from tinygen.operators.sum import Sum
from tinygen.operators.views import Reshape, SelectToken
from tinygen.operators.weighted import Weighted

OPERATORS: tuple[type[Operator], ...] = (
    Linear,
    Conv,
    Attention,
    DotProductAttention,
    LayerNorm,
    Add,
    Lut,
    MeanPool,
    MaxPool,
    Embed,
    PrependTokens,
    SelectToken,
    Reshape,
    BatchMatMul,
    Concat,
    Div,
    Extreme,
    Gather,
    Mul,
    Reorder,
    RmsNorm,
    Softmax,
    Sum,
    Weighted,
)

__all__ = [
    "FUSIONS",
    "OPERATORS",
    "Add",
    "Attention",
    "BatchMatMul",
    "Concat",
    "Conv",
    "Div",
    "DotProductAttention",
    "Embed",
    "Extreme",
    "Fusion",
    "Gather",
    "General",
    "LayerNorm",
    "Linear",
    "Lut",
    "MaxPool",
    "MeanPool",
    "Mul",
    "Operator",
    "PrependTokens",
    "Reorder",
    "Reshape",
    "RmsNorm",
    "SelectToken",
    "Softmax",
    "Sum",
    "WeightSteps",
    "Weighted",
    "infer_shape",
]
