# SPDX-License-Identifier: Apache-2.0
"""Term rewriting on a Graph.

A rule looks at one node and the nodes that feed it, and answers with another expression of the
same value, or None. It never changes another node: what nobody reads any more is dropped after
each sweep, and equal expressions are shared. So a rule can be read, and tested, on its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.errors import TinygenError
from tinygen.graph import Float, Graph, Node, Op, Quant, Value, verify
from tinygen.passes.order import Weights

Result = str | tuple[str, ...] | None
STRICT = False
"""Whether a rule whose answer is no lighter than its node is a fault: tests say so; else the node
stays, and is refused if nothing else takes it."""


@dataclass(frozen=True)
class Rule:
    """One rewriting idea. kinds: the `Float` kinds it is tried on. doc: the idea in a sentence."""

    name: str
    kinds: frozenset[str]
    doc: str
    apply: Callable[[Scope, Node], Result]


def rule(*kinds: str) -> Callable[[Callable[[Scope, Node], Result]], Rule]:
    """Make a `Rule` of a function; its docstring says the idea."""

    def make(function: Callable[[Scope, Node], Result]) -> Rule:
        name = function.__name__
        return Rule(name, frozenset(kinds), (function.__doc__ or "").strip(), function)

    return make


class Scope:
    """What a rule sees and may add: the graph up to the node in hand."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.values: dict[str, Value] = dict(graph.values)
        self.nodes: list[Node] = []
        self.producers: dict[str, Node] = {}
        self.renamed: dict[str, str] = {}
        self.fanout = Counter(i for n in graph.nodes for i in n.inputs)
        self.fanout.update(graph.output_values)
        self.names = {n.name for n in graph.nodes}
        self.notes: list[str] = []
        self.weights = Weights(self.values)
        self._root: Node | None = None
        self._fresh: list[Node] = []

    # what rules read

    def shape(self, name: str) -> tuple[int, ...]:
        return self.values[name].shape

    def data(self, name: str) -> NDArray[Any] | None:
        """The elements of a plain constant, or None."""
        return self.values[name].data if name else None

    def quant(self, name: str) -> Quant | None:
        return self.values[name].quant

    def made_by(self, name: str, *kinds: str) -> Node | None:
        """The `Float` node of one of these kinds that makes the value, or None."""
        node = self.producers.get(name)
        real = node is not None and isinstance(node.op, Float)
        return node if node is not None and real and kind_of(node) in kinds else None

    @property
    def root(self) -> Node:
        """The node in hand."""
        assert self._root is not None
        return self._root

    # what rules add

    def constant(self, data: NDArray[Any], quant: Quant | None = None) -> str:
        """A new constant value."""
        name = self._name("c")
        self.values[name] = Value(name, tuple(data.shape), quant, data)
        return name

    def emit(
        self,
        op: Op,
        inputs: Iterable[str],
        shape: tuple[int, ...],
        *,
        quant: Quant | None = None,
        name: str | None = None,
        origin: str | None = None,
    ) -> str:
        """A new node with one output; returns the output's name.

        ``name``: the node it stands for in messages, by default the one being rewritten.
        ``origin``: the value whose tensor of the model the output is, likewise.
        """
        assert self._root is not None
        output = self._name("", origin)
        self.values[output] = Value(output, shape, quant)
        node = Node(name or self._root.name, op, tuple(inputs), (output,))
        self._fresh.append(node)
        self.producers[output] = node
        self.weights.see(node)
        return output

    def _name(self, suffix: str, origin: str | None = None) -> str:
        assert self._root is not None
        stem = (origin or self._root.outputs[0]).split("~")[0]
        count = 1
        while f"{stem}~{suffix}{count}" in self.values:
            count += 1
        return f"{stem}~{suffix}{count}"

    def lighter(self, node: Node, outputs: tuple[str, ...]) -> bool:
        """Whether an answer lowers the order: see `tinygen.passes.order`."""
        pairs = zip(node.outputs, outputs, strict=True)
        return all(self.weights.of(new) < self.weights.of(old) for old, new in pairs)

    # the sweep

    def visit(self, node: Node, rules: Mapping[str, list[Rule]]) -> bool:
        """Try the rules on a node; append it, or what stands for it. True if a rule applied."""
        inputs = tuple(self.renamed.get(i, i) for i in node.inputs)
        if inputs != node.inputs:
            node = replace(node, inputs=inputs)
        for output in node.outputs:
            self.producers[output] = node
        self.weights.see(node)
        for candidate in rules.get(kind_of(node), ()) if isinstance(node.op, Float) else ():
            self._root, self._fresh = node, []
            result = _attempt(candidate, self, node)
            if result is None:
                continue
            outputs = (result,) if isinstance(result, str) else result
            if [self.shape(o) for o in outputs] != [self.shape(o) for o in node.outputs]:
                assert not STRICT, f"{candidate.name} on {node.name} answers another shape"
                continue
            if not self.lighter(node, outputs):
                assert not STRICT, f"{candidate.name} on {node.name} does not lower the order"
                continue
            self.nodes += self._fresh
            for old, new in zip(node.outputs, outputs, strict=True):
                self.renamed[old] = new
            return True
        self.nodes.append(node)
        return False

    def result(self) -> Graph:
        return replace(
            self.graph,
            values=self.values,
            nodes=tuple(self.nodes),
            outputs=self.graph.renamed_outputs(self.renamed),
            notes=(*self.graph.notes, *(n for n in self.notes if n not in self.graph.notes)),
        )


