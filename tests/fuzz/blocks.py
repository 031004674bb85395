# SPDX-License-Identifier: Apache-2.0
"""Pieces of a transformer: attention as exporters write it, and not quite; feed-forward; heads."""

from __future__ import annotations

import math

import numpy as np

from fuzz.net import Net
from fuzz.pieces import adapt, need, norm
from semantics.case import MICROSOFT, Case, Live, Weight
from semantics.cases import by_operator

CASES = [
    c
    for cases in by_operator().values()
    for c in cases
    if c.after is None
    and c.beside is None
    and c.domain in ("", MICROSOFT)
    and c.op != "Cast"
    and any(isinstance(i, Live) for i in c.inputs)
    and all(isinstance(i, Live | Weight | np.ndarray | np.generic) or i is None for i in c.inputs)
]


def swept(net: Net, x: str) -> str:
    """Some use of an operator from the sweep's tables, on values of this net."""
    case: Case = net.pick(CASES)
    need(case.opsets[0] <= net.opset <= case.opsets[1])
    inputs = []
    fresh = x
    for value in case.inputs:
        match value:
            case None:
                inputs.append("")
            case Live(shape):
                inputs.append(adapt(net, fresh, shape))
                fresh = net.pick(net.pool)
            case Weight(shape, axis):
                inputs.append(net.weight(*shape, axis=axis))
            case _:
                inputs.append(net.constant(value))
    names = net.nodes(case.op, inputs, len(case.outputs), case.domain, **case.attrs)
    y = names[case.read]
    need(net.values[y][0].dtype == np.float32)
    return y


def linear(net: Net, x: str, n: int) -> str:
    e = net.shape(x)[-1]
    y = net.node("MatMul", [x, net.weight(e, n, axis=net.pick((None, 1)), spread=2 / math.sqrt(e))])
    if net.chance(0.6):
        y = net.node("Add", [y, net.reals(n, low=-0.5, high=0.5)])
    return net.maybe(y)


def rows(net: Net, x: str) -> str:
    """The value as [1, tokens, features]."""
    size = math.prod(net.shape(x))
    e = net.pick([d for d in (4, 6, 8, 12) if size % d == 0 and size // d >= 2] or [0])
    if not e or size // e > 12:
        return adapt(net, x, (1, net.some(2, 6), net.pick((4, 8))))
    return adapt(net, x, (1, size // e, e))


def attention(net: Net, x: str) -> str:
    """Self-attention; a step may be left out, be put elsewhere or turned the wrong way."""
    x = rows(net, x)
    _, s, e = net.shape(x)
    h = net.pick([d for d in (1, 2, 4) if e % d == 0])
    p = e // h
    packed = net.chance(0.25)
    if packed:
        whole = linear(net, x, 3 * e)
        attrs = {"num_outputs": 3} if net.opset >= 18 else {}
        parts = net.nodes("Split", [whole], 3, axis=2, **attrs)
    else:
        parts = [linear(net, x, e) for _ in range(3)]
    q, k, v = (_heads(net, part, s, h, p) for part in parts)
    turned = net.node("Transpose", [k], perm=[0, 1, 3, 2])
    if net.chance(0.3):
        q = net.maybe(net.node("Mul", [q, net.constant(np.float32(p**-0.5))]))
    scores = net.node("MatMul", [q, turned])
    if net.chance(0.6):
        kind, factor = ("Mul", p**-0.5) if net.chance(0.5) else ("Div", p**0.5)
        scores = net.node(kind, [scores, net.constant(np.float32(factor))])
    scores = net.maybe(scores)
    if net.chance(0.3):
        scores = _masked(net, scores, s)
    axis = -1 if net.chance(0.9) else net.pick((1, 2))
    attrs = {"axis": axis if net.opset >= 11 else axis % 4}
    weights = net.node("Softmax", [scores], **attrs)
    if net.chance(0.2):
        weights = net.maybe(weights)
    mixed = net.maybe(net.node("MatMul", [weights, v]))
    back = [0, 2, 1, 3] if net.chance(0.9) else [0, 1, 2, 3]
    joined = net.node("Transpose", [mixed], perm=back)
    joined = net.node("Reshape", [joined, net.ints(1, s, e)])
    y = linear(net, joined, e) if net.chance(0.85) else joined
    if net.chance(0.7):
        y = net.maybe(net.node("Add", [x, y] if net.chance(0.5) else [y, x]))
    return y


def _heads(net: Net, x: str, s: int, h: int, p: int) -> str:
    """[1, S, E] -> [1, H, S, P]"""
    y = net.node("Reshape", [x, net.ints(1, s, h, p)])
    y = net.node("Transpose", [y], perm=[0, 2, 1, 3])
    if net.chance(0.05):  # as it should not be
        return net.node("Reshape", [x, net.ints(1, h, s, p)])
    return y


def _masked(net: Net, scores: str, s: int) -> str:
    seen = np.tri(s, dtype=bool) if net.chance(0.5) else net.rng.random((s, s)) < 0.7
    seen[:, 0] = True
    if net.opset >= 9 and net.chance(0.3):
        low = net.constant(np.float32(-1e9))
        need(False) if net.opset < 9 else None
        return net.node("Where", [net.constant(seen), scores, low])
    return net.node(
        "Add",
        [scores, net.constant(np.where(seen, 0, net.pick((-1e4, -1e9, -200))).astype(np.float32))],
    )


def feed_forward(net: Net, x: str) -> str:
    need(len(net.shape(x)) >= 2)
    e = net.shape(x)[-1]
    inner = linear(net, x, net.some(2, 12))
    kind = net.pick(("Relu", "Tanh", "Sigmoid"))
    y = linear(net, net.maybe(net.node(kind, [inner])), e)
    return net.maybe(net.node("Add", [x, y]))


def residual(net: Net, x: str) -> str:
    """A value beside a function of itself."""
    y = net.maybe(norm(net, x)) if net.chance(0.5) else x
    e = net.shape(y)[-1] if net.shape(y) else 1
    need(len(net.shape(y)) >= 2)
    y = linear(net, y, e)
    return net.node("Add", [x, y] if net.chance(0.5) else [y, x])
