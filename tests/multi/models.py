# SPDX-License-Identifier: Apache-2.0
"""A model with two inputs and three outputs: a signal goes through an encoder, a vector of features
joins it, and two classifiers of different sizes and a regression read both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tinygen.fidelity import quantize

TOKENS, WIDTH, INNER, HEADS, FEATURES = 12, 6, 16, 2, 5
OUTPUTS = {"gesture": 5, "mood": 3, "angle": 1}
SAMPLES = 48


class Net:
    """ONNX nodes with float weights drawn by a seed."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, name: str, values: NDArray[np.float32]) -> str:
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def op(self, kind: str, name: str, *inputs: str, **attrs: object) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [name], f"node_{name}", **attrs))
        return name

    def dense(self, name: str, x: str, rows: int, columns: int) -> str:
        """x w + b."""
        w = self.rng.normal(0, 1 / np.sqrt(rows), (rows, columns)).astype(np.float32)
        b = self.rng.normal(0, 0.1, columns).astype(np.float32)
        product = self.op("MatMul", f"{name}_product", x, self.weight(f"{name}_w", w))
        return self.op("Add", name, product, self.weight(f"{name}_b", b))

    def shape(self, *axes: int) -> str:
        name = f"shape_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(axes, np.int64), name))
        return name

    def heads(self, x: str, perm: Sequence[int]) -> str:
        split = self.op("Reshape", f"{x}_split", x, self.shape(1, TOKENS, HEADS, INNER // HEADS))
        return self.op("Transpose", f"{x}_heads", split, perm=list(perm))

    def attention(self, x: str) -> str:
        q, k, v = (self.dense(n, x, INNER, INNER) for n in "qkv")
        scores = self.op(
            "MatMul", "scores", self.heads(q, (0, 2, 1, 3)), self.heads(k, (0, 2, 3, 1))
        )
        factor = self.weight("factor", np.array((INNER // HEADS) ** -0.5, np.float32))
        weights = self.op("Softmax", "weights", self.op("Mul", "scaled", scores, factor), axis=-1)
        context = self.op("MatMul", "context", weights, self.heads(v, (0, 2, 1, 3)))
        rows = self.op("Transpose", "rows", context, perm=[0, 2, 1, 3])
        joined = self.op("Reshape", "joined", rows, self.shape(1, TOKENS, INNER))
        return self.op("Add", "residual", self.dense("out", joined, INNER, INNER), x)

    def encoder(self) -> str:
        """signal [1, tokens, width] -> [1, inner]."""
        rows = self.attention(self.dense("embed", "signal", WIDTH, INNER))
        ones = self.weight("gamma", np.ones(INNER, np.float32))
        zeros = self.weight("beta", np.zeros(INNER, np.float32))
        norm = self.op("LayerNormalization", "norm", rows, ones, zeros, axis=-1)
        return self.op("ReduceMean", "pooled", norm, axes=[1], keepdims=0)

    def model(self, inputs: dict[str, tuple[int, ...]], outputs: dict[str, int]) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
            [
                helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, s))
                for n, s in outputs.items()
            ],
            self.weights,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(made, full_check=True)
        return made


def float_model() -> onnx.ModelProto:
    net = Net()
    encoded = net.encoder()
    known = net.op("Relu", "known", net.dense("read", "features", FEATURES, 8))
    both = net.op("Concat", "both", encoded, known, axis=1)
    for name, size in OUTPUTS.items():
        net.dense(name, both, INNER + 8, size)
    inputs = {"signal": (1, TOKENS, WIDTH), "features": (1, FEATURES)}
    return net.model(inputs, OUTPUTS)


def samples() -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(1)
    return {
        "signal": rng.normal(size=(SAMPLES, TOKENS, WIDTH)).astype(np.float32),
        "features": rng.normal(0, 3, size=(SAMPLES, FEATURES)).astype(np.float32),
    }


def labels() -> dict[str, NDArray[np.int64]]:
    """Of the classifiers."""
    rng = np.random.default_rng(2)
    return {f"y_{n}": rng.integers(0, OUTPUTS[n], SAMPLES) for n in ("gesture", "mood")}


def quantised(folder: Path, model: onnx.ModelProto | None = None) -> tuple[Path, Path]:
    """The model as `tinygen quantize` leaves it, and its samples with labels."""
    source, calibration = folder / "float.onnx", folder / "calibration.npz"
    data, made = folder / "samples.npz", folder / "multi.onnx"
    onnx.save(model or float_model(), source)
    np.savez(calibration, **samples())
    np.savez(data, **samples(), **labels())
    quantize(source, calibration, made, force=True, progress=lambda *_: None)
    return made, data
