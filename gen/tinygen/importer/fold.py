# SPDX-License-Identifier: Apache-2.0
"""Constant folding, one node at a time, by ONNX's own reference evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from tinygen.errors import TinygenError
from tinygen.graph import Value
from tinygen.importer.quantlib import KINDS

MAX_ELEMENTS = 1 << 24
GROWING = {"ConstantOfShape", "Expand", "Tile", "Range", "Pad", "Resize", "OneHot", "EyeLike"}
GRIDS = {"QuantizeLinear", "DequantizeLinear"}
"""Not folded: a weight's integers and scales are the point."""


def foldable(kind: str, inputs: list[Value | None]) -> bool:
    """Constant, Shape and Size of anything, and every operator on constants only."""
    if kind in ("Shape", "Size", "Constant"):
        return True
    present = [v for v in inputs if v is not None]
    return kind not in GRIDS | KINDS and bool(present) and all(v.data is not None for v in present)


def fold(
    node: onnx.NodeProto,
    known: list[NDArray[Any] | None],
    shapes: list[tuple[int, ...] | None],
    opset: dict[str, int],
    path: Path,
) -> list[NDArray[Any]]:
    """The node's outputs. Shape and Size only look at the shape of their input."""
    label = node.name or node.op_type
    if node.op_type in GROWING and any(k is not None and _too_large(k) for k in known):
        raise TinygenError(
            f"{path}: node {label} ({node.op_type}) makes a constant too large for firmware: "
            "export with the size that the device will see"
        )
    feeds: dict[str, NDArray[Any]] = {}
    for name, data, shape in zip(node.input, known, shapes, strict=True):
        if name and shape is not None:
            # Shape and Size read no elements: a zero-stride stand-in costs no memory.
            feeds[name] = data if data is not None else np.broadcast_to(np.float32(0), shape)
    try:
        with np.errstate(all="ignore"):
            outputs = ReferenceEvaluator(node, opsets=opset).run(None, feeds)
    except Exception as error:  # whatever a malformed node makes the evaluator raise
        raise TinygenError(
            f"{path}: node {label} ({node.op_type}) on constants cannot be evaluated: export again"
        ) from error
    return [np.asarray(o) for o in outputs]


def _too_large(sizes: NDArray[Any]) -> bool:
    """Whether an array of sizes asks for too many elements (or a tensor already holds them)."""
    if sizes.dtype != np.int64 or sizes.size > 16:
        return bool(sizes.size > MAX_ELEMENTS)
    return bool(np.prod(np.maximum(np.abs(sizes.astype(float)), 1)) > MAX_ELEMENTS)
