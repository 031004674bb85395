# SPDX-License-Identifier: Apache-2.0
"""Scales that a model lacks (PT2E leaves products, sums or scores in float) are chosen here.

A value that an integer operator reads or writes needs a grid. Where the model gives none, the
range that the value has on samples makes one; without samples, on inputs drawn from the input's
own grid. Either way the user is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.graph import Float, Graph, Node, Quant, Value
from tinygen.graph.packed import apart, samples_together
from tinygen.operators.softmax import real_softmax
from tinygen.passes.canonical import ROUNDED, form_of
from tinygen.passes.elementwise import ELEMENTWISE
from tinygen.passes.engine import tidy
from tinygen.passes.masks import refuse_weak_masks, weak
from tinygen.passes.simulate import simulate

PAIRS = {"Add", "Sub", "Mul", "Div", "Max", "Min"}
"""They need a grid too where they take two activations; else they belong to a table."""
ENOUGH = -12.0
"""A score so much lower than the row's highest weighs less than a step of 16 bits."""
CHOSEN = "has no scale in the model; chosen from"
RANDOM = "random inputs (give real ones with --samples)"
SAMPLES = 64
CUTS = tuple(float(c) for c in np.linspace(1, 0.1, 19))
"""How far down the scores' grid may reach, of their range. On the corpus 0.4 to 0.65 are chosen;
mean logit difference of XNNPACK's post-norm model 0.48 LSB at 1, 0.39 at the best."""


def choose_scales(samples: NDArray[Any] | None) -> Callable[[Graph], Graph]:
    """The pass; ``samples`` [N, ...] real inputs or None."""

    def step(graph: Graph) -> Graph:
        refuse_weak_masks(graph)
        exact = _joins_on_one_grid(graph, unrounded(graph))
        graph = _rounded(graph, exact, "") if exact else graph
        x = drawn(graph) if samples is None else normalised(graph, samples[:SAMPLES])
        source = f"{len(x)} samples" if samples is not None else RANDOM
        return _rounded(graph, chosen_grids(graph, x), source)

    return step


def normalised(graph: Graph, samples: NDArray[Any]) -> NDArray[Any]:
    """Samples as the model rounds them."""
    if all(entry.normalisation is None for entry in graph.inputs):
        return samples
    parts = apart(graph, graph.input_values, samples)
    return samples_together(
        [
            p if entry.normalisation is None else entry.normalisation.apply(p)
            for entry, p in zip(graph.inputs, parts, strict=True)
        ]
    )


def chosen_grids(graph: Graph, x: NDArray[Any]) -> dict[str, Quant]:
    """A grid for every value that needs one and has none, from its range on inputs x [N, ...]."""
    missing = unrounded(graph)
    if not missing or any(graph.values[i].quant is None for i in graph.input_values):
        return {}
    low, high = ({m: 0.0 for m in missing} for _ in range(2))
    readers = _into_softmax(graph, missing)
    scores: dict[str, list[NDArray[Any]]] = {m: [] for m in readers}
    for sample in x:
        values = simulate(graph, sample)
        for name in missing:
            finite = values[name][np.isfinite(values[name])]  # 1 / x of an x that is not read
            low[name] = min(low[name], float(finite.min(initial=0)))
            high[name] = max(high[name], float(finite.max(initial=0)))
        for name, seen in scores.items():
            seen.append(values[readers[name].inputs[0]])
    grids = {m: grid_of(low[m], high[m]) for m in missing}
    for name, seen in scores.items():
        op = readers[name].op
        assert isinstance(op, Float)
        mask = _visible(op.attrs.get("mask"), seen[0].shape)
        visible = None if mask is None else np.concatenate([mask] * len(seen))
        _hidden(readers[name], np.concatenate(seen), visible)
        grids[name] = score_grid(np.concatenate(seen), op.attrs.get("beta", 1.0), visible)
    return grids


def unrounded(graph: Graph) -> list[str]:
    """Values that need a grid and have none."""
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    missing = []
    sources, tables, affine = _sources(graph)
    outputs = graph.output_values
    ends = {_end(graph, name) for name in outputs}
    for node in graph.nodes:
        needing = node.output in ends and _kind(node) in ELEMENTWISE - {"Quant"}
        needing |= _kind(node) in ROUNDED or len(sources.get(node.output, ())) > 1
        needing |= _kind(node) == "Softmax" and not _only_weighs(graph, readers, node)
        if not needing and node.output not in outputs:
            # a function of one tensor that a product reads as it is
            after = list(_beyond_moves(readers, node.output))
            needing = node.output in tables and any(
                _kind(n) in ROUNDED or len(sources.get(n.output, ())) > 1 or n.output in affine
                for n in after
            )
        if not needing:
            continue
        after = readers.get(node.output, [])
        if node.output not in outputs and all(_kind(n) == "Quant" for n in after):
            continue
        missing.append(node.output)
    return missing


def _end(graph: Graph, name: str) -> str:
    """The value that an output is, movement aside."""
    node = graph.producer(name)
    while node is not None and _kind(node) == "Move":
        name, node = node.inputs[0], graph.producer(node.inputs[0])
    return name


