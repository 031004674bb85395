# SPDX-License-Identifier: Apache-2.0
"""A case as two small models: one for the yardstick, and one for tinygen.

The yardstick is onnxruntime without optimisations, or ONNX's reference evaluator where onnxruntime
lacks the operator. tinygen's model reads one input of all activations, rounded onto a grid; the
samples lie on it, so that nothing else is rounded before the operator.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from semantics.case import MICROSOFT, QUANTLIB, Case, Ids, Live, Step, Stored, Weight
from tinygen.errors import TinygenError
from tinygen.fidelity import quantlib
from tinygen.graph import Graph
from tinygen.importer import load
from tinygen.passes import pipeline
from tinygen.passes.diagnose import refuse_leftovers
from tinygen.passes.elementwise import ELEMENTWISE
from tinygen.passes.engine import kind_of, rewrite
from tinygen.passes.scales import CHOSEN
from tinygen.passes.simulate import simulate
from tinygen.reference import quantise, run

Array = NDArray[Any]
SIMULATED = ELEMENTWISE | {"Grid", "Move", "Linear", "Convolve", "Scores", "Softmax", "Embed"}
SIMULATED |= {"Largest", "Mean", "Join", "Norm"}
NODE = "probe"
EXACT = 1e-4
"""Relative to the value or 1: what float32 leaves of sums in another order."""
HALF = 0.53
"""A rounding, and what the multiplier's own bits are off, in steps of the output."""


Layout = tuple[tuple[int, ...] | None, tuple[int, ...] | None]
TURNED = {"Conv", "QLinearConv", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}
TURNED |= {"ReduceMean", "ReduceMax", "QLinearReduceMean", "BatchNormalization", "Softmax"}


class Invalid(Exception):
    """ONNX has no such use of the operator at this opset."""


@dataclass(frozen=True)
class Outcome:
    """error: largest distance of the canonical float graph, whole_error: of the integer graph, as
    parts of what is allowed.  None: refused, by the sentence."""

    error: float | None = None
    refused: str = ""
    whole_error: float | None = None
    refused_whole: str = ""


@dataclass
class Builder:
    """The nodes and constants that feed the operator."""

    case: Case
    version: int

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.case.seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.names: list[str] = []

    def constant(self, data: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(data), name))
        return name

    def add(self, kind: str, inputs: list[str], name: str = "", **attrs: Any) -> str:
        old = self.version < 10 and kind in ("QuantizeLinear", "DequantizeLinear")
        output = f"v{len(self.nodes)}"
        domain = MICROSOFT if old else ""
        made = helper.make_node(kind, inputs, [output], name or output, domain=domain, **attrs)
        self.nodes.append(made)
        return output

    def grid(self, zero: bool = False) -> str:
        scale, zp = self.case.grid
        return self.constant(np.int8(zp) if zero else np.float32(scale))

    def weight(self, w: Weight) -> str:
        q = self.rng.integers(-127, 128, w.shape).astype(np.int8)
        scale: Any = np.float32(1 / 64)
        zero: Any = np.int8(0)
        attrs: dict[str, Any] = {}
        if w.axis is not None:
            size = w.shape[w.axis]
            scale = self.rng.uniform(0.5, 1.5, size).astype(np.float32) / 64
            zero = np.zeros(size, np.int8)
            attrs = {"axis": w.axis % len(w.shape)} if self.version < 13 else {"axis": w.axis}
        inputs = [self.constant(v) for v in (q, scale, zero)]
        return self.add("DequantizeLinear", inputs, **attrs)

    def probe(self, sources: list[str]) -> None:
        """The operator; ``sources``: names of its live inputs in order."""
        left = iter(sources)
        inputs = []
        for value in self.case.inputs:
            match value:
                case None:
                    inputs.append("")
                case Live() | Stored() | Ids():
                    inputs.append(next(left))
                case Weight():
                    inputs.append(self.weight(value))
                case Step(zero):
                    inputs.append(self.grid(zero))
                case _:
                    inputs.append(self.constant(value))
        names = list(self.case.outputs)
        if self.case.after is not None or self.case.beside is not None:
            names[self.case.read] = "raw"
        attrs = self.case.attrs
        made = helper.make_node(self.case.op, inputs, names, NODE, domain=self.case.domain, **attrs)
        self.nodes.append(made)
        y = "raw"
        if self.case.after is not None:
            given = [self.constant(a) for a in self.case.after if a is not None]
            how = {k: v for k, v in attrs.items() if k in ("axis", "block_size")}
            if self.case.op != "QuantizeLinear" or self.version < 13:
                how = {}
            y = self.add("DequantizeLinear", [y, *given], **how)
        if self.case.beside is not None:
            y = self.add("Add", [self.add("Cast", [y], to=TensorProto.FLOAT), next(left)])
        if y != "raw":
            self.nodes[-1].output[0] = self.case.outputs[self.case.read]

    def model(
        self, inputs: list[Any], output: str, kind: int, shape: tuple[int, ...] | None = None
    ) -> onnx.ModelProto:
        opsets = [helper.make_opsetid("", self.version)]
        opsets += [helper.make_opsetid(d, 1) for d in (MICROSOFT, QUANTLIB)]
        out = helper.make_tensor_value_info(output, kind, shape)
        graph = helper.make_graph(self.nodes, "g", inputs, [out], self.constants)
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def inputs_of(case: Case) -> list[Any]:
    beside = [] if case.beside is None else [case.beside]
    return [i for i in case.inputs if isinstance(i, Live | Stored | Ids)] + beside


