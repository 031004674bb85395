# SPDX-License-Identifier: Apache-2.0
"""The ends of a model: what shape an input has, and integers where an exporter took the first
QuantizeLinear or the last DequantizeLinear away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from tinygen.errors import TinygenError
from tinygen.graph import Float, Graph, Input, Node, Output, Quant, Value, are_scales
from tinygen.graph.graph import Integers

IDS: tuple[int, ...] = (onnx.TensorProto.INT32, onnx.TensorProto.INT64)
BYTES: dict[int, Integers] = {onnx.TensorProto.INT8: "int8", onnx.TensorProto.UINT8: "uint8"}
MOVING = {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Transpose"}
LARGEST = 1 << 21
"""Elements of an input."""


def fix_shape(entry: onnx.ValueInfoProto) -> tuple[int, ...]:
    """The input's shape with its batch, the axis of unknown or unit size in front, set to 1.

    An input without a batch axis is taken as it is. Raises `TinygenError` without the file's name.
    """
    tensor = entry.type.tensor_type
    if not tensor.HasField("shape") or not tensor.shape.dim:
        raise TinygenError(f"input {entry.name} has no shape: export with fixed axes")
    dims = [d.dim_value if d.HasField("dim_value") else 0 for d in tensor.shape.dim]
    open_axes = [axis for axis, size in enumerate(dims) if size < 1]
    batch = open_axes[:1] if open_axes and open_axes[0] in (0, 1) else []
    if batch == [1] and dims[0] == 1:
        batch = []  # the batch is fixed in front, so that this axis is another
    for axis in open_axes:
        if axis not in batch:
            label = tensor.shape.dim[axis].dim_param or "?"
            raise TinygenError(
                f"axis {axis} ({label}) of input {entry.name} is dynamic: export with a fixed size "
                "(only the batch axis may be dynamic)"
            )
    shape = tuple(1 if axis in batch else size for axis, size in enumerate(dims))
    if np.prod(shape, dtype=float) > LARGEST:
        raise TinygenError(
            f"input {entry.name} of shape {list(shape)} is too large for firmware: export with the "
            "size that the device will see"
        )
    if tensor.elem_type not in (onnx.TensorProto.FLOAT, *IDS, *BYTES):
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
        raise TinygenError(
            f"input {entry.name} is {kind}: tinygen takes inputs in float32, in int8 or uint8 with "
            "a DequantizeLinear behind, and token ids in int32 or int64"
        )
    return shape


def with_real_ends(graph: Graph, types: Mapping[str, int]) -> Graph:
    """A graph with real inputs and outputs, roundings where integers came in and went out.

    types: ONNX element types by name."""
    for entry in graph.inputs:
        if types[entry.value] in BYTES:
            graph = _real_input(graph, entry, BYTES[types[entry.value]])
    for end in graph.outputs:
        if types[end.value] in BYTES:
            graph = _real_output(graph, end, BYTES[types[end.value]])
    return graph


def _real_input(graph: Graph, entry: Input, kind: Integers) -> Graph:
    first = _readers(graph, entry.value)
    grids = {_grid(graph, n, kind) for n in first if n.op.kind == "DequantizeLinear"}  # type: ignore[union-attr]
    if len(grids) != 1 or any(_kind(n) != "DequantizeLinear" for n in first):
        culprit = next((n for n in first if _kind(n) != "DequantizeLinear"), None)
        why = f"node {culprit.name} ({_kind(culprit)}) reads it" if culprit else "none reads it"
        raise TinygenError(
            f"input {entry.name} is {kind} but has no scale ({why}): export the model with a "
            "DequantizeLinear behind its input"
        )
    (grid,) = grids
    graph = rounded_input(graph, entry.value, grid, "real")
    made_real = {n.output for n in first}
    nodes = tuple(
        replace(n, op=Float("Identity"), inputs=n.inputs[:1]) if n.output in made_real else n
        for n in graph.nodes
    )
    return replace(graph, nodes=nodes).with_input(replace(entry, integers=kind))


def rounded_input(graph: Graph, name: str, grid: Quant, tag: str) -> Graph:
    """An input rounded onto a grid before all who read it; `tag` makes the new names."""
    rounded = f"{name}~{tag}"
    op = Float("Quant", {"scale": grid.scale, "zp": grid.zero_point})
    rest = (
        replace(n, inputs=tuple(rounded if i == name else i for i in n.inputs)) for n in graph.nodes
    )
    nodes = (Node(rounded, op, (name,), (rounded,)), *rest)
    values = {**graph.values, rounded: Value(rounded, graph.values[name].shape, grid)}
    return replace(graph, values=values, nodes=nodes)


def _readers(graph: Graph, name: str) -> list[Node]:
    """Who reads a value, movement aside."""
    found = []
    for node in graph.consumers(name):
        found += _readers(graph, node.output) if _kind(node) in MOVING else [node]
    return found


def _real_output(graph: Graph, end: Output, kind: Integers) -> Graph:
    source = graph.producer(end.value)
    while source is not None and _kind(source) in MOVING:
        source = graph.producer(source.inputs[0])
    if source is None or _kind(source) != "QuantizeLinear":
        made = "nothing" if source is None else f"node {source.name} ({_kind(source)})"
        raise TinygenError(
            f"output {end.name} is {kind} and {made} makes it, not a QuantizeLinear: export "
            "the model with float logits"
        )
    name = f"{end.value}~real"
    inputs = (end.value, *source.inputs[1:])
    node = Node(f"{source.name}~real", Float("DequantizeLinear"), inputs, (name,))
    values = {**graph.values, name: Value(name, graph.values[end.value].shape)}
    outputs = tuple(replace(o, value=name, integers=kind) if o is end else o for o in graph.outputs)
    return replace(graph, values=values, nodes=(*graph.nodes, node), outputs=outputs)


def _kind(node: Node) -> str:
    return node.op.kind if isinstance(node.op, Float) else ""


def _grid(graph: Graph, node: Node, kind: Integers) -> Quant:
    def number(position: int, default: float) -> float:
        if len(node.inputs) <= position or not node.inputs[position]:
            return default
        data: NDArray[Any] | None = graph.values[node.inputs[position]].data
        if data is None or data.size != 1:
            raise TinygenError(
                f"node {node.name} (DequantizeLinear) has not one constant scale for its "
                "activation: quantise activations per tensor"
            )
        return float(data.reshape(-1)[0])

    scale, zero = number(1, 1.0), int(number(2, 0.0))
    if not are_scales(np.asarray(scale)).all():
        raise TinygenError(
            f"node {node.name} (DequantizeLinear) has the scale {scale}: calibrate the model again"
        )
    return Quant(scale, zero - (128 if kind == "uint8" else 0))
