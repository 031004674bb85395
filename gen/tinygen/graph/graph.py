# SPDX-License-Identifier: Apache-2.0
"""Graph: values, nodes in execution order, inputs, outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
class Input:
    """A tensor that the caller gives. value: its key among the graph's values.  name: what the
    model's file calls it.  integers: the model itself takes integers of this type ("": real
    numbers), on the value's grid.  normalisation: before it is rounded, None: nothing is done."""

    value: str
    name: str
    integers: Integers = ""
    normalisation: Normalisation | None = None


@dataclass(frozen=True, eq=False)
class Output:
    """A tensor that the caller gets. value, name, integers: as of `Input`.  threshold: of the real
    output, where it has one element only: above it the class is 1.  logits: the tensor of the file
    that it is, where that is not the file's own output."""

    value: str
    name: str
    integers: Integers = ""
    threshold: float = 0.0
    logits: str = ""

    @property
    def tensor(self) -> str:
        """Its name among the tensors of the file."""
        return self.logits or self.name


@dataclass(frozen=True)
class File:
    """All that the model's file has, wanted or not: names of inputs and outputs."""

    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Graph:
    """name: a C identifier, prefix of every generated symbol.

    values: every tensor by name.  nodes: topologically ordered.  inputs, outputs: in the order of
    the file; two outputs may be one value.  model_hash: SHA-256 of the source file, hex.  notes:
    what the importer decided and the user should know (a scale it chose, say).
    """

    name: str
    values: Mapping[str, Value]
    nodes: tuple[Node, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    model_hash: str = ""
    notes: tuple[str, ...] = field(default=())
    file: File = File()

    @property
    def input_values(self) -> tuple[str, ...]:
        return tuple(i.value for i in self.inputs)

    @property
    def output_values(self) -> tuple[str, ...]:
        return tuple(o.value for o in self.outputs)

    @property
    def only_input(self) -> str:
        """The value of the input, of a graph that has one."""
        (entry,) = self.inputs
        return entry.value

    @property
    def only_output(self) -> str:
        (end,) = self.outputs
        return end.value

    def consumers(self, value: str) -> list[Node]:
        return [n for n in self.nodes if value in n.inputs]

    def producer(self, value: str) -> Node | None:
        return next((n for n in self.nodes if value in n.outputs), None)

    def with_input(self, changed: Input) -> Graph:
        """Another description of the input of that value."""
        return replace(
            self, inputs=tuple(changed if i.value == changed.value else i for i in self.inputs)
        )

    def renamed_outputs(self, names: Mapping[str, str]) -> tuple[Output, ...]:
        """The outputs, their values called otherwise where `names` says so."""
        return tuple(replace(o, value=names.get(o.value, o.value)) for o in self.outputs)

    def quant(self, value: str) -> Quant:
        """The grid of a value that has one."""
        found = self.values[value].quant
        assert found is not None
        return found
