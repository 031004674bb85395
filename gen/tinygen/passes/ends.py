# SPDX-License-Identifier: Apache-2.0
"""The ends of the integer graph: the rounded input becomes the input, the output loses its shape's
batch axis. What a model does to its input before the first rounding is kept as `Normalisation`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.errors import TinygenError
from tinygen.graph import Float, Graph, Node, Normalisation
from tinygen.passes.engine import kind_of, tidy
from tinygen.passes.simulate import evaluated

AFFINE = {"Add", "Sub", "Mul", "Div", "Neg", "Move", "Grid"}


def without_batch(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A leading axis of one element is the batch, or as good as."""
    return (shape[1:] if shape[0] == 1 else shape) or (1,)


def quantised_ends(graph: Graph) -> Graph:
    """The rounded input becomes the input, without its batch axis; the output loses its shape's."""
    graph = normalised_input(graph)
    readers = graph.consumers(graph.input)
    first = [n for n in readers if kind_of(n) == "Quant"]
    if not first or len(readers) != len(first):
        culprit = next((n.name for n in readers if n not in first), "none")
        raise TinygenError(
            f"the input {graph.input} has no scale (node {culprit} reads it in float): quantise "
            "the input too, or give samples (--samples) to choose it from"
        )
    if len(first) > 1:
        raise TinygenError(
            f"the input {graph.input} is quantised with {len(first)} different scales: "
            "quantise the model again"
        )
    (rounding,) = first
    source = graph.values[rounding.output]
    unbatched = replace(source, name=graph.input, shape=without_batch(source.shape))
    values = {**graph.values, graph.input: unbatched}
    view = replace(rounding, op=Float("Move", {"index": None}))
    nodes = tuple(view if n is rounding else n for n in graph.nodes)
    graph = replace(graph, values=values, nodes=nodes)
    last = graph.producer(graph.output)
    while last is not None and kind_of(last) == "Move":
        assert isinstance(last.op, Float)
        if last.op.attrs["index"] is not None:
            break
        graph = replace(graph, output=last.inputs[0])
        last = graph.producer(graph.output)
    return tidy(graph)


def normalised_input(graph: Graph) -> Graph:
    """A chain of factors and offsets from the input to the one rounding that ends it goes into the
    graph's `Normalisation`."""
    chain: list[Node] = []
    name = graph.input
    while True:
        readers = graph.consumers(name)
        if len(readers) != 1 or len(readers[0].outputs) != 1:
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
    shape = graph.values[graph.input].shape
    answers = [_answer(graph, chain, np.full(shape, v, np.float64)) for v in (0.0, 1.0, 2.0)]
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
    moved = replace(readers[0], inputs=(graph.input,))
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
        if graph.output == source.name:
            graph = replace(graph, output=view)
    note = f"{graph.input} is normalised before it is rounded; the firmware takes the result"
    notes = (*graph.notes, note)
    return tidy(replace(graph, values=values, nodes=nodes, normalisation=kept, notes=notes))


def _answer(graph: Graph, chain: list[Node], x: NDArray[Any]) -> NDArray[Any] | None:
    """The end of a chain for one input."""
    known: dict[str, Any] = {k: v.data for k, v in graph.values.items() if v.data is not None}
    known |= {
        n.output: known[n.inputs[0]] * known[n.inputs[1]]
        for n in graph.nodes
        if kind_of(n) == "Grid"
    }
    known[graph.input] = x
    for node in chain:
        if any(i and i not in known for i in node.inputs):
            return None
        inputs = [known[i] if i else None for i in node.inputs]
        known[node.output] = evaluated(node, inputs, graph.values[node.output].shape)
    result: NDArray[Any] = known[chain[-1].output]
    return result
