# SPDX-License-Identifier: Apache-2.0
"""QuantLib's own nodes: their domain, their shapes. What they compute is in passes/quantlib.py."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx

from tinygen.errors import TinygenError

DOMAIN = "PACTOps"
KINDS = {"RequantShift", "iSoftmax", "iGELU", "iLayerNorm", "IntegerMean"}
OTHERS = {"ITAMax", "ITAPartialMax", "iExp", "IntegerDiv", "iHardswish", "MultiHeadSelfAttention"}
"""Nodes that QuantLib also has, and that tinygen does not take."""


def with_domain(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, with QuantLib's domain on nodes that lost it (onnxruntime's optimiser does so)."""
    lost = [n for n in model.graph.node if n.op_type in KINDS | OTHERS and not n.domain]
    for node in lost:
        node.domain = DOMAIN
    if lost and DOMAIN not in {o.domain for o in model.opset_import}:
        model.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
    return model


def infer(
    node: onnx.NodeProto, label: str, types: Mapping[str, onnx.TypeProto], path: Path
) -> dict[str, onnx.TypeProto]:
    """The output has the type of the first input, except that a mean drops axes."""
    wanted = {"RequantShift": 3, "iLayerNorm": 3}.get(node.op_type, 1)
    if len(node.input) != wanted or len(node.output) != 1 or not all(node.input):
        raise TinygenError(f"{path}: node {label} ({node.op_type}) does not fit its inputs")
    source = types[node.input[0]]
    if node.op_type != "IntegerMean":
        return {node.output[0]: source}
    dims = [d.dim_value for d in source.tensor_type.shape.dim]
    attrs = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    axes = attrs.get("axes", list(range(len(dims))))
    away = {a % len(dims) for a in (axes if isinstance(axes, list) else [axes])}
    keep = attrs.get("keepdims", 0)
    shape = [1 if i in away else d for i, d in enumerate(dims) if keep or i not in away]
    kind = source.tensor_type.elem_type
    return {node.output[0]: onnx.helper.make_tensor_type_proto(kind, shape)}