def _attempt(candidate: Rule, scope: Scope, node: Node) -> Result:
    """Apply a rule; what it does not expect of a node is that node's fault, said in a sentence."""
    try:
        return candidate.apply(scope, node)
    except TinygenError as error:
        message = str(error)
        if message.startswith(("node ", "input ")):
            raise
        stem = scope.producers.get(node.inputs[0]) if kind_of(node) == "Quant" else node
        name = (stem or node).name
        raise TinygenError(f"node {name} ({kind_of(stem or node)}): {message}") from error
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        raise TinygenError(
            f"node {node.name} ({kind_of(node)}) is malformed: its attributes and inputs do not "
            f"fit ({candidate.name}), so export the model again"
        ) from error


def kind_of(node: Node) -> str:
    """The ONNX kind of a `Float` node; the class name of an integer one."""
    return node.op.kind if isinstance(node.op, Float) else type(node.op).__name__


def rewrite(graph: Graph, rules: Iterable[Rule]) -> Graph:
    """Apply the rules until none applies; dead and duplicate nodes go; verify."""
    by_kind: dict[str, list[Rule]] = {}
    for r in rules:
        for kind in r.kinds:
            by_kind.setdefault(kind, []).append(r)
    graph = tidy(graph)
    while True:
        scope = Scope(graph)
        applied = [scope.visit(node, by_kind) for node in graph.nodes]
        if not any(applied):
            return verify(graph)
        graph = tidy(scope.result())


def tidy(graph: Graph) -> Graph:
    """Share equal nodes, drop those that nobody reads, make node names unique."""
    renamed: dict[str, str] = {}
    seen: dict[Any, Node] = {}
    kept: list[Node] = []
    for node in graph.nodes:
        node = replace(node, inputs=tuple(renamed.get(i, i) for i in node.inputs))
        key = _key(node, graph)
        twin = seen.setdefault(key, node)
        if twin is node:
            kept.append(node)
        else:
            renamed.update(zip(node.outputs, twin.outputs, strict=True))
    outputs = graph.renamed_outputs(renamed)
    alive, nodes = {*(o.value for o in outputs), *graph.input_values}, []
    for node in reversed(kept):
        if alive.intersection(node.outputs):
            alive.update(node.inputs)
            nodes.append(node)
    nodes.reverse()
    alive.update(o for n in nodes for o in n.outputs)
    values = {k: v for k, v in graph.values.items() if k in alive}
    return replace(graph, values=values, nodes=unique_names(nodes), outputs=outputs)


def unique_names(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """The same nodes; a name that occurs again gets a number."""
    taken: set[str] = set()
    out = []
    for node in nodes:
        name, count = node.name, 1
        stem = name.split("~")[0]
        while name in taken:
            count += 1
            name = f"{stem}~{count}"
        taken.add(name)
        out.append(node if name == node.name else replace(node, name=name))
    return tuple(out)


def _key(node: Node, graph: Graph) -> Any:
    """Equal for nodes that compute the same; integer operators are never shared."""
    if not isinstance(node.op, Float):
        return id(node)
    attrs = tuple((k, _hashable(v)) for k, v in sorted(node.op.attrs.items()))
    shapes = tuple(graph.values[o].shape for o in node.outputs)
    constants = tuple(
        i if not i or (data := graph.values[i].data) is None or data.size > 1 else _hashable(data)
        for i in node.inputs
    )
    return node.op.kind, attrs, constants, shapes


def _hashable(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, list | tuple):
        return tuple(_hashable(v) for v in value)
    return repr(value)
