# SPDX-License-Identifier: Apache-2.0
"""QuantLib's nodes executed as its forward functions do, in ONNX's reference evaluator.

onnxruntime does not know them. Integers are held in float tensors; sums are taken in double.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from tinygen.importer.quantlib import DOMAIN, KINDS


def is_quantlib(model: onnx.ModelProto) -> bool:
    return any(n.op_type in KINDS and n.domain == DOMAIN for n in model.graph.node)


def _float(values: Any) -> tuple[Any]:
    return (np.asarray(values, np.float32),)


def _limits(levels: Any, signed: Any = 1) -> tuple[float, float]:
    half = float(np.ceil(_one(levels) / 2))
    return (-half, half - 1) if _one(signed) else (0.0, _one(levels) - 1)


def _one(attribute: Any) -> float:
    return float(np.asarray(attribute, np.float64).reshape(-1)[0])


class RequantShift(OpRun):
    op_domain = DOMAIN

    def _run(self, x: Any, mul: Any, add: Any, div: Any, signed: Any, n_levels_out: Any) -> Any:
        y = x.astype(np.float64) * mul.astype(np.float64) + add
        return _float(np.clip(np.floor(y / _one(div) + 0.5), *_limits(n_levels_out, signed)))


class iLayerNorm(OpRun):
    op_domain = DOMAIN

    def _run(self, x: Any, weight: Any, bias: Any, D: Any, n_levels: Any) -> Any:
        x = x.astype(np.float64)
        centred = x - np.trunc(x.mean(axis=-1, keepdims=True))
        variance = np.floor((centred**2).mean(axis=-1, keepdims=True))
        y = np.trunc(centred * weight / np.floor(np.sqrt(variance + 1))) + bias
        return _float(np.clip(np.floor(y / _one(D)), *_limits(n_levels)))


class iGELU(OpRun):
    op_domain = DOMAIN

    def _run(self, x: Any, b: Any, one: Any) -> Any:
        x, b, one = x.astype(np.float64), _one(b), _one(one)
        half = one - (np.minimum(np.abs(x), -b) + b) ** 2
        return _float(x * np.floor((one + np.sign(x) * half) / 2))


class iSoftmax(OpRun):
    op_domain = DOMAIN

    def _run(
        self, x: Any, log2: Any, coeffA: Any, coeffB: Any, coeffC: Any, n_levels: Any
    ) -> Any:  # fmt: skip
        x, step = x.astype(np.float64), _one(log2)
        below = x - x.max(axis=-1, keepdims=True)
        z = np.floor(-below / step)
        p = below + z * step
        y = np.floor((_one(coeffA) * (p + _one(coeffB)) ** 2 + _one(coeffC)) / 2.0**z)
        levels = _one(n_levels) - 1
        return _float(np.clip(np.floor(y * levels / y.sum(axis=-1, keepdims=True)), 0, levels))


class IntegerMean(OpRun):
    op_domain = DOMAIN

    def _run(self, x: Any, axes: Any, keepdims: Any = 0) -> Any:
        where = tuple(np.atleast_1d(np.asarray(axes)).tolist())
        mean = x.astype(np.float64).mean(axis=where, keepdims=bool(keepdims))
        return _float(np.floor(mean + 0.5))


@dataclass(frozen=True)
class _Input:
    name: str
    shape: list[int]
    type: str = "tensor(float)"


class Evaluator:
    """What this project uses of an onnxruntime session."""

    def __init__(self, model: onnx.ModelProto) -> None:
        weights = {t.name for t in model.graph.initializer}
        self.inputs = [
            _Input(i.name, [d.dim_value for d in i.type.tensor_type.shape.dim])
            for i in model.graph.input
            if i.name not in weights
        ]
        self.outputs = [o.name for o in model.graph.output]
        nodes = [RequantShift, iLayerNorm, iGELU, iSoftmax, IntegerMean]
        self.evaluator = ReferenceEvaluator(model, new_ops=nodes)

    def get_inputs(self) -> list[_Input]:
        return self.inputs

    def run(self, names: list[str] | None, feed: dict[str, Any]) -> list[Any]:
        return list(self.evaluator.run(names or self.outputs, feed))
