# SPDX-License-Identifier: Apache-2.0
"""LayerNorm as exporters below opset 17 spell it, BatchNorm, norms of channels and groups."""

from __future__ import annotations

import math

import numpy as np

from tinygen.graph import Float, Node, Quant
from tinygen.passes.constants import F64, is_constant, real
from tinygen.passes.engine import Result, Scope, rule
from tinygen.passes.moves import move, transposed
from tinygen.passes.normcone import norm_cone
from tinygen.passes.rows import attribute, norm
from tinygen.passes.twice import MERGED


def _plain(scope: Scope, name: str) -> str:
    """The value before roundings: inside the pattern they are dropped."""
    while (node := scope.made_by(name, "Quant")) is not None:
        name = node.inputs[0]
    return name


def _step(scope: Scope, name: str, *kinds: str) -> Node | None:
    return scope.made_by(_plain(scope, name), *kinds)


def _last_axis(scope: Scope, node: Node) -> bool:
    assert isinstance(node.op, Float)
    axes = node.op.attrs.get("axes")
    if axes is None and len(node.inputs) > 1:
        data = scope.data(node.inputs[1])
        axes = None if data is None else data.tolist()
    rank = len(scope.shape(node.inputs[0]))
    return axes is not None and [a % rank for a in axes] == [rank - 1]


@rule("Div")
def spelled_out_norm(scope: Scope, node: Node) -> Result:
    """(x - mean) / sqrt(mean((x - mean)^2) + eps) is a Norm with gamma 1 and beta 0."""
    y = _spelled_out(scope, node, exact=False)
    if y is not None and _rounded_variance(scope, node) is not None:
        scope.notes.append(f"{node.name} {MERGED} within the norm")
    return y


@rule("Div")
def spelled_out_norm_with_roundings(scope: Scope, node: Node) -> Result:
    """The same where the model keeps the variance in 8 bits; the Norm does so too."""
    return _spelled_out(scope, node, exact=True)


def _rounded_variance(scope: Scope, node: Node) -> Quant | None:
    """The grid of what is under the root."""
    root = _step(scope, node.inputs[1], "Sqrt")
    return None if root is None else scope.quant(root.inputs[0])


def _spelled_out(scope: Scope, node: Node, *, exact: bool) -> str | None:
    centred = _step(scope, node.inputs[0], "Sub")
    root = _step(scope, node.inputs[1], "Sqrt")
    shifted = _step(scope, root.inputs[0], "Add") if root is not None else None
    if centred is None or shifted is None:
        return None
    constant = [i for i in shifted.inputs if is_constant(scope, i)]
    active = [i for i in shifted.inputs if not is_constant(scope, i)]
    eps = real(scope, constant[0]) if len(constant) == 1 else None
    variance = _step(scope, active[0], "ReduceMean") if len(active) == 1 else None
    if eps is None or eps.size != 1 or variance is None or not _last_axis(scope, variance):
        return None
    square = _step(scope, variance.inputs[0], "Pow", "Mul")
    if square is None or _plain(scope, square.inputs[0]) != centred.output:
        return None
    assert isinstance(square.op, Float)
    if square.op.kind == "Pow":
        power = real(scope, square.inputs[1])
        if power is None or not np.all(power == 2):
            return None
    elif _plain(scope, square.inputs[1]) != centred.output:
        return None
    x = centred.inputs[0]
    mean = _step(scope, centred.inputs[1], "ReduceMean")
    if mean is None or not _last_axis(scope, mean) or mean.inputs[0] != x:
        return None
    width = scope.shape(x)[-1]
    grid = _rounded_variance(scope, node) if exact else None
    how = {} if grid is None else {"scale": grid.scale, "zp": grid.zero_point}
    one, zero = np.ones(width), np.zeros(width)
    return norm(scope, node, x, one, zero, float(eps.reshape(-1)[0]), **how)


@rule("Add", "Sub", "Mul", "Div")
def norm_by_behaviour(scope: Scope, node: Node) -> Result:
    """What gives gamma (x - mean) / sqrt(variance + eps) + beta is a Norm, however spelled."""
    return _by_behaviour(scope, node, exact=False)


@rule("Add", "Sub", "Mul", "Div")
def norm_by_exact_behaviour(scope: Scope, node: Node) -> Result:
    """The same where nothing is rounded within."""
    return _by_behaviour(scope, node, exact=True)


def _by_behaviour(scope: Scope, node: Node, *, exact: bool) -> str | None:
    found = norm_cone(scope, node)
    if found is None or (exact and found.rounded):
        return None
    if found.rounded:
        scope.notes.append(f"{node.name} {MERGED} within the norm")
    shape = scope.shape(found.x)
    stay = [a for a in range(len(shape)) if a not in found.axes]
    perm = [*stay, *found.axes]
    front = transposed(scope, found.x, perm)
    rows = math.prod(shape[a] for a in stay), len(found.gamma)
    flat = move(scope, front, None, rows)
    attrs = {"eps": found.eps} | ({} if found.centred else {"centred": False})
    inputs = flat, scope.constant(found.gamma), scope.constant(found.beta)
    turned = perm != sorted(perm)  # then no tensor of the model has this order
    origin = f"{node.output.split('~')[0]} by rows" if turned else None
    y = scope.emit(Float("Norm", attrs), inputs, rows, origin=origin)
    back = move(scope, y, None, tuple(shape[a] for a in perm))
    return transposed(scope, back, list(np.argsort(perm)))


