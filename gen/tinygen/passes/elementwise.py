# SPDX-License-Identifier: Apache-2.0
"""The elementwise functions of ONNX, in float32 as onnxruntime computes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.numeric.requant import on_grid

F32 = NDArray[np.float32]
Attrs = Mapping[str, Any]
Function = Callable[[Attrs, list[Any]], Any]

_erf = np.vectorize(math.erf, otypes=[np.float64])


def _gelu(attrs: Attrs, a: list[Any]) -> Any:
    x = a[0].astype(np.float64)
    if attrs.get("approximate", "none") == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + _erf(x / math.sqrt(2)))


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _round(attrs: Attrs, a: list[Any]) -> Any:
    """Onto the grid of a Quant node and back."""
    return on_grid(a[0], attrs["scale"], attrs["zp"])


def _clip(attrs: Attrs, a: list[Any]) -> Any:
    low = a[1] if len(a) > 1 and a[1] is not None else attrs.get("min", -np.inf)
    high = a[2] if len(a) > 2 and a[2] is not None else attrs.get("max", np.inf)
    return np.clip(a[0], np.float32(low), np.float32(high))


def _integer_gelu(attrs: Attrs, a: list[Any]) -> Any:
    """QuantLib's: x floor((one + L) / 2), L = sign(x) (one - (min(|x|, -b) + b)^2), integers."""
    x = a[0].astype(np.float64)
    b, one = (float(np.asarray(attrs[k]).item()) for k in ("b", "one"))
    return x * np.floor((one + np.sign(x) * (one - (np.minimum(np.abs(x), -b) + b) ** 2)) / 2)


_UNARY: dict[str, Function] = {
    "Quant": _round,
    "Gelu": _gelu,
    "Clip": _clip,
    "Relu": lambda at, a: np.maximum(a[0], 0),
    "LeakyRelu": lambda at, a: np.where(a[0] < 0, a[0] * np.float32(at.get("alpha", 0.01)), a[0]),
    "Elu": lambda at, a: np.where(
        a[0] < 0, np.float32(at.get("alpha", 1.0)) * np.expm1(a[0]), a[0]
    ),
    "Selu": lambda at, a: (
        np.float32(at.get("gamma", 1.0507010221481323))
        * np.where(a[0] < 0, np.float32(at.get("alpha", 1.6732631921768188)) * np.expm1(a[0]), a[0])
    ),
    "Celu": lambda at, a: (
        np.maximum(a[0], 0)
        + np.minimum(0, at.get("alpha", 1.0) * np.expm1(a[0] / np.float32(at.get("alpha", 1.0))))
    ),
    "Erf": lambda at, a: _erf(a[0]),
    "Tanh": lambda at, a: np.tanh(a[0]),
    "Sigmoid": lambda at, a: _sigmoid(a[0]),
    "Swish": lambda at, a: a[0] * _sigmoid(np.float32(at.get("alpha", 1.0)) * a[0]),
    "Mish": lambda at, a: a[0] * np.tanh(np.logaddexp(0, a[0])),
    "HardSigmoid": lambda at, a: np.clip(
        np.float32(at.get("alpha", 0.2)) * a[0] + np.float32(at.get("beta", 0.5)), 0, 1
    ),
    "HardSwish": lambda at, a: a[0] * np.clip(a[0] / np.float32(6) + np.float32(0.5), 0, 1),
    "Softplus": lambda at, a: np.logaddexp(0, a[0]),
    "Softsign": lambda at, a: a[0] / (1 + np.abs(a[0])),
    "Exp": lambda at, a: np.exp(a[0]),
    "Log": lambda at, a: np.log(a[0]),
    "Sqrt": lambda at, a: np.sqrt(a[0]),
    "Reciprocal": lambda at, a: 1 / a[0],
    "Abs": lambda at, a: np.abs(a[0]),
    "Neg": lambda at, a: -a[0],
    "Sin": lambda at, a: np.sin(a[0]),
    "Cos": lambda at, a: np.cos(a[0]),
    "Floor": lambda at, a: np.floor(a[0]),
    "iGELU": _integer_gelu,
}
_BINARY: dict[str, Function] = {
    "Add": lambda at, a: a[0] + a[1],
    "Sub": lambda at, a: a[0] - a[1],
    "Mul": lambda at, a: a[0] * a[1],
    "Div": lambda at, a: a[0] / a[1],
    "Pow": lambda at, a: np.power(a[0], a[1]),
    "Min": lambda at, a: np.minimum(a[0], a[1]),
    "Max": lambda at, a: np.maximum(a[0], a[1]),
}
UNARY = (*_UNARY, "QuantizeLinear", "DequantizeLinear")
"""One activation; every other input is a constant. Q and DQ move like them until they pair."""
BINARY = tuple(_BINARY)
ELEMENTWISE = frozenset({*_UNARY, *_BINARY})
MONOTONE = frozenset({"Relu", "Clip"})
"""Rounding to a grid commutes with these: round(f(x)) = round(f(round(x)))."""


def evaluate(kind: str, attrs: Attrs, inputs: list[F32 | None]) -> F32:
    """The function on float32 arrays; None stands for an optional input left out."""
    with np.errstate(all="ignore"):
        y: F32 = np.asarray((_UNARY | _BINARY)[kind](attrs, inputs), np.float32)
    return y
