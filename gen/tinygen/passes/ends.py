# SPDX-License-Identifier: Apache-2.0
"""The ends of the integer graph: a rounded input becomes the input, an output loses its shape's
batch axis. What a model does to an input before the first rounding is kept as `Normalisation`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.errors import TinygenError
from tinygen.graph import Float, Graph, Input, Node, Normalisation, Output
from tinygen.passes.engine import kind_of, tidy
from tinygen.passes.simulate import evaluated

AFFINE = {"Add", "Sub", "Mul", "Div", "Neg", "Move", "Grid"}


def without_batch(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A leading axis of one element is the batch, or as good as."""
    return (shape[1:] if shape[0] == 1 else shape) or (1,)


def quantised_ends(graph: Graph) -> Graph:
    """The rounded inputs become the inputs, without their batch axis; the outputs lose their
    shape's."""
    graph = normalised_inputs(graph)
    for entry in graph.inputs:
        graph = _quantised_input(graph, entry)
    return tidy(replace(graph, outputs=tuple(_unshaped(graph, o) for o in graph.outputs)))


def _quantised_input(graph: Graph, entry: Input) -> Graph:
    name = entry.value
    readers = graph.consumers(name)
    first = [n for n in readers if kind_of(n) == "Quant"]
    if not first or len(readers) != len(first):
        culprit = next((n.name for n in readers if n not in first), "none")
        raise TinygenError(
            f"the input {name} has no scale (node {culprit} reads it in float): quantise "
            "the input too, or give samples (--samples) to choose it from"
        )
    if len(first) > 1:
        raise TinygenError(
            f"the input {name} is quantised with {len(first)} different scales: "
            "quantise the model again"
        )
    (rounding,) = first
    source = graph.values[rounding.output]
    unbatched = replace(source, name=name, shape=without_batch(source.shape))
    values = {**graph.values, name: unbatched}
    view = replace(rounding, op=Float("Move", {"index": None}))
    nodes = tuple(view if n is rounding else n for n in graph.nodes)
    return replace(graph, values=values, nodes=nodes)


def _unshaped(graph: Graph, end: Output) -> Output:
    last = graph.producer(end.value)
    while last is not None and kind_of(last) == "Move":
        assert isinstance(last.op, Float)
        if last.op.attrs["index"] is not None:
            break
        end = replace(end, value=last.inputs[0])
        last = graph.producer(end.value)
    return end


def normalised_inputs(graph: Graph) -> Graph:
    """`_normalised` for each input."""
    for entry in graph.inputs:
        graph = _normalised(graph, entry)
    return graph


def _normalised(graph: Graph, entry: Input) -> Graph:
    """A chain of factors and offsets from the input to the one rounding that ends it goes into the
    input's `Normalisation`."""
    chain: list[Node] = []
    name = entry.value
    while True:
        readers = graph.consumers(name)
        if len(readers) != 1 or len(readers[0].outputs) != 1 or name in graph.output_values:
            return graph
        (node,) = readers
        if kind_of(node) == "Quant":
            break
        if kind_of(node) not in AFFINE or node.inputs.count(name) != 1:
            return graph
        if isinstance(node.op, Float) and node.op.attrs.get("index") is not None:
            return graph
        chain.append(node)
        name = node.output
    if all(kind_of(n) == "Move" for n in chain):
        return graph
    shape = graph.values[entry.value].shape
    answers = [
        _answer(graph, entry.value, chain, np.full(shape, v, np.float64)) for v in (0.0, 1.0, 2.0)
    ]
    if any(a is None or a.size != np.prod(shape) for a in answers):
        return graph
    zero, one, two = (np.asarray(a, np.float64).reshape(shape) for a in answers)
    factor = one - zero
    straight = np.allclose(two - one, factor, 1e-6, 1e-9)
    if not straight or not np.all(np.isfinite(factor)) or np.any(factor == 0):
        return graph
    small = without_batch(shape)
    kept = Normalisation(
        factor.reshape(small).astype(np.float32), zero.reshape(small).astype(np.float32)
    )
    dropped = {id(n) for n in chain}
    readers = graph.consumers(name)
    moved = replace(readers[0], inputs=(entry.value,))
    nodes = tuple(moved if n is readers[0] else n for n in graph.nodes if id(n) not in dropped)
    values = dict(graph.values)
    source = values[readers[0].output]
    values[readers[0].output] = replace(source, shape=shape)
    fix = source.shape != shape
    if fix:  # the rounding keeps the input's shape, its readers take theirs
        view = f"{source.name}~view"
        values[view] = replace(source, name=view)
        move = Node(f"{moved.name}~view", Float("Move", {"index": None}), (source.name,), (view,))
        at = nodes.index(moved) + 1
        rest = (
            replace(n, inputs=tuple(view if i == source.name else i for i in n.inputs))
            for n in nodes[at:]
        )
        nodes = (*nodes[:at], move, *rest)
        graph = replace(graph, outputs=graph.renamed_outputs({source.name: view}))
    note = f"{entry.value} is normalised before it is rounded; the firmware takes the result"
    notes = (*graph.notes, note)
    graph = replace(graph, values=values, nodes=nodes, notes=notes)
    return tidy(graph.with_input(replace(entry, normalisation=kept)))


def _answer(graph: Graph, name: str, chain: list[Node], x: NDArray[Any]) -> NDArray[Any] | None:
    """The end of a chain for one sample of an input."""
    known: dict[str, Any] = {k: v.data for k, v in graph.values.items() if v.data is not None}
    known |= {
        n.output: known[n.inputs[0]] * known[n.inputs[1]]
        for n in graph.nodes
        if kind_of(n) == "Grid"
    }
    known[name] = x
    for node in chain:
        if any(i and i not in known for i in node.inputs):
            return None
        inputs = [known[i] if i else None for i in node.inputs]
        known[node.output] = evaluated(node, inputs, graph.values[node.output].shape)
    result: NDArray[Any] = known[chain[-1].output]
    return result