def _constant_row(scope: Scope, node: Node, width: int) -> tuple[str, np.ndarray] | None:
    for side in (0, 1):
        c = real(scope, node.inputs[1 - side])
        if c is None:
            continue
        rows = c.reshape(-1, width) if c.size % width == 0 else c.reshape(-1, 1)
        if np.all(rows == rows[0]):
            return node.inputs[side], np.broadcast_to(rows[0], (width,))
    return None


def _norm_before(scope: Scope, name: str, *, rounded: bool) -> tuple[Node, str] | None:
    """The Norm behind reshapes of the same rows and, if they may be dropped, roundings that nobody
    else reads."""
    while (step := scope.made_by(name, "Quant", "Move")) is not None:
        assert isinstance(step.op, Float)
        if step.op.kind == "Move" and step.op.attrs["index"] is not None:
            return None
        if step.op.kind == "Quant" and (scope.fanout[name] > 1 or not rounded):
            return None
        (name,) = step.inputs
    node = scope.made_by(name, "Norm")
    return None if node is None else (node, name)


@rule("Mul", "Add")
def affine_after_norm(scope: Scope, node: Node) -> Result:
    """A factor and an offset for each feature are the Norm's gamma and beta; roundings in front of
    them are dropped."""
    return _affine(scope, node, exact=False)


@rule("Mul", "Add")
def affine_right_after_norm(scope: Scope, node: Node) -> Result:
    """The same where nothing is rounded before them."""
    return _affine(scope, node, exact=True)


def _affine(scope: Scope, node: Node, *, exact: bool) -> str | None:
    assert isinstance(node.op, Float)
    width = scope.shape(node.output)[-1] if scope.shape(node.output) else 0
    found = _constant_row(scope, node, width) if width else None
    # One number is a change of scale rather than part of the norm.
    vector = found is not None and bool(np.any(found[1] != found[1][0]))
    before = _norm_before(scope, found[0], rounded=vector and not exact) if found else None
    if found is None or before is None:
        return None
    inner, name = before
    if scope.fanout[name] != 1 or scope.shape(name)[-1] != width:
        return None
    gamma, beta = (scope.data(i) for i in inner.inputs[1:])
    assert gamma is not None and beta is not None and isinstance(inner.op, Float)
    if node.op.kind == "Mul":
        gamma, beta = gamma * found[1], beta * found[1]
    else:
        beta = beta + found[1]
    return norm(scope, node, inner.inputs[0], gamma, beta, **inner.op.attrs)


@rule("BatchNormalization")
def batch_norm_is_affine(scope: Scope, node: Node) -> Result:
    """With frozen statistics, BatchNormalization is a factor and an offset for each channel."""
    assert isinstance(node.op, Float)
    x, *rest = node.inputs
    parameters = [real(scope, i) for i in rest]
    if len(node.outputs) != 1 or node.op.attrs.get("training_mode", 0):
        return None
    if len(parameters) != 4 or any(p is None for p in parameters):
        return None
    gamma, beta, mean, variance = (np.asarray(p) for p in parameters)
    factor = gamma / np.sqrt(variance + float(node.op.attrs.get("epsilon", 1e-5)))
    shape = scope.shape(node.output)
    wide = (1, -1, *[1] * (len(shape) - 2))
    scaled = (x, scope.constant(factor.reshape(wide)))
    y = scope.emit(Float("Mul"), scaled, shape)
    moved = (y, scope.constant((beta - mean * factor).reshape(wide)))
    return scope.emit(Float("Add"), moved, shape)


@rule("InstanceNormalization", "GroupNormalization")
def norm_of_groups(scope: Scope, node: Node) -> Result:
    """The channels of a group with all their places, or one channel, are a row; factors and offsets
    of the channels follow, or stand in the norm where there is one row, or one of each."""
    x, *parameters = node.inputs
    shape = scope.shape(x)
    gamma, beta = (real(scope, p) for p in parameters)
    groups = int(attribute(node, "num_groups", shape[1]))
    if gamma is None or beta is None or groups < 1 or shape[1] % groups:
        return None
    if gamma.size != shape[1]:  # below opset 21: one a group
        return None
    wide = (1, -1, *[1] * (len(shape) - 2))
    each = [p.reshape(wide) for p in (gamma, beta)]
    count = shape[0] * groups
    rows = move(scope, x, None, (count, math.prod(shape) // count))
    eps = attribute(node, "epsilon", 1e-5)
    if count == 1 or all(np.all(p == p.flat[0]) for p in each):
        inside = shape if count == 1 else (1,)
        factors, offsets = (np.broadcast_to(_few(p, inside), inside) for p in each)
        return norm(scope, node, rows, factors, offsets, eps)
    y = norm(scope, node, rows, np.ones(1), np.zeros(1), eps)
    y = scope.emit(Float("Mul"), (y, scope.constant(each[0])), shape)
    return scope.emit(Float("Add"), (y, scope.constant(each[1])), shape)


def _few(p: F64, shape: tuple[int, ...]) -> F64:
    """For each place of a row, or the one number that all channels have."""
    return p if len(shape) > 1 else p.reshape(-1)[:1]


NORMS = (
    spelled_out_norm,
    norm_by_behaviour,
    affine_after_norm,
    batch_norm_is_affine,
    norm_of_groups,
)
EXACT_NORMS = (
    spelled_out_norm_with_roundings,
    norm_by_exact_behaviour,
    affine_right_after_norm,
    batch_norm_is_affine,
    norm_of_groups,
)
"""Without dropping roundings of the model."""