def _only_weighs(graph: Graph, readers: dict[str, list[Node]], softmax: Node) -> bool:
    """Whether products take the weights of a softmax row by row, so that they need no grid."""
    width = graph.values[softmax.output].shape[-1]
    ahead, found = [softmax.output], []
    while ahead:
        name = ahead.pop()
        for node in readers.get(name, []):
            assert isinstance(node.op, Float)
            if _kind(node) == "Move" and node.op.attrs["index"] is None:
                ahead.append(node.output)
            elif _kind(node) != "Quant":
                same = width % graph.values[name].shape[-1] == 0
                found.append(_kind(node) == "Scores" and node.inputs[0] == name and same)
    return all(found)


def _beyond_moves(readers: dict[str, list[Node]], name: str) -> Iterator[Node]:
    """Who reads a value, movement aside."""
    for node in readers.get(name, []):
        if _kind(node) in ("Move", "Padded"):
            yield from _beyond_moves(readers, node.output)
        else:
            yield node


def _sources(graph: Graph) -> tuple[dict[str, set[str]], set[str], set[str]]:
    """The activations that the operands of an elementwise operator are functions of: more than
    one, or one beside a constant that is no number, make it an operator of its own. And the values
    that are functions of one activation, and those that a factor or an offset for each feature
    makes."""
    constant = {v.name for v in graph.values.values() if v.data is not None}
    constant |= {n.output for n in graph.nodes if _kind(n) == "Grid"}
    root: dict[str, str] = {}
    found: dict[str, set[str]] = {}
    affine: set[str] = set()
    for node in graph.nodes:
        if _kind(node) not in ELEMENTWISE or _kind(node) == "Quant":
            continue
        wide = any(i in constant and np.prod(graph.values[i].shape) > 1 for i in node.inputs)
        roots = {root.get(i, i) for i in node.inputs if i and i not in constant}
        if _kind(node) in PAIRS and (len(roots) > 1 or (wide and _kind(node) == "Add")):
            found[node.output] = roots | ({"constant"} if wide else set())
        elif len(roots) == 1 and not wide:
            root[node.output] = roots.pop()
        if wide and _kind(node) in PAIRS:
            affine.add(node.output)
    return found, set(root), affine


def grid_of(low: float, high: float) -> Quant:
    """An int8 grid that holds a range and zero."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32((high - low) / 255)) or 1.0
    return Quant(scale, int(np.clip(np.rint(-128 - low / scale), -128, 127)))


def score_grid(
    scores: NDArray[Any], factor: float = 1.0, visible: NDArray[np.bool_] | None = None
) -> Quant:
    """The int8 grid of attention scores [..., keys] whose softmax is nearest to the exact one.

    A low score weighs next to nothing, so that the lower end may be cut off for finer steps.
    factor: what the softmax multiplies them by.  visible: those that a mask does not hide from
    their row, None: all.
    """

    def weights(real: NDArray[Any]) -> NDArray[Any]:
        with np.errstate(invalid="ignore"):  # a row that sees nothing
            return real_softmax(
                factor * (real if visible is None else np.where(visible, real, -np.inf))
            )

    exact = weights(scores)
    counting = scores if visible is None else scores[visible]
    low, high = float(counting.min()), float(counting.max())
    best, least = grid_of(low, high), np.inf
    for part in CUTS if low < 0 else CUTS[:1]:
        grid = grid_of(low * part, high)
        q = np.clip(np.rint(scores / grid.scale) + grid.zero_point, -128, 127)
        rounded = weights(grid.scale * (q - grid.zero_point))
        error = float(((rounded - exact) ** 2).mean())
        if error < least:
            best, least = grid, error
    return best


def _visible(mask: NDArray[Any] | None, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """Which scores count, a mask of some rows being that of the rows of every head."""
    if mask is None:
        return None
    rows = np.resize(mask, shape) if len(mask) > 1 else np.broadcast_to(mask, shape)
    seen: NDArray[np.bool_] = rows != 0
    return seen


def _hidden(node: Node, scores: NDArray[Any], visible: NDArray[np.bool_] | None) -> None:
    """Raise where what a mask hides weighs something on these scores [..., keys]."""
    assert isinstance(node.op, Float)
    if visible is None or "hides" not in node.op.attrs or visible.all():
        return
    low, beta = float(node.op.attrs["hides"]), float(node.op.attrs.get("beta", 1.0))
    best = np.where(visible, scores, -np.inf).max(axis=-1)
    span = float((np.where(visible, -np.inf, scores).max(axis=-1) - best).max())
    if span * beta + low > ENOUGH:
        raise weak(node, low / beta, span)


def _into_softmax(graph: Graph, missing: list[str]) -> dict[str, Node]:
    """Scores without a grid -> the softmax that is all that reads them."""
    found: dict[str, Node] = {}
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            readers.setdefault(name, []).append(node)
    for node in graph.nodes:
        if not isinstance(node.op, Float) or _kind(node) != "Softmax":
            continue
        name, before = node.inputs[0], graph.producer(node.inputs[0])
        while before is not None and _kind(before) == "Move" and name not in missing:
            name, before = before.inputs[0], graph.producer(before.inputs[0])
        factor = float(node.op.attrs.get("beta", 1.0))
        if name not in missing or factor <= 0 or "weights" in node.op.attrs:
            continue
        if [n.name for n in _beyond_moves(readers, name)] == [node.name]:
            found[name] = node  # whoever else reads them needs the low ones too
    return found


def drawn(graph: Graph) -> NDArray[np.float32]:
    """Normally distributed inputs whose three sigma fill the input's range; always the same."""
    if any(graph.values[i].quant is None for i in graph.input_values):
        return np.zeros((0, *graph.values[graph.input_values[0]].shape), np.float32)
    rng = np.random.default_rng(0)
    return samples_together([_drawn(graph, name, rng) for name in graph.input_values])


