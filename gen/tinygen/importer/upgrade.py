# SPDX-License-Identifier: Apache-2.0
"""Operators of every opset -> one definition each, so that whatever comes after knows only that.

`UPGRADES` has the operators whose older definitions mean something else when they are read as the
newest; it is tried on each node before its shapes are inferred. A definition that only took more
types later needs no entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tinygen.errors import TinygenError

NEWEST = min(25, onnx.defs.onnx_opset_version())
"""The opset whose definitions the rules know."""


@dataclass
class Upgrader:
    """What stands for one node. version: its opset.  shapes, kinds: those of its inputs, ``()``
    and 0 if left out."""

    version: int
    shapes: list[tuple[int, ...]]
    kinds: list[int]
    made: list[onnx.NodeProto] = field(default_factory=list)

    def constant(self, node: onnx.NodeProto, what: str, data: Any) -> str:
        name = f"{node.output[0]}~{what}"
        value = numpy_helper.from_array(np.asarray(data), name)
        self.made.append(helper.make_node("Constant", [], [name], value=value))
        return name

    def add(self, kind: str, inputs: list[str], output: str, **attrs: Any) -> str:
        self.made.append(helper.make_node(kind, inputs, [output], **attrs))
        return output

    def keep(self, node: onnx.NodeProto, inputs: list[str] | None = None, **attrs: Any) -> None:
        """The node with other inputs, without the attributes that are None here."""
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        if inputs is not None:
            while inputs and not inputs[-1]:
                inputs.pop()
            del copy.input[:]
            copy.input.extend(inputs)
        rest = [a for a in node.attribute if a.name not in attrs]
        rest += [helper.make_attribute(k, v) for k, v in attrs.items() if v is not None]
        del copy.attribute[:]
        copy.attribute.extend(rest)
        self.made.append(copy)


Upgrade = Callable[[Upgrader, onnx.NodeProto], None]


def _attrs(node: onnx.NodeProto) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _attribute_to_input(name: str, place: int = 1) -> Upgrade:
    """axes and the like were attributes once."""

    def upgrade(u: Upgrader, node: onnx.NodeProto) -> None:
        values = _attrs(node).get(name)
        inputs = list(node.input)
        if values is not None and len(inputs) == place:
            inputs.append(u.constant(node, name, np.asarray(values, np.int64)))
        u.keep(node, inputs, **{name: None})

    return upgrade


def _softmax(u: Upgrader, node: onnx.NodeProto) -> None:
    """Below opset 13: over the axis, 1 by default, and all after it, taken as one."""
    attrs = _attrs(node)
    rank, version = len(u.shapes[0]), attrs.get("opset", u.version)
    if version >= 13:
        return u.keep(node, opset=None)
    axis = attrs.get("axis", 1)
    if not -rank <= axis < rank:
        raise TinygenError(
            f"has axis {axis}, which its input of {rank} dimension{'s' * (rank != 1)} has not: "
            "export it with the axis, or with opset 13 or later"
        )
    axis = axis + rank if axis < 0 else axis
    if axis == rank - 1:
        return u.keep(node, axis=-1, opset=None)
    x, y = node.input[0], node.output[0]
    flat = u.add("Flatten", [x], f"{y}~flat", axis=axis)
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.output[0] = f"{y}~soft"
    u.keep(copy, [flat], axis=-1, opset=None)
    shape = u.constant(node, "shape", np.asarray(u.shapes[0], np.int64))
    u.add("Reshape", [copy.output[0], shape], y)
    return None


def _split(u: Upgrader, node: onnx.NodeProto) -> None:
    """Parts that nobody reads may lack a name; they count all the same."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    for place, name in enumerate(node.output):
        copy.output[place] = name or f"{node.input[0]}~unread{place}"
    attrs = _attrs(node)
    if u.version < 18 and "split" not in attrs and len(node.input) == 1:
        return u.keep(copy, num_outputs=len(node.output))
    return _attribute_to_input("split")(u, copy)


def _clip(u: Upgrader, node: onnx.NodeProto) -> None:
    attrs = _attrs(node)
    inputs = list(node.input)
    if u.version < 11:
        ends = (attrs.get(k) for k in ("min", "max"))
        names = ("min", "max")
        inputs += [
            "" if v is None else u.constant(node, k, np.asarray(v, np.float32))
            for k, v in zip(names, ends, strict=True)
        ]
    u.keep(node, inputs, min=None, max=None)


def _dropout(u: Upgrader, node: onnx.NodeProto) -> None:
    """The ratio matters in training only."""
    u.keep(node, ratio=None)


def _slice(u: Upgrader, node: onnx.NodeProto) -> None:
    attrs, inputs = _attrs(node), list(node.input)
    if u.version < 10:
        for name in ("starts", "ends", "axes"):
            if name in attrs:
                inputs.append(u.constant(node, name, np.asarray(attrs[name], np.int64)))
    u.keep(node, inputs, starts=None, ends=None, axes=None)


