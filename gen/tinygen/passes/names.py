# SPDX-License-Identifier: Apache-2.0
"""Names that users see: ``embed``, ``block0.attention``, ``block0.ffn1``, ``pool``, ``head``."""

from __future__ import annotations

from dataclasses import replace

from tinygen.graph import Graph, Node, ops
from tinygen.passes.engine import unique_names


def systematic(graph: Graph) -> tuple[Graph, dict[str, str]]:
    """The same graph with systematic names of nodes and values, and the ONNX name of each value.

    A value is named after the node that makes it; input and output are ``input`` and ``output``.
    """
    labels = _labels(graph)
    nodes = unique_names(
        replace(n, name=label) for n, label in zip(graph.nodes, labels, strict=True)
    )
    nodes = tuple(replace(n, name=n.name.replace("~", "_")) for n in nodes)
    renamed = {graph.input: "input"}
    for node in nodes:
        renamed[node.output] = "output" if node.output == graph.output else node.name
    values = {new: replace(graph.values[old], name=new) for old, new in renamed.items()}
    nodes = tuple(
        replace(
            n,
            inputs=tuple(renamed[i] for i in n.inputs),
            outputs=tuple(renamed[o] for o in n.outputs),
        )
        for n in nodes
    )
    origins = {new: old.split("~")[0] for old, new in renamed.items()}
    named = replace(graph, values=values, nodes=nodes, input="input", output=renamed[graph.output])
    return named, origins


def _labels(graph: Graph) -> list[str]:
    """One label a node, following the encoder's course: embed, blocks, then pool and head."""
    blocks = sum(isinstance(n.op, ops.Attention) for n in graph.nodes)
    block, residuals, ffn, norms = -1, 0, 0, 0
    sums = [i for i, n in enumerate(graph.nodes) if isinstance(n.op, ops.Add)]
    pre = any(_feeds_only_attention(graph, n) for n in graph.nodes if _is_norm(n))
    out: list[str] = []
    for position, node in enumerate(graph.nodes):
        op = node.op
        if _is_norm(node) and _feeds_only_attention(graph, node):
            out.append(f"block{block + 1}.norm1")
            continue
        if isinstance(op, ops.Attention):
            block, residuals, ffn = block + 1, 0, 0
            norms = int(out.count(f"block{block}.norm1") > 0)
            out.append(f"block{block}.attention")
            continue
        after = block == blocks - 1 and position > max(sums, default=0)
        if block < 0:
            out.append(_outside(op, "embed" if _is_first_product(graph, position) else "embed."))
        elif isinstance(op, ops.LayerNorm) and not (after and pre):
            norms += 1
            out.append(f"block{block}.norm{norms}")
        elif isinstance(op, ops.Add) and not after:
            residuals += 1
            out.append(f"block{block}.add{residuals}")
        elif after or isinstance(op, ops.MeanPool | ops.MaxPool | ops.SelectToken):
            out.append(_outside(op, "head"))
        elif isinstance(op, ops.Linear) and residuals >= 1:
            ffn += 1
            out.append(f"block{block}.ffn{ffn}")
        else:
            out.append(_outside(op, f"block{block}."))
    return out


def _is_norm(node: Node) -> bool:
    return isinstance(node.op, ops.LayerNorm)


def _is_first_product(graph: Graph, position: int) -> bool:
    products = [i for i, n in enumerate(graph.nodes) if isinstance(n.op, ops.Linear | ops.Conv)]
    return bool(products) and products[0] == position


def _feeds_only_attention(graph: Graph, node: Node) -> bool:
    readers = graph.consumers(node.output)
    return bool(readers) and all(isinstance(r.op, ops.Attention) for r in readers)


_WORDS = {
    ops.Add: "positions",
    ops.PrependTokens: "class_token",
    ops.SelectToken: "token",
    ops.Lut: "table",
    ops.MeanPool: "pool",
    ops.MaxPool: "pool",
    ops.LayerNorm: "norm",
    ops.Embed: "tokens",
    ops.Linear: "linear",
    ops.Conv: "conv",
    ops.Reshape: "view",
}


def _outside(op: ops.Op, where: str) -> str:
    """``where`` for a product there, else a word for the operator, prefixed inside a part."""
    if isinstance(op, ops.Linear | ops.Conv) and not where.endswith("."):
        return where
    word = _WORDS.get(type(op), type(op).__name__.lower())
    return f"{where}{word}" if where.endswith(".") else word
