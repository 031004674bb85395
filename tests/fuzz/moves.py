# SPDX-License-Identifier: Apache-2.0
"""What only places elements elsewhere, alone and in pairs that undo each other."""

from __future__ import annotations

import math

import numpy as np

from fuzz.net import Net, Rejected
from fuzz.pieces import need, pair, some_axis, with_axes


def _target(net: Net, size: int) -> list[int]:
    """A shape of this many elements, of rank 1 to 4."""
    dims, left = [], size
    for _ in range(net.some(0, 3)):
        parts = [d for d in range(1, left + 1) if left % d == 0]
        dims.append(int(net.pick(parts)))
        left //= dims[-1]
    dims.append(left)
    return [int(d) for d in net.rng.permutation(dims)]


def reshape(net: Net, x: str) -> str:
    shape = net.shape(x)
    to = _target(net, math.prod(shape))
    if net.chance(0.3):
        to[net.some(0, len(to) - 1)] = -1
    elif net.chance(0.2):
        to = [0 if i < len(shape) and n == shape[i] else n for i, n in enumerate(to)]
    if net.opset >= 14 and 0 not in to and net.chance(0.2):
        return net.node("Reshape", [x, net.ints(*to)], allowzero=1)
    if net.chance(0.15):
        return net.node("Reshape", [x, _computed(net, x, to)])
    return net.node("Reshape", [x, net.ints(*to)])


def _computed(net: Net, x: str, to: list[int]) -> str:
    """A shape that exporters compute from the shape of a value."""
    whole = net.node("Shape", [x])
    rest = net.ints(*to)
    first = net.node("Gather", [whole, net.constant(np.int64(0))], axis=0)
    zero = net.node("Sub", [first, first])
    return net.node("Add", [rest, zero])


def transpose(net: Net, x: str) -> str:
    rank = len(net.shape(x))
    need(rank > 0)
    if net.chance(0.15):
        return net.node("Transpose", [x])
    return net.node("Transpose", [x], perm=[int(a) for a in net.rng.permutation(rank)])


def squeeze(net: Net, x: str) -> str:
    ones = [a for a, n in enumerate(net.shape(x)) if n == 1]
    if not ones or net.chance(0.4):
        rank = len(net.shape(x))
        need(rank < 4)
        axes = [net.some(0, rank)]
        if net.opset >= 11 and net.chance(0.4):
            axes = [a - rank - 1 for a in axes]
        return with_axes(net, "Unsqueeze", x, axes, 13)
    some = None if net.chance(0.2) else [a for a in ones if net.chance(0.6)] or ones[:1]
    if net.opset >= 11 and some and net.chance(0.4):
        some = [a - len(net.shape(x)) for a in some]
    return with_axes(net, "Squeeze", x, some, 13)


def flatten(net: Net, x: str) -> str:
    rank = len(net.shape(x))
    need(rank > 0)  # onnxruntime takes a scalar, ONNX does not
    return (
        net.node("Flatten", [x], axis=net.some(0, rank))
        if net.chance(0.8)
        else net.node("Flatten", [x])
    )


def cut(net: Net, x: str) -> str:
    """A slice: backwards, in steps, with ends past the end."""
    shape = net.shape(x)
    axis = some_axis(net, x)
    n = shape[axis]
    start, end = sorted((net.some(0, n - 1), net.some(1, n)))
    if start == end:
        end += 1
    if net.chance(0.3):
        start -= n
    if net.chance(0.2):
        end = 1 << 30
    if net.opset < 10:
        attrs = {"axes": [axis % len(shape)]}
        return net.node("Slice", [x], starts=[start], ends=[end], **attrs)
    ends = [net.ints(start), net.ints(end), net.ints(axis)]
    if net.chance(0.3):
        step = net.pick((1, 2, -1, -2))
        if step < 0:
            ends = [net.ints(n - 1), net.ints(-n - 1), net.ints(axis)]
        ends.append(net.ints(step))
    return net.node("Slice", [x, *ends])


def gather(net: Net, x: str) -> str:
    axis = some_axis(net, x)
    n = net.shape(x)[axis]
    size = net.pick(([], [1], [n], [net.some(1, 4)]))
    index = net.rng.integers(0, n, size)
    if net.opset >= 11 and net.chance(0.3):
        index = index - n
    return net.node("Gather", [x, net.constant(index.astype(np.int64))], axis=axis)


def split(net: Net, x: str) -> str:
    """Two or three parts: one of them, or all together again in some order."""
    shape = net.shape(x)
    axis = some_axis(net, x)
    n = shape[axis]
    need(n >= 2)
    count = 3 if n % 3 == 0 and net.chance(0.5) else 2
    if net.chance(0.5) and n % count == 0:
        attrs = {"num_outputs": count} if net.opset >= 18 else {}
        parts = net.nodes("Split", [x], count, axis=axis, **attrs)
    else:
        first = net.some(1, n - 1)
        sizes, count = [first, n - first], 2
        if net.opset >= 13:
            parts = net.nodes("Split", [x, net.ints(*sizes)], 2, axis=axis)
        else:
            parts = net.nodes("Split", [x], 2, axis=axis, split=sizes)
    how = net.rng.random()
    if how < 0.4:
        return str(net.pick(parts))
    if how < 0.7:
        order = [str(p) for p in net.rng.permutation(parts)]
        return net.node("Concat", order, axis=axis)
    net.pool += parts[:-1]
    return parts[-1]


