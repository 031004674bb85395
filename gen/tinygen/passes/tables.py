# SPDX-License-Identifier: Apache-2.0
"""Islands of elementwise float between two roundings become one 256-entry table.

A value *depends on one activation* when everything that makes it is elementwise and leads back to
one quantised tensor. Such a value is a function of 256 inputs, whatever the formula: GELU by Erf
or tanh, with or without roundings in the middle, SiLU, Hardswish, a mere change of scale.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinygen.graph import Float, Graph, Node, Quant
from tinygen.numeric import I8
from tinygen.operators import Lut
from tinygen.passes.elementwise import ELEMENTWISE, F32, evaluate
from tinygen.passes.engine import Scope, tidy


def make_tables(graph: Graph) -> Graph:
    """Every rounding that depends on one activation becomes a `Lut` on it."""
    scope = Scope(graph)
    islands = _Islands(scope)
    nodes: list[Node] = []
    for node in graph.nodes:
        scope.producers.update((o, node) for o in node.outputs)
        islands.visit(node)
        source = islands.root.get(node.output) if _is(node, "Quant") else None
        y = scope.quant(node.output)
        if source and source != node.output and y is not None:
            table = to_grid(islands.values[node.output], y)
            node = replace(node, op=Lut(table), inputs=(source,), name=islands.label(node))
        nodes.append(node)
    return tidy(replace(graph, nodes=tuple(nodes)))


def to_grid(values: F32, grid: Quant) -> I8:
    """float32 [256] -> int8 [256], round half even."""
    q = np.rint(values / np.float32(grid.scale)) + grid.zero_point
    clean = np.nan_to_num(q, nan=grid.zero_point)
    table: I8 = np.clip(clean, -128, 127).astype(np.int8)
    return table


def real_inputs(grid: Quant) -> F32:
    """The 256 real values of a grid, from q = -128 to 127."""
    steps = np.arange(-128, 128, dtype=np.float32) - np.float32(grid.zero_point)
    return steps * np.float32(grid.scale)


def _is(node: Node, kind: str) -> bool:
    return isinstance(node.op, Float) and node.op.kind == kind


class _Islands:
    """For each value: the activation it depends on, and its 256 values."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.root: dict[str, str] = {}
        self.values: dict[str, F32] = {}

    def visit(self, node: Node) -> None:
        if not isinstance(node.op, Float) or node.op.kind not in ELEMENTWISE:
            self._start(node.output)
            return
        inputs: list[F32 | None] = []
        roots = set()
        for name in node.inputs:
            constant = self._scalar(name)
            if not name or constant is not None:
                inputs.append(constant)
                continue
            roots.add(self.root.get(name, ""))
            inputs.append(self.values.get(name))
        root = next(iter(roots)) if len(roots) == 1 else ""
        same = root and self.scope.shape(node.output) == self.scope.shape(root)
        if same:
            self.root[node.output] = root
            self.values[node.output] = evaluate(node.op.kind, node.op.attrs, inputs)
        else:
            self._start(node.output)

    def _start(self, name: str) -> None:
        """A quantised value that is no function of another one."""
        grid = self.scope.quant(name)
        if grid is not None:
            self.root[name] = name
            self.values[name] = real_inputs(grid)

    def _scalar(self, name: str) -> F32 | None:
        if not name:
            return None
        grid = self.scope.made_by(name, "Grid")
        parts = [self.scope.data(i) for i in (grid.inputs if grid is not None else (name,))]
        if any(p is None or p.size != 1 for p in parts):
            return None
        product = np.prod([np.asarray(p, np.float64).reshape(-1)[0] for p in parts])
        return np.asarray(product, np.float32)

    def label(self, node: Node) -> str:
        """The name of the function in front of the rounding, for messages."""
        step = self.scope.made_by(node.inputs[0], *ELEMENTWISE)
        return step.name if step is not None else node.name
