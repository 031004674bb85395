# SPDX-License-Identifier: Apache-2.0
"""Graph: values, nodes in execution order, one input, one output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tinygen.graph.float import Op

Integers = Literal["", "int8", "uint8"]


@dataclass(frozen=True)
class Quant:
    """real = scale * (q - zero_point), q int8."""

    scale: float
    zero_point: int


SMALLEST, LARGEST = 1e-30, 1e30
"""A scale: so that integers, products and quotients of scales stay within float32."""


def are_scales(numbers: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of them a quantised tensor can have as its scale; NaN cannot."""
    found: NDArray[np.bool_] = (numbers >= SMALLEST) & (numbers <= LARGEST)
    return found


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor. ``quant`` is None while it is float; ``data`` holds a constant.

    The batch axis (always 1) is dropped once the graph is integer.
    """

    name: str
    shape: tuple[int, ...]
    quant: Quant | None = None
    data: NDArray[Any] | None = None


@dataclass(frozen=True, eq=False)
class Node:
    name: str
    op: Op
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def output(self) -> str:
        return self.outputs[0]


@dataclass(frozen=True, eq=False)
class Normalisation:
    """What a model does to its input before it rounds it: ``factor x + offset``, element by
    element. Both float32, of the input's shape. The firmware's input is the result, rounded."""

    factor: NDArray[np.float32]
    offset: NDArray[np.float32]

    def apply(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """x [..., *shape] of the model -> what is rounded."""
        return (x * self.factor + self.offset).astype(np.float32)

    def undo(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """The inverse, where no factor is 0."""
        return ((x - self.offset) / self.factor).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Graph:
    """name: a C identifier, prefix of every generated symbol.

    values: every tensor by name.  nodes: topologically ordered.
    model_hash: SHA-256 of the source file, hex.  notes: what the importer decided and the user
    should know (a scale it chose, say).  integer_input, integer_output: the model itself takes or
    gives integers of this type ("": real numbers), on the grids of the graph's input and output.
    normalisation: of the input before it is rounded, None: nothing is done.  threshold: of the
    real output, where there is one only: above it the class is 1.  logits: the tensor of the file
    that the output is, where that is not the file's own output.
    """

    name: str
    values: Mapping[str, Value]
    nodes: tuple[Node, ...]
    input: str
    output: str
    model_hash: str = ""
    notes: tuple[str, ...] = field(default=())
    integer_input: Integers = ""
    integer_output: Integers = ""
    normalisation: Normalisation | None = None
    threshold: float = 0.0
    logits: str = ""

    def consumers(self, value: str) -> list[Node]:
        return [n for n in self.nodes if value in n.inputs]

    def producer(self, value: str) -> Node | None:
        return next((n for n in self.nodes if value in n.outputs), None)
