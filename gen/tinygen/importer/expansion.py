# SPDX-License-Identifier: Apache-2.0
"""One node of a model and the standard nodes that stand for it, while they are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

Shape = tuple[int, ...]


class Refused(Exception):
    """What of a node cannot be spelled out."""


@dataclass
class Expansion:
    """One node in hand.  shapes: of its inputs, () where one is left out.  made: what stands for
    it, in order."""

    node: onnx.NodeProto
    shapes: Sequence[Shape]
    opset: int
    made: list[onnx.NodeProto] = field(default_factory=list)

    def attr(self, name: str, default: Any) -> Any:
        for a in self.node.attribute:
            if a.name == name:
                value = helper.get_attribute_value(a)
                return value.decode() if isinstance(value, bytes) else value
        return default

    def input(self, i: int) -> str:
        return self.node.input[i] if i < len(self.node.input) else ""

    def output(self, i: int) -> str:
        return self.node.output[i] if i < len(self.node.output) else ""

    def constant(self, data: Any) -> str:
        name = f"{self._stem()}_const{len(self.made)}"
        value = numpy_helper.from_array(np.asarray(data), name)
        self.made.append(helper.make_node("Constant", [], [name], value=value))
        return name

    def number(self, value: float) -> str:
        return self.constant(np.float32(value))

    def add(self, kind: str, *inputs: str, output: str = "", **attrs: Any) -> str:
        output = output or f"{self._stem()}_step{len(self.made)}"
        name = f"{self.node.name or self._stem()}_{len(self.made)}"
        self.made.append(helper.make_node(kind, list(inputs), [output], name, **attrs))
        return output

    def mean(self, x: str) -> str:
        """Over the last axis, kept."""
        if self.opset < 18:
            return self.add("ReduceMean", x, axes=[-1], keepdims=1)
        return self.add("ReduceMean", x, self.constant(np.array([-1], np.int64)), keepdims=1)

    def transposed(self, x: str, rank: int) -> str:
        """The last two axes swapped."""
        return self.add("Transpose", x, perm=[*range(rank - 2), rank - 1, rank - 2])

    def reshaped(self, x: str, shape: Sequence[int]) -> str:
        return self.add("Reshape", x, self.constant(np.array(shape, np.int64)))

    def need(self, ok: bool, what: str) -> None:
        if not ok:
            raise Refused(what)

    def _stem(self) -> str:
        return str(self.node.output[0])
