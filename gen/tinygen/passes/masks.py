# SPDX-License-Identifier: Apache-2.0
"""Constant attention masks: which keys a row of queries sees.

A constant of zeros and large negative numbers added to the scores, or a Where that puts one in
their place, becomes ``Mask`` x [..., S, T] (attrs seen: uint8 [S or 1, T], low: the number), and
that an attribute of the softmax behind it. A key that is not seen has the weight 0 there, as
exp(-1e4) has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.errors import TinygenError
from tinygen.graph import Float, Graph, Node
from tinygen.numeric import U8
from tinygen.passes.constants import is_constant, real
from tinygen.passes.engine import Result, Scope, kind_of, rule
from tinygen.passes.moves import index_of, move
from tinygen.passes.quantisation import quant

NEVER = -50.0
"""What is added to a score that is not to count: at most this, which is e^-50."""


@rule("Add")
def mask_added(scope: Scope, node: Node) -> Result:
    """x plus a constant of zeros and large negative numbers."""
    for side in (0, 1):
        values = real(scope, node.inputs[1 - side])
        if values is None or is_constant(scope, node.inputs[side]):
            continue
        low = values <= NEVER
        if low.any() and np.all(low | (values == 0)):
            least = float(values[low].max())
            return _mask(scope, node, node.inputs[side], ~low, least, adds=True)
    return None


@rule("Where")
def mask_chosen(scope: Scope, node: Node) -> Result:
    """x where a constant says so, elsewhere a large negative number."""
    condition, *sides = node.inputs
    chosen = scope.data(condition)
    if chosen is None:
        return None
    for side in (0, 1):
        values = real(scope, sides[1 - side])
        x = sides[side]
        if values is None or is_constant(scope, x) or not np.all(values <= NEVER):
            continue
        seen = chosen != 0 if side == 0 else chosen == 0
        return _mask(scope, node, x, seen, float(values.max()), adds=False)
    return None


def _mask(
    scope: Scope, node: Node, x: str, seen: NDArray[Any], low: float, *, adds: bool
) -> str | None:
    """The Mask of x: one head's rows where the constant is the same for all, else every row.

    adds: whether what it hides is that much lower than it was, and not the low number itself."""
    shape = scope.shape(x)
    if len(shape) < 2 or scope.shape(node.output) != shape:
        return None
    table = np.broadcast_to(seen, shape).reshape(-1, *shape[-2:])
    same = bool(np.all(table == table[0]))
    rows: U8 = (table[0] if same else table.reshape(-1, shape[-1])).astype(np.uint8)
    blind = np.flatnonzero(~rows.any(axis=1))
    if blind.size:
        raise TinygenError(
            f"node {node.name} masks every key of row {blind[0]}, so that its softmax divides by "
            "zero: let every token see itself"
        )
    if np.all(rows == rows[0]):
        rows = rows[:1]
    return scope.emit(Float("Mask", {"seen": rows, "low": low, "adds": adds}), (x,), shape)


def _low(mask: Node) -> float:
    assert isinstance(mask.op, Float)
    return float(mask.op.attrs["low"])


def _again(scope: Scope, mask: Node, x: str, low: float, **changed: bool) -> str:
    assert isinstance(mask.op, Float)
    attrs = {**mask.op.attrs, "low": low, **changed}
    return scope.emit(Float("Mask", attrs), (x,), scope.shape(mask.output))


@rule("Mul", "Div")
def factor_after_mask(scope: Scope, node: Node) -> Result:
    """Mask(x) c = Mask(x c) for a positive number c that leaves what was low at most `NEVER`."""
    x, c = node.inputs
    factor = real(scope, c)
    before = scope.made_by(x, "Mask")
    if before is None or factor is None or factor.size != 1 or factor.flat[0] <= 0:
        return None
    times = float(factor.flat[0]) if kind_of(node) == "Mul" else 1 / float(factor.flat[0])
    if _low(before) * times > NEVER:
        return None
    inner = scope.emit(node.op, (before.inputs[0], c), scope.shape(node.output))
    return _again(scope, before, inner, _low(before) * times)


@rule("Quant")
def rounding_of_a_mask(scope: Scope, node: Node) -> Result:
    """round(Mask(x)) = Mask(round(x)): a grid that holds the mask's numbers goes down to them."""
    before = scope.made_by(node.inputs[0], "Mask")
    grid = scope.quant(node.output)
    if before is None or grid is None or (-128 - grid.zero_point) * grid.scale > NEVER:
        return None
    inner = quant(scope, before.inputs[0], grid)
    low = max(_low(before), (-128 - grid.zero_point) * grid.scale)
    return _again(scope, before, inner, low, adds=False)


