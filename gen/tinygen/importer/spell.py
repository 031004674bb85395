# SPDX-License-Identifier: Apache-2.0
"""onnxruntime's fused integer operators, spelled out: dequantise, the plain operator, quantise.

One function an operator; what comes after then knows one form only. Nothing is lost: an integer
operator is defined as the rounding of the plain one on the real values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from tinygen.errors import TinygenError

MICROSOFT = "com.microsoft"


@dataclass
class Speller:
    """The constants of a model, and the nodes that stand for the one in hand."""

    constants: dict[str, NDArray[Any]]
    made: list[onnx.NodeProto] = field(default_factory=list)
    added: list[onnx.TensorProto] = field(default_factory=list)
    count: int = 0

    def value(self, name: str) -> NDArray[Any]:
        """A constant; LookupError for one that is computed."""
        return self.constants[name]

    def constant(self, data: NDArray[Any]) -> str:
        self.count += 1
        name = f"spelled_{self.count}"
        self.constants[name] = data
        self.added.append(numpy_helper.from_array(np.ascontiguousarray(data), name))
        return name

    def parameter(self, name: str) -> str:
        """A scale or zero point of one element as the scalar that standard operators take."""
        data = self.value(name)
        return self.constant(data.reshape(())) if data.size == 1 and data.ndim else name

    def real(self, node: onnx.NodeProto, q: str, scale: str, zero: str, axis: int = 1) -> str:
        """Dequantised; a scale for each element of ``axis`` or one for all."""
        self.count += 1
        output = f"{q}_real_{self.count}"
        inputs = [q, self.parameter(scale), *([self.parameter(zero)] if zero else [])]
        made = helper.make_node("DequantizeLinear", inputs, [output], f"{node.name}_in{self.count}")
        if self.value(scale).size > 1:
            made.attribute.append(helper.make_attribute("axis", axis))
        self.made.append(made)
        return output

    def plain(self, node: onnx.NodeProto, kind: str, inputs: list[str], **attrs: Any) -> str:
        output = f"{node.output[0]}_real"
        self.made.append(helper.make_node(kind, inputs, [output], node.name, **attrs))
        return output

    def rounded(self, node: onnx.NodeProto, x: str, scale: str, zero: str) -> None:
        inputs = [x, self.parameter(scale), *([self.parameter(zero)] if zero else [])]
        name = f"{node.name}_out"
        self.made.append(helper.make_node("QuantizeLinear", inputs, list(node.output), name))


def _attrs(node: onnx.NodeProto, *names: str) -> dict[str, Any]:
    """These attributes, where the node has them."""
    return {a.name: helper.get_attribute_value(a) for a in node.attribute if a.name in names}


def _linear_matmul(s: Speller, n: onnx.NodeProto) -> None:
    a, sa, za, b, sb, zb, sy, zy = n.input
    x, w = s.real(n, a, sa, za), s.real(n, b, sb, zb, axis=1)
    s.rounded(n, s.plain(n, "MatMul", [x, w]), sy, zy)


def _gemm(s: Speller, n: onnx.NodeProto) -> None:
    a, sa, za, b, sb, zb, c, sy, zy = (*n.input, *[""] * 3)[:9]
    how = _attrs(n, "transA", "transB", "alpha")
    axis = 0 if how.get("transB") else 1
    inputs = [s.real(n, a, sa, za), s.real(n, b, sb, zb, axis=axis)]
    if c:  # int32 in steps of the scaled product
        both = s.value(sa) * s.value(sb) * np.float32(how.get("alpha", 1.0))
        step = s.constant(both.astype(np.float32).reshape(-1))
        zero = s.constant(np.zeros(s.value(step).shape, np.int32))
        inputs.append(s.real(n, c, step, zero, axis=s.value(c).ndim - 1))
    y = s.plain(n, "Gemm", inputs, **how)
    if sy:
        s.rounded(n, y, sy, zy)
    else:
        s.made[-1].output[0] = n.output[0]


def _convolution(s: Speller, n: onnx.NodeProto) -> None:
    x, sx, zx, w, sw, zw, sy, zy, b = (*n.input, "")[:9]
    inputs = [s.real(n, x, sx, zx), s.real(n, w, sw, zw, axis=0)]
    if b:
        step = s.constant((s.value(sx) * s.value(sw)).astype(np.float32).reshape(-1))
        zero = s.constant(np.zeros(s.value(step).shape, np.int32))
        inputs.append(s.real(n, b, step, zero, axis=0))
    how = _attrs(n, "strides", "pads", "dilations", "group", "kernel_shape", "auto_pad")
    s.rounded(n, s.plain(n, "Conv", inputs, **how), sy, zy)


def _two(kind: str) -> Callable[[Speller, onnx.NodeProto], None]:
    def spell(s: Speller, n: onnx.NodeProto) -> None:
        a, sa, za, b, sb, zb, sy, zy = (*n.input, "")[:8]
        y = s.plain(n, kind, [s.real(n, a, sa, za), s.real(n, b, sb, zb)])
        s.rounded(n, y, sy, zy)

    return spell


def _one(kind: str, *attributes: str) -> Callable[[Speller, onnx.NodeProto], None]:
    def spell(s: Speller, n: onnx.NodeProto) -> None:
        x, sx, zx, sy, zy = (*n.input, "")[:5]
        y = s.plain(n, kind, [s.real(n, x, sx, zx)], **_attrs(n, *attributes))
        s.rounded(n, y, sy, zy)

    return spell


def _pool(kind: str) -> Callable[[Speller, onnx.NodeProto], None]:
    names = ("auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides")
    plain = _one(kind, *(names if kind == "AveragePool" else ()))

    def spell(s: Speller, n: onnx.NodeProto) -> None:
        if _attrs(n, "channels_last").get("channels_last"):
            raise TinygenError(
                f"node {n.name} ({n.op_type}) has channels_last=1: quantise the model as it was "
                "before onnxruntime turned its planes"
            )
        plain(s, n)

    return spell


def _softmax(s: Speller, n: onnx.NodeProto) -> None:
    """It says itself which opset's softmax it is: see importer/upgrade.py."""
    x, sx, zx, sy, zy = (*n.input, "")[:5]
    how = {"axis": -1, **_attrs(n, "axis", "opset")}
    s.rounded(n, s.plain(n, "Softmax", [s.real(n, x, sx, zx)], **how), sy, zy)


