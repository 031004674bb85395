# SPDX-License-Identifier: Apache-2.0
"""Random integer encoders of any shape, for tests that need a Graph and no ONNX file."""

from __future__ import annotations

import math

import numpy as np

from tinygen import operators as ops
from tinygen.graph import Graph, Input, Node, Output, Quant, Value, verify
from tinygen.numeric import I8, I32, Requant, RowScale
from tinygen.operators import infer_shape


def ends(output: str) -> tuple[tuple[Input, ...], tuple[Output, ...]]:
    """Of a graph with the input x and one output."""
    return (Input("x", "x"),), (Output(output, output),)


class GraphBuilder:
    """Appends nodes in order; every value gets scale 0.05 and a random zero point."""

    def __init__(self, shape: tuple[int, ...], seed: int = 0, name: str = "net") -> None:
        self.rng = np.random.default_rng(seed)
        self.name = name
        self.values = {"x": self._value("x", shape)}
        self.nodes: list[Node] = []
        self.inputs = ["x"]
        self.last = "x"

    def _value(self, name: str, shape: tuple[int, ...]) -> Value:
        return Value(name, shape, Quant(0.05, int(self.rng.integers(-20, 20))))

    def entry(self, name: str, *shape: int) -> str:
        """Another input."""
        self.values[name] = self._value(name, shape)
        self.inputs.append(name)
        return name

    def add(self, name: str, op: ops.Operator, *inputs: str) -> str:
        inputs = inputs or (self.last,)
        shape = infer_shape(op, [self.values[i].shape for i in inputs], name)
        self.values[f"{name}_y"] = self._value(f"{name}_y", shape)
        self.nodes.append(Node(name, op, inputs, (f"{name}_y",)))
        self.last = f"{name}_y"
        return self.last

    def int8(self, *shape: int) -> I8:
        return self.rng.integers(-128, 128, shape).astype(np.int8)

    def weight(self, *shape: int) -> I8:
        """Symmetric, as quantisers make them."""
        return np.maximum(self.int8(*shape), -127)

    def bias(self, n: int) -> I32:
        return self.rng.integers(-2000, 2000, n).astype(np.int32)

    def requant(self, n: int, k: int, channels: int | None = None) -> Requant:
        """Multipliers that spread accumulators of k products over int8."""
        ratio = 40 / (73 * 73 * math.sqrt(k))
        m = ratio * self.rng.uniform(0.5, 1.5, channels or n) * (1 << 22)
        return Requant(np.rint(m).astype(np.int32), 22, int(self.rng.integers(-9, 9)))

    def table(self) -> I8:
        return np.sort(self.int8(256))

    def linear(self, n: int, k: int, *, table: bool = False) -> ops.Linear:
        return ops.Linear(
            self.weight(n, k), self.bias(n), self.requant(n, k), self.table() if table else None
        )

    def norm(self, e: int) -> ops.LayerNorm:
        frac = 15 - math.ceil(math.log2(e) / 2) if e > 1 else 15
        gamma = self.rng.integers(-(1 << 14), 1 << 14, e).astype(np.int32)
        beta = self.rng.integers(-(1 << 20), 1 << 20, e).astype(np.int32)
        return ops.LayerNorm(gamma, beta, 7, frac, max(1, frac - 3 + 7))

    def residual(self) -> ops.Add:
        return ops.Add(11000, 9000, (3 << 14) + (1 << 13), 14)

    def attention(
        self, e: int, p: int, h: int, bits: int = 15, fusion: ops.Fusion = "unfused"
    ) -> ops.Attention:
        dim, value_dim = (
            e if fusion in (one, "fused") else p for one in ("fused-scores", "fused-values")
        )
        rows = h * dim, 0 if fusion in ("fused-scores", "fused") else h * dim
        values = 0 if fusion in ("fused-values", "fused") else h * p
        inner = h * value_dim
        s = 40 if bits == 15 else 36
        table = np.rint(((1 << bits) - 1) * np.exp(-np.arange(256) * 0.05)).astype(np.uint16)
        return ops.Attention(
            h,
            dim,
            *(self.weight(rows[0], e), self.bias(rows[0]), self.requant(rows[0], e)),
            *(self.weight(rows[1], e), self.bias(rows[1]), self.requant(rows[1], e, rows[1] or 1)),
            *(self.weight(values, e), self.bias(values), self.requant(values, e, values or 1)),
            self.requant(1, dim, 1),
            table,
            bits,
            RowScale(int(self.rng.integers(1 << 14, 1 << 15)), 14, s, 7 << (s - 33)),
            *(self.weight(e, inner), self.bias(e), self.requant(e, inner)),
        )

    def block(self, e: int, p: int, h: int, ffn: int, tag: str = "block0") -> None:
        """A pre-norm encoder block."""
        skip = self.last
        self.add(f"{tag}.norm1", self.norm(e))
        self.add(f"{tag}.attention", self.attention(e, p, h))
        skip = self.add(f"{tag}.add1", self.residual(), self.last, skip)
        self.add(f"{tag}.norm2", self.norm(e))
        self.add(f"{tag}.ffn1", self.linear(ffn, e, table=True))
        self.add(f"{tag}.ffn2", self.linear(e, ffn))
        self.add(f"{tag}.add2", self.residual(), self.last, skip)

    def graph(self, *outputs: str) -> Graph:
        """outputs: the last value unless they are named."""
        inputs = tuple(Input(i, i) for i in self.inputs)
        got = tuple(Output(o, f"out_{i}") for i, o in enumerate(outputs)) or ends(self.last)[1]
        made = Graph(self.name, self.values, tuple(self.nodes), inputs, got, "0" * 64)
        return verify(made, integer=True)


def random_encoder(
    tokens: int = 5, e: int = 8, p: int = 4, h: int = 2, ffn: int = 16, *, seed: int = 0,
    class_token: bool = True, blocks: int = 1, classes: int = 3,
) -> Graph:  # fmt: skip
    """Linear embedding, class token or mean pooling, positions, pre-norm blocks, classifier."""
    b = GraphBuilder((tokens, 6), seed)
    b.add("embed", b.linear(e, 6))
    if class_token:
        b.add("cls", ops.PrependTokens(b.int8(1, e)))
    rows = tokens + class_token
    b.add("positions", ops.Add(11000, 9000, 1 << 13, 14, b.int8(rows, e)))
    for i in range(blocks):
        b.block(e, p, h, ffn, f"block{i}")
    b.add("norm", b.norm(e))
    if class_token:
        b.add("token", ops.SelectToken(0))
    else:
        m = np.array([round((1 << 22) / rows)], np.int32)
        b.add("pool", ops.MeanPool(-rows * 3, Requant(m, 22, 3)))
    b.add("head", b.linear(classes, e))
    return b.graph()
