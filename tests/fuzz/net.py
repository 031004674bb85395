# SPDX-License-Identifier: Apache-2.0
"""A model that grows node by node, each evaluated by onnxruntime as it comes.

So the one who draws a graph knows the shape and the range of every value, and an operator that
onnxruntime does not take as it was drawn is `Rejected` and leaves nothing behind.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from semantics.case import MICROSOFT

Array = NDArray[Any]
Sample = list[Array]
SAMPLES = 3
LARGEST, HIGHEST = 2048, 1e3
"""Elements of a value, and what an activation may reach."""
STILL = {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Dropout", "Slice"}
STILL |= {"Gather", "Split", "Expand", "Tile", "Concat", "DequantizeLinear", "Cast"}
"""What moves elements adds no rounding of its own."""
WHOLE = {"Attention", "Mean", "Sum"}
"""Operators in which something is rounded before the end, as in all of onnxruntime's fused ones."""
ort.set_default_logger_severity(4)


class Rejected(Exception):
    """ONNX has no such use of an operator, or its values are no use."""


@dataclass
class Made:
    """A node and how it is run: inputs in order -> outputs in order."""

    node: onnx.NodeProto
    run: Callable[[list[Array | None]], list[Array]]


@dataclass
class Net:
    """values: each tensor's elements, for each sample.  live: those that depend on the input.

    rounding: how likely an activation gets a QuantizeLinear and a DequantizeLinear behind it.
    plain: all weights stay in float.  exact: none does.
    grids: of such an activation, the names of its integers, scale and zero point.
    """

    rng: np.random.Generator
    opset: int
    rounding: float = 0.0
    plain: bool = False
    exact: bool = False
    made: list[Made] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    values: dict[str, Sample] = field(default_factory=dict)
    live: set[str] = field(default_factory=set)
    grids: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    info: Any = None
    input: str = ""
    pool: list[str] = field(default_factory=list)

    # what a drawing reads

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self.values[name][0].shape)

    def span(self, name: str) -> tuple[float, float]:
        """The range of a value, zero within."""
        seen = self.values[name]
        return min(0.0, min(float(v.min()) for v in seen)), max(
            0.0, max(float(v.max()) for v in seen)
        )

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def pick(self, items: Any) -> Any:
        items = list(items)
        return items[int(self.rng.integers(len(items)))]

    def some(self, low: int, high: int) -> int:
        """low to high, both within."""
        return int(self.rng.integers(low, high + 1))

    # what it adds

    def start(self, shape: tuple[int, ...], kind: int, grid: tuple[float, int]) -> str:
        """The model's input, its samples on a grid of int8."""
        scale, zero = grid
        q = [self.rng.integers(-127, 128, shape) for _ in range(SAMPLES)]
        if kind == TensorProto.FLOAT:
            samples = [((v - zero) * np.float32(scale)).astype(np.float32) for v in q]
        elif kind in (TensorProto.INT8, TensorProto.UINT8):
            off = 128 if kind == TensorProto.UINT8 else 0
            samples = [(v + off).astype(helper.tensor_dtype_to_np_dtype(kind)) for v in q]
        else:
            samples = [
                self.rng.integers(0, 6, shape).astype(helper.tensor_dtype_to_np_dtype(kind))
                for v in q
            ]
        self.input = "x"
        self.info = helper.make_tensor_value_info("x", kind, shape)
        self.values["x"] = samples
        self.live.add("x")
        return "x"

    def constant(self, data: Any) -> str:
        """As an initialiser, a Constant node, or computed from others."""
        data = np.asarray(data)
        how = self.rng.random()
        name = f"c{len(self.constants) + len(self.made)}"
        if how < 0.75 or data.dtype.kind not in "fi":
            self.constants.append(numpy_helper.from_array(data, name))
            self.values[name] = [data] * SAMPLES
            return name
        if how < 0.9 or data.size == 0 or data.dtype.itemsize < 4:
            attrs: dict[str, Any] = {"value": numpy_helper.from_array(data)}
            if (
                self.opset >= 12
                and data.ndim < 2
                and data.size
                and data.dtype in (np.float32, np.int64)
            ):
                kind = "float" if data.dtype == np.float32 else "int"
                attrs = (
                    {f"value_{kind}s": data.tolist()}
                    if data.ndim
                    else {f"value_{kind}": data.item()}
                )
            return self.node("Constant", [], **attrs)
        if data.dtype == np.int64 or how < 0.95:  # exactly, whatever the order
            stored = numpy_helper.from_array(data.reshape(1, -1), name)
            self.constants.append(stored)
            self.values[name] = [data.reshape(1, -1)] * SAMPLES
            to = numpy_helper.from_array(np.asarray(data.shape, np.int64), f"{name}_shape")
            self.constants.append(to)
            self.values[to.name] = [np.asarray(data.shape, np.int64)] * SAMPLES
            return self.node("Reshape", [name, to.name])
        stored = numpy_helper.from_array(data.T.copy(), name)
        self.constants.append(stored)
        self.values[name] = [data.T.copy()] * SAMPLES
        return self.node("Transpose", [name])

    def given(self, data: Any) -> str:
        """As an initialiser, or a Constant node."""
        data = np.asarray(data)
        if self.chance(0.05):
            return self.node("Constant", [], value=numpy_helper.from_array(data))
        name = f"c{len(self.constants) + len(self.made)}"
        self.constants.append(numpy_helper.from_array(data, name))
        self.values[name] = [data] * SAMPLES
        return name

    def reals(self, *shape: int, low: float = -2, high: float = 2) -> str:
        return self.constant(self.rng.uniform(low, high, shape).astype(np.float32))

    def ints(self, *values: int) -> str:
        return self.constant(np.asarray(values, np.int64))

    def node(self, kind: str, inputs: list[str], domain: str = "", **attrs: Any) -> str:
        """One node of one output."""
        return self.nodes(kind, inputs, 1, domain, **attrs)[0]

    def nodes(
        self, kind: str, inputs: list[str], count: int, domain: str = "", **attrs: Any
    ) -> list[str]:
        at = len(self.made)
        names = [f"t{at}" if count == 1 else f"t{at}_{i}" for i in range(count)]
        label = f"n{at}_{kind}" if self.chance(0.95) else ""
        made = helper.make_node(kind, inputs, names, label, domain=domain, **attrs)
        if not domain and _since(kind) > self.opset:
            raise Rejected("opset")
        self._check(made)
        run = self._runner(made)
        found: list[Sample] = [[] for _ in names]
        for k in range(SAMPLES):
            try:
                results = run([self.values[i][k] if i else None for i in inputs])
            except Exception as error:
                raise Rejected(str(error)) from error
            for place, result in enumerate(results):
                found[place].append(np.asarray(result))
        for seen in found:
            self._usable(seen)
        self.made.append(Made(made, run))
        for name, seen in zip(names, found, strict=True):
            self.values[name] = seen
            if any(i in self.live for i in inputs):
                self.live.add(name)
        return names

    def _check(self, node: onnx.NodeProto) -> None:
        """As ONNX defines the operator at this opset; onnxruntime takes more."""
        if node.domain:
            return
        context = onnx.checker.C.CheckerContext()
        context.ir_version, context.opset_imports = 10, {"": self.opset}
        try:
            onnx.checker.check_node(node, context)
        except onnx.checker.ValidationError as error:
            raise Rejected(str(error)) from error

    @staticmethod
    def _usable(seen: Sample) -> None:
        for v in seen:
            if v.size == 0 or v.size > LARGEST or v.ndim > 5 or v.shape != seen[0].shape:
                raise Rejected("size")
            if v.dtype.kind == "f" and not (np.isfinite(v).all() and np.abs(v).max() < HIGHEST):
                raise Rejected("range")

    def _runner(self, node: onnx.NodeProto) -> Callable[[list[Array | None]], list[Array]]:
        """By onnxruntime, or by ONNX's own evaluator where that has no kernel."""
        given = [i for i in dict.fromkeys(node.input) if i]
        infos, fixed = [], []
        for name in given:
            sample = self.values[name][0]
            if name in self.live:
                kind = helper.np_dtype_to_tensor_dtype(sample.dtype)
                infos.append(helper.make_tensor_value_info(name, kind, sample.shape))
            else:
                fixed.append(numpy_helper.from_array(sample, name))
        outputs = [onnx.ValueInfoProto(name=o) for o in node.output]
        graph = helper.make_graph([node], "g", infos, outputs, fixed)
        model = helper.make_model(graph, opset_imports=self.opsets(), ir_version=10)
        wanted = [i.name for i in infos]
        try:
            session = _session(model)
        except Exception as first:
            try:
                session = ReferenceEvaluator(model)
            except Exception:
                raise Rejected(str(first)) from first

        def run(inputs: list[Array | None]) -> list[Array]:
            feeds = {n: v for n, v in zip(node.input, inputs, strict=True) if n in wanted}
            return list(session.run(None, feeds))

        return run

    def opsets(self) -> list[onnx.OperatorSetIdProto]:
        return [helper.make_opsetid("", self.opset), helper.make_opsetid(MICROSOFT, 1)]

    def grid(self, low: float, high: float) -> tuple[np.float32, Any]:
        """int8 or uint8, with or without a zero point in the middle."""
        scale = np.float32((high - low) / 255) or np.float32(0.01)
        if self.chance(0.3):
            return np.float32(max(-low, high) / 127) or np.float32(0.01), np.int8(0)
        zero = int(np.clip(np.rint(-128 - low / scale), -128, 127))
        return scale, np.int8(zero) if self.chance(0.6) else np.uint8(zero + 128)

    def domain(self) -> str:
        return MICROSOFT if self.opset < 10 else ""

    def pair(self, x: str) -> str:
        """A value rounded onto a grid of its own range, and back."""
        scale, zero = self.grid(*self.span(x))
        names = [self.given(scale), self.given(zero)]
        q = self.node("QuantizeLinear", [x, *names], self.domain())
        y = self.node("DequantizeLinear", [q, *names], self.domain())
        self.grids[y] = (q, *names)
        return y

    def maybe(self, x: str) -> str:
        """An activation, rounded as often as this net rounds."""
        if x in self.live and x not in self.grids and self.chance(self.rounding):
            return self.pair(x)
        return x

    def weight(self, *shape: int, axis: int | None = None, spread: float = 0) -> str:
        """A constant as int8 and its scales; axis: one for each place of it."""
        spread = spread or 1.5 / math.sqrt(max(1, shape[0]))
        q = self.rng.integers(-127, 128, shape).astype(np.int8)
        how = self.rng.random()
        if self.plain or (how < 0.15 and not self.exact):
            return self.constant((q * spread / 127).astype(np.float32))
        scale: Any = np.float32(spread / 127)
        zero: Any = np.int8(0)
        attrs = {}
        if axis is not None and self.opset >= 13:
            scale = (self.rng.uniform(0.5, 1.5, shape[axis]) * spread / 127).astype(np.float32)
            zero, attrs = np.zeros(shape[axis], np.int8), {"axis": axis}
        parts = [self.constant(scale), self.constant(zero)]
        if how < 0.25 and self.opset >= 10:
            real = (q * scale).astype(np.float32) if scale.ndim == 0 else q * np.float32(0.01)
            stored = self.node("QuantizeLinear", [self.constant(real), *parts], **attrs)
        else:
            stored = self.constant(q)
        return self.node("DequantizeLinear", [stored, *parts], self.domain(), **attrs)

    # the whole

    def model(self, *outputs: str) -> onnx.ModelProto:
        out = []
        for name in outputs:
            first = self.values[name][0]
            kind = helper.np_dtype_to_tensor_dtype(first.dtype)
            out.append(helper.make_tensor_value_info(name, kind, first.shape))
        nodes = [m.node for m in self.made]
        graph = helper.make_graph(nodes, "g", [self.info], out, self.constants)
        return helper.make_model(graph, opset_imports=self.opsets(), ir_version=10)

    def needed(self, output: str) -> None:
        """Drop the nodes and constants that an output does not need."""
        wanted, kept = {output}, []
        for made in reversed(self.made):
            if wanted.intersection(made.node.output):
                wanted.update(made.node.input)
                kept.append(made)
        self.made = kept[::-1]
        self.constants = [c for c in self.constants if c.name in wanted]

    def _noisy(self, name: str, value: Array | None, part: float) -> Array | None:
        """A live real value off by up to half of a part of its range."""
        if value is None or name not in self.live or value.dtype != np.float32:
            return value
        low, high = self.span(name)
        noise = self.rng.uniform(-0.5, 0.5, value.shape) * (high - low) * part
        return np.asarray(value + noise, np.float32)

    def disturbed(self, output: str, sample: int, part: float) -> Array:
        """The output when every activation that is computed is off by up to half of a part of its
        range (1/255: a step of eight bits)."""
        known = {c.name: self.values[c.name][sample] for c in self.constants}
        known[self.input] = self.values[self.input][sample]
        for made in self.made:
            given = [known[i] if i else None for i in made.node.input]
            if made.node.domain or made.node.op_type in WHOLE:
                given = [
                    self._noisy(i, v, part) for i, v in zip(made.node.input, given, strict=True)
                ]
            results = made.run(given)
            for name, result in zip(made.node.output, results, strict=True):
                noisy = name in self.live and made.node.op_type not in STILL
                if noisy and result.dtype == np.float32:
                    result = self._noisy(name, result, part)
                elif noisy and result.dtype in (np.int8, np.uint8):
                    info = np.iinfo(result.dtype)
                    if part > 1e-3:
                        off = self.rng.integers(-1, 2, result.shape)
                        moved = np.clip(result.astype(int) + off, info.min, info.max)
                        result = np.asarray(moved, result.dtype)
                known[name] = result
        return known[output]


@lru_cache(None)
def _since(kind: str) -> int:
    """The first opset that has an operator."""
    found = [s for s in onnx.defs.get_all_schemas_with_history() if s.name == kind]
    return min(s.since_version for s in found if s.domain == "")


def _session(model: onnx.ModelProto) -> Any:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    content = model.SerializeToString()
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
