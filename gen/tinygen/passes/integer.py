# SPDX-License-Identifier: Apache-2.0
"""Rounded operators on rounded inputs become integer operators. One rule an operator."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygen.graph import Float, Node, Quant
from tinygen.operators import Conv, Linear, Lut, MaxPool, PrependTokens, Reshape, SelectToken
from tinygen.passes import multipliers
from tinygen.passes.constants import F64, as_grid, is_constant, real
from tinygen.passes.engine import Result, Scope, rule
from tinygen.passes.factors import factor_of, offset_of
from tinygen.passes.moves import index_of, move, positions
from tinygen.passes.multipliers import projection
from tinygen.passes.tables import real_inputs, to_grid

DIAGONAL = 64
"""Features up to which a factor for each is a product with a diagonal matrix (4 KB of flash)."""


def rounded_from(scope: Scope, node: Node, *kinds: str) -> tuple[Node, Quant] | None:
    """The operator of these kinds that a Quant node rounds, and the grid."""
    inner = scope.made_by(node.inputs[0], *kinds)
    grid = scope.quant(node.output)
    return None if inner is None or grid is None else (inner, grid)


def _arrays(scope: Scope, names: tuple[str, ...]) -> list[Any]:
    return [scope.data(n) for n in names]


@rule("Quant")
def integer_linear(scope: Scope, node: Node) -> Result:
    """round(x W + b) -> Linear."""
    found = rounded_from(scope, node, "Linear")
    x = scope.quant(found[0].inputs[0]) if found else None
    if found is None or x is None:
        return None
    inner, y = found
    q, scales, bias = _arrays(scope, inner.inputs[1:])
    p = projection(q, scales, bias, x, y)
    op = Linear(p.weight, p.bias, p.requant)
    return scope.emit(op, inner.inputs[:1], scope.shape(node.output), quant=y, name=inner.name)


@rule("Quant")
def integer_convolution(scope: Scope, node: Node) -> Result:
    """round(conv(x)) -> Conv, whose result is token-major."""
    found = rounded_from(scope, node, "Convolve")
    x = scope.quant(found[0].inputs[0]) if found else None
    if found is None or x is None:
        return None
    inner, y = found
    assert isinstance(inner.op, Float)
    attrs = inner.op.attrs
    q, scales, bias = _arrays(scope, inner.inputs[1:])
    p = projection(q, scales, bias, x, y)
    top, left, bottom, right = attrs["pads"]
    op = Conv(
        p.weight,
        p.bias,
        p.requant,
        stride=tuple(attrs["strides"]),
        pads=(top, left, bottom, right),
        dilation=tuple(attrs["dilations"]),
        groups=attrs["group"],
        x_zp=x.zero_point,
        channels_last=attrs["channels_last"],
    )
    return scope.emit(op, inner.inputs[:1], scope.shape(node.output), quant=y, name=inner.name)


@rule("Quant")
def integer_norm(scope: Scope, node: Node) -> Result:
    """round(layer_norm(x)) -> LayerNorm."""
    found = rounded_from(scope, node, "Norm")
    x = scope.quant(found[0].inputs[0]) if found else None
    if found is None or x is None:
        return None
    inner, y = found
    assert isinstance(inner.op, Float)
    gamma, beta = _arrays(scope, inner.inputs[1:])
    attrs = inner.op.attrs
    whole = attrs.get("whole", False) and x.scale == 1
    if not attrs.get("centred", True):
        shape = scope.shape(node.output)
        rms = multipliers.rms_norm(shape, gamma, beta, attrs["eps"], x, y)
        return scope.emit(rms, inner.inputs[:1], shape, quant=y, name=inner.name)
    variance = Quant(attrs["scale"], attrs["zp"]) if "scale" in attrs else None
    op = multipliers.layer_norm(gamma, beta, attrs["eps"], x, y, whole=whole, variance=variance)
    return scope.emit(op, inner.inputs[:1], scope.shape(node.output), quant=y, name=inner.name)


@rule("Quant")
def integer_affine(scope: Scope, node: Node) -> Result:
    """round(x c + d), factors and offsets that repeat over rows (BatchNorm over features, a table
    over tokens) -> depthwise Conv 1x1, or Linear with a diagonal where that is small: it takes a
    fraction of the instructions."""
    y, shape = scope.quant(node.output), scope.shape(node.output)
    found = _affine(scope, node.inputs[0]) if y is not None else None
    if found is None or y is None:
        return None
    name, c, d, last = found
    x = scope.quant(name)
    assert x is not None
    width, factors, offsets = _period(c, d)
    if not np.all(np.isfinite(factors)) or not np.all(np.isfinite(offsets)):
        return None
    rows = (math.prod(shape) // width, width)
    q = (127 * np.sign(factors)).astype(np.int32).reshape(-1, 1, 1, 1)
    none = np.abs(factors).max() or 1.0  # of a factor 0: any scale
    p = projection(q, np.where(factors == 0, none, np.abs(factors)) / 127, offsets, x, y)
    if width <= DIAGONAL:
        dense = Linear(np.diag(p.weight.reshape(-1)), p.bias, p.requant)
        flat = move(scope, name, None, rows)
        made = scope.emit(dense, (flat,), rows, quant=y, name=last.name)
    else:
        op = Conv(p.weight, p.bias, p.requant, (1, 1), groups=width, channels_last=True)
        plane = move(scope, name, None, (rows[0], 1, width))
        made = scope.emit(op, (plane,), rows, quant=y, name=last.name)
    return move(scope, made, None, shape)


def _affine(scope: Scope, name: str) -> tuple[str, F64, F64, Node] | None:
    """(x, c, d, the last step) where the value is x c + d, x on a grid, at least one step a factor;
    c and d in its shape."""
    shape = scope.shape(name)
    c, d, last, factors = np.ones(shape), np.zeros(shape), None, 0
    while scope.quant(name) is None:
        step = scope.made_by(name, "Mul", "Div", "Add", "Sub")
        factor = factor_of(scope, step) if step is not None else None
        offset = offset_of(scope, step) if step is not None and factor is None else None
        found = factor or offset
        if step is None or found is None or scope.shape(found[0]) != shape:
            return None
        last = last or step
        if factor is not None:
            c, factors = c * factor[1], factors + 1
        else:
            d = d + c * found[1]
        name = found[0]
    return (name, c, d, last) if last is not None and factors else None


def _period(c: F64, d: F64) -> tuple[int, F64, F64]:
    """The shortest run of last axes after which factors and offsets repeat, and theirs."""
    width = 1
    for size in reversed(c.shape or (1,)):
        width *= size
        if all(np.all(v.reshape(-1, width) == v.reshape(-1)[:width]) for v in (c, d)):
            break
    return width, c.reshape(-1)[:width], d.reshape(-1)[:width]


@rule("Quant")
def integer_residual(scope: Scope, node: Node) -> Result:
    """round(a + b) -> Add; b may be a constant on a grid."""
    found = rounded_from(scope, node, "Add")
    if found is None:
        return None
    inner, y = found
    a, b = inner.inputs
    if is_constant(scope, a):
        a, b = b, a
    qa, qb = scope.quant(a), scope.quant(b)
    if qa is None or scope.shape(a) != scope.shape(b):
        return None
    if not is_constant(scope, b):
        if qb is None:
            return None
        op = multipliers.add(qa, qb, y, None)
    else:
        exact = _in_int8(scope, b, qa)
        if exact is not None:
            op = multipliers.add(qa, exact[1], y, exact[0])
        else:
            values = real(scope, b)
            assert values is not None
            op = multipliers.add_constant(qa, values, y)
    inputs = (a, b) if op.other is None else (a,)
    return scope.emit(op, inputs, scope.shape(node.output), quant=y, name=inner.name)


def _in_int8(scope: Scope, name: str, beside: Quant) -> tuple[Any, Quant] | None:
    """A constant's int8 integers and grid, if one holds it exactly: its own, or the steps of the
    activation beside it."""
    grid = as_grid(scope, name)
    if grid is not None:
        q, scales = grid
        low, high = int(q.min()), int(q.max())
        zero = 0 if low >= -128 and high <= 127 else -128 - low
        if np.all(scales == scales.flat[0]) and high + zero <= 127:
            return (q + zero).astype(np.int8), Quant(float(scales.flat[0]), zero)
    values = real(scope, name)
    assert values is not None
    whole = np.rint(values / beside.scale)
    if np.abs(whole).max() <= 127 and np.allclose(whole * beside.scale, values, 0, 1e-6):
        return whole.astype(np.int8), Quant(beside.scale, 0)
    return None


@rule("Quant")
def integer_mean(scope: Scope, node: Node) -> Result:
    """round(mean of rows) -> MeanPool."""
    found = rounded_from(scope, node, "Mean")
    x = scope.quant(found[0].inputs[0]) if found else None
    if found is None or x is None:
        return None
    inner, y = found
    assert isinstance(inner.op, Float)
    times = float(inner.op.attrs.get("times", 1.0))
    op = multipliers.mean_pool(scope.shape(inner.inputs[0])[0], x, y, times)
    return scope.emit(op, inner.inputs, scope.shape(node.output), quant=y, name=inner.name)


@rule("Largest")
def integer_maximum(scope: Scope, node: Node) -> Result:
    """The largest of rounded values -> MaxPool, on the same grid."""
    grid = scope.quant(node.inputs[0])
    if grid is None:
        return None
    assert isinstance(node.op, Float)
    attrs = node.op.attrs
    op = MaxPool(attrs["kernel"], attrs["strides"], attrs["pads"])
    return scope.emit(op, node.inputs, scope.shape(node.output), quant=grid, name=node.name)


@rule("Quant")
def integer_class_token(scope: Scope, node: Node) -> Result:
    """round(constant rows before x) -> PrependTokens, x brought to the same scale first."""
    found = rounded_from(scope, node, "Join")
    if found is None or len(found[0].inputs) != 2:
        return None
    inner, y = found
    rows, x = inner.inputs
    values, qx = real(scope, rows), scope.quant(x)
    if values is None or qx is None:
        return None
    if qx != y:
        table = to_grid(real_inputs(qx), y)
        x = scope.emit(Lut(table), (x,), scope.shape(x), quant=y, name=inner.name)
    q = np.clip(np.rint(values / y.scale) + y.zero_point, -128, 127).astype(np.int8)
    shape = scope.shape(node.output)
    return scope.emit(PrependTokens(q), (x,), shape, quant=y, name=inner.name)


@rule("Move")
def view(scope: Scope, node: Node) -> Result:
    """A Move of a quantised value that keeps the order, or takes one row, is a view."""
    (x,) = node.inputs
    grid, shape, source = scope.quant(x), scope.shape(node.output), scope.shape(x)
    if grid is None:
        return None
    index = index_of(node)
    if index is None:
        return scope.emit(Reshape(shape), (x,), shape, quant=grid)
    if len(source) != 2 or math.prod(shape) != source[1]:
        return None
    row = int(index.reshape(-1)[0]) // source[1]
    if not np.array_equal(index.reshape(-1), positions(source)[row]):
        return None
    picked = scope.emit(SelectToken(row), (x,), (1, source[1]), quant=grid)
    if shape == (1, source[1]):
        return picked
    return scope.emit(Reshape(shape), (picked,), shape, quant=grid)


INTEGER = (
    integer_linear,
    integer_convolution,
    integer_norm,
    integer_affine,
    integer_residual,
    integer_mean,
    integer_maximum,
    integer_class_token,
)
VIEWS = (view,)
