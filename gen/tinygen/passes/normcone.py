# SPDX-License-Identifier: Apache-2.0
"""Norms by what they do, however an exporter spells them.

The cone of a node is what lies between it and one value x that all of it depends on: elementwise
functions, means along some axes, reshapes. If it gives gamma (x - mean) / sqrt(variance + eps) +
beta on random inputs of several sizes, it is that norm, whether written with Pow or Mul, Div or
Reciprocal, one product or two. A cone that only looks like one does not pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.graph import Float, Graph, Node
from tinygen.passes.constants import is_constant, real
from tinygen.passes.elementwise import ELEMENTWISE, evaluate
from tinygen.passes.engine import Scope
from tinygen.passes.moves import index_of

MOST = 40
"""Nodes of a cone."""
MEANS = {"ReduceMean", "GlobalAveragePool"}
VIEWS = {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"}
SIZES = (1e-3, 1e-1, 1.0, 30.0)
"""Of the probes: where eps rules, and where it does not count."""
TOLERANCE = 2e-4
F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NormCone:
    """x: the value that is normalised, over `axes` of its shape.  gamma, beta: of one element
    along these axes, in order.  nodes: of the cone.  rounded: whether the model rounds within.
    centred: whether the mean is taken off; else it is a norm by the root mean square."""

    x: str
    axes: tuple[int, ...]
    gamma: F64
    beta: F64
    eps: float
    nodes: tuple[Node, ...]
    rounded: bool
    centred: bool


def norm_cone(scope: Scope, node: Node) -> NormCone | None:
    """The smallest cone of a node that is a norm: the rounding of x itself stays outside."""
    cones = [
        (x, nodes, axes)
        for x, nodes in _cones(scope, node)
        if scope.shape(x) == scope.shape(node.output)
        and (axes := _axes(scope, nodes, x)) is not None
    ]
    for centred in (True, False):  # less its mean, a value would pass as one without
        for x, nodes, axes in cones:
            found = _fitted(scope, node, x, nodes, axes, centred=centred)
            if found is not None:
                return found
    return None


def norms_within(graph: Graph) -> list[tuple[str, ...]]:
    """Names of the nodes of every norm that a float graph spells out, the last first."""
    scope = Scope(graph)
    for node in graph.nodes:
        scope.visit(node, {})
    taken: set[str] = set()
    found = []
    for node in reversed(graph.nodes):
        cone = norm_cone(scope, node) if _may_hold(scope, node) and node.name not in taken else None
        if cone is not None:
            found.append(tuple(n.name for n in cone.nodes))
            taken.update(found[-1])
    return found


def _cones(scope: Scope, node: Node) -> Iterator[tuple[str, tuple[Node, ...]]]:
    """(x, nodes between it and the node) for every x on which all else depends, nearest first."""
    order = _behind(scope, node)
    for candidate in dict.fromkeys(i for n in order for i in n.inputs if _active(scope, i)):
        inside = _without(scope, node, candidate, order)
        if inside is not None:
            yield candidate, inside


def _behind(scope: Scope, node: Node) -> list[Node]:
    """Nodes that a cone may hold, nearest first."""
    out, ahead = [node], [node]
    while ahead and len(out) < MOST:
        for name in ahead.pop(0).inputs:
            before = scope.producers.get(name)
            if before is not None and before not in out and _may_hold(scope, before):
                out.append(before)
                ahead.append(before)
    return out


def _may_hold(scope: Scope, node: Node) -> bool:
    if not isinstance(node.op, Float) or is_constant(scope, node.output):
        return False
    kind = node.op.kind
    if kind == "Move":
        return index_of(node) is None
    return kind in ELEMENTWISE | MEANS | VIEWS and len(node.outputs) == 1


def _active(scope: Scope, name: str) -> bool:
    return bool(name) and not is_constant(scope, name)


def _without(scope: Scope, node: Node, x: str, order: list[Node]) -> tuple[Node, ...] | None:
    """The nodes between, if every way back from the node leads through x."""
    known = {n.output: n for n in order}
    inside: dict[str, Node] = {}
    ahead = [node]
    while ahead:
        here = ahead.pop()
        if here.output in inside:
            continue
        inside[here.output] = here
        for name in here.inputs:
            if name == x or not _active(scope, name):
                continue
            if name not in known:
                return None
            ahead.append(known[name])
    return tuple(inside.values())


def _axes(scope: Scope, nodes: tuple[Node, ...], x: str) -> tuple[int, ...] | None:
    """The axes of all means, if they are the same and a root stands among the nodes."""
    kinds = {n.op.kind for n in nodes if isinstance(n.op, Float)}
    if not kinds & MEANS or not kinds & {"Sqrt", "Pow"}:
        return None
    rank = len(scope.shape(x))
    found = {
        axes_of(scope, n, rank) for n in nodes if isinstance(n.op, Float) and n.op.kind in MEANS
    }
    return found.pop() if len(found) == 1 else None


def axes_of(scope: Scope, node: Node, rank: int) -> tuple[int, ...] | None:
    """Of a mean of a value with so many axes."""
    assert isinstance(node.op, Float)
    if len(scope.shape(node.inputs[0])) != rank:
        return None
    if node.op.kind == "GlobalAveragePool":
        return tuple(range(2, rank))
    axes = node.op.attrs.get("axes")
    if axes is None and len(node.inputs) > 1 and node.inputs[1]:
        data = scope.data(node.inputs[1])
        axes = None if data is None else data.tolist()
    return None if axes is None else tuple(sorted(a % rank for a in axes))


def _fitted(
    scope: Scope,
    node: Node,
    x: str,
    nodes: tuple[Node, ...],
    axes: tuple[int, ...],
    *,
    centred: bool,
) -> NormCone | None:
    """gamma, beta and eps that explain the cone on every probe; None if none do."""
    shape = scope.shape(x)
    width = math.prod(shape[a] for a in axes)
    if width < 2:
        return None
    rng = np.random.default_rng(0)
    ordered = [n for n in scope.nodes if any(n is m for m in nodes)]
    ordered += [n for n in reversed(nodes) if not any(n is m for m in ordered)]

    def rows(values: Any) -> F64:
        """[rows, normalised elements]."""
        stay = [a for a in range(len(shape)) if a not in axes]
        out: F64 = np.asarray(values, np.float64).transpose([*stay, *axes]).reshape(-1, width)
        return out

    many = max(2, math.ceil(6 * width / math.prod(shape)))
    probes, answers = [], []
    for size in SIZES:
        for _ in range(many if size == SIZES[-1] else 2):
            probe = size * (rng.normal(size=shape) + rng.normal())
            y = _evaluated(scope, node, x, ordered, probe)
            if y is None or not np.all(np.isfinite(y)):
                return None
            probes.append(rows(probe))
            answers.append(rows(y))
    fit = _affine(np.concatenate(probes[-many:]), np.concatenate(answers[-many:]), centred)
    if fit is None:
        return None
    gamma, beta = fit
    eps = _eps(probes[0], answers[0], gamma, beta, centred)
    for probe, answer in zip(probes, answers, strict=True):
        want = gamma * normalised(probe, eps, centred) + beta
        if np.abs(want - answer).max() > TOLERANCE * max(np.abs(gamma).max(), np.abs(want).max()):
            return None
    rounded = any(isinstance(n.op, Float) and n.op.kind == "Quant" for n in nodes)
    return NormCone(x, axes, gamma, beta, eps, nodes, rounded, centred)


def normalised(x: F64, eps: float, centred: bool = True) -> F64:
    """Rows less their mean over their deviation."""
    c = x - x.mean(axis=1, keepdims=True) if centred else x
    y: F64 = c / np.sqrt((c**2).mean(axis=1, keepdims=True) + eps)
    return y


def _affine(x: F64, y: F64, centre: bool) -> tuple[F64, F64] | None:
    """gamma and beta of each element, by least squares where eps does not count."""
    n = normalised(x, 0.0, centre)
    centred = n - n.mean(axis=0)
    power = (centred**2).sum(axis=0)
    if np.any(power < 1e-9):
        return None
    gamma: F64 = (centred * y).sum(axis=0) / power
    beta: F64 = y.mean(axis=0) - gamma * n.mean(axis=0)
    return gamma, beta


def _eps(x: F64, y: F64, gamma: F64, beta: F64, centre: bool) -> float:
    """From small inputs: y - beta = gamma c / sqrt(variance + eps)."""
    centred = x - x.mean(axis=1, keepdims=True) if centre else x
    variance = (centred**2).mean(axis=1, keepdims=True)
    with np.errstate(all="ignore"):
        each = (gamma * centred / (y - beta)) ** 2 - variance
    strong = np.abs(gamma * centred) > 0.5 * np.abs(gamma * centred).max()
    return max(0.0, float(np.median(each[strong]))) if strong.any() else 0.0


def _evaluated(scope: Scope, node: Node, x: str, ordered: list[Node], probe: F64) -> Any:
    """The node's value for a value of x, without the roundings; None where that fails."""
    known: dict[str, Any] = {x: probe}

    def value(name: str) -> Any:
        if not name:
            return None
        return known[name] if name in known else real(scope, name)

    for n in ordered:
        assert isinstance(n.op, Float)
        inputs = [value(i) for i in n.inputs]
        shape = scope.shape(n.output)
        try:
            known[n.output] = _run(scope, n, inputs).reshape(shape)
        except (ArithmeticError, LookupError, TypeError, ValueError):
            return None
    return known[node.output]


def _run(scope: Scope, node: Node, inputs: list[Any]) -> Any:
    assert isinstance(node.op, Float)
    kind = node.op.kind
    if kind in VIEWS | {"Quant", "Move"}:
        return inputs[0]
    if kind in MEANS:
        return inputs[0].mean(axis=axes_of(scope, node, inputs[0].ndim))
    return exactly(kind, node.op.attrs, inputs)


def exactly(kind: str, attrs: Any, inputs: list[Any]) -> Any:
    """Plain arithmetic in 64 bits, all else in 32."""
    with np.errstate(all="ignore"):
        match kind, inputs:
            case "Add", [a, b]:
                return a + b
            case "Sub", [a, b]:
                return a - b
            case "Mul", [a, b]:
                return a * b
            case "Div", [a, b]:
                return a / b
            case "Pow", [a, b]:
                return np.power(a, b)
            case "Sqrt", [a]:
                return np.sqrt(a)
            case "Reciprocal", [a]:
                return 1 / a
            case "Neg", [a]:
                return -a
    return evaluate(kind, attrs, inputs)