def _mean(s: Speller, n: onnx.NodeProto) -> None:
    x, sx, zx, sy, zy = (*n.input, "")[:5]
    how = _attrs(n, "axes", "keepdims")
    axes = s.constant(np.asarray(how.pop("axes", []), np.int64))
    s.rounded(n, s.plain(n, "ReduceMean", [s.real(n, x, sx, zx), axes], **how), sy, zy)


def _join(s: Speller, n: onnx.NodeProto) -> None:
    sy, zy, *rest = n.input
    parts = [s.real(n, *rest[i : i + 3]) for i in range(0, len(rest), 3)]
    s.rounded(n, s.plain(n, "Concat", parts, **_attrs(n, "axis")), sy, zy)


def _standard(s: Speller, n: onnx.NodeProto) -> None:
    """onnxruntime's own QuantizeLinear and DequantizeLinear are the standard ones."""
    copy = onnx.NodeProto()
    copy.CopyFrom(n)
    copy.domain = ""
    s.made.append(copy)


SPELLINGS: dict[tuple[str, str], Callable[[Speller, onnx.NodeProto], None]] = {
    ("", "QLinearMatMul"): _linear_matmul,
    ("", "QLinearConv"): _convolution,
    (MICROSOFT, "QGemm"): _gemm,
    (MICROSOFT, "QLinearAdd"): _two("Add"),
    (MICROSOFT, "QLinearMul"): _two("Mul"),
    (MICROSOFT, "QLinearSoftmax"): _softmax,
    (MICROSOFT, "QLinearSigmoid"): _one("Sigmoid"),
    (MICROSOFT, "QLinearLeakyRelu"): _one("LeakyRelu", "alpha"),
    (MICROSOFT, "QLinearReduceMean"): _mean,
    (MICROSOFT, "QLinearConcat"): _join,
    (MICROSOFT, "QLinearAveragePool"): _pool("AveragePool"),
    (MICROSOFT, "QLinearGlobalAveragePool"): _pool("GlobalAveragePool"),
    (MICROSOFT, "QuantizeLinear"): _standard,
    (MICROSOFT, "DequantizeLinear"): _standard,
}


def spell_out(
    model: onnx.ModelProto, path: Path, kept: frozenset[str] = frozenset()
) -> onnx.ModelProto:
    """The model with every fused integer operator spelled out; the same object if there is none.

    kept: operators to leave as they are."""
    if not any((_domain(n), n.op_type) in SPELLINGS for n in model.graph.node):
        return model
    speller = Speller(_constants(model, path))
    for position, node in enumerate(model.graph.node):
        spell = SPELLINGS.get((_domain(node), node.op_type))
        if spell is None or node.op_type in kept:
            speller.made.append(node)
            continue
        node.name = node.name or f"{node.op_type}_{position}"
        try:
            spell(speller, node)
        except (LookupError, TypeError, ValueError) as error:
            raise TinygenError(
                f"{path}: node {node.name} ({node.op_type}) has not the constant scales and the "
                "inputs of its kind: quantise the model again"
            ) from error
    nodes = [_copy(n) for n in speller.made]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(speller.added)
    return model


def _constants(model: onnx.ModelProto, path: Path) -> dict[str, NDArray[Any]]:
    stored = {t.name: t for t in model.graph.initializer}
    for n in model.graph.node:
        if n.op_type == "Constant" and n.attribute and n.attribute[0].name == "value":
            stored[n.output[0]] = n.attribute[0].t
    try:
        return {name: numpy_helper.to_array(t) for name, t in stored.items()}
    except (LookupError, TypeError, ValueError) as error:
        raise TinygenError(
            f"{path}: a constant does not hold what its shape says: export or copy the model again"
        ) from error


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy


def _domain(node: onnx.NodeProto) -> str:
    return "" if node.domain == "ai.onnx" else str(node.domain)
