# SPDX-License-Identifier: Apache-2.0
"""One use of one operator: its inputs and attributes, as data."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

FIRST, LAST = 7, 25
"""The opsets that the sweep goes through."""
MICROSOFT, QUANTLIB = "com.microsoft", "PACTOps"


@dataclass(frozen=True)
class Live:
    """An activation of this shape, part of the model's input.  dtype: of what the node sees."""

    shape: tuple[int, ...]


@dataclass(frozen=True)
class Weight:
    """int8 integers with a scale, dequantised in the model.  axis: a scale for each place of it."""

    shape: tuple[int, ...]
    axis: int | None = None


@dataclass(frozen=True)
class Stored:
    """An activation as the integers that it is stored in: what Q of the model's input gives."""

    shape: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """The scale, or with ``zero`` the zero point, of the integers of a `Stored` input."""

    zero: bool = False


@dataclass(frozen=True)
class Ids:
    """Token ids, the model's only input."""

    shape: tuple[int, ...]


Input = Live | Weight | Stored | Step | Ids | NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class Case:
    """``op`` on ``inputs`` (None: left out) with ``attrs``.

    opsets: the first and the last at which it is meant.  outputs, read: how many, and which one is
    compared.  grid: scale and int8 zero point of the activations.  says: what a refusal must name,
    by default one of the attributes.  whole: whether it is also tried as an integer graph.
    after: scale and zero point by which the result, integers, is dequantised.  beside: an
    activation that is added to the result where all inputs are constants.
    step: of the result, where the operator rounds, so that it may be one off; else it is exact.
    roundings: in the integer graph, from the operator to its output.
    evaluator: onnxruntime does not run it (it crashes), ONNX's own evaluator does.
    """

    op: str
    inputs: tuple[Input, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    domain: str = ""
    opsets: tuple[int, int] = (FIRST, LAST)
    outputs: tuple[str, ...] = ("y",)
    read: int = 0
    grid: tuple[float, int] = (1 / 16, 5)
    says: tuple[str, ...] = ()
    note: str = ""
    whole: bool = True
    evaluator: bool = False
    after: tuple[Any, Any] | None = None
    step: float = 0
    roundings: int = 1
    beside: Live | None = None

    def __str__(self) -> str:
        parts = [self.op, *(_shown(i) for i in self.inputs)]
        parts += [f"{k}={_value(v)}" for k, v in self.attrs.items()]
        parts += [f"output {self.read}"] if self.read else []
        parts += [self.note] if self.note else []
        return " ".join(parts)

    @property
    def seed(self) -> int:
        return zlib.crc32(str(self).encode())

    @property
    def result(self) -> int:
        """The ONNX type of the output that is read."""
        if self.after is not None or self.beside is not None:
            return 1
        kinds = {"IsNaN": 9, "Cast": self.attrs.get("to", 1), "Size": 7, "Shape": 7}
        if self.op == "DequantizeLinear":
            return int(self.attrs.get("output_dtype", 1))
        if "value_int" in self.attrs or "value_ints" in self.attrs:
            return 7
        kinds |= {"DynamicQuantizeLinear": 2, "MatMulInteger": 6, "ConvInteger": 6}
        return {"indices": 7, "mask": 9}.get(
            self.says[0] if self.read and self.says else "", kinds.get(self.op, 1)
        )

    def versions(self) -> list[int]:
        """The opsets at which its definition changed, from the first one on."""
        if self.domain:
            return [max(self.opsets[0], 17)]
        return [v for v in changes(self.op) if self.opsets[0] <= v <= self.opsets[1]]


def changes(op: str) -> list[int]:
    """Opsets `FIRST` to `LAST` at which a standard operator has another definition; not those that
    ONNX has withdrawn, which its checker refuses."""
    found = {
        s.since_version
        for s in onnx.defs.get_all_schemas_with_history()
        if s.name == op and s.domain == "" and not s.deprecated
    }
    older = [v for v in found if v <= FIRST]
    return sorted({*([FIRST] if older else []), *(v for v in found if FIRST < v <= LAST)})


def live(*shape: int) -> Live:
    return Live(shape)


def weight(*shape: int, axis: int | None = None) -> Weight:
    return Weight(shape, axis)


def ints(*values: int) -> NDArray[Any]:
    return np.asarray(values, np.int64)


def scalar(value: float) -> NDArray[Any]:
    return np.asarray(value, np.float32)


def reals(*shape: int, seed: int = 1, low: float = -2, high: float = 2) -> NDArray[Any]:
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def each(
    op: str, inputs: Iterable[Any], attrs: Iterable[Mapping[str, Any]], **how: Any
) -> list[Case]:
    """The same inputs with one set of attributes after the other."""
    return [Case(op, tuple(inputs), a, **how) for a in attrs]


def _shown(value: Input) -> str:
    match value:
        case None:
            return "-"
        case Live(shape):
            return "x".join(map(str, shape)) or "scalar"
        case Weight(shape, axis):
            return f"w{'x'.join(map(str, shape))}" + ("" if axis is None else f"@{axis}")
        case Stored(shape):
            return f"q{'x'.join(map(str, shape))}"
        case Ids(shape):
            return f"ids{'x'.join(map(str, shape))}"
        case Step(zero):
            return "zero" if zero else "scale"
    if value.size <= 6 and value.dtype.kind in "iub":
        return f"{value.tolist()}"
    return f"c{'x'.join(map(str, value.shape))}" if value.ndim else f"{value.item():g}"


def _value(value: Any) -> str:
    if isinstance(value, onnx.TensorProto):
        return str(onnx.numpy_helper.to_array(value).tolist())
    return str(value)
