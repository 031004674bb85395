# SPDX-License-Identifier: Apache-2.0
"""Last steps on the integer graph: fewer nodes, the same bits."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from tinygen.graph import Graph, Node, Value
from tinygen.operators import Add, Conv, LayerNorm, Linear, Lut, SelectToken
from tinygen.operators.lut import lut
from tinygen.passes.engine import tidy

IDENTITY = np.arange(-128, 128, dtype=np.int8)


def _readers(graph: Graph) -> Counter[str]:
    count = Counter(i for n in graph.nodes for i in n.inputs)
    count.update(graph.output_values)
    return count


def drop_identities(graph: Graph) -> Graph:
    """A table that changes no byte, only what the bytes mean, is not run."""
    renamed: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        same = isinstance(node.op, Lut) and np.array_equal(node.op.table, IDENTITY)
        source = node.inputs[0]
        kept = (*graph.input_values, *graph.output_values)
        if same and source not in kept and source not in renamed:
            renamed[source] = node.output  # all readers take the value by its later name
        else:
            nodes.append(node)

    def now(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(renamed.get(n, n) for n in names)

    nodes = [replace(n, inputs=now(n.inputs), outputs=now(n.outputs)) for n in nodes]
    return tidy(replace(graph, nodes=tuple(nodes), outputs=graph.renamed_outputs(renamed)))


def fuse_tables(graph: Graph) -> Graph:
    """A table that alone reads a Linear, a Conv or another table joins it."""
    readers = _readers(graph)
    nodes: dict[str, Node] = {}
    for node in graph.nodes:
        before = nodes.get(node.inputs[0]) if isinstance(node.op, Lut) else None
        if before is not None and readers[before.output] == 1:
            joined = _joined(before, node)
            if joined is not None:
                nodes.pop(before.output)
                node = joined
        nodes[node.output] = node
    return tidy(replace(graph, nodes=tuple(nodes.values())))


def _joined(before: Node, after: Node) -> Node | None:
    """One node for an operator and the table on its result, if it can hold the table."""
    assert isinstance(after.op, Lut)
    table = after.op.table
    match before.op:
        case Linear() | Conv() as op:
            inner = table if op.table is None else lut(op.table, table)
            return replace(before, op=replace(op, table=inner), outputs=after.outputs)
        case Lut() as op:
            return replace(after, op=Lut(lut(op.table, table)), inputs=before.inputs)
    return None


def select_early(graph: Graph) -> Graph:
    """A token picked after operators on rows is picked before them: other rows go uncomputed."""
    while True:
        moved = _select_once(graph)
        if moved is None:
            return graph
        graph = moved


def _select_once(graph: Graph) -> Graph | None:
    readers = _readers(graph)
    for position, node in enumerate(graph.nodes):
        before = graph.producer(node.inputs[0])
        if not isinstance(node.op, SelectToken) or before is None:
            continue
        if not isinstance(before.op, Linear | LayerNorm | Add | Lut):
            continue
        if readers[before.output] != 1:
            continue
        values = dict(graph.values)
        fresh: list[Node] = []
        for number, source in enumerate(before.inputs):
            name = _unused(f"{source}~row", values)
            values[name] = replace(values[source], name=name, shape=(1, values[source].shape[1]))
            fresh.append(Node(f"{node.name}~{number}", node.op, (source,), (name,)))
        op = before.op
        if isinstance(op, Add) and op.other is not None:
            op = replace(op, other=op.other[node.op.index : node.op.index + 1])
        result = _unused(f"{before.output}~row", values)  # the same tensor, so messages find it
        values[result] = replace(values[node.output], name=result)
        fresh.append(Node(before.name, op, tuple(n.output for n in fresh), (result,)))
        nodes = [n for n in graph.nodes[:position] if n is not before]
        nodes += [*fresh, *graph.nodes[position + 1 :]]
        renamed = {node.output: result}
        nodes = [replace(n, inputs=tuple(renamed.get(i, i) for i in n.inputs)) for n in nodes]
        outputs = graph.renamed_outputs(renamed)
        return tidy(replace(graph, values=values, nodes=tuple(nodes), outputs=outputs))
    return None


def _unused(name: str, values: dict[str, Value]) -> str:
    while name in values:
        name += "_"
    return name
