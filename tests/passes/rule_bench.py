# SPDX-License-Identifier: Apache-2.0
"""Small float graphs for testing one rule at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphs import ends
from tinygen.graph import Float, Graph, Node, Quant, Value, verify
from tinygen.operators.max_pool import largest
from tinygen.passes.elementwise import ELEMENTWISE, evaluate
from tinygen.passes.engine import Rule, kind_of, rewrite


class Bench:
    """A graph under construction; every method returns a value's name."""

    def __init__(self, *shape: int) -> None:
        self.values = {"x": Value("x", shape)}
        self.nodes: list[Node] = []

    def const(self, data: Any, dtype: Any = np.float32) -> str:
        name = f"k{len(self.values)}"
        array = np.asarray(data, dtype)
        self.values[name] = Value(name, array.shape, data=array)
        return name

    def node(self, kind: str, *inputs: str, shape: tuple[int, ...], **attrs: Any) -> str:
        name = f"v{len(self.values)}"
        quant = Quant(attrs["scale"], attrs["zp"]) if kind == "Quant" else None
        self.values[name] = Value(name, shape, quant)
        self.nodes.append(Node(f"{kind.lower()}_{name}", Float(kind, attrs), inputs, (name,)))
        return name

    def quant(self, source: str, scale: float = 0.1, zp: int = 0) -> str:
        return self.node("Quant", source, shape=self.values[source].shape, scale=scale, zp=zp)

    def grid(self, integers: Any, scales: Any) -> str:
        q = np.asarray(integers, np.int32)
        full = np.ascontiguousarray(np.broadcast_to(np.asarray(scales, np.float64), q.shape))
        return self.node("Grid", self.const(q, np.int32), self.const(full, float), shape=q.shape)

    def linear(self, source: str, weight: Any, bias: Any = None, scale: Any = 0.01) -> str:
        w = np.asarray(weight, np.int32)
        b = np.zeros(len(w)) if bias is None else np.asarray(bias, float)
        s = np.broadcast_to(np.asarray(scale, float), (len(w),)).copy()
        constants = self.const(w, np.int32), self.const(s, float), self.const(b, float)
        shape = (self.values[source].shape[0], len(w))
        return self.node("Linear", source, *constants, shape=shape)

    def graph(self, output: str) -> Graph:
        return verify(
            Graph(
                "bench",
                self.values,
                tuple(self.nodes),
                *ends(output),
            )
        )


def kinds(graph: Graph) -> list[str]:
    """The kinds of the nodes, constants aside."""
    return [k for k in map(kind_of, graph.nodes) if k != "Grid"]


def apply(graph: Graph, *rules: Rule) -> Graph:
    """Rewrite and check that the value of the graph did not change."""
    after = rewrite(graph, rules)
    rng = np.random.default_rng(0)
    x = rng.normal(size=graph.values[graph.only_input].shape).astype(np.float32)
    np.testing.assert_allclose(
        run(after, x).reshape(-1), run(graph, x).reshape(-1), rtol=1e-4, atol=1e-5
    )
    return after


def run(graph: Graph, x: Any) -> Any:
    """Evaluate the float kinds that rules speak of."""
    data: dict[str, Any] = {k: v.data for k, v in graph.values.items() if v.data is not None}
    data[graph.only_input] = x
    for node in graph.nodes:
        assert isinstance(node.op, Float)
        inputs = [data[i] if i else None for i in node.inputs]
        y = _run_op(node.op, inputs, graph.values[node.output].shape)
        data[node.output] = np.asarray(y).reshape(graph.values[node.output].shape)
    return data[graph.only_output]


def _max_pool(x: Any, at: Any, shape: tuple[int, ...]) -> Any:
    """1-D windows, one after the other."""
    (k,), (s,), (left, right) = at["kernel_shape"], at["strides"], at["pads"]
    x = np.pad(x, ((0, 0), (0, 0), (left, right)), constant_values=-np.inf)
    windows = [x[:, :, n * s : n * s + k].max(axis=2) for n in range(shape[2])]
    return np.stack(windows, axis=2)


def _run_op(op: Float, i: list[Any], shape: tuple[int, ...]) -> Any:
    at = op.attrs
    match op.kind:
        case "Grid":
            return (i[0] * i[1]).astype(np.float32)
        case "Move":
            flat = i[0].reshape(-1)
            return flat if at["index"] is None else flat[at["index"].reshape(-1)]
        case "Linear":
            return i[0] @ (i[1] * i[2][:, None]).T + i[3]
        case "Scores":
            return i[0] @ i[1] * at["alpha"]
        case "MatMul":
            return i[0] @ i[1]
        case "Gemm":
            w = i[1].T if at.get("transB") else i[1]
            return i[0] @ w + (i[2] if len(i) > 2 else 0)
        case "Softmax":
            e = np.exp(at.get("beta", 1.0) * i[0])
            return e / e.sum(axis=-1, keepdims=True)
        case "Mean":
            return i[0].mean(axis=0)
        case "ReduceMean":
            return i[0].mean(axis=tuple(at["axes"]), keepdims=bool(at.get("keepdims", 1)))
        case "Largest":
            return largest(i, at, shape)
        case "MaxPool":
            return _max_pool(i[0], at, shape)
        case "ReduceMax":
            return i[0].max(axis=tuple(at["axes"]), keepdims=bool(at.get("keepdims", 1)))
        case "Join":
            return np.concatenate(i)
        case "Concat":
            return np.concatenate(i, axis=at["axis"])
        case "Norm" | "LayerNormalization":
            centred = i[0] - i[0].mean(axis=-1, keepdims=True)
            eps = at.get("eps", at.get("epsilon", 1e-5))
            deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + eps)
            return centred / deviation * i[1] + i[2]
        case "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" | "Identity" | "Cast":
            return i[0].reshape(shape)
        case "Transpose":
            return i[0].transpose(at["perm"])
        case "Gather":
            return np.take(i[0], i[1], axis=at["axis"])
        case "Slice":
            cuts = [slice(None)] * i[0].ndim
            for start, end, axis in zip(i[1], i[2], i[3], strict=True):
                cuts[axis] = slice(start, end)
            return i[0][tuple(cuts)]
        case "Expand":
            return np.broadcast_to(i[0], shape)
        case "QuantizeLinear":
            zero = i[2] if len(i) > 2 else np.uint8(0)
            info = np.iinfo(zero.dtype)
            q = np.rint(i[0] / i[1]) + zero.astype(float)
            return np.clip(q, info.min, info.max).astype(zero.dtype)
        case "DequantizeLinear":
            axis = [1] * np.ndim(i[0])
            if np.size(i[1]) > 1:
                axis[at.get("axis", 1)] = np.size(i[1])
            zero = i[2] if len(i) > 2 else np.zeros(1)
            offset = zero.astype(float).reshape(axis if zero.size > 1 else ())
            scale = i[1].reshape(axis if np.size(i[1]) > 1 else ())
            return ((i[0].astype(float) - offset) * scale).astype(np.float32)
        case kind if kind in ELEMENTWISE:
            return evaluate(kind, at, i)
    raise AssertionError(f"no evaluation of {op.kind} ({math.prod(shape)} elements)")
