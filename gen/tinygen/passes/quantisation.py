# SPDX-License-Identifier: Apache-2.0
"""Quantise/dequantise nodes -> ``Quant`` (rounding onto a grid) and ``Grid`` (quantised constant).

A Quant node carries ``scale`` and ``zp`` of int8. Unsigned 8 bits are the same grid shifted by 128.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.errors import TinygenError
from tinygen.graph import Float, Node, Quant, are_scales
from tinygen.passes.constants import as_grid, is_constant, make_grid, real
from tinygen.passes.elementwise import MONOTONE
from tinygen.passes.engine import Result, Scope, rule


def quant(scope: Scope, source: str, grid: Quant, *, name: str | None = None) -> str:
    """The value rounded onto a grid."""
    attrs = {"scale": grid.scale, "zp": grid.zero_point}
    return scope.emit(Float("Quant", attrs), (source,), scope.shape(source), quant=grid, name=name)


def activation_grid(scope: Scope, node: Node) -> Quant:
    """Scale and int8 zero point of a QuantizeLinear or DequantizeLinear on an activation."""
    scale, zero = _parameters(scope, node)
    if scale.size != 1:
        raise TinygenError(
            f"node {node.name} ({_kind(node)}) quantises an activation per channel, which has no "
            "integer form: quantise activations per tensor"
        )
    kind = zero.dtype if zero is not None else np.dtype(np.uint8)
    if kind not in (np.dtype(np.int8), np.dtype(np.uint8)):
        raise TinygenError(
            f"node {node.name} ({_kind(node)}) quantises an activation to {kind}: "
            "use 8-bit activations"
        )
    value = float(np.float32(scale.reshape(-1)[0]))
    shift = 128 if kind == np.uint8 else 0
    return Quant(value, (int(zero.reshape(-1)[0]) if zero is not None else 0) - shift)


def _parameters(scope: Scope, node: Node) -> tuple[NDArray[Any], NDArray[Any] | None]:
    scale = scope.data(node.inputs[1])
    zero = scope.data(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    if scale is None or (len(node.inputs) > 2 and node.inputs[2] and zero is None):
        raise TinygenError(
            f"node {node.name} ({_kind(node)}) computes its scale at run time: "
            "use static quantisation (`tinygen quantize`)"
        )
    good = are_scales(scale)
    if scale.size == 0 or not good.all():
        bad = scale[~good]
        what = f"the scale {float(bad[0]):g}" if bad.size else "no scale"
        raise TinygenError(
            f"node {node.name} ({_kind(node)}) has {what} in {node.inputs[1].split('~')[0]}: a "
            "scale is a positive number, 1e-30 to 1e+30, so calibrate the model again"
        )
    return scale, zero


def _kind(node: Node) -> str:
    assert isinstance(node.op, Float)
    return node.op.kind


@rule("DequantizeLinear")
def quantised_constant(scope: Scope, node: Node) -> Result:
    """Stored integers with a scale, per tensor or along an axis, are a Grid."""
    integers = scope.data(node.inputs[0])
    if integers is None:
        return None
    scale, zero = _parameters(scope, node)
    assert isinstance(node.op, Float)
    if node.op.attrs.get("block_size"):
        raise TinygenError(
            f"node {node.name} (DequantizeLinear) has block-wise scales: quantise weights per "
            "tensor or per channel"
        )
    axis = int(node.op.attrs.get("axis", 1))

    def along(p: NDArray[Any]) -> NDArray[Any]:
        if p.size == 1:
            return p.reshape(())
        shape = [1] * integers.ndim
        shape[axis] = p.size
        return p.reshape(shape)

    centred = integers.astype(np.int64)
    if zero is not None:
        centred = centred - along(zero).astype(np.int64)
    return make_grid(scope, centred.astype(np.int32), along(scale).astype(np.float64))


@rule("DequantizeLinear")
def pair_is_rounding(scope: Scope, node: Node) -> Result:
    """Quantise, then dequantise with the same parameters: rounding onto a grid."""
    before = scope.made_by(node.inputs[0], "QuantizeLinear")
    if before is None:
        return None
    if is_constant(scope, before.inputs[0]):
        return None
    grid = activation_grid(scope, before)
    if activation_grid(scope, node) != grid:
        raise TinygenError(
            f"node {node.name} (DequantizeLinear) does not undo {before.name}: their scales or "
            "zero points differ, so quantise the model again"
        )
    return quant(scope, before.inputs[0], grid)


@rule("DequantizeLinear")
def rows_of_stored_integers(scope: Scope, node: Node) -> Result:
    """Rows of a table of integers, made real: rows of the real table, which stand on its grid."""
    before = scope.made_by(node.inputs[0], "Gather")
    if before is None or scope.data(before.inputs[0]) is None:
        return None
    grid = activation_grid(scope, node)
    assert isinstance(before.op, Float)
    table, ids = before.inputs
    inputs = (table, *node.inputs[1:])
    table = scope.emit(Float("DequantizeLinear"), inputs, scope.shape(table))
    y = scope.emit(before.op, (table, ids), scope.shape(node.output), name=before.name)
    return quant(scope, y, grid)


@rule("DequantizeLinear")
def quantised_float_constant(scope: Scope, node: Node) -> Result:
    """A float constant that is quantised in the graph is a Grid too."""
    before = scope.made_by(node.inputs[0], "QuantizeLinear")
    values = real(scope, before.inputs[0]) if before is not None else None
    if before is None or values is None:
        return None
    scale, zero = _parameters(scope, before)
    kind = np.dtype(np.uint8) if zero is None else zero.dtype
    if kind not in (np.int8, np.uint8, np.int16, np.uint16):
        raise TinygenError(
            f"node {before.name} (QuantizeLinear) quantises a constant to {kind}: use int8"
        )
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    assert isinstance(before.op, Float)
    shape = [1] * values.ndim
    if scale.size > 1:
        shape[int(before.op.attrs.get("axis", 1))] = scale.size
    step = scale.reshape(shape).astype(np.float64)
    offset = zero.reshape(shape).astype(np.int64) if zero is not None else np.int64(0)
    integers = np.clip(np.rint(values / step) + offset, low, high) - offset
    return make_grid(scope, integers.astype(np.int32), step)


@rule("Quant")
def rounding_of_a_constant(scope: Scope, node: Node) -> Result:
    """A constant rounded onto a grid is a Grid; one that is a Grid already stays."""
    (source,) = node.inputs
    if as_grid(scope, source) is not None:
        return source
    values = real(scope, source)
    if values is None:
        return None
    grid = scope.values[node.output].quant
    assert grid is not None
    q = np.clip(np.rint(values / grid.scale) + grid.zero_point, -128, 127)
    return make_grid(scope, (q - grid.zero_point).astype(np.int32), np.asarray(grid.scale))


@rule("Quant")
def rounding_twice(scope: Scope, node: Node) -> Result:
    """What stands on a grid is not changed by rounding onto the same grid."""
    (source,) = node.inputs
    return source if scope.quant(source) == scope.quant(node.output) else None


@rule("Quant")
def rounding_before_monotone(scope: Scope, node: Node) -> Result:
    """round(relu(x)) = round(relu(round(x))): an activation without a scale before it gets one."""
    before = scope.made_by(node.inputs[0], *MONOTONE)
    if before is None or scope.quant(before.inputs[0]) is not None:
        return None
    grid = scope.values[node.output].quant
    assert grid is not None
    x, *rest = before.inputs
    inner = quant(scope, x, grid)
    shape = scope.shape(node.output)
    return quant(scope, scope.emit(before.op, (inner, *rest), shape, name=before.name), grid)


PAIRS = (
    quantised_constant,
    rows_of_stored_integers,
    quantised_float_constant,
    pair_is_rounding,
)
ROUNDING = (rounding_of_a_constant, rounding_twice, rounding_before_monotone)
