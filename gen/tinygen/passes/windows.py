# SPDX-License-Identifier: Apache-2.0
"""Operators on windows of a plane: convolutions, maxima and means, padding before them.

``Convolve`` x [C, H, W] -> [OH*OW, N]: inputs x, integers, scales, bias; attrs as ONNX's, 2-D.
``Largest`` x [H, W, C] -> [OH*OW, C]: attrs kernel, strides, pads.
``Padded`` x of any rank: attrs before, after (elements, by axis), value.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygen.errors import TinygenError
from tinygen.graph import Float, Node
from tinygen.passes.constants import as_grid, is_constant, real
from tinygen.passes.engine import Result, Scope, rule
from tinygen.passes.moves import index_of, move, normal, positions, transposed
from tinygen.passes.rows import attribute, reduced, rounded_weights

MOST_AVERAGES = 1 << 16
"""Elements of a matrix that averages windows of unequal size."""


@dataclass(frozen=True)
class Windows:
    """By axis of the plane. before, after: padding, as far as windows reach, what ceil_mode adds
    included.  given: padding behind as the model says it."""

    strides: list[int]
    dilations: list[int]
    before: list[int]
    after: list[int]
    given: list[int]


def windows(node: Node, kernel: Sequence[int], size: Sequence[int], out: Sequence[int]) -> Windows:
    """Strides, dilations and padding of ONNX's window operators, automatic padding computed."""
    space = len(size)
    strides = list(attribute(node, "strides") or [1] * space)
    dilations = list(attribute(node, "dilations") or [1] * space)
    pads = list(attribute(node, "pads") or [0] * (2 * space))
    how = attribute(node, "auto_pad", "NOTSET")
    need = [
        max(0, (out[i] - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - size[i])
        for i in range(space)
    ]
    if how in ("SAME_UPPER", "SAME_LOWER"):
        before = [(n + (how == "SAME_LOWER")) // 2 for n in need]
    elif how == "VALID":
        before = [0] * space
    else:
        before = pads[:space]
    after = [max(0, n - b) for n, b in zip(need, before, strict=True)]
    return Windows(strides, dilations, before, after, pads[space:] if how == "NOTSET" else after)


def one_image(scope: Scope, node: Node) -> None:
    """Windows are of one image: the batch is 1."""
    shape = scope.shape(node.inputs[0])
    if shape[0] != 1:
        raise TinygenError(
            f"node {node.name} ({_kind(node)}) has a batch of {shape[0]}: export the model with "
            "batch 1 (or a dynamic batch axis)"
        )


def _kind(node: Node) -> str:
    assert isinstance(node.op, Float)
    return node.op.kind


@rule("Conv")
def convolution_of_planes(scope: Scope, node: Node) -> Result:
    """Conv1d is a Conv2d of height 1; the result is token-major."""
    x, w, *rest = node.inputs
    grid, values = as_grid(scope, w), real(scope, w)
    if values is None:
        return None
    q, scales = grid or rounded_weights(scope, node, values)
    flat = scales.reshape(len(q), -1)
    if not np.all(flat == flat[:, :1]):
        raise TinygenError(
            f"node {node.name} (Conv) has weight scales along its inputs: quantise weights per "
            "tensor or per output channel"
        )
    space = q.ndim - 2
    if space not in (1, 2):
        return None
    one_image(scope, node)
    shape, out = scope.shape(x), scope.shape(node.output)
    one = [1] * (2 - space)
    frame = windows(node, q.shape[2:], shape[2:], out[2:])
    nothing = [0] * (2 - space)
    attrs = {
        "strides": [*one, *frame.strides],
        "dilations": [*one, *frame.dilations],
        "pads": [*nothing, *frame.before, *nothing, *frame.given],
        "group": attribute(node, "group", 1),
        "channels_last": False,
    }
    b = np.zeros(len(q)) if not rest or not rest[0] else real(scope, rest[0])
    if b is None:
        return None
    q = q.reshape(*q.shape[:2], *one, *q.shape[2:])
    plane = move(scope, x, None, (shape[1], *one, *shape[2:]))
    inputs = (plane, scope.constant(q), scope.constant(flat[:, 0]), scope.constant(b))
    tokens = math.prod(out[2:])
    y = scope.emit(Float("Convolve", attrs), inputs, (tokens, out[1]))
    return move(scope, transposed(scope, y, (1, 0)), None, out)


@rule("Convolve")
def channels_last_input(scope: Scope, node: Node) -> Result:
    """A transpose before a convolution is a way to read its input: [H, W, C]."""
    x, *rest = node.inputs
    before = scope.made_by(x, "Move")
    index = index_of(before) if before is not None else None
    if before is None or index is None or attribute(node, "channels_last"):
        return None
    c, h, w = scope.shape(x)
    wanted = positions((h, w, c)).transpose(2, 0, 1).reshape(-1)
    whole = math.prod(scope.shape(before.inputs[0])) == wanted.size
    if not whole or not np.array_equal(index, wanted):
        return None
    assert isinstance(node.op, Float)
    plane = move(scope, before.inputs[0], None, (h, w, c))
    op = Float("Convolve", {**node.op.attrs, "channels_last": True})
    return scope.emit(op, (plane, *rest), scope.shape(node.output))


@rule("ReduceMax", "GlobalMaxPool")
def largest_of_rows(scope: Scope, node: Node) -> Result:
    """The largest over some axes: bring them to the front, one window over all rows."""
    index = reduced(scope, node)
    if index is None:
        return None
    x, (count, kept) = node.inputs[0], index.shape
    plane = move(scope, x, normal(index[None], scope.shape(x)), (1, count, kept))
    attrs = {"kernel": (1, count), "strides": (1, 1), "pads": (0, 0, 0, 0)}
    y = scope.emit(Float("Largest", attrs), (plane,), (1, kept))
    return move(scope, y, None, scope.shape(node.output))


@rule("MaxPool")
def largest_of_windows(scope: Scope, node: Node) -> Result:
    """MaxPool on channels-last planes; 1-D is 2-D of width 1."""
    (x,), shape, out = node.inputs, scope.shape(node.inputs[0]), scope.shape(node.output)
    kernel, planes = list(attribute(node, "kernel_shape")), shape[0] * shape[1]
    space = len(kernel)
    if space not in (1, 2) or any(d != 1 for d in attribute(node, "dilations") or []):
        return None
    w = windows(node, kernel, shape[2:], out[2:])
    one, nothing = [1] * (2 - space), [0] * (2 - space)
    size, made = [*shape[2:], *one], [*out[2:], *one]
    plane = transposed(scope, move(scope, x, None, (planes, *size)), (1, 2, 0))
    pads = (*w.before, *nothing, *w.after, *nothing)
    attrs = {"kernel": (*kernel, *one), "strides": (*w.strides, *one), "pads": pads}
    y = scope.emit(Float("Largest", attrs), (plane,), (math.prod(made), planes))
    return move(scope, transposed(scope, y, (1, 0)), None, out)


@rule("Largest")
def largest_stays_on_its_grid(scope: Scope, node: Node) -> Result:
    """The largest of values on a grid is on that grid."""
    grid = scope.quant(node.inputs[0])
    if grid is None or scope.quant(node.output) is not None:
        return None
    return scope.emit(node.op, node.inputs, scope.shape(node.output), quant=grid)


@rule("Quant")
def rounding_before_largest(scope: Scope, node: Node) -> Result:
    """round(largest(x)) = largest(round(x))."""
    before = scope.made_by(node.inputs[0], "Largest")
    grid = scope.quant(node.output)
    if before is None or grid is None or scope.quant(before.output) is not None:
        return None
    attrs = {"scale": grid.scale, "zp": grid.zero_point}
    (x,) = before.inputs
    inner = scope.emit(Float("Quant", attrs), (x,), scope.shape(x), quant=grid)
    shape = scope.shape(node.output)
    return scope.emit(before.op, (inner,), shape, quant=grid, name=before.name)


@rule("AveragePool")
def mean_of_windows(scope: Scope, node: Node) -> Result:
    """AveragePool is a convolution of each channel with one over the size of its windows; where
    windows differ in size at the borders, a matrix product over the plane."""
    (x,), shape, out = node.inputs, scope.shape(node.inputs[0]), scope.shape(node.output)
    kernel = list(attribute(node, "kernel_shape"))
    space, channels = len(kernel), shape[1]
    one_image(scope, node)
    if space not in (1, 2):
        return None
    w = windows(node, kernel, shape[2:], out[2:])
    weights = _shares(node, kernel, shape[2:], out[2:], w)
    count = math.prod(kernel)
    one = [1] * (2 - space)
    if np.all((weights == 0) | (weights == 1 / count)):
        nothing = [0] * (2 - space)
        attrs = {
            "strides": [*one, *w.strides],
            "dilations": [*one, *w.dilations],
            "pads": [*nothing, *w.before, *nothing, *w.after],
            "group": channels,
            "channels_last": False,
        }
        parts = (
            np.ones((channels, 1, *one, *kernel), np.int32),
            np.full(channels, 1 / count),
            np.zeros(channels),
        )
        plane = move(scope, x, None, (channels, *one, *shape[2:]))
        inputs = (plane, *(scope.constant(p) for p in parts))
        y = scope.emit(Float("Convolve", attrs), inputs, (math.prod(out[2:]), channels))
        return move(scope, transposed(scope, y, (1, 0)), None, out)
    if weights.size > MOST_AVERAGES:
        raise TinygenError(
            f"node {node.name} (AveragePool) leaves padding out of its means "
            f"(count_include_pad 0) on a plane of {list(shape[2:])}: export it with "
            "count_include_pad=1, or without padding"
        )
    largest = weights.max(axis=1)
    q = np.rint(weights / largest[:, None] * 127).astype(np.int32)
    parts = (q, largest / 127, np.zeros(len(q)))
    rows = move(scope, x, None, (channels, math.prod(shape[2:])))
    inputs = (rows, *(scope.constant(p) for p in parts))
    y = scope.emit(Float("Linear"), inputs, (channels, len(q)))
    return move(scope, y, None, out)


def _shares(
    node: Node, kernel: Sequence[int], size: Sequence[int], out: Sequence[int], w: Windows
) -> Any:
    """[windows, elements of the plane]: how much each element counts in each mean."""
    padded = bool(attribute(node, "count_include_pad", 0))
    pads = attribute(node, "pads") or [0] * (2 * len(kernel))
    explicit = attribute(node, "auto_pad", "NOTSET") == "NOTSET"
    total: Any = np.ones((1, 1))
    counts: Any = np.ones(1)
    for axis, k in enumerate(kernel):
        end = size[axis] + (pads[len(kernel) + axis] if explicit else w.after[axis])
        starts = np.arange(out[axis]) * w.strides[axis] - w.before[axis]
        taps = starts[:, None] + np.arange(k) * w.dilations[axis]
        inside = (taps >= 0) & (taps < size[axis])
        share = np.zeros((out[axis], size[axis]))
        for row, (columns, ok) in enumerate(zip(taps, inside, strict=True)):
            np.add.at(share[row], columns[ok], 1.0)
        # what ceil_mode adds is never counted
        counted = (taps < end).sum(axis=1) if padded else inside.sum(axis=1)
        total = np.einsum("ab,cd->acbd", total, share).reshape(
            len(total) * out[axis], total.shape[1] * size[axis]
        )
        counts = (counts[:, None] * counted[None, :]).reshape(-1)
    return total / np.maximum(counts, 1)[:, None]


@rule("Pad")
def padding(scope: Scope, node: Node) -> Result:
    """Constant padding is Padded; elements repeated at the borders are a Move."""
    x, *rest = node.inputs
    shape, mode = scope.shape(x), attribute(node, "mode", "constant")
    pads, value = attribute(node, "pads"), attribute(node, "value", 0.0)
    given = [scope.data(i) if i else None for i in rest]
    if rest:
        if given[0] is None:
            return None
        pads = given[0].tolist()
    if len(rest) > 1 and rest[1]:
        number = real(scope, rest[1])
        if number is None:
            return None
        value = float(number.reshape(-1)[0])
    axes = list(range(len(shape)))
    if len(rest) > 2 and rest[2]:
        if given[2] is None:
            return None
        axes = [int(a) % len(shape) for a in given[2].reshape(-1)]
    before, after = [0] * len(shape), [0] * len(shape)
    for i, axis in enumerate(axes):
        before[axis], after[axis] = int(pads[i]), int(pads[len(axes) + i])
    if is_constant(scope, x):
        return None
    grid = positions(shape)
    cut = tuple(
        slice(max(0, -b), n - max(0, -a)) for n, b, a in zip(shape, before, after, strict=True)
    )
    grown = [(max(0, b), max(0, a)) for b, a in zip(before, after, strict=True)]
    if mode != "constant":
        names = {"reflect": "reflect", "edge": "edge", "wrap": "wrap"}
        index = np.pad(grid[cut], grown, mode=names[mode])  # type: ignore[call-overload]
        return move(scope, x, normal(index, shape), index.shape)
    part = grid[cut]
    inner = move(scope, x, normal(part, shape), part.shape)
    if not any(b or a for b, a in grown):
        return inner
    attrs = {"before": tuple(b for b, _ in grown), "after": tuple(a for _, a in grown)}
    op = Float("Padded", {**attrs, "value": value})
    return scope.emit(op, (inner,), scope.shape(node.output), quant=None)


@rule("Quant")
def rounding_before_padding(scope: Scope, node: Node) -> Result:
    """round(padded(x)) = padded(round(x)), what is put there rounded too."""
    before, grid = scope.made_by(node.inputs[0], "Padded"), scope.quant(node.output)
    if before is None or grid is None or scope.quant(before.output) is not None:
        return None
    (x,) = before.inputs
    attrs = {"scale": grid.scale, "zp": grid.zero_point}
    inner = scope.emit(Float("Quant", attrs), (x,), scope.shape(x), quant=grid)
    return scope.emit(before.op, (inner,), scope.shape(node.output), quant=grid, name=before.name)


@rule("Padded")
def padding_stays_on_its_grid(scope: Scope, node: Node) -> Result:
    """Zeros around values on a grid are on that grid."""
    grid = scope.quant(node.inputs[0])
    if grid is None or scope.quant(node.output) is not None or attribute(node, "value") != 0:
        return None
    return scope.emit(node.op, node.inputs, scope.shape(node.output), quant=grid)


@rule("Convolve")
def padding_into_convolution(scope: Scope, node: Node) -> Result:
    """Zeros around a plane before a convolution are its own padding."""
    x, *rest = node.inputs
    view = scope.made_by(x, "Move")
    source = view.inputs[0] if view is not None and index_of(view) is None else x
    before = scope.made_by(source, "Padded")
    if before is None or attribute(before, "value") != 0 or attribute(node, "channels_last"):
        return None
    assert isinstance(node.op, Float)
    channels, height, width = scope.shape(x)
    tall = height > 1 or len(scope.shape(source)) == 4
    space = 2 if tall else 1
    front, back = (list(attribute(before, k)) for k in ("before", "after"))
    if any(front[:-space]) or any(back[:-space]) or len(front) <= space:
        return None
    wide = [0] * (2 - space)
    more = [*wide, *front[-space:], *wide, *back[-space:]]
    pads = [p + m for p, m in zip(node.op.attrs["pads"], more, strict=True)]
    plane = (channels, height - more[0] - more[2], width - more[1] - more[3])
    if math.prod(plane) != math.prod(scope.shape(before.inputs[0])):
        return None
    op = Float("Convolve", {**node.op.attrs, "pads": pads})
    inner = move(scope, before.inputs[0], None, plane)
    return scope.emit(op, (inner, *rest), scope.shape(node.output))


WINDOWS = (
    padding,
    padding_stays_on_its_grid,
    rounding_before_padding,
    convolution_of_planes,
    padding_into_convolution,
    channels_last_input,
    largest_of_rows,
    largest_of_windows,
    largest_stays_on_its_grid,
    rounding_before_largest,
    mean_of_windows,
)
