# SPDX-License-Identifier: Apache-2.0
"""Where the integer and the float-simulated model part company, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from tinygen import operators as ops
from tinygen import reference
from tinygen.errors import TinygenError
from tinygen.fidelity.compare import Progress, fed, reason_of, session_with_outputs
from tinygen.graph import Float, Graph, Node, Value
from tinygen.importer.choice import with_outputs
from tinygen.numeric import I8
from tinygen.numeric.requant import clamp8
from tinygen.operators import Gather, Reorder
from tinygen.passes import Imported

SAMPLES = 64
"""Samples looked at, at most."""
NEAR, WIDE = 1.0, 5.0
"""Mean differences in steps: a layer that agrees, and one that cannot be what it is called."""


@dataclass(frozen=True)
class LayerDifference:
    """In steps of the layer's own output. tensor: its name in the ONNX file.

    mean_abs_lsb, max_abs_lsb: with everything before the layer.  own_mean_abs_lsb: of the layer
    alone, fed with onnxruntime's own inputs; None where one of them has no tensor in the file.
    """

    name: str
    op: str
    tensor: str
    mean_abs_lsb: float
    max_abs_lsb: float
    own_mean_abs_lsb: float | None


def check_layers(
    imported: Imported, model: Path, x: NDArray[Any], progress: Progress | None = None
) -> list[LayerDifference]:
    """Layers in order, those left out whose result the ONNX file does not hold."""
    graph, origins = imported.graph, imported.origins
    proto = onnx.load(str(model))
    if len(graph.outputs) < len(proto.graph.output):
        proto = with_outputs(proto, [o.name for o in graph.outputs], model)
    made = {o for n in proto.graph.node for o in n.output} | {i.name for i in proto.graph.input}
    known = {name: tensor for name, tensor in origins.items() if tensor in made}
    tensors = sorted(set(known.values()) - {i.name for i in proto.graph.input})
    try:
        session = session_with_outputs(proto, tensors)
    except Exception as e:  # onnxruntime raises its own types, one for each status code
        raise TinygenError(f"{model}: onnxruntime cannot run it ({reason_of(e)})") from None
    runs = []
    for number, sample in enumerate(x[:SAMPLES]):
        feed = fed(session, sample)
        theirs = dict(zip(tensors, session.run(tensors, feed), strict=True)) | feed
        runs.append((theirs, reference.run_all(graph, reference.quantise(graph, sample))))
        if progress:
            progress(number + 1, min(len(x), SAMPLES))
    sums = _sums(graph, known, runs)
    while others := _of_others(graph, sums) & known.keys():
        known = {name: tensor for name, tensor in known.items() if name not in others}
        sums = _sums(graph, known, runs)
    return [
        LayerDifference(
            n.name,
            type(n.op).__name__,
            known[n.output],
            s.mean / s.samples,
            s.largest,
            s.alone,
        )
        for n in graph.nodes
        if (s := sums.get(n.name)) is not None and s.samples
    ]


Run = tuple[dict[str, Any], dict[str, Any]]
"""Of one sample: onnxruntime's tensors, and our values."""


def _only_moves(node: Node) -> bool:
    return isinstance(node.op, (ops.Reshape, ops.SelectToken, Reorder, Gather))


def _sums(graph: Graph, known: dict[str, str], runs: Sequence[Run]) -> dict[str, _Sum]:
    """Differences of every layer.  known: the tensor that a value stands for."""
    rows = {n.op.index for n in graph.nodes if isinstance(n.op, ops.SelectToken)}
    row = next(iter(rows)) if len(rows) == 1 else None
    sums = {n.name: _Sum() for n in graph.nodes if not _only_moves(n)}
    for theirs, ours in runs:
        real = {
            k: laid for k, t in known.items() if (laid := _laid(graph, k, theirs[t], row, ours[k]))
        }
        for node in graph.nodes:
            if isinstance(node.op, (ops.Reshape, Reorder)) and node.inputs[0] in real:
                real[node.output] = _moved(node, real[node.inputs[0]], graph)
            if node.name in sums and node.output in real:
                _compare(graph, node, ours, real, sums[node.name])
    return sums


