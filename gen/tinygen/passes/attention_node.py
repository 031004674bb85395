# SPDX-License-Identifier: Apache-2.0
"""ONNX's one-node attention (opset 23 on), spelled out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.errors import TinygenError
from tinygen.graph import Float, Node
from tinygen.passes.constants import is_constant
from tinygen.passes.engine import Result, Scope, rule
from tinygen.passes.moves import move, normal, positions, transposed
from tinygen.passes.rows import attribute


@rule("Attention")
def attention_node(scope: Scope, node: Node) -> Result:
    """Products, softmax, and a mask that is a constant; heads of keys that several queries share
    are repeated."""
    mask = node.inputs[3] if len(node.inputs) > 3 else ""
    if attribute(node, "softcap", 0) or any(node.inputs[4:]) or len(node.outputs) != 1:
        return None
    if mask and not is_constant(scope, mask):
        return None
    heads = [attribute(node, "q_num_heads"), *[attribute(node, "kv_num_heads")] * 2]
    q, k, v = (_by_heads(scope, *p) for p in zip(node.inputs[:3], heads, strict=True))
    k, v = (_repeated(scope, node, name, scope.shape(q)[1]) for name in (k, v))
    shape = scope.shape(q)
    scores = (*shape[:3], scope.shape(k)[2])
    factor = attribute(node, "scale")
    alpha = shape[3] ** -0.5 if factor is None else factor
    product = scope.emit(Float("MatMul"), (q, transposed(scope, k, (0, 1, 3, 2))), scores)
    scaled = (product, scope.constant(np.asarray(alpha, np.float32)))
    y = scope.emit(Float("Mul"), scaled, scores)
    never = scope.constant(np.asarray(-np.inf, np.float32))
    near = _near(node, scores[2], scores[3])
    if not near.all():
        y = scope.emit(Float("Where"), (scope.constant(near), y, never), scores)
    data = scope.data(mask)
    if mask and data is None:
        y = scope.emit(Float("Add"), (y, mask), scores)
    elif data is not None:
        data = _to_all_keys(data, scores[3])
        wide = scope.constant(data)
        if data.dtype == bool:
            y = scope.emit(Float("Where"), (wide, y, never), scores)
        else:
            y = scope.emit(Float("Add"), (y, wide), scores)
    weights = scope.emit(Float("Softmax", {"axis": -1}), (y,), scores)
    mixed = scope.emit(Float("MatMul"), (weights, v), (*shape[:3], scope.shape(v)[3]))
    if len(scope.shape(node.output)) == 3:
        mixed = transposed(scope, mixed, (0, 2, 1, 3))
    return move(scope, mixed, None, scope.shape(node.output))


def _near(node: Node, queries: int, keys: int) -> NDArray[np.bool_]:
    """Which keys a row sees by its place alone: those before it, or those in a window."""
    ahead = np.arange(keys)[None] - np.arange(queries)[:, None]
    left, right = (int(attribute(node, f"{side}_window_size", -1)) for side in ("left", "right"))
    near = np.ones(ahead.shape, bool)
    if attribute(node, "is_causal", 0):
        near &= ahead <= 0
    if left >= 0:
        near &= ahead >= -left
    if right >= 0:
        near &= ahead <= right
    return near


def _by_heads(scope: Scope, name: str, heads: int | None) -> str:
    """[B, S, H * P] as [B, H, S, P]; what has four axes stays."""
    shape = scope.shape(name)
    if len(shape) != 3:
        return name
    assert heads
    split = move(scope, name, None, (shape[0], shape[1], heads, shape[2] // heads))
    return transposed(scope, split, (0, 2, 1, 3))


def _repeated(scope: Scope, node: Node, name: str, heads: int) -> str:
    """Keys or values [B, H, T, P] for each head of the queries."""
    shape = scope.shape(name)
    if shape[1] == heads:
        return name
    if heads % shape[1]:
        raise TinygenError(
            f"node {node.name} (Attention) has {heads} heads of queries and {shape[1]} of keys: "
            "use a multiple"
        )
    index = positions(shape).repeat(heads // shape[1], axis=1)
    return move(scope, name, normal(index, shape), index.shape)


def _to_all_keys(mask: NDArray[Any], keys: int) -> NDArray[Any]:
    """Keys beyond a mask's end are not seen."""
    missing = keys - mask.shape[-1]
    if missing <= 0 or mask.shape[-1] == 1:
        return mask
    width = [(0, 0)] * (mask.ndim - 1) + [(0, missing)]
    return np.pad(mask, width, constant_values=False if mask.dtype == bool else -np.inf)
