# SPDX-License-Identifier: Apache-2.0
"""QuantLib's integer networks: integers held in float tensors, so every scale is one.

RequantShift(x; mul, add; div, signed, n_levels_out) = clip(floor((x mul + add) / div + 1/2)), as a
node or as Mul, Add, Div, Add, Floor, Clip.  iLayerNorm(x, weight, bias; D, n_levels) =
clip(floor(((x - mean) weight / deviation + bias) / D)).  IntegerMean rounds a mean.  iSoftmax and
iGELU are I-BERT's polynomials, with the coefficients scaled to the input's step. Semantics after
QuantLib's forward functions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.errors import TinygenError
from tinygen.graph import Float, Graph, Node, Quant
from tinygen.graph.packed import apart
from tinygen.importer.ends import rounded_input
from tinygen.passes.constants import is_constant, is_scalar, make_grid, real
from tinygen.passes.elementwise import ELEMENTWISE
from tinygen.passes.engine import Result, Scope, kind_of, rule, tidy
from tinygen.passes.quantisation import quant
from tinygen.passes.rows import norm
from tinygen.passes.scales import CHOSEN, RANDOM

SIGNED, UNSIGNED = Quant(1.0, 0), Quant(1.0, -128)


def integer_inputs(graph: Graph, samples: NDArray[Any] | None) -> Graph:
    """An input of an integer network is int8, or uint8 where the samples say so; others stay."""
    kinds = {kind_of(n) for n in graph.nodes}
    if "RequantShift" not in kinds and not ({"Floor", "Clip"} <= kinds and "Quant" not in kinds):
        return graph
    if kinds & {"QuantizeLinear", "DequantizeLinear"}:
        return graph
    parts = (
        [None] * len(graph.inputs) if samples is None else apart(graph, graph.input_values, samples)
    )
    for name, part in zip(graph.input_values, parts, strict=True):
        grid, source = SIGNED, RANDOM
        if part is not None:
            grid = UNSIGNED if part.min() >= 0 and part.max() > 127 else SIGNED
            source = f"{len(part)} samples"
        kind = "uint8" if grid == UNSIGNED else "int8"
        graph = rounded_input(graph, name, grid, "int")
        graph = replace(graph, notes=(*graph.notes, f"{name} {CHOSEN} {source}: {kind} integers"))
    return tidy(graph)


def _number(node: Node, key: str) -> float:
    """An attribute that QuantLib stores as a tensor of one element."""
    assert isinstance(node.op, Float)
    value = np.asarray(node.op.attrs[key], np.float64)
    return float(value.reshape(()) if value.size == 1 else value[0])


def _clipped(scope: Scope, x: str, low: float, high: float) -> str:
    """The integers of x between two bounds within 8 bits."""
    grid = SIGNED if low < 0 else UNSIGNED
    ends = (-128, 127) if low < 0 else (0, 255)
    if low != round(low) or high != round(high) or low < ends[0] or high > ends[1]:
        raise TinygenError(
            f"node {scope.root.name} ({kind_of(scope.root)}) gives {round(high - low) + 1} levels: "
            "use 8 bits or fewer"
        )
    if (low, high) != ends:
        shape = scope.shape(x)
        x = scope.emit(Float("Clip", {"min": low, "max": high}), (x,), shape)
    return quant(scope, x, grid)


def _becomes_a_table(scope: Scope, name: str) -> bool:
    """Whether the value is a function of one activation: tables round halves to even, so a
    little is added for them to go up, as they do everywhere else."""
    while (node := scope.made_by(name, *ELEMENTWISE)) is not None and kind_of(node) != "Quant":
        active = [i for i in node.inputs if i and not is_scalar(scope, i)]
        if len(active) != 1:
            return False
        name = active[0]
    return scope.made_by(name, "MatMul", "Gemm", "Conv") is None


@rule("RequantShift")
def requant_shift(scope: Scope, node: Node) -> Result:
    """A factor, an offset and a rounding to integers."""
    x, *rest = node.inputs
    mul, add = (real(scope, i) for i in rest)
    if mul is None or add is None:
        return None
    div, levels = _number(node, "div"), _number(node, "n_levels_out")
    low = -float(np.ceil(levels / 2)) if _number(node, "signed") else 0.0
    shape = scope.shape(node.output)
    offset = add / div + (0.25 / div if _becomes_a_table(scope, x) else 0)
    y = scope.emit(Float("Mul"), (x, scope.constant(np.asarray(mul / div))), shape)
    if np.any(offset):
        y = scope.emit(Float("Add"), (y, scope.constant(np.asarray(offset))), shape)
    return _clipped(scope, y, low, low + levels - 1)


@rule("Clip")
def floor_and_clip(scope: Scope, node: Node) -> Result:
    """The same written with standard operators: clip(floor(x)) = round(x - 1/2)."""
    assert isinstance(node.op, Float)
    before = scope.made_by(node.inputs[0], "Floor")
    bounds = [real(scope, i) if i else None for i in node.inputs[1:]]
    low, high = (bounds + [None] * 2)[:2]
    low = node.op.attrs.get("min") if low is None else low
    high = node.op.attrs.get("max") if high is None else high
    if before is None or low is None or high is None:
        return None
    x, shape, offset = before.inputs[0], scope.shape(node.output), -0.5
    half = scope.made_by(x, "Add")
    found = [real(scope, i) for i in half.inputs] if half is not None else []
    if half is not None and any(c is not None and c.size == 1 and c == 0.5 for c in found):
        x = next(i for i, c in zip(half.inputs, found, strict=True) if c is None or c.size != 1)
        offset = 0.0
    offset += 2.0**-18 if _becomes_a_table(scope, x) else 0
    if offset:
        x = scope.emit(Float("Add"), (x, scope.constant(np.asarray(offset))), shape)
    return _clipped(scope, x, float(np.asarray(low)), float(np.asarray(high)))


@rule("iLayerNorm")
def integer_layer_norm(scope: Scope, node: Node) -> Result:
    """A norm in whole steps whose variance gets 1 added; D scales gamma and beta, the result is
    rounded down."""
    x, *rest = node.inputs
    weight, bias = (real(scope, i) for i in rest)
    if weight is None or bias is None:
        return None
    d, levels = _number(node, "D"), _number(node, "n_levels")
    y = norm(scope, node, x, weight / d, bias / d - 0.5, 1.0, whole=True)
    low = -float(np.ceil(levels / 2))
    return _clipped(scope, y, low, low + levels - 1)


@rule("IntegerMean")
def integer_mean(scope: Scope, node: Node) -> Result:
    """A mean rounded to integers of the source's kind."""
    assert isinstance(node.op, Float)
    grid = scope.quant(node.inputs[0])
    if grid is None:
        return None
    axes = np.atleast_1d(np.asarray(node.op.attrs["axes"])).tolist()
    op = Float("ReduceMean", {"axes": axes, "keepdims": node.op.attrs.get("keepdims", 0)})
    return quant(scope, scope.emit(op, node.inputs, scope.shape(node.output)), grid)