def _of_others(graph: Graph, sums: dict[str, _Sum]) -> set[str]:
    """Values that were compared with a tensor that is not theirs: they differ widely, and what
    reads them does not."""
    others: set[str] = set()
    agrees: dict[str, bool] = {}
    for node in reversed(graph.nodes):
        s = sums.get(node.name)
        mean = s.mean / s.samples if s is not None and s.samples else None
        later = agrees.get(node.output, False)
        if mean is not None and mean > WIDE and later:
            others.add(node.output)
            mean = None
        for name in node.inputs:
            good = later if mean is None else mean < NEAR
            agrees[name] = agrees.get(name, False) or good
    return others


def _moved(node: Node, source: _Laid, graph: Graph) -> _Laid:
    """A value in another order is its source's tensor in another order."""
    flat = source.values.reshape(-1)
    if isinstance(node.op, Reorder):
        flat = flat[node.op.view.index]
    return _Laid(flat.reshape(graph.values[node.output].shape))


@dataclass
class _Sum:
    samples: int = 0
    mean: float = 0.0
    largest: float = 0.0
    own_samples: int = 0
    own: float = 0.0

    @property
    def alone(self) -> float | None:
        """None, too, where the layer agrees with what it was fed: then that was not its input."""
        own = self.own / self.own_samples if self.own_samples else None
        near = self.samples and self.mean / self.samples < NEAR
        return None if own is not None and near and own > WIDE else own


@dataclass(frozen=True, eq=False)
class _Laid:
    """A tensor of onnxruntime in the layout of ours, real numbers."""

    values: NDArray[np.float64]


def _laid(graph: Graph, name: str, tensor: Any, row: int | None, like: Any) -> _Laid | None:
    """None where the sizes differ. A convolution of ours is token-major, and so is attention's
    context; a token may be picked."""
    real = np.asarray(tensor, np.float64)
    shape = graph.values[name].shape
    if real.size != math.prod(shape):
        if len(shape) != 2 or shape[0] != 1 or row is None or real.ndim < 2:
            return None
        if real.shape[-1] != shape[1]:
            return None
        real = real.reshape(-1, shape[1])[row : row + 1]
        return _Laid(real)
    ways = [real.reshape(shape)]
    if len(shape) == 2 and real.ndim > 2 and real.shape[1] == shape[1]:
        ways.append(real.reshape(shape[::-1]).T)
    if len(shape) == 2 and real.ndim == 4 and real.shape[2] == shape[0]:  # [1, H, S, P]
        ways.append(real[0].swapaxes(0, 1).reshape(shape))
    if len(shape) == 2 and real.ndim == 4 and real.shape[3] == shape[0]:  # [1, H, P, S]
        ways.append(real[0].transpose(2, 0, 1).reshape(shape))
    if len(shape) == 3 and real.shape[-2:] == (shape[1], shape[0] * shape[2]):  # heads joined
        ways.append(real.reshape(shape[1], shape[0], shape[2]).swapaxes(0, 1))
    q = graph.values[name].quant
    if q is None or len(ways) == 1:
        return _Laid(ways[0])
    return _Laid(min(ways, key=lambda way: float(_step(way, like, q).mean())))


def _step(real: Any, integers: Any, quant: Any) -> Any:
    return np.abs((integers.astype(np.float64) - quant.zero_point) - real / quant.scale)


def _compare(
    graph: Graph, node: Node, ours: dict[str, Any], real: dict[str, _Laid], into: _Sum
) -> None:
    quant = graph.values[node.output].quant
    there = real[node.output].values
    difference = _step(there, ours[node.output], quant)
    into.samples += 1
    into.mean += float(difference.mean())
    into.largest = max(into.largest, float(difference.max()))
    if all(i in real for i in node.inputs) and not isinstance(node.op, Float):
        inputs = [_integers(graph.values[i], real[i].values) for i in node.inputs]
        alone = node.op.reference(inputs)
        into.own_samples += 1
        into.own += float(_step(there, alone, quant).mean())


def _integers(value: Value, real: NDArray[np.float64]) -> I8:
    """Real numbers onto a value's grid, in float32 as onnxruntime divides."""
    assert value.quant is not None
    scale = np.float32(value.quant.scale)
    return clamp8(np.rint(real.astype(np.float32) / scale) + value.quant.zero_point)
