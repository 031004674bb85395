# SPDX-License-Identifier: Apache-2.0
"""Why rewriting ends: every rule makes an expression lighter, and weights are whole numbers.

An expression weighs what its operator makes of the weights of its inputs. Every such function grows
with each of its inputs, so that an expression gets lighter with any part of it; it is a polynomial
interpretation, as term rewriting proves its termination with. `Scope` drops what a rule answers if
that is not lighter, so no rules can undo each other; tests show that this never happens.

What the weights say, and rules must keep to:
- ONNX's operators weigh more than the canonical ones that they become;
- functions multiply and Moves add, so that a function before a Move is lighter than behind it;
- functions of two operands are lightest on [rows, features], and lighter where the first is plain;
- a function weighs more where its operand could still be rounded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from tinygen.graph import Float, Node, Value
from tinygen.passes.canonical import FORMS
from tinygen.passes.elementwise import BINARY, MONOTONE, UNARY

CONSTANT, GRID, INPUT = 2, 1, 1
MOVING = {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Dropout", "Cast", "Transpose"}
MOVING |= {"Split", "Slice", "Gather", "Expand", "Concat"}
WHOLE = {"Gemm", "Attention", "BatchNormalization", "Floor", "RequantShift", "iLayerNorm"}
WHOLE |= {"IntegerMean", "iSoftmax", "iGELU", "IntegerAdd"}
"""Spelled out as several operators."""
_WEIGHED = [(f.doubled, f.kind, f.added) for f in FORMS.values() if f.added is not None]
ADDED = {"Mask": 2, **{kind: added for doubled, kind, added in _WEIGHED if not doubled}}
DOUBLED = {"Quant": 1, **{kind: added for doubled, kind, added in _WEIGHED if doubled}}


class Weights:
    """Of values, as nodes come by in order."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self.values = values
        self.known: dict[str, int] = {}

    def of(self, name: str) -> int:
        """Of a value whose node was seen, a constant or an input of the graph."""
        if not name:
            return 0
        if self.values[name].data is not None:
            return CONSTANT
        return self.known.get(name, INPUT)

    def see(self, node: Node) -> None:
        for output in node.outputs:
            self.known[output] = self._weight(node, output)

    def _weight(self, node: Node, output: str) -> int:
        inputs = [self.of(i) for i in node.inputs]
        if not isinstance(node.op, Float):
            return sum(inputs)
        kind, shape = node.op.kind, self.values[output].shape
        size = math.prod(shape)
        if kind == "Move":
            return inputs[0] + (1 if node.op.attrs["index"] is None else 4)
        if kind == "Grid":
            return GRID
        if kind in ("Largest", "Padded"):
            return inputs[0] + 3 - (self.values[output].quant is not None)
        if kind in ADDED:
            return sum(inputs) + ADDED[kind]
        if kind in DOUBLED:
            return 2 * sum(inputs) + DOUBLED[kind]
        if kind in ("Linear", "Convolve"):
            return 2 * inputs[0] + shape[-1] + 10
        if kind == "Softmax":
            last = node.op.attrs.get("axis", -1) in (-1, len(shape) - 1)
            return 2 * inputs[0] + 3 if len(shape) == 2 and last else 3 * inputs[0] + 20
        if kind in WHOLE:
            return 10**9 * sum(inputs) + 10**12 * (1 if kind in UNARY else 1 + size)
        if kind in UNARY:
            return self._unary(kind, node, inputs)
        if kind in BINARY and len(inputs) == 2:
            return self._binary(kind, node, inputs, shape)
        if kind in MOVING:
            return sum(inputs) + 30 * (1 + len(inputs))
        return 200 * sum(inputs) + 4000 * (1 + len(inputs)) + 400 * size

    def _unary(self, kind: str, node: Node, inputs: list[int]) -> int:
        if kind in ("QuantizeLinear", "DequantizeLinear"):
            return 4 * inputs[0] + 4 + sum(inputs[1:])
        if kind in MONOTONE and self.values[node.inputs[0]].quant is None:
            return 5 * inputs[0] + 10 + sum(inputs[1:])
        return 2 * inputs[0] + 2 + sum(inputs[1:])

    def _binary(self, kind: str, node: Node, inputs: list[int], shape: tuple[int, ...]) -> int:
        a, b = inputs
        one = [math.prod(self.values[i].shape) == 1 and self._fixed(i) for i in node.inputs]
        if one[0] != one[1]:
            x = node.inputs[1 if one[0] else 0]
            if kind in ("Mul", "Div") and self.values[x].quant is None:
                return 10 * self.of(x) + 20
            return 4 * a + 2 * b + 2
        same = all(self.values[i].shape == shape for i in node.inputs)
        return 4 * a + 2 * b + 2 if len(shape) == 2 and same else 6 * a + 3 * b + 40

    def _fixed(self, name: str) -> bool:
        return self.values[name].data is not None or self.known.get(name) == GRID