def sample(case: Case) -> list[Array]:
    """The integers of each live input, no two alike where there are fewer than 255."""
    rng = np.random.default_rng(case.seed + 1)
    shapes = [i.shape for i in inputs_of(case)]
    if any(isinstance(i, Ids) for i in case.inputs):
        return [np.arange(math.prod(s)).reshape(s) % 5 for s in shapes]
    if not shapes:
        return []
    total = sum(math.prod(s) for s in shapes)
    low = -127 if case.grid[1] > -128 else -120
    pool = rng.permutation(np.arange(low, 128))
    flat = pool[:total] if total <= len(pool) else rng.integers(low, 128, total)
    parts = np.split(flat, np.cumsum([math.prod(s) for s in shapes])[:-1])
    return [p.reshape(s) for p, s in zip(parts, shapes, strict=True)]


def real(case: Case, q: Array) -> Array:
    scale, zp = case.grid
    y: Array = ((q.astype(np.int64) - zp) * np.float32(scale)).astype(np.float32)
    return y


def yardstick(case: Case, version: int) -> Array:
    """What the operator gives; `Invalid` where ONNX has no such use of it."""
    b = Builder(case, version)
    names = [f"x{i}" for i in range(len(inputs_of(case)))]
    b.probe(names)
    infos, feeds = [], {}
    for name, value, q in zip(names, inputs_of(case), sample(case), strict=True):
        kind = {Live: TensorProto.FLOAT, Stored: TensorProto.INT8, Ids: TensorProto.INT64}
        dtype = {Live: np.float32, Stored: np.int8, Ids: np.int64}[type(value)]
        infos.append(helper.make_tensor_value_info(name, kind[type(value)], value.shape))
        feeds[name] = (real(case, q) if isinstance(value, Live) else q).astype(dtype)
    model = b.model(infos, case.outputs[case.read], case.result)
    context = onnx.checker.C.CheckerContext()
    context.ir_version, context.opset_imports = 10, {"": version}
    try:
        if not case.domain:
            onnx.checker.check_node(next(n for n in b.nodes if n.name == NODE), context)
            onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    except Exception as error:
        raise Invalid(str(error)) from error
    return _runs(model, case, feeds)


def _runs(model: onnx.ModelProto, case: Case, feeds: dict[str, Array]) -> Array:
    if case.domain == QUANTLIB:
        return np.asarray(quantlib.Evaluator(model).run(None, feeds)[0])
    if case.op == "QLinearReduceMean":
        return _quantised_mean(case, feeds["x0"])
    if case.evaluator:
        return np.asarray(ReferenceEvaluator(model).run(None, feeds)[0])
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return np.asarray(session.run(None, feeds)[0])
    except Exception as first:  # whatever onnxruntime lacks, ONNX's own evaluator may have
        try:
            return np.asarray(ReferenceEvaluator(model).run(None, feeds)[0])
        except Exception:
            raise Invalid(str(first)) from first