def concat(net: Net, x: str) -> str:
    shape = net.shape(x)
    axis = some_axis(net, x)
    rest = [*shape[:axis], *shape[axis:][1:]] if axis >= 0 else None
    del rest
    others = [n for n in net.pool if len(net.shape(n)) == len(shape) and n != x]
    others = [
        n
        for n in others
        if all(
            a == b
            for i, (a, b) in enumerate(zip(net.shape(n), shape, strict=True))
            if i != axis % len(shape)
        )
    ]
    if others and net.chance(0.6):
        other = net.pick(others)
    elif net.chance(0.4):
        other = x
    else:
        size = list(shape)
        size[axis] = net.some(1, 2)
        other = net.reals(*size)
    return net.node("Concat", [x, other] if net.chance(0.5) else [other, x], axis=axis)


def expand(net: Net, x: str) -> str:
    shape = list(net.shape(x))
    if net.chance(0.3):
        repeats = [net.pick((1, 1, 2)) for _ in shape]
        return net.node("Tile", [x, net.ints(*repeats)])
    need(net.opset >= 8)
    wide = [net.some(1, 3) if n == 1 else net.pick((n, 1)) for n in shape]
    if len(shape) < 4 and net.chance(0.3):
        wide = [net.some(1, 2), *wide]
    return net.node("Expand", [x, net.ints(*wide)])


def still(net: Net, x: str) -> str:
    kind = net.pick(("Identity", "Dropout", "Cast"))
    return net.node(kind, [x], **({"to": 1} if kind == "Cast" else {}))


def pad(net: Net, x: str) -> str:
    shape = net.shape(x)
    pads = [net.pick((0, 0, 1)) for _ in range(2 * len(shape))]
    mode = net.pick(("constant", "constant", "constant", "edge", "reflect"))
    value = float(net.pick((0, 0, 0.5)))
    if net.opset < 11:
        return net.node("Pad", [x], pads=pads, mode=mode, value=value)
    rest = [net.constant(np.float32(value))] if mode == "constant" and net.chance(0.6) else []
    return net.node("Pad", [x, net.ints(*pads), *rest], mode=mode)


MOVES = (reshape, transpose, transpose, squeeze, flatten, cut, gather, split, concat, still)


def undone(net: Net, x: str) -> str:
    """A move, perhaps something between, and its reverse."""
    shape = net.shape(x)
    need(len(shape) > 0)
    perm = [int(a) for a in net.rng.permutation(len(shape))]
    turning = net.chance(0.5)
    y = net.node("Transpose", [x], perm=perm) if turning else reshape(net, x)
    if net.chance(0.7):
        y = net.maybe(_between(net, y))
    if turning and len(net.shape(y)) == len(shape):
        return net.node("Transpose", [y], perm=np.argsort(perm).tolist())
    return net.node("Reshape", [y, net.ints(*shape)])


def _between(net: Net, y: str) -> str:
    how = net.some(0, 4)
    if how == 0:
        return net.node("Relu", [y])
    if how == 1:
        return net.node("Add", [y, net.reals(*net.shape(y)[-1:])])
    if how == 2:
        return net.node("Mul", [y, net.reals(low=0.5)])
    if how == 3:
        return net.node("Tanh", [y])
    return net.node("Add", [y, y])


def moved_sum(net: Net, x: str) -> str:
    """Two values moved alike, or not quite, and added: what rules could turn in circles."""
    shape = net.shape(x)
    other = pair(net, x) if net.chance(0.3) else net.node("Sigmoid", [x])
    need(net.shape(other) == shape != ())
    perm = [int(a) for a in net.rng.permutation(len(shape))]
    a = net.node("Transpose", [x], perm=perm)
    if net.chance(0.7):
        b = net.node("Transpose", [other], perm=perm)
    else:
        b = net.node("Reshape", [other, net.ints(*net.shape(a))])
    if net.chance(0.5):
        a = net.node(net.pick(("Relu", "Sigmoid", "Neg")), [a])
    if net.chance(0.3):
        b = net.maybe(b)
    y = net.node(net.pick(("Add", "Mul", "Sub", "Max")), [a, b])
    if net.chance(0.5):
        y = net.node("Transpose", [y], perm=np.argsort(perm).tolist())
    elif net.chance(0.5):
        y = net.node("Reshape", [y, net.ints(*_target(net, math.prod(shape)))])
    if not math.prod(net.shape(y)):
        raise Rejected("shape")
    return y