def _drawn(graph: Graph, name: str, rng: np.random.Generator) -> NDArray[np.float32]:
    quant = graph.quant(name)
    middle = (-0.5 - quant.zero_point) * quant.scale
    shape = SAMPLES, *graph.values[name].shape
    rows = _rows_looked_up(graph, name)
    if rows:
        return rng.integers(0, rows, shape).astype(np.float32)
    return rng.normal(middle, 255 * quant.scale / 6, shape).astype(np.float32)


def _rows_looked_up(graph: Graph, name: str) -> int:
    """Rows of the table that an input's token ids are looked up in, 0 of another input."""
    found = []
    for node in graph.nodes:
        form = form_of(node)
        if form is not None and form.ids and _root(graph, node.inputs[0]) == name:
            found.append(graph.values[node.inputs[1]].shape[0])
    return min(found, default=0)


def _root(graph: Graph, name: str) -> str:
    """What a value is, movement aside."""
    node = graph.producer(name)
    while node is not None and _kind(node) in ("Move", "Quant"):
        name, node = node.inputs[0], graph.producer(node.inputs[0])
    return name


def _joins_on_one_grid(graph: Graph, missing: list[str]) -> dict[str, Quant]:
    """Joins whose parts all stand on one grid, so that the result does too."""
    found = {}
    for node in graph.nodes:
        if _kind(node) != "Join" or node.output not in missing:
            continue
        constants = [_constant(graph, i) for i in node.inputs]
        grids = {
            graph.values[i].quant for i, c in zip(node.inputs, constants, strict=True) if c is None
        }
        grid = grids.pop() if len(grids) == 1 else None
        if grid is not None and all(c is None or _stands_on(c, grid) for c in constants):
            found[node.output] = grid
    return found


def _constant(graph: Graph, name: str) -> NDArray[Any] | None:
    data = graph.values[name].data
    node = graph.producer(name)
    if data is not None or node is None or _kind(node) != "Grid":
        return data
    parts = [graph.values[i].data for i in node.inputs]
    product: NDArray[Any] = np.prod(
        [np.asarray(p, np.float64) for p in parts if p is not None], axis=0
    )
    return product


def _stands_on(values: NDArray[Any], grid: Quant) -> bool:
    q = np.asarray(values, np.float64) / grid.scale + grid.zero_point
    return bool(np.all((np.abs(q - np.rint(q)) < 1e-3) & (q > -128.5) & (q < 127.5)))


def _rounded(graph: Graph, grids: dict[str, Quant], source: str) -> Graph:
    """A rounding behind each of the values; everyone who read the value reads that.

    source: what the grids were chosen from, or nothing where they are certain.
    """
    values, nodes, notes = dict(graph.values), [], list(graph.notes)
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        node = replace(node, inputs=tuple(renamed.get(i, i) for i in node.inputs))
        nodes.append(node)
        grid = grids.get(node.output)
        if grid is None:
            continue
        name = f"{node.output}~grid"
        values[name] = Value(name, values[node.output].shape, grid)
        attrs = {"scale": grid.scale, "zp": grid.zero_point}
        nodes.append(Node(f"{node.name}~grid", Float("Quant", attrs), (node.output,), (name,)))
        renamed[node.output] = name
        if source:
            notes.append(f"{node.name.split('~')[0]} {CHOSEN} {source}")
    moved = _moves_keep_grids(nodes, values)
    outputs = graph.renamed_outputs(renamed)
    return tidy(replace(graph, values=values, nodes=moved, outputs=outputs, notes=tuple(notes)))


def _moves_keep_grids(nodes: list[Node], values: dict[str, Value]) -> tuple[Node, ...]:
    """A moved value stands on the grid of its source."""
    for node in nodes:
        source = values[node.inputs[0]] if node.inputs and node.inputs[0] else None
        if (
            _kind(node) in ("Move", "Largest", "Padded")
            and source is not None
            and source.quant is not None
        ):
            values[node.output] = replace(values[node.output], quant=source.quant)
    return tuple(nodes)


def _kind(node: Node) -> str:
    return node.op.kind if isinstance(node.op, Float) else ""
