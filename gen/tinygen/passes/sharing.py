# SPDX-License-Identifier: Apache-2.0
"""A value that one reader takes rounded and another as it is: both take it rounded."""

from __future__ import annotations

from dataclasses import replace

from tinygen.graph import Float, Graph, Node
from tinygen.passes.canonical import ROUNDED
from tinygen.passes.engine import tidy

ANCHORS = ROUNDED | {"Add"}


def share_roundings(graph: Graph) -> Graph:
    """On the device a tensor exists once, in 8 bits; readers without a rounding get that one."""
    rounded: dict[str, set[str]] = {}
    for node in graph.nodes:
        if _kind(node) == "Quant":
            rounded.setdefault(node.inputs[0], set()).add(node.output)
    makers = {o: _kind(n) for n in graph.nodes for o in n.outputs}
    single = {
        raw: next(iter(outs))
        for raw, outs in rounded.items()
        if len(outs) == 1 and makers.get(raw) in ANCHORS
    }
    notes = list(graph.notes)
    nodes: list[Node] = []
    made: set[str] = set()
    for node in graph.nodes:
        made.update(node.outputs)
        if _kind(node) in ANCHORS and any(i in single and single[i] in made for i in node.inputs):
            notes.append(f"{node.name} reads its input rounded to 8 bits, as its neighbours do")
            node = replace(node, inputs=tuple(single.get(i, i) for i in node.inputs))
        nodes.append(node)
    if len(notes) == len(graph.notes):
        return graph
    return tidy(replace(graph, nodes=tuple(nodes), notes=tuple(notes)))


def _kind(node: Node) -> str:
    return node.op.kind if isinstance(node.op, Float) else ""
