# SPDX-License-Identifier: Apache-2.0
"""Which values share memory: views, in-place operators, rows written where they will be needed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from tinygen.graph import Graph, Node
from tinygen.lowering import Slot
from tinygen.operators import Operator
from tinygen.planner.ends import buffers
from tinygen.planner.feedforward import Pair


@dataclass(frozen=True)
class Homes:
    """slots: value -> where it lives.  sizes: arena buffer -> bytes."""

    slots: dict[str, Slot]
    sizes: dict[str, int]


def size_of(graph: Graph, value: str) -> int:
    return math.prod(graph.values[value].shape)


def assign_homes(
    graph: Graph,
    in_place: Set[str] = frozenset(),
    blocked: Sequence[Pair] = (),
    input_in_arena: bool = False,
) -> Homes:
    """Give every activation a slot. Views and in-place results share their source's buffer.

    in_place: attention nodes whose schedule lets the output overwrite the input.  blocked: pairs of
    linear layers that go by row blocks: what is between them has no buffer, and their output may
    overwrite their input.

    A buffer is named after the value whose bytes it holds. The graph's inputs are the caller's,
    unless they are to lie in the arena, and no layer writes to them. An output is the caller's too
    where its buffer has just that size and is no other output's; else it lies where `slots` says,
    and is copied at the end.
    """
    sharing = _Sharing(graph, in_place, {pair.nodes[-1].name: pair for pair in blocked})
    without = {node.output for pair in blocked for node in pair.nodes[:-1]}
    given, got = buffers(graph)
    names = dict(given)
    for value, buffer in zip(graph.output_values, got, strict=True):
        base, offset = sharing.root(value)
        if base not in names and offset == 0 and size_of(graph, base) == size_of(graph, value):
            names[base] = buffer
    slots: dict[str, Slot] = {}
    sizes: dict[str, int] = {}
    for value in (*graph.input_values, *(n.output for n in graph.nodes)):
        if value in without:
            continue
        base, offset = sharing.root(value)
        name = names.setdefault(base, base)
        slots[value] = Slot(name, offset)
        if name not in got and (base not in given or input_in_arena):
            sizes[name] = size_of(graph, base)
    return Homes(slots, sizes)


class _Sharing:
    """parent: value -> (value in whose buffer it lives, byte offset)."""

    def __init__(self, graph: Graph, in_place: Set[str], blocked: Mapping[str, Pair]) -> None:
        self.graph = graph
        self.in_place = in_place
        self.blocked = blocked
        self.position = {node.name: i for i, node in enumerate(graph.nodes)}
        self.activations = [*graph.input_values, *(n.output for n in graph.nodes)]
        self.parent: dict[str, tuple[str, int]] = {}
        for node in graph.nodes:
            self._visit(node)

    def _visit(self, node: Node) -> None:
        op, source, out = node.op, node.inputs[0], node.output
        assert isinstance(op, Operator)
        if op.is_view:
            shapes = [self.graph.values[i].shape for i in node.inputs]
            self.parent[out] = (source, op.offset(shapes))
        elif op.ahead and self._may_move(node):
            self.parent[source] = (out, op.ahead)
        elif node.name in self.blocked:
            first = self.blocked[node.name].nodes[0]
            if self._may_overwrite(first, out):
                self.parent[out] = (first.inputs[0], 0)
        elif (op.overwrites or node.name in self.in_place) and self._may_overwrite(node):
            self.parent[out] = (source, 0)

    def root(self, value: str) -> tuple[str, int]:
        offset = 0
        while value in self.parent:
            value, step = self.parent[value]
            offset += step
        return value, offset

    def last_use(self, value: str) -> int:
        """Index of the last node that reads this value or a view of it."""
        last = len(self.graph.nodes) if value in self.graph.output_values else -1
        for node in self.graph.consumers(value):
            last = max(last, self.position[node.name])
            if isinstance(node.op, Operator) and node.op.is_view:
                last = max(last, self.last_use(node.output))
        return last

    def _may_move(self, node: Node) -> bool:
        """The producer can write behind the constant rows: nobody else reads it."""
        source = node.inputs[0]
        producer = self.graph.producer(source)
        return (
            source not in self.parent
            and producer is not None
            and self.graph.consumers(source) == [node]
            and source not in self.graph.output_values
        )

    def _may_overwrite(self, node: Node, output: str | None = None) -> bool:
        """The first operand dies here, fills its buffer, and is not the caller's. output: what
        would overwrite it, the node's own unless it is a later node's."""
        source, output = node.inputs[0], output or node.output
        base, offset = self.root(source)
        family = [v for v in self.activations if v != output and self.root(v)[0] == base]
        here = self.position[node.name]
        return (
            base not in self.graph.input_values
            and offset == 0
            and size_of(self.graph, base) == size_of(self.graph, output)
            and all(self.last_use(v) <= here for v in family)
            and node.inputs.count(source) == 1
        )