def _pad(u: Upgrader, node: onnx.NodeProto) -> None:
    attrs, inputs = _attrs(node), list(node.input)
    if u.version < 11:
        inputs.append(u.constant(node, "pads", np.asarray(attrs["pads"], np.int64)))
        inputs.append(u.constant(node, "value", np.asarray(attrs.get("value", 0), np.float32)))
    u.keep(node, inputs, pads=None, value=None)


def _batch_norm(u: Upgrader, node: onnx.NodeProto) -> None:
    """Four more outputs before opset 14, of training only; statistics for each element once."""
    if _attrs(node).get("spatial", 1) != 1:
        raise TinygenError(
            "has spatial 0, statistics for each element: export it with spatial 1, or from opset 9 "
            "on"
        )
    u.keep(node, spatial=None)


def _with_zero(u: Upgrader, node: onnx.NodeProto) -> None:
    """Without a zero point it is 0: of uint8 where a QuantizeLinear does not say otherwise."""
    inputs = list(node.input)
    if len(inputs) == 2 or (len(inputs) == 3 and not inputs[2]):
        kind = u.kinds[0]
        if node.op_type == "QuantizeLinear":
            kind = _attrs(node).get("output_dtype", 0) or onnx.TensorProto.UINT8
        zero = np.zeros(u.shapes[1], helper.tensor_dtype_to_np_dtype(kind))
        inputs[2:] = [u.constant(node, "zero", zero)]
    u.keep(node, inputs)


def _chain(kind: str) -> Upgrade:
    """Any number of operands: one after the other."""

    def upgrade(u: Upgrader, node: onnx.NodeProto) -> None:
        first, *others = node.input
        if not others:
            u.add("Identity", [first], node.output[0])
        for count, other in enumerate(others, start=1):
            last = count == len(others)
            y = node.output[0] if last else f"{node.output[0]}~{count}"
            first = u.add(kind, [first, other], y)

    return upgrade


def _variadic_mean(u: Upgrader, node: onnx.NodeProto) -> None:
    total = f"{node.output[0]}~sum"
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.output[0] = total
    _chain("Add")(u, copy)
    share = u.constant(node, "share", np.float32(1 / len(node.input)))
    u.add("Mul", [total, share], node.output[0])


def _resize(u: Upgrader, node: onnx.NodeProto) -> None:
    """Opset 10 has no region of interest, and scales from the corner, rounding down."""
    if u.version > 10:
        return u.keep(node)
    x, scales = node.input
    how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return u.keep(node, [x, "", scales], **how)


def _auto_pad(u: Upgrader, node: onnx.NodeProto) -> None:
    """SAME_UPPER and SAME_LOWER become the pads that they stand for."""
    attrs = _attrs(node)
    how = attrs.get("auto_pad", b"NOTSET").decode()
    if how not in ("SAME_UPPER", "SAME_LOWER"):
        return u.keep(node)
    size = u.shapes[0][2:]
    kernel = attrs.get("kernel_shape") or u.shapes[1][2:]
    strides, dilations = (attrs.get(k) or [1] * len(size) for k in ("strides", "dilations"))
    before, after = [], []
    for n, k, s, d in zip(size, kernel, strides, dilations, strict=True):
        total = max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
        less, more = total // 2, total - total // 2
        before.append(less if how == "SAME_UPPER" else more)
        after.append(more if how == "SAME_UPPER" else less)
    return u.keep(node, auto_pad=None, pads=[*before, *after])


REDUCTIONS = ("Max", "Mean", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare", "Sum")
UPGRADES: Mapping[str, Upgrade] = {
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Clip": _clip,
    "Dropout": _dropout,
    "Slice": _slice,
    "Pad": _pad,
    "Resize": _resize,
    "BatchNormalization": _batch_norm,
    "Conv": _auto_pad,
    "MaxPool": _auto_pad,
    "AveragePool": _auto_pad,
    "QuantizeLinear": _with_zero,
    "DequantizeLinear": _with_zero,
    "Split": _split,
    "Squeeze": _attribute_to_input("axes"),
    "Unsqueeze": _attribute_to_input("axes"),
    **{f"Reduce{r}": _attribute_to_input("axes") for r in REDUCTIONS},
    "Max": _chain("Max"),
    "Min": _chain("Min"),
    "Sum": _chain("Add"),
    "Mean": _variadic_mean,
}


def upgraded(
    node: onnx.NodeProto, version: int, shapes: list[tuple[int, ...]], kinds: list[int]
) -> list[onnx.NodeProto]:
    """The nodes that stand for a standard one, as opset `NEWEST` defines them.

    version: the model's opset.  Raises `TinygenError`, the end of a sentence about the node.
    """
    upgrade = UPGRADES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
    if upgrade is None:
        return [node]
    u = Upgrader(version, shapes, kinds)
    upgrade(u, node)
    return u.made


def version_of(kind: str, version: int) -> int:
    """The opset whose definition a node has after `upgraded`, the model being of ``version``."""
    if kind in UPGRADES or not _has(kind, version):
        return max(version, NEWEST)
    return version


def _has(kind: str, version: int) -> bool:
    try:
        onnx.defs.get_schema(kind, version, "")
    except onnx.defs.SchemaError:
        return False
    return True