def _quantised_mean(case: Case, x: Array) -> Array:
    """onnxruntime declares this operator and has no kernel for it."""
    assert case.after is not None
    scale, zero = (p.astype(np.float64) for p in case.after)
    axes, keep = tuple(case.attrs["axes"]), bool(case.attrs["keepdims"])
    mean = real(case, x).mean(axis=axes or None, keepdims=keep)
    q = np.clip(np.rint(mean / scale) + zero, -128, 127)
    return np.asarray((q - zero) * scale, np.float32)


def model_of(
    case: Case,
    version: int,
    shape: tuple[int, ...],
    out: tuple[float, int] | None = None,
    layout: Layout = (None, None),
) -> onnx.ModelProto:
    """What tinygen reads.  shape, out: those of the output, its grid if it is rounded.

    layout: the order of axes in which the model's input holds the activation, and in which its
    output holds the result."""
    b = Builder(case, version)
    values = inputs_of(case)
    if isinstance(values[0], Ids):
        info = helper.make_tensor_value_info("x", TensorProto.INT64, values[0].shape)
        b.add("DequantizeLinear", [b.constant(np.int8([1])), b.constant(np.float32(1))])
        b.probe(["x"])
    else:
        total = sum(math.prod(v.shape) for v in values)
        info = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, total])
        q = b.add("QuantizeLinear", ["x", b.grid(), b.grid(zero=True)])
        x = b.add("DequantizeLinear", [q, b.grid(), b.grid(zero=True)])
        sources, start = [], 0
        for value in values:
            size = math.prod(value.shape)
            source = q if isinstance(value, Stored) else x
            if len(values) > 1:
                places = np.arange(start, start + size, dtype=np.int64)
                source = b.add("Gather", [source, b.constant(places)], axis=1)
            order = layout[0] or range(len(value.shape))
            target = b.constant(np.asarray([value.shape[a] for a in order], np.int64))
            source = b.add("Reshape", [source, target])
            if layout[0] is not None:
                source = b.add("Transpose", [source], perm=np.argsort(order).tolist())
            sources.append(source)
            start += size
        b.probe(sources)
    y = case.outputs[case.read]
    if layout[1] is not None:
        y = b.add("Transpose", [y], perm=layout[1])
        shape = tuple(shape[a] for a in layout[1])
    if out is not None:
        names = [b.constant(np.float32(out[0])), b.constant(np.int8(out[1]))]
        y = b.add("DequantizeLinear", [b.add("QuantizeLinear", [y, *names]), *names])
    return b.model([info], y, case.result if out is None else TensorProto.FLOAT, shape)


