# SPDX-License-Identifier: Apache-2.0
"""A trained encoder with Brevitas' quantised layers in it, exported as QCDQ; needs brevitas."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from brevitas import nn as qnn
from brevitas.export import export_onnx_qcdq
from brevitas.graph.calibrate import calibration_mode
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerTensorFloat, Int32Bias
from brevitas.quant_tensor import QuantTensor
from nets import Attention, Encoder
from torch import Tensor, nn


def rounding() -> nn.Module:
    return qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat, return_quant_tensor=True)


def plain(x: Any) -> Tensor:
    """The tensor inside a QuantTensor (while exporting there is only the tensor)."""
    y: Tensor = x.value if isinstance(x, QuantTensor) else x
    return y


class Rounded(nn.Module):
    """A module and a rounding of its result."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.round = inner, rounding()

    def forward(self, x: Any) -> Any:
        knows = isinstance(self.inner, qnn.QuantLinear)
        return self.round(plain(self.inner(x if knows else plain(x))))


def quantised(linear: nn.Linear) -> nn.Module:
    made = qnn.QuantLinear(
        linear.in_features,
        linear.out_features,
        bias=linear.bias is not None,
        weight_quant=Int8WeightPerTensorFloat,
        bias_quant=Int32Bias if linear.bias is not None else None,
    )
    made.load_state_dict(linear.state_dict(), strict=False)
    return made


class QAttention(nn.Module):
    """q, k, v and the products rounded; the softmax stays float."""

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.net = attention.net
        self.q, self.k, self.v = (
            Rounded(quantised(m)) for m in (attention.q, attention.k, attention.v)
        )
        self.o = Rounded(quantised(attention.o))
        self.scores, self.context = rounding(), rounding()

    def forward(self, x: Any) -> Any:
        b, s, e = plain(x).shape
        p = e // self.net.heads
        q, k, v = (
            plain(m(x)).reshape(b, s, self.net.heads, p).transpose(1, 2)
            for m in (self.q, self.k, self.v)
        )
        scores = plain(self.scores(q @ k.transpose(-2, -1) / math.sqrt(p)))
        mixed = torch.softmax(scores, dim=-1) @ v
        return self.o(self.context(mixed.transpose(1, 2).reshape(b, s, e)))


class QEncoder(nn.Module):
    """`Encoder` with linear tokens, every value between two operators rounded."""

    def __init__(self, model: Encoder) -> None:
        super().__init__()
        self.net = net = model.net
        self.input, self.embed = rounding(), Rounded(quantised(model.embed))
        self.positions = model.positions
        self.placed = rounding()
        self.blocks = nn.ModuleList()
        for b in model.blocks:
            parts = {
                "attention": QAttention(b.attention),
                "norm1": Rounded(b.norm1),
                "norm2": Rounded(b.norm2),
                "up": quantised(b.up),
                "act": Rounded(b.act),
                "down": Rounded(quantised(b.down)),
                "add1": rounding(),
                "add2": rounding(),
            }
            self.blocks.append(nn.ModuleDict(parts))
        self.norm = Rounded(model.norm)
        self.pooled = rounding()
        self.head = Rounded(quantised(model.head))
        assert net.norm in ("pre", "post")

    def forward(self, x: Tensor) -> Tensor:
        z = self.placed(plain(self.embed(self.input(x))) + self.positions)
        for b in self.blocks:
            if self.net.norm == "pre":
                z = b["add1"](plain(z) + plain(b["attention"](b["norm1"](z))))
                hidden = b["act"](plain(b["up"](b["norm2"](z))))
                z = b["add2"](plain(z) + plain(b["down"](hidden)))
            else:
                z = b["norm1"](b["add1"](plain(z) + plain(b["attention"](z))))
                hidden = b["act"](plain(b["up"](z)))
                z = b["norm2"](b["add2"](plain(z) + plain(b["down"](hidden))))
        if self.net.norm == "pre":
            z = self.norm(z)
        return plain(self.head(self.pooled(plain(z).mean(dim=1))))


def quantise_brevitas(model: Encoder, out: Path, x: np.ndarray[Any, Any], opset: int) -> None:
    made = QEncoder(model).eval()
    with torch.no_grad(), calibration_mode(made):
        made(torch.from_numpy(x))
    export_onnx_qcdq(
        made,
        args=torch.from_numpy(x[:1]),
        export_path=str(out),
        opset_version=opset,
        input_names=["input"],
        output_names=["logits"],
        dynamo=False,
    )