def polynomial_weights(log2: float, a: float, b: float, c: float) -> NDArray[np.float64]:
    """I-BERT's exponential of -d, d = 0 to 255, over that of 0."""
    d = np.arange(256.0)
    z = np.floor(d / log2)
    p = z * log2 - d
    y = np.floor(np.floor(a * (p + b) ** 2 + c) / 2.0**z)
    weights: NDArray[np.float64] = y / y[0]
    return weights


@rule("iSoftmax")
def integer_softmax(scope: Scope, node: Node) -> Result:
    """A softmax with a table of its own, times the number of its levels; not rounded here."""
    coefficients = (_number(node, k) for k in ("log2", "coeffA", "coeffB", "coeffC"))
    with np.errstate(all="ignore"):
        weights = polynomial_weights(*coefficients)
    if not np.all(np.isfinite(weights)) or weights.max() > 1 or weights.min() < 0:
        return None
    shape = scope.shape(node.output)
    levels = _number(node, "n_levels") - 1
    op = Float("Softmax", {"axis": -1, "weights": weights, "levels": levels})
    y = scope.emit(op, node.inputs, shape)
    return scope.emit(Float("Mul"), (y, scope.constant(np.asarray(levels))), shape)


@rule("MatMul", "Gemm", "Conv")
def integer_weights(scope: Scope, node: Node) -> Result:
    """Float weights that are all small integers are integers with a scale of one."""
    x, w, *rest = node.inputs
    data = scope.data(w)
    if data is None or data.dtype.kind != "f" or data.ndim < 2 or is_constant(scope, x):
        return None
    if not np.all((data == np.rint(data)) & (np.abs(data) <= 128) & (data <= 127)):
        return None
    grid = make_grid(scope, data.astype(np.int32), np.ones(()))
    return scope.emit(node.op, (x, grid, *rest), scope.shape(node.output))


QUANTLIB = (
    requant_shift,
    floor_and_clip,
    integer_layer_norm,
    integer_mean,
    integer_softmax,
    integer_weights,
)
