# SPDX-License-Identifier: Apache-2.0
"""A trained encoder as QuantLib's integer network, built by hand from the definition of its nodes.

QuantLib is not on PyPI. Every tensor holds integers in float32; eps is the real value of a step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from nets import Encoder
from onnx import helper, numpy_helper
from scipy.special import erf  # type: ignore[import-untyped]

Array = np.ndarray[Any, Any]
D = float(1 << 16)
NORM_D = float(1 << 14)


@dataclass(frozen=True)
class T:
    """A tensor: its name, the float model's values for the calibration samples, its step."""

    name: str
    real: Array
    eps: float


def numpy(x: Any) -> Array:
    y: Array = x.detach().numpy().astype(np.float64)
    return y


class Builder:
    """Nodes in order. explicit: a requantisation is Mul, Add, Div, Add, Floor, Clip."""

    def __init__(self, explicit: bool) -> None:
        self.explicit = explicit
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, data: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(data, dtype), name))
        return name

    def node(self, kind: str, *inputs: str, **attrs: Any) -> str:
        name = f"{kind}_{len(self.nodes)}"
        own = kind in ("RequantShift", "iSoftmax", "iGELU", "iLayerNorm", "IntegerMean")
        domain = "PACTOps" if own else ""
        given = {
            k: numpy_helper.from_array(np.asarray(v, np.float32)) if isinstance(v, float) else v
            for k, v in attrs.items()
        }
        self.nodes.append(helper.make_node(kind, inputs, [name], name, domain=domain, **given))
        return name

    def round(self, x: T, real: Array, signed: bool = True, eps: float | None = None) -> T:
        """Onto 256 levels for the range of ``real``, or of a given step."""
        step = eps or float(np.abs(real).max()) / (127 if signed else 255)
        mul, low = float(np.rint(x.eps / step * D)), -128.0 if signed else 0.0
        if self.explicit:
            y = self.node("Mul", x.name, self.constant(mul))
            y = self.node("Add", y, self.constant(0.0))
            y = self.node("Div", y, self.constant(D))
            y = self.node("Floor", self.node("Add", y, self.constant(0.5)))
            bounds = {"min": low, "max": low + 255}
            name = f"Clip_{len(self.nodes)}"
            self.nodes.append(helper.make_node("Clip", [y], [name], name, **bounds))
            return T(name, real, step)
        parts = x.name, self.constant(mul), self.constant(0.0)
        y = self.node("RequantShift", *parts, div=D, signed=float(signed), n_levels_out=256.0)
        return T(y, real, step)

    def linear(self, x: T, module: Any) -> T:
        """Not rounded yet."""
        w, b = numpy(module.weight), numpy(module.bias)
        step = np.abs(w).max() / 127
        y = self.node("MatMul", x.name, self.constant(np.rint(w / step).T))
        y = self.node("Add", self.constant(np.rint(b / (step * x.eps))), y)
        return T(y, x.real @ w.T + b, float(step * x.eps))

    def convolution(self, x: T, module: Any, real: Array) -> T:
        """Weights only: QuantLib puts the bias into the requantisation; here it is added."""
        w, b = numpy(module.weight), numpy(module.bias)
        step = np.abs(w).max() / 127
        kernel, stride = list(w.shape[2:]), list(module.stride)
        y = self.node(
            "Conv", x.name, self.constant(np.rint(w / step)), kernel_shape=kernel, strides=stride
        )
        bias = np.rint(b / (step * x.eps)).reshape(1, -1, *[1] * len(kernel))
        y = self.node("Add", y, self.constant(bias))
        return T(y, real, float(step * x.eps))

    def norm(self, x: T, module: Any) -> T:
        weight, bias = numpy(module.weight), numpy(module.bias)
        centred = x.real - x.real.mean(axis=-1, keepdims=True)
        real = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + module.eps)
        real = real * weight + bias
        largest = float(np.abs(real).max())
        step = max(np.abs(weight).max(), np.abs(bias).max()) / 127
        total = np.rint(NORM_D * 127 / largest * step)
        parts = (np.rint(p / step) * total for p in (weight, bias))
        names = x.name, *(self.constant(p) for p in parts)
        y = self.node("iLayerNorm", *names, D=NORM_D, n_levels=256.0)
        return T(y, real, largest / 127)

    def residual(self, a: T, b: T) -> T:
        """Both on one grid, added, rounded."""
        step = max(float(np.abs(t.real).max()) for t in (a, b)) / 127
        a, b = (self.round(t, t.real, eps=step) for t in (a, b))
        total = T(self.node("Add", a.name, b.name), a.real + b.real, step)
        return self.round(total, total.real)

    def activation(self, x: T, act: str) -> T:
        if act == "relu":
            return self.round(x, np.maximum(x.real, 0), signed=False)
        x = self.round(x, x.real)
        eps = x.eps / math.sqrt(2)
        one_eps = eps * eps * 0.2888
        b, one = math.floor(-1.769 / eps + 0.5), math.floor(1 / one_eps + 0.5)
        y = self.node("iGELU", x.name, b=b, one=one)
        real = 0.5 * x.real * (1 + erf(x.real / math.sqrt(2)))
        return self.round(T(y, real, one_eps * x.eps), real)

    def softmax(self, x: T) -> T:
        """I-BERT's polynomial."""
        eps = x.eps
        coefficients = {
            "log2": float(np.rint(1 / eps)),
            "coeffA": 1.0,
            "coeffB": float(np.rint(1.353 / eps)),
            "coeffC": float(np.rint(0.344 / (eps * eps * 0.3585))),
        }
        y = self.node("iSoftmax", x.name, n_levels=256.0, **coefficients)
        e = np.exp(x.real - x.real.max(axis=-1, keepdims=True))
        return T(y, e / e.sum(axis=-1, keepdims=True), 1 / 255)

    def shaped(self, x: T, shape: tuple[int, ...]) -> T:
        y = self.node("Reshape", x.name, self.constant(shape, np.int64))
        return T(y, x.real.reshape(len(x.real), *shape[1:]), x.eps)

    def turned(self, x: T, perm: list[int]) -> T:
        return T(self.node("Transpose", x.name, perm=perm), x.real.transpose(perm), x.eps)

    def attention(self, x: T, module: Any) -> T:
        heads, (tokens, features) = module.net.heads, x.real.shape[1:]
        parts = []
        for part in (module.q, module.k, module.v):
            y = self.linear(x, part)
            y = self.round(y, y.real)
            parts.append(self.shaped(y, (1, tokens, heads, features // heads)))
        q, v = (self.turned(t, [0, 2, 1, 3]) for t in (parts[0], parts[2]))
        k = self.turned(parts[1], [0, 2, 3, 1])
        # 1 / sqrt(P) is part of the step
        eps = q.eps * k.eps / math.sqrt(features // heads)
        scores = T(
            self.node("MatMul", q.name, k.name), q.real @ k.real / (q.eps * k.eps) * eps, eps
        )
        weights = self.softmax(self.round(scores, scores.real))
        mixed = T(
            self.node("MatMul", weights.name, v.name), weights.real @ v.real, weights.eps * v.eps
        )
        mixed = self.turned(self.round(mixed, mixed.real), [0, 2, 1, 3])
        y = self.linear(self.shaped(mixed, (1, tokens, features)), module.o)
        return self.round(y, y.real)


def quantise_quantlib(model: Encoder, out: Path, x: Array, explicit: bool) -> tuple[float, float]:
    """Writes the network; its inputs are integers. Returns the input's and the output's steps."""
    net, b = model.net, Builder(explicit)
    step = float(np.abs(x).max()) / 127
    z = T("input", x.astype(np.float64), step)
    if net.patches == "linear":
        z = b.linear(z, model.embed)
        z = b.round(z, z.real)
    else:
        with torch.no_grad():
            real = numpy(model.embed(torch.from_numpy(x)))
        z = b.convolution(z, model.embed, real)
        z = b.round(z, real)
        z = b.turned(z, [0, 2, 1])
    if net.pool == "class":
        token = numpy(model.token)
        row = b.constant(np.clip(np.rint(token / z.eps), -128, 127))
        real = np.concatenate([np.broadcast_to(token, (len(x), 1, token.shape[-1])), z.real], 1)
        z = T(b.node("Concat", row, z.name, axis=1), real, z.eps)
    positions = numpy(model.positions)
    scale = max(float(np.abs(t).max()) for t in (z.real, positions)) / 127
    z = b.round(z, z.real, eps=scale)
    placed = b.node("Add", z.name, b.constant(np.rint(positions / scale)))
    z = b.round(T(placed, z.real + positions, scale), z.real + positions)
    for block in model.blocks:
        if net.norm == "pre":
            z = b.residual(z, b.attention(b.norm(z, block.norm1), block.attention))
            hidden = b.activation(b.linear(b.norm(z, block.norm2), block.up), net.act)
            y = b.linear(hidden, block.down)
            z = b.residual(z, b.round(y, y.real))
        else:
            z = b.norm(b.residual(z, b.attention(z, block.attention)), block.norm1)
            hidden = b.activation(b.linear(z, block.up), net.act)
            y = b.linear(hidden, block.down)
            z = b.norm(b.residual(z, b.round(y, y.real)), block.norm2)
    if net.norm == "pre":
        z = b.norm(z, model.norm)
    if net.pool == "class":
        first = b.node("Gather", z.name, b.constant(0, np.int64), axis=1)
        z = T(first, z.real[:, 0], z.eps)
    else:
        z = T(b.node("IntegerMean", z.name, axes=[1], keepdims=0), z.real.mean(axis=1), z.eps)
    z = b.linear(z, model.head)
    z = b.round(z, z.real)
    b.nodes[-1].output[0] = "logits"
    shape = [1, *x.shape[1:]]
    graph = helper.make_graph(
        b.nodes,
        "quantlib",
        [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [1, z.real.shape[1]])],
        b.constants,
    )
    opsets = [helper.make_opsetid("", 10), helper.make_opsetid("PACTOps", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=5), out)
    return step, z.eps
