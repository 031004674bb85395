# SPDX-License-Identifier: Apache-2.0
"""The output types of one node, its input types and small constants being known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx

from tinygen.errors import TinygenError
from tinygen.graph import Value
from tinygen.importer import quantlib
from tinygen.importer.upgrade import version_of

SHAPING = 64
"""Constants up to this many elements are shown to the inference (shapes, axes, indices)."""


REMEDIES = {
    "com.microsoft.nchwc": "save the model with onnxruntime's optimisation level extended or lower "
    "(this one is laid out for one processor)",
}
"""For operators of a domain that nobody knows."""


def infer(
    node: onnx.NodeProto,
    kept: Sequence[str],
    label: str,
    types: Mapping[str, onnx.TypeProto],
    values: Mapping[str, Value],
    model: onnx.ModelProto,
    path: Path,
) -> dict[str, onnx.TypeProto]:
    """Types with fully known shapes, by name of the outputs that are kept.

    Raises `TinygenError` where one is not known."""
    if node.op_type in quantlib.KINDS and node.domain == quantlib.DOMAIN:
        return quantlib.infer(node, label, types, path)
    versions = {o.domain: o.version for o in model.opset_import}
    domain = "" if node.domain == "ai.onnx" else node.domain
    try:
        version = versions.get(domain, versions.get("ai.onnx", 0) if domain == "" else 0)
        version = version_of(node.op_type, version) if domain == "" else version
        schema = onnx.defs.get_schema(node.op_type, version, domain)
    except onnx.defs.SchemaError as error:
        where = f"{domain}." if domain else ""
        raise TinygenError(
            f"{path}: node {label} has the unsupported operator {where}{node.op_type}: "
            + REMEDIES.get(domain, "quantise in the QDQ format with standard operators")
        ) from error
    small = {}
    for name in node.input:
        data = values[name].data if name else None
        if data is not None and data.size <= SHAPING:
            small[name] = onnx.numpy_helper.from_array(data, name)
    try:
        found = onnx.shape_inference.infer_node_outputs(
            schema,
            node,
            {i: types[i] for i in node.input if i},
            small,
            opset_imports=[onnx.helper.make_opsetid(domain, version)],
            ir_version=model.ir_version,
        )
    except Exception as error:  # InferenceError and the C++ side's own
        raise TinygenError(
            f"{path}: node {label} ({node.op_type}) does not fit its inputs: export again"
        ) from error
    if node.op_type == "GroupNormalization":  # whose schema says nothing from opset 21 on
        found[node.output[0]] = types[node.input[0]]
    for output in filter(None, kept):
        if output in found and node.op_type == "Transpose":
            found[output].tensor_type.shape.SetInParent()  # left out where that is a scalar's
        shape = found[output].tensor_type.shape if output in found else None
        known = shape is not None and all(d.dim_value > 0 for d in shape.dim)
        if not known or not found[output].tensor_type.HasField("shape"):
            raise TinygenError(
                f"{path}: the shape of {output} (node {label}, {node.op_type}) cannot be fixed: "
                "export with fixed axes"
            )
    return found
