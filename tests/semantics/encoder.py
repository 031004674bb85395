# SPDX-License-Identifier: Apache-2.0
"""A small encoder around one attention, each step of which a test can write otherwise.

All lengths are 4 (tokens, heads, features a head), so that no shape tells a wrong order of axes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tinygen.passes import import_model
from tinygen.reference import quantise, run

S = H = P = 4
E = H * P
Step = Callable[["Net", str], str]


@dataclass
class Net:
    """A float model under construction."""

    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    rounded: list[str] = field(default_factory=list)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def constant(self, data: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(data), name))
        return name

    def add(self, kind: str, *inputs: str, name: str = "", rounded: bool = False, **at: Any) -> str:
        output = f"t{len(self.nodes)}"
        made = helper.make_node(kind, list(inputs), [output], name or f"n_{output}", **at)
        self.nodes.append(made)
        if rounded:
            self.rounded.append(output)
        return output

    def linear(self, x: str, rows: int, columns: int) -> str:
        w = self.rng.normal(0, rows**-0.5, (rows, columns)).astype(np.float32)
        q = np.clip(np.rint(w * 64), -127, 127).astype(np.int8)
        scale, zero = self.constant(np.float32(1 / 64)), self.constant(np.int8(0))
        w_real = self.add("DequantizeLinear", self.constant(q), scale, zero)
        return self.add("MatMul", x, w_real, rounded=True)

    def reshape(self, x: str, *shape: int) -> str:
        return self.add("Reshape", x, self.constant(np.int64(shape)))

    def model(self, output: str, taps: list[str] | None = None) -> onnx.ModelProto:
        info = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, S, E])
        outs = [onnx.ValueInfoProto(name=n) for n in (taps or [output])]
        graph = helper.make_graph(self.nodes, "g", [info], outs, self.constants)
        opsets = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        return onnx.shape_inference.infer_shapes(model)


@dataclass(frozen=True)
class Variant:
    """The steps of an attention that a case writes otherwise.

    q, k, v, out: orders of axes in which [1, S, H, P] becomes [1, H, S, P], and back.
    scores: between the first product and the softmax.  softmax: its attributes.
    """

    q: tuple[int, ...] = (0, 2, 1, 3)
    k: tuple[int, ...] = (0, 2, 3, 1)
    v: tuple[int, ...] = (0, 2, 1, 3)
    out: tuple[int, ...] = (0, 2, 1, 3)
    scores: Step | None = None
    softmax: dict[str, Any] = field(default_factory=lambda: {"axis": -1})
    after: Step | None = None
    opset: int = 17


def encoder(variant: Variant) -> tuple[Net, str]:
    net = Net(variant.opset)
    net.rounded.append("x")
    heads = []
    for perm in (variant.q, variant.k, variant.v):
        part = net.reshape(net.linear("x", E, E), 1, S, H, P)
        heads.append(net.add("Transpose", part, perm=perm))
    scores = net.add("MatMul", heads[0], heads[1], name="scores", rounded=True)
    if variant.scores is not None:
        scores = variant.scores(net, scores)
    weights = net.add("Softmax", scores, name="softmax", **variant.softmax)
    if variant.after is not None:
        weights = variant.after(net, weights)
    mixed = net.add("MatMul", weights, heads[2], name="context", rounded=True)
    joined = net.reshape(net.add("Transpose", mixed, perm=variant.out), 1, S, E)
    y = net.linear(joined, E, E)
    return net, y


def quantised(net: Net, output: str, samples: NDArray[Any]) -> onnx.ModelProto:
    """Roundings put behind the tensors of ``net.rounded``, to the range that samples show."""
    taps = [t for t in net.rounded if t != "x"]
    session = _session(net.model(output, taps))
    seen = [session.run(None, {"x": s[None]}) for s in samples]
    ranges = {t: np.concatenate([v[i].reshape(-1) for v in seen]) for i, t in enumerate(taps)}
    ranges["x"] = samples
    nodes: list[onnx.NodeProto] = []
    renamed: dict[str, str] = {}

    def round_behind(name: str) -> None:
        finite = ranges[name][np.isfinite(ranges[name])]
        low, high = min(float(finite.min()), 0), max(float(finite.max()), 0)
        scale = np.float32((high - low) / 255)
        zero = np.int8(np.clip(np.rint(-128 - low / scale), -128, 127))
        grid = [net.constant(scale), net.constant(zero)]
        nodes.append(helper.make_node("QuantizeLinear", [name, *grid], [f"{name}_q"], f"q_{name}"))
        made = helper.make_node(
            "DequantizeLinear", [f"{name}_q", *grid], [f"{name}_r"], f"d_{name}"
        )
        nodes.append(made)
        renamed[name] = f"{name}_r"

    round_behind("x")
    for node in list(net.nodes):
        for place, name in enumerate(node.input):
            node.input[place] = renamed.get(name, name)
        nodes.append(node)
        if node.output[0] in ranges:
            round_behind(node.output[0])
    net.nodes = nodes
    return net.model(renamed.get(output, output))


def _session(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def distance(variant: Variant, folder: Path) -> float:
    """Mean distance in LSB between onnxruntime's outputs and the integer graph's."""
    net, output = encoder(variant)
    samples = np.random.default_rng(3).normal(size=(8, S, E)).astype(np.float32)
    model = quantised(net, output, samples)
    path = folder / "encoder.onnx"
    path.write_bytes(model.SerializeToString())
    graph = import_model(path, samples=samples)
    session = _session(model)
    grid = graph.values[graph.only_output].quant
    assert grid is not None
    off = []
    for sample in samples:
        (want,) = session.run(None, {"x": sample[None]})
        q = quantise(graph, sample[None]).reshape(graph.values[graph.only_input].shape)
        got = run(graph, q).astype(np.float64)
        off.append(
            np.abs((got - grid.zero_point) * grid.scale - want.reshape(got.shape)) / grid.scale
        )
    return float(np.mean(off))
