# SPDX-License-Identifier: Apache-2.0
"""A file on disk -> a checked `onnx.ModelProto`, or one sentence about what is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx.inliner

from tinygen.errors import TinygenError
from tinygen.importer import quantlib
from tinygen.importer.dense import with_dense_constants

MAX_BYTES = 512 << 20
"""Files beyond this are refused unread: no microcontroller holds such a model."""

NOT_QUANTISED = (
    "is a float model without quantisation: run `tinygen quantize` on it, "
    "or onnxruntime.quantization.quantize_static"
)


def read_model(path: Path) -> tuple[onnx.ModelProto, str]:
    """The model, local functions inlined, and the SHA-256 of its file in hex."""
    try:
        size = path.stat().st_size
        if path.is_dir():
            raise TinygenError(f"{path} is a folder: give an ONNX file")
        if size > MAX_BYTES:
            raise TinygenError(
                f"{path} has {size >> 20} MiB, more than the {MAX_BYTES >> 20} MiB that tinygen "
                "reads: give a model of microcontroller size"
            )
        content = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or "error").lower()
        raise TinygenError(f"{path} cannot be read ({reason}): check the path") from error
    model = quantlib.with_domain(_parse(content, path))
    _check(model, path)
    model = with_dense_constants(model, path)
    return model, hashlib.sha256(content).hexdigest()


def _parse(content: bytes, path: Path) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except Exception as error:  # protobuf's own exception types vary between its versions
        raise TinygenError(
            f"{path} is not an ONNX file, or it is truncated: export or copy it again"
        ) from error
    if not model.graph.node or not model.opset_import:
        raise TinygenError(f"{path} holds no ONNX graph: give a model exported to ONNX")
    return model


def _check(model: onnx.ModelProto, path: Path) -> None:
    """Names, the checker of ONNX itself, external data, functions."""
    if not all(isinstance(name, str) and name.isprintable() for name in _names(model.graph)):
        raise TinygenError(f"{path} is damaged (a name is not text): export or copy it again")
    stored = [t for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    if stored:
        try:
            onnx.load_external_data_for_model(model, str(path.parent))
        except Exception as error:  # onnx raises half a dozen kinds here
            raise TinygenError(
                f"{path} keeps {stored[0].name} in an external file that cannot be read: put the "
                "data file beside it, or save the model with its weights inside"
            ) from error
    try:
        if model.functions:
            model.CopyFrom(onnx.inliner.inline_local_functions(model))
        onnx.checker.check_model(model)
    except Exception as error:  # the checker's own exception types vary between versions
        raise TinygenError(
            f"{path} is not a valid ONNX model ({_first_line(error)}): export it again"
        ) from error


def _names(graph: onnx.GraphProto) -> Iterator[object]:
    """Every name that the importer uses; protobuf gives bytes for one that is not UTF-8."""
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (a.name for a in node.attribute)
    for entry in (*graph.initializer, *graph.input, *graph.output):
        yield entry.name
    for tensor in graph.input:
        yield from (d.dim_param for d in tensor.type.tensor_type.shape.dim)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".:")[:200] if lines else type(error).__name__
