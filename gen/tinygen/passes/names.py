# SPDX-License-Identifier: Apache-2.0
"""Names that users see: ``embed``, ``block0.attention``, ``block0.ffn1``, ``pool``, ``head``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tinygen import operators as ops
from tinygen.graph import Graph, Node, Op
from tinygen.names import identifier
from tinygen.passes.engine import unique_names

ATTENTION = (ops.Attention, ops.DotProductAttention)


def systematic(graph: Graph) -> tuple[Graph, dict[str, str]]:
    """The same graph with systematic names of nodes and values, and the ONNX name of each value.

    A value is named after the node that makes it; input and output are ``input`` and ``output``,
    of several ``input_signal``, ``output_class`` after their names in the file.
    """
    labels = _labels(graph)
    nodes = unique_names(
        replace(n, name=label) for n, label in zip(graph.nodes, labels, strict=True)
    )
    nodes = tuple(replace(n, name=n.name.replace("~", "_")) for n in nodes)
    taken = {n.name for n in nodes}
    renamed = _ends("input", graph.input_values, [i.name for i in graph.inputs], taken)
    renamed |= _ends("output", graph.output_values, [o.name for o in graph.outputs], taken)
    for node in nodes:
        renamed.setdefault(node.output, node.name)
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
    named = replace(
        graph,
        values=values,
        nodes=nodes,
        inputs=tuple(replace(i, value=renamed[i.value]) for i in graph.inputs),
        outputs=graph.renamed_outputs(renamed),
    )
    return named, origins


def _ends(
    word: str, values: Sequence[str], names: Sequence[str], taken: set[str]
) -> dict[str, str]:
    """Value -> its new name; the first of outputs that are one value names it."""
    if len(set(values)) == 1:
        return {values[0]: word}
    found: dict[str, str] = {}
    for value, name in zip(values, names, strict=True):
        new = f"{word}_{identifier(name)}"
        while new in taken:
            new += "_"
        if value not in found:
            taken.add(new)
            found[value] = new
    return found


def _labels(graph: Graph) -> list[str]:
    """One label a node, following the encoder's course: embed, blocks, then pool and head."""
    blocks = sum(isinstance(n.op, ATTENTION) for n in graph.nodes)
    given = _projections(graph)
    block, residuals, ffn, norms = -1, 0, 0, 0
    sums = [i for i, n in enumerate(graph.nodes) if isinstance(n.op, ops.Add) and not _is_bias(n)]
    pre = any(_feeds_only_attention(graph, n, given) for n in graph.nodes if _is_norm(n))
    out: list[str] = []
    for position, node in enumerate(graph.nodes):
        op = node.op
        if _is_norm(node) and _feeds_only_attention(graph, node, given):
            out.append(f"block{block + 1}.norm1")
            continue
        if node.name in given:
            out.append(given[node.name])
            continue
        before = graph.producer(node.inputs[0])
        if before is not None and (_is_bias(node) or _is_gain(graph, node)):
            word = "bias" if _is_bias(node) else "gain"
            out.append(f"{out[graph.nodes.index(before)].removesuffix('_gain')}_{word}")
            continue
        if isinstance(op, ATTENTION):
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


def _projections(graph: Graph) -> dict[str, str]:
    """Node -> label, of the layers around attention that stands by itself."""
    found: dict[str, str] = {}
    layers = [n for n in graph.nodes if isinstance(n.op, ATTENTION)]
    for block, layer in enumerate(layers):
        if not isinstance(layer.op, ops.DotProductAttention):
            continue
        for role, name in zip("qkv", layer.inputs, strict=True):
            node = graph.producer(name)
            if node is not None and _is_bias(node):
                found[node.name] = f"block{block}.{role}_bias"
                node = graph.producer(node.inputs[0])
            if node is not None and isinstance(node.op, ops.Linear):
                found.setdefault(node.name, f"block{block}.{role}")
        for reader in graph.consumers(layer.output):
            if isinstance(reader.op, ops.Linear):
                found[reader.name] = f"block{block}.out"
    return found


def _is_bias(node: Node) -> bool:
    """Whether it adds the same constant to every row."""
    other = node.op.other if isinstance(node.op, ops.Add) else None
    return other is not None and bool(np.all(other == other[:1]))


def _is_gain(graph: Graph, node: Node) -> bool:
    """Whether it is the factors of a norm, by themselves."""
    before = graph.producer(node.inputs[0])
    if not isinstance(node.op, ops.Linear) or before is None or not _is_norm(before):
        return False
    w = node.op.weight
    return w.shape[0] == w.shape[1] and not np.any(w - np.diag(w.diagonal()))


def _is_norm(node: Node) -> bool:
    return isinstance(node.op, ops.LayerNorm)


def _is_first_product(graph: Graph, position: int) -> bool:
    products = [i for i, n in enumerate(graph.nodes) if isinstance(n.op, ops.Linear | ops.Conv)]
    return bool(products) and products[0] == position


def _feeds_only_attention(graph: Graph, node: Node, given: Mapping[str, str]) -> bool:
    readers = graph.consumers(node.output)
    while len(readers) == 1 and (_is_gain(graph, readers[0]) or _is_bias(readers[0])):
        readers = graph.consumers(readers[0].output)
    return bool(readers) and all(
        isinstance(r.op, ops.Attention) or given.get(r.name, ".").split(".")[1] in ("q", "k", "v")
        for r in readers
    )


def _outside(op: Op, where: str) -> str:
    """``where`` for a product there, else a word for the operator, prefixed inside a part."""
    if isinstance(op, ops.Linear | ops.Conv) and not where.endswith("."):
        return where
    word = op.label or op.word if isinstance(op, ops.Operator) else op.kind.lower()
    return f"{where}{word}" if where.endswith(".") else word
