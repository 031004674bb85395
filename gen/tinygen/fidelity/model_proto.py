# SPDX-License-Identifier: Apache-2.0
"""What is asked of and done to an ONNX file as it is stored."""

from __future__ import annotations

from collections.abc import Iterable

import onnx


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators."""
    return max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)


def set_nodes(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto]) -> None:
    """Put these in place of the nodes of a graph; they may be its own."""
    copies = [onnx.NodeProto.FromString(n.SerializeToString()) for n in nodes]
    del graph.node[:]
    graph.node.extend(copies)
