# SPDX-License-Identifier: Apache-2.0
"""Sparse constants become dense ones: initialisers, and Constant nodes with a sparse value."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from tinygen.errors import TinygenError

MAX_ELEMENTS = 1 << 24


def with_dense_constants(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """The same model, its sparse constants among the dense initialisers."""
    graph = model.graph
    for sparse in graph.sparse_initializer:
        graph.initializer.append(dense(sparse, sparse.values.name, path))
    del graph.sparse_initializer[:]
    for node in graph.node:
        for i, attribute in enumerate(node.attribute):
            if attribute.type == onnx.AttributeProto.SPARSE_TENSOR:
                name = node.output[0] if node.output else node.name
                value = dense(attribute.sparse_tensor, name, path)
                made = onnx.helper.make_attribute("value", value)
                node.attribute[i].CopyFrom(made)
    return model


def dense(sparse: onnx.SparseTensorProto, name: str, path: Path) -> onnx.TensorProto:
    """One constant; indices count flat [NNZ] or by axis [NNZ, rank]."""
    shape = tuple(sparse.dims)
    try:
        if any(d < 0 for d in shape) or math.prod(shape) > MAX_ELEMENTS:
            raise ValueError("too large")
        values = numpy_helper.to_array(sparse.values)
        indices = numpy_helper.to_array(sparse.indices)
        flat = np.zeros(math.prod(shape), values.dtype)
        at = indices if indices.ndim == 1 else np.ravel_multi_index(tuple(indices.T), shape)
        if np.any(at < 0):
            raise ValueError("an index below zero")
        flat[at] = values.reshape(-1)
        return numpy_helper.from_array(flat.reshape(shape), name)
    except (IndexError, LookupError, TypeError, ValueError) as error:
        raise TinygenError(
            f"{path}: the sparse constant {name} does not fit its shape {list(shape)}: export the "
            "model again with dense weights"
        ) from error
