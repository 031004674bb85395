# SPDX-License-Identifier: Apache-2.0
"""Roundings that onnxruntime's quantisation leaves out, written into the file: the input where only
float operators read it, and every value that the importer would else choose a scale for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from tinygen.errors import TinygenError
from tinygen.fidelity.compare import fed, session_with_outputs
from tinygen.fidelity.model_proto import set_nodes
from tinygen.graph import Quant
from tinygen.passes.pipeline import lacking_scales

FIRST = 4
"""Samples on which a tensor is compared with the value that was rounded."""


def inputs_apart(
    entries: Sequence[onnx.ValueInfoProto], x: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    """Samples [N, ...], several inputs one after the other -> of each input [N, *its shape]."""
    parts, at = {}, 0
    x = x.reshape(len(x), -1)
    for entry in entries:
        shape = [d.dim_value for d in entry.type.tensor_type.shape.dim]
        size = math.prod(shape)
        parts[str(entry.name)] = x[:, at : at + size].reshape(len(x), *shape)
        at += size
    return parts


def with_rounded_inputs(model: onnx.ModelProto, x: NDArray[Any]) -> onnx.ModelProto:
    """A float input that some node reads unrounded gets the symmetric grid of the samples."""
    entries = list(model.graph.input)
    for entry, part in zip(entries, inputs_apart(entries, x).values(), strict=True):
        readers = [n for n in model.graph.node if entry.name in n.input]
        plain = entry.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        if _normalised(model, entry.name):
            continue
        if plain and any(n.op_type != "QuantizeLinear" for n in readers):
            largest = float(np.abs(part).max()) or 127.0
            round_tensor(model, entry.name, Quant(largest / 127, 0))
    return model


AFFINE = {"Add", "Sub", "Mul", "Div"}
KEPT = AFFINE | {"Reshape", "Unsqueeze", "Squeeze", "Flatten", "Identity"}


def _normalised(model: onnx.ModelProto, name: str) -> bool:
    """Factors and offsets of features stand before the first rounding: they stay in float, because
    one scale for the raw features would round the smaller of them away."""
    sizes = {t.name: int(np.prod(t.dims)) for t in model.graph.initializer}
    features = False
    while True:
        readers = [n for n in model.graph.node if name in n.input]
        if len(readers) != 1 or readers[0].op_type == "QuantizeLinear":
            return features and len(readers) == 1
        (node,) = readers
        others = [i for i in node.input if i and i != name]
        if node.op_type not in KEPT or any(i not in sizes for i in others):
            return False
        features |= node.op_type in AFFINE and any(sizes[i] > 1 for i in others)
        name = node.output[0]


def complete(path: Path, x: NDArray[Any]) -> None:
    """Write the grids that a quantised file lacks into it, chosen from samples [N, ...]."""
    try:
        lacking = lacking_scales(path, x)
    except TinygenError:
        return  # importing it will say why
    model = onnx.load(str(path))
    made = {o for n in model.graph.node for o in n.output}
    wanted = {name: grid for name, grid in lacking.items() if name in made}
    for name, grid in _fitting(model, wanted, x[:FIRST]).items():
        round_tensor(model, name, grid)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _fitting(model: onnx.ModelProto, wanted: dict[str, Quant], x: NDArray[Any]) -> dict[str, Quant]:
    """Those tensors whose values stay within their grid: others are not what was rounded."""
    if not wanted:
        return {}
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    ready = session_with_outputs(copy, list(wanted))
    names = [o.name for o in ready.get_outputs()]
    found = dict(wanted)
    for sample in x:
        for name, value in zip(names, ready.run(None, fed(ready, sample)), strict=True):
            grid = found.get(name)
            if grid is None:
                continue
            steps = value / grid.scale + grid.zero_point
            if steps.min() < -129.5 or steps.max() > 128.5:
                del found[name]
    return found


def round_tensor(model: onnx.ModelProto, name: str, grid: Quant) -> None:
    """Quantise and dequantise a tensor before all who read it."""
    graph = model.graph
    scale, zero = f"{name}_tinygen_scale", f"{name}_tinygen_zero"
    graph.initializer.append(
        onnx.numpy_helper.from_array(np.asarray(grid.scale, np.float32), scale)
    )
    graph.initializer.append(
        onnx.numpy_helper.from_array(np.asarray(grid.zero_point, np.int8), zero)
    )
    source, result = f"{name}_tinygen_real", name
    nodes = list(graph.node)
    at = next((i for i, n in enumerate(nodes) if name in n.output), None)
    if at is None:  # a graph input keeps its name, its readers take another
        source, result = name, f"{name}_tinygen_rounded"
        for node in nodes:
            _rename(node.input, name, result)
    else:
        _rename(nodes[at].output, name, source)
    q = f"{name}_tinygen_q"
    pair = [
        onnx.helper.make_node("QuantizeLinear", [source, scale, zero], [q], f"{name}_Q"),
        onnx.helper.make_node("DequantizeLinear", [q, scale, zero], [result], f"{name}_DQ"),
    ]
    after = 0 if at is None else at + 1
    set_nodes(graph, [*nodes[:after], *pair, *nodes[after:]])


def _rename(names: Any, old: str, new: str) -> None:
    for i, name in enumerate(names):
        if name == old:
            names[i] = new