def stored(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "case.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def canonical(path: Path) -> Graph:
    """The float graph in its one form."""
    graph = rewrite(load(path), pipeline.QUICK.spelled)
    return rewrite(graph, pipeline.QUICK.canonical)


def flat_input(case: Case, order: tuple[int, ...] | None = None) -> Array:
    values = inputs_of(case)
    parts = [p if order is None else p.transpose(order) for p in sample(case)]
    if isinstance(values[0], Ids):
        return parts[0].astype(np.float32)
    return np.concatenate([real(case, p).reshape(-1) for p in parts])[None]


def _float_error(case: Case, path: Path, want: Array) -> float:
    graph = canonical(path)
    left = [n for n in graph.nodes if kind_of(n) not in SIMULATED]
    if left:
        refuse_leftovers(graph)
        raise AssertionError(f"{left[0].name} ({kind_of(left[0])}) is left, and nobody says so")
    got = simulate(graph, flat_input(case))[graph.only_output]
    if graph.outputs[0].logits:
        return _disorder(got, want)
    if graph.values[graph.only_output].shape != want.shape:
        return math.inf
    same = np.isclose(got, want, rtol=0, atol=0, equal_nan=True)
    with np.errstate(invalid="ignore"):
        allowed = case.step * 1.01 or EXACT * np.maximum(1, np.abs(want))
        error = np.where(same, 0, np.abs(got - want) / allowed)
    return float(np.nan_to_num(error, nan=math.inf).max(initial=0))


def _disorder(logits: Array, want: Array) -> float:
    """0 where the logits of a last softmax that was left out rank the classes as it does."""
    ranked = want.reshape(-1)[np.argsort(logits.reshape(-1), kind="stable")]
    return 0.0 if logits.size == want.size and np.all(np.diff(ranked) >= 0) else math.inf


def layouts(case: Case, shape: tuple[int, ...]) -> list[Layout]:
    """Orders of axes to try: integer operators take rows of features, and no other movement."""
    values = inputs_of(case)
    rank = len(values[0].shape)
    if case.op not in TURNED or len(values) != 1 or rank < 3:
        return [(None, None)]
    before: list[tuple[int, ...] | None] = [None, (0, *range(2, rank), 1)]
    if rank == 3:
        before += [(1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    rank = len(shape)
    after: list[tuple[int, ...] | None] = [None]
    after += [(0, *range(2, rank), 1)] if rank > 2 else [(1, 0)] if rank == 2 else []
    return [(a, b) for a in before for b in after]


def _whole_error(case: Case, folder: Path, version: int, want: Array) -> float:
    """In the first layout that is taken; the sentence is of the plain one."""
    first = None
    for layout in layouts(case, want.shape):
        try:
            return _whole_in(case, folder, version, want, layout)
        except TinygenError as error:
            first = first or error
    assert first is not None
    raise first


def _whole_in(case: Case, folder: Path, version: int, want: Array, layout: Layout) -> float:
    """Against the unrounded value within the output's range, of what is allowed."""
    low, high = min(float(want.min()), 0), max(float(want.max()), 0)
    scale = np.float32((high - low) / 255) or np.float32(1)
    zp = int(np.clip(np.rint(-128 - low / scale), -128, 127))
    grid = None if case.after is not None else (float(scale), zp)
    path = stored(model_of(case, version, want.shape, grid, layout), folder)
    graph, _ = pipeline.to_integer(load(path), np.float32(flat_input(case, layout[0])))
    want = want if layout[1] is None else want.transpose(layout[1])
    if graph.outputs[0].logits and layout[1] is None and layout[0] is None:
        q = quantise(graph, flat_input(case)).reshape(graph.values[graph.only_input].shape)
        return _disorder(run(graph, q), want)
    q = quantise(graph, flat_input(case, layout[0])).reshape(graph.values[graph.only_input].shape)
    y = run(graph, q)
    quant = graph.values[graph.only_output].quant
    assert quant is not None and y.size == want.size, (y.shape, want.shape)
    exact = np.clip(want.astype(np.float64) / quant.scale + quant.zero_point, -128, 127)
    within = sum(CHOSEN in note for note in graph.notes)  # values that are rounded on the way
    allowed = HALF * (case.roundings + 3 * within) + case.step / quant.scale
    return float(np.abs(y.reshape(-1) - exact.reshape(-1)).max() / allowed)


def outcome(case: Case, version: int, folder: Path) -> Outcome:
    """Compute a case both ways."""
    with np.errstate(all="ignore"):
        want = yardstick(case, version)
    want = want.astype(np.float32)
    if not inputs_of(case):
        case = replace(case, beside=Live(want.shape))
        want = want + real(case, sample(case)[0])
    path = stored(model_of(case, version, want.shape), folder)
    error, refused = _tried(lambda: _float_error(case, path, want))
    if refused or not case.whole:
        return Outcome(error, refused)
    lsb, why = _tried(lambda: _whole_error(case, folder, version, want))
    return Outcome(error, refused, lsb, why)


def _tried(compute: Callable[[], float]) -> tuple[float | None, str]:
    try:
        return compute(), ""
    except TinygenError as error:
        return None, re.sub(r"^\S*case\.onnx:? ", "", str(error))
