# SPDX-License-Identifier: Apache-2.0
"""onnxruntime's fused float operators (com.microsoft) and Einsum, spelled out with standard ones.

An optimised model has them. One function an operator, on the shapes of its inputs; definitions as
in onnxruntime's documentation of contrib operators. What is written needs opset 9 at most, but for
what the model's own opset has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import onnx

from tinygen.errors import TinygenError
from tinygen.importer.einsum import einsum
from tinygen.importer.expansion import Expansion, Refused, Shape

MICROSOFT = "com.microsoft"


def _erf_gelu(e: Expansion, x: str, output: str = "") -> str:
    inner = e.add("Erf", e.add("Div", x, e.number(math.sqrt(2))))
    one = e.add("Add", inner, e.number(1.0))
    return e.add("Mul", e.add("Mul", x, one), e.number(0.5), output=output)


def _gelu(e: Expansion) -> None:
    _erf_gelu(e, e.input(0), e.output(0))


def _bias_gelu(e: Expansion) -> None:
    _erf_gelu(e, e.add("Add", e.input(0), e.input(1)), e.output(0))


def _fast_gelu(e: Expansion) -> None:
    x = e.add("Add", e.input(0), e.input(1)) if e.input(1) else e.input(0)
    cube = e.add("Mul", e.add("Mul", x, x), x)
    inner = e.add("Add", x, e.add("Mul", cube, e.number(0.044715)))
    t = e.add("Tanh", e.add("Mul", inner, e.number(math.sqrt(2 / math.pi))))
    one = e.add("Add", t, e.number(1.0))
    e.add("Mul", e.add("Mul", x, one), e.number(0.5), output=e.output(0))


def _quick_gelu(e: Expansion) -> None:
    x = e.input(0)
    gate = e.add("Sigmoid", e.add("Mul", x, e.number(e.attr("alpha", 1.702))))
    e.add("Mul", x, gate, output=e.output(0))


def _fused_matmul(e: Expansion) -> None:
    plain = not e.attr("transBatchA", 0) and not e.attr("transBatchB", 0)
    e.need(plain, "transBatchA or transBatchB")
    sides = []
    for i, which in enumerate(("transA", "transB")):
        rank = len(e.shapes[i])
        turn = e.attr(which, 0) and rank > 1
        sides.append(e.transposed(e.input(i), rank) if turn else e.input(i))
    alpha = float(e.attr("alpha", 1.0))
    if alpha == 1.0:
        e.add("MatMul", *sides, output=e.output(0))
    else:
        e.add("Mul", e.add("MatMul", *sides), e.number(alpha), output=e.output(0))


def _activated(e: Expansion, x: str, parameters: Sequence[float]) -> None:
    """The activation of a fused operator; its parameters in the order of onnxruntime."""
    kind = e.attr("activation", "")
    names = {"LeakyRelu": ("alpha",), "HardSigmoid": ("alpha", "beta"), "Clip": ()}.get(kind, ())
    e.need(kind in ("", "Relu", "Tanh", "Sigmoid", "Clip") or bool(names), f"activation {kind}")
    if kind == "Clip":
        bounds = [e.number(v) for v in parameters[:2]]
        e.add("Clip", x, *bounds, output=e.output(0))
        return
    attrs = dict(zip(names, (float(p) for p in parameters), strict=False))
    e.add(kind or "Identity", x, output=e.output(0), **attrs)


def _fused_gemm(e: Expansion) -> None:
    how = {
        k: e.attr(k, d) for k, d in (("alpha", 1.0), ("beta", 1.0), ("transA", 0), ("transB", 0))
    }
    y = e.add("Gemm", *e.node.input, **how)
    given = [e.attr(k, None) for k in ("activation_alpha", "activation_beta")]
    _activated(e, y, [p for p in given if p is not None])


def _fused_conv(e: Expansion) -> None:
    names = ("strides", "pads", "dilations", "group", "kernel_shape", "auto_pad")
    how = {k: v for k in names if (v := e.attr(k, None)) is not None}
    y = e.add("Conv", *(i for i in e.node.input[:3] if i), **how)
    if e.input(3):
        y = e.add("Add", y, e.input(3))
    _activated(e, y, e.attr("activation_params", []))


def _norm(e: Expansion, x: str, gamma: str, beta: str, output: str, *, centred: bool) -> str:
    eps = float(e.attr("epsilon", 1e-5 if e.node.op_type.startswith("Simpl") else 1e-12))
    if centred and e.opset >= 17:
        inputs = [x, gamma, *([beta] if beta else [])]
        return e.add("LayerNormalization", *inputs, output=output, axis=-1, epsilon=eps)
    c = e.add("Sub", x, e.mean(x)) if centred else x
    variance = e.mean(e.add("Mul", c, c))
    root = e.add("Sqrt", e.add("Add", variance, e.number(eps)))
    y = e.add("Mul", e.add("Div", c, root), gamma, output="" if beta else output)
    return e.add("Add", y, beta, output=output) if beta else y


def _skip(e: Expansion, gamma: str, beta: str, bias: str, *, centred: bool) -> None:
    x = e.add("Add", e.input(0), e.input(1), output="" if bias else e.output(3))
    if bias:
        x = e.add("Add", x, bias, output=e.output(3))
    e.need(not e.output(1) and not e.output(2), "the outputs mean and inv_std_var")
    _norm(e, x, gamma, beta, e.output(0), centred=centred)


def _skip_norm(e: Expansion) -> None:
    _skip(e, e.input(2), e.input(3), e.input(4), centred=True)


def _skip_rms(e: Expansion) -> None:
    _skip(e, e.input(2), "", e.input(3), centred=False)


def _rms(e: Expansion) -> None:
    e.need(e.attr("axis", -1) in (-1, len(e.shapes[0]) - 1), "another axis than the last")
    e.need(len(e.node.output) == 1, "its second output")
    _norm(e, e.input(0), e.input(1), "", e.output(0), centred=False)


def _heads(e: Expansion, x: str, tokens: int, heads: int, width: int) -> str:
    """[1, S, H P] -> [1, H, S, P]."""
    split = e.reshaped(x, (1, tokens, heads, width // heads))
    return e.add("Transpose", split, perm=[0, 2, 1, 3])


def _attend(
    e: Expansion, parts: Sequence[str], tokens: tuple[int, int], widths: tuple[int, int], bias: str
) -> None:
    """q, k, v [1, S, H P] -> the output.  widths: of q and v."""
    heads = int(e.attr("num_heads", 0))
    e.need(heads > 0 and widths[0] % heads == 0 and widths[1] % heads == 0, "its num_heads")
    q = _heads(e, parts[0], tokens[0], heads, widths[0])
    k = _heads(e, parts[1], tokens[1], heads, widths[0])
    v = _heads(e, parts[2], tokens[1], heads, widths[1])
    scale = float(e.attr("scale", 0.0)) or (widths[0] // heads) ** -0.5
    scores = e.add("Mul", e.add("MatMul", q, e.transposed(k, 4)), e.number(scale))
    if e.attr("unidirectional", 0):
        seen = np.tril(np.ones(tokens, bool), tokens[1] - tokens[0])
        never = e.number(float(e.attr("mask_filter_value", -10000.0)))
        scores = e.add("Where", e.constant(seen), scores, never)
    if bias:
        scores = e.add("Add", scores, bias)
    last = 3 if e.opset < 13 else -1
    mixed = e.add("MatMul", e.add("Softmax", scores, axis=last), v)
    turned = e.add("Transpose", mixed, perm=[0, 2, 1, 3])
    shape = e.constant(np.array((1, tokens[0], widths[1]), np.int64))
    e.add("Reshape", turned, shape, output=e.output(0))


def _attention(e: Expansion) -> None:
    extra = [i for i in (3, 4, 6) if e.input(i)]
    e.need(not extra and not e.output(1), "a mask, a past or a cache")
    e.need(not e.attr("do_rotary", 0), "do_rotary")
    _, tokens, _ = e.shapes[0]
    width = e.shapes[1][1]
    sizes = list(e.attr("qkv_hidden_sizes", [width // 3] * 3))
    packed = e.add("MatMul", e.input(0), e.input(1))
    if e.input(2):
        packed = e.add("Add", packed, e.input(2))
    parts, start = [], 0
    for size in sizes:
        index = e.constant(np.arange(start, start + size, dtype=np.int64))
        parts.append(e.add("Gather", packed, index, axis=2))
        start += size
    _attend(e, parts, (tokens, tokens), (sizes[0], sizes[2]), e.input(5))


def _multi_head(e: Expansion) -> None:
    plain = e.input(1) and e.input(2) and all(len(e.shapes[i]) == 3 for i in range(3))
    e.need(bool(plain), "packed queries, keys and values")
    e.need(not any(e.input(i) for i in (4, 6, 7)) and not e.output(1), "a mask or a cache")
    (_, rows, width), (_, keys, _), (_, _, values) = e.shapes[:3]
    parts = list(e.node.input[:3])
    if e.input(3):
        start = 0
        for i, size in enumerate((width, width, values)):
            index = e.constant(np.arange(start, start + size, dtype=np.int64))
            parts[i] = e.add("Add", parts[i], e.add("Gather", e.input(3), index, axis=0))
            start += size
    _attend(e, parts, (rows, keys), (width, values), e.input(5))


def _embed(e: Expansion) -> None:
    e.need(not e.input(1) and not e.input(4), "segment ids")
    e.need(not e.input(7) and not e.input(8), "a mask or position ids")
    e.need(not e.output(1), "its second output")
    tokens = e.shapes[0][-1]
    words = e.add("Gather", e.input(2), e.input(0), axis=0)
    places = e.add("Gather", e.input(3), e.constant(np.arange(tokens, dtype=np.int64)), axis=0)
    summed = e.add("Add", words, places, output=e.output(2))
    _norm(e, summed, e.input(5), e.input(6), e.output(0), centred=True)


EXPANSIONS: dict[str, Callable[[Expansion], None]] = {
    "Gelu": _gelu,
    "BiasGelu": _bias_gelu,
    "FastGelu": _fast_gelu,
    "QuickGelu": _quick_gelu,
    "FusedMatMul": _fused_matmul,
    "FusedGemm": _fused_gemm,
    "FusedConv": _fused_conv,
    "SkipLayerNormalization": _skip_norm,
    "SkipSimplifiedLayerNormalization": _skip_rms,
    "Attention": _attention,
    "MultiHeadAttention": _multi_head,
    "EmbedLayerNormalization": _embed,
}
STANDARD: dict[str, Callable[[Expansion], None]] = {
    "Einsum": einsum,
    "SimplifiedLayerNormalization": _rms,  # which onnxruntime puts among the standard operators
}


def is_contrib(node: onnx.NodeProto) -> bool:
    """Whether `expand` knows the operator."""
    return _expansion(node) is not None


def _expansion(node: onnx.NodeProto) -> Callable[[Expansion], None] | None:
    if node.domain == MICROSOFT:
        return EXPANSIONS.get(node.op_type)
    return STANDARD.get(node.op_type) if node.domain in ("", "ai.onnx") else None


def expand(
    node: onnx.NodeProto, label: str, shapes: Sequence[Shape], opset: int
) -> list[onnx.NodeProto]:
    """What stands for a node.  shapes: of its inputs.  Raises `TinygenError`."""
    expansion = Expansion(node, shapes, opset)
    spell = _expansion(node)
    assert spell is not None
    try:
        spell(expansion)
    except Refused as refused:
        raise TinygenError(
            f"node {label} ({node.op_type}) has {refused}, which tinygen does not take: "
            + (
                "export the model without onnxruntime's graph optimisations"
                if node.domain
                else "write it with MatMul, Transpose and ReduceSum"
            )
        ) from None
    except (IndexError, TypeError, ValueError) as error:
        raise TinygenError(
            f"node {label} ({node.op_type}) does not fit its inputs: export the model again"
        ) from error
    return expansion.made