@rule("Softmax")
def mask_before_softmax(scope: Scope, node: Node) -> Result:
    """The softmax of masked scores is told which keys count."""
    assert isinstance(node.op, Float)
    (x,) = node.inputs
    rank = len(scope.shape(x))
    if int(node.op.attrs.get("axis", -1)) % rank != rank - 1:
        return None  # its axis comes last first
    moved = scope.made_by(x, "Move")
    before = scope.made_by(x if moved is None else moved.inputs[0], "Mask")
    if before is None or "weights" in node.op.attrs:
        return None
    if scope.shape(before.output)[-1] != scope.shape(x)[-1]:
        return None  # the softmax is along another axis
    if _low(before) * node.op.attrs.get("beta", 1.0) > NEVER:
        return None  # what is hidden weighs something after all
    assert isinstance(before.op, Float)
    seen = before.op.attrs["seen"]
    if moved is not None and index_of(moved) is not None:
        seen = _moved(scope, node, before, moved)
    known = node.op.attrs.get("mask")
    both = seen if known is None else _both(seen, known)
    index = None if moved is None else index_of(moved)
    source = move(scope, before.inputs[0], index, scope.shape(x))
    hides = dict(node.op.attrs)
    if before.op.attrs["adds"]:
        low = _low(before) * node.op.attrs.get("beta", 1.0)
        hides["hides"] = max(low, node.op.attrs.get("hides", low))
    op = Float("Softmax", {**hides, "mask": both})
    return scope.emit(op, (source,), scope.shape(node.output))


def _both(a: U8, b: U8) -> U8:
    """What two masks leave; rows of the shorter one come again and again."""
    rows = int(np.lcm(len(a), len(b)))
    y: U8 = np.minimum(np.resize(a, (rows, a.shape[1])), np.resize(b, (rows, b.shape[1])))
    return y


def _moved(scope: Scope, softmax: Node, mask: Node, moved: Node) -> U8:
    """The mask of every row of a softmax that takes masked scores in another order."""
    assert isinstance(mask.op, Float)
    index = index_of(moved)
    assert index is not None
    shape = scope.shape(mask.output)
    full = np.resize(mask.op.attrs["seen"], (int(np.prod(shape[:-1])), shape[-1])).reshape(-1)
    rows: U8 = full[index.reshape(-1)].reshape(-1, scope.shape(moved.output)[-1])
    if not rows.any(axis=1).all():
        raise TinygenError(
            f"node {softmax.name} (Softmax) has a row that is masked whole, so that it divides by "
            "zero: let every row see something"
        )
    return rows


@rule("Where")
def softmax_is_a_number(scope: Scope, node: Node) -> Result:
    """0 where y is not a number, else y: y, because every row sees a key."""
    condition, nothing, y = node.inputs
    test = scope.made_by(condition, "IsNaN")
    zero = real(scope, nothing)
    if test is None or test.inputs[0] != y or zero is None or np.any(zero != 0):
        return None
    return y if scope.shape(y) == scope.shape(node.output) else None


MASKS = (
    mask_added,
    mask_chosen,
    factor_after_mask,
    rounding_of_a_mask,
    mask_before_softmax,
    softmax_is_a_number,
)


def refuse_weak_masks(graph: Graph) -> None:
    """Raise where what a mask hides may weigh something: its scores reach further than it does.

    ``hides`` of a Softmax: how much is added to what its mask hides, as the exponent sees it.
    """
    for node in graph.nodes:
        if not isinstance(node.op, Float) or "hides" not in node.op.attrs:
            continue
        grid = graph.values[node.inputs[0]].quant
        low, beta = float(node.op.attrs["hides"]), float(node.op.attrs.get("beta", 1.0))
        if grid is not None and 255 * grid.scale * beta + low > NEVER:
            raise weak(node, low / beta, 255 * grid.scale)


def weak(node: Node, low: float, span: float) -> TinygenError:
    """low, span: what a mask adds to the scores, and how far these are apart, in their unit."""
    return TinygenError(
        f"node {node.name} (Softmax) has scores that are {span:.3g} apart, so that a mask of "
        f"{low:.3g} does not hide what it is added to: mask with -1e9"
    )
