# SPDX-License-Identifier: Apache-2.0
"""Operators to put behind a value, whatever its shape: each function draws one use of a few.

They answer with the name of the new value and raise `Rejected` where the shape does not suit.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from fuzz.net import Net, Rejected

Piece = Callable[[Net, str], str]
SMOOTH = ("Relu", "LeakyRelu", "Elu", "Selu", "Sigmoid", "Tanh", "Softplus", "Softsign", "Erf")
SMOOTH += ("HardSigmoid", "HardSwish", "Gelu", "Celu", "Abs", "Neg", "Sin", "Cos", "Mish", "Swish")
ALPHA = {"LeakyRelu", "Elu", "Selu", "HardSigmoid", "Celu", "Swish"}
FROM = {"Erf": 9, "HardSwish": 14, "Gelu": 20, "Celu": 12, "Mish": 18, "Swish": 24}
"""The opset that brought an operator."""


def need(true: bool) -> None:
    if not true:
        raise Rejected("shape")


def with_axes(
    net: Net, kind: str, x: str, axes: list[int] | None, since: int, **attrs: object
) -> str:
    """axes: an attribute, from an opset on an input."""
    if axes is None:
        return net.node(kind, [x], **attrs)
    if net.opset >= since:
        return net.node(kind, [x, net.ints(*axes)], **attrs)
    return net.node(kind, [x], axes=axes, **attrs)


def some_axis(net: Net, x: str) -> int:
    rank = len(net.shape(x))
    need(rank > 0)
    axis = net.some(0, rank - 1)
    return axis - rank if net.opset >= 11 and net.chance(0.4) else axis


def unary(net: Net, x: str) -> str:
    kind = net.pick(SMOOTH)
    need(net.opset >= FROM.get(kind, 7))
    attrs = (
        {"alpha": float(net.rng.uniform(0.05, 1.5))} if kind in ALPHA and net.chance(0.5) else {}
    )
    if kind == "Gelu" and net.chance(0.5):
        attrs = {"approximate": "tanh"}
    if kind == "HardSigmoid" and attrs:
        attrs["beta"] = 0.3
    return net.node(kind, [x], **attrs)


def guarded(net: Net, x: str) -> str:
    """Functions that are not defined everywhere, behind what keeps their operand in."""
    kind = net.pick(("Sqrt", "Log", "Reciprocal", "Exp", "Pow", "Div"))
    if kind == "Exp":
        return net.node("Exp", [clip(net, x)])
    positive = net.node("Add", [net.node("Abs", [x]), net.constant(np.float32(0.5))])
    if kind == "Pow":
        return net.node("Pow", [positive, net.constant(np.float32(net.pick((0.5, 2, 3, -1))))])
    if kind == "Div":
        return net.node("Div", [net.constant(np.float32(1.5)), positive])
    return net.node(kind, [positive])


def clip(net: Net, x: str) -> str:
    low, high = net.span(x)
    ends = sorted(float(v) for v in net.rng.uniform(low, high, 2) * 0.8)
    if ends[1] - ends[0] < 1e-3:
        raise Rejected("range")
    need(ends[0] < 4 and ends[1] > -4)
    lower = None if net.chance(0.2) else np.float32(max(ends[0], -4))
    upper = None if net.chance(0.2) and low > -9 else np.float32(min(ends[1], 4))
    if net.opset < 11:
        attrs = {k: float(v) for k, v in (("min", lower), ("max", upper)) if v is not None}
        return net.node("Clip", [x], **attrs)
    given = ["" if v is None else net.constant(v) for v in (lower, upper)]
    while given and not given[-1]:
        given.pop()
    return net.node("Clip", [x, *given])


def gelu(net: Net, x: str) -> str:
    """Spelled out, by Erf or by Tanh."""
    if net.chance(0.6) and net.opset >= 9:
        scaled = net.node("Div", [x, net.constant(np.float32(math.sqrt(2)))])
        part = net.node("Add", [net.node("Erf", [scaled]), net.constant(np.float32(1))])
        half = net.node("Mul", [x, part] if net.chance(0.5) else [part, x])
        return net.node("Mul", [half, net.constant(np.float32(0.5))])
    cube = net.node("Pow", [x, net.constant(np.float32(3))])
    inner = net.node("Add", [x, net.node("Mul", [cube, net.constant(np.float32(0.044715))])])
    inner = net.node("Mul", [inner, net.constant(np.float32(math.sqrt(2 / math.pi)))])
    part = net.node("Add", [net.node("Tanh", [inner]), net.constant(np.float32(1))])
    return net.node("Mul", [net.node("Mul", [net.constant(np.float32(0.5)), x]), part])


def with_constant(net: Net, x: str) -> str:
    """One operand a constant that broadcasts, on either side."""
    kind = net.pick(("Add", "Sub", "Mul", "Div", "Max", "Min", "Add", "Mul"))
    shape = list(net.shape(x))
    how = net.some(0, 5)
    if how == 0:
        small = []
    elif how == 1:
        small = shape[-1:]
    elif how == 2:
        small = [n if net.chance(0.5) else 1 for n in shape]
    elif how == 3:
        small = shape
    elif how == 4:
        small = [1] * len(shape)
    else:
        small = [1, *shape] if net.chance(0.5) else [1] * (len(shape) + 1)
    data = net.rng.uniform(0.3, 2, small) * np.where(net.rng.random(small) < 0.5, -1, 1)
    c = net.constant(data.astype(np.float32))
    if kind == "Div" and net.chance(0.7):
        return net.node("Div", [x, c])
    if kind == "Div":
        need(not _crosses_zero(net, x))
    return net.node(kind, [x, c] if net.chance(0.6) else [c, x])


def _crosses_zero(net: Net, x: str) -> bool:
    return min(float(np.abs(v).min()) for v in net.values[x]) < 0.2


def pair(net: Net, x: str) -> str:
    """Two activations: of the same shape, or one that broadcasts."""
    kind = net.pick(("Add", "Add", "Add", "Sub", "Mul", "Max", "Min", "Sum", "Mean"))
    other = None
    for name in net.rng.permutation(net.pool):
        if str(name) != x and _fits(net.shape(str(name)), net.shape(x)):
            other = str(name)
            break
    if other is None or net.chance(0.1):
        other = adapt(net, net.pick(net.pool), net.shape(x))
    both = [x, other] if net.chance(0.5) else [other, x]
    if kind in ("Sum", "Mean") and net.chance(0.3):
        both.append(x)
    need(net.opset >= 8 or net.shape(x) == net.shape(other) or kind in ("Add", "Sub", "Mul"))
    return net.node(kind, both)


def _fits(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(m in (1, n) or n == 1 for m, n in zip(a[::-1], b[::-1], strict=False))


def adapt(net: Net, x: str, shape: tuple[int, ...]) -> str:
    """The value as another shape: rearranged, cut, or repeated."""
    have, want = math.prod(net.shape(x)), math.prod(shape)
    if net.shape(x) == shape:
        return x
    if have != want:
        flat = net.node("Reshape", [x, net.ints(1, -1)])
        at = np.arange(want, dtype=np.int64) % have
        x = net.node("Gather", [flat, net.constant(at)], axis=1)
    return net.node("Reshape", [x, net.ints(*shape)])


# products


def matmul(net: Net, x: str) -> str:
    """With a weight of [K, N], and often a bias."""
    shape = net.shape(x)
    need(len(shape) > 0)
    k, n = shape[-1], net.some(1, 8)
    per = net.chance(0.5)
    if len(shape) == 2 and net.chance(0.4):
        return gemm(net, x)
    w = net.weight(k, n, axis=1 if per else None)
    if net.chance(0.15):
        w = net.node(
            "Transpose", [net.weight(n, k, axis=0 if per else None, spread=0.7)], perm=[1, 0]
        )
    y = net.node("MatMul", [x, w])
    if net.chance(0.5):
        bias = net.reals(n) if net.chance(0.7) else net.weight(n)
        y = net.node("Add", [y, bias] if net.chance(0.7) else [bias, y])
    return y


def left_product(net: Net, x: str) -> str:
    """A constant matrix from the left, which mixes tokens."""
    shape = net.shape(x)
    need(len(shape) >= 2)
    return net.node("MatMul", [net.weight(net.some(1, 6), shape[-2]), x])


def gemm(net: Net, x: str) -> str:
    shape = net.shape(x)
    need(len(shape) == 2)
    attrs: dict[str, object] = {}
    if net.chance(0.3):
        attrs["transA"] = 1
        shape = shape[::-1]
    k, n = shape[1], net.some(1, 8)
    size = (k, n)
    if net.chance(0.5):
        attrs["transB"], size = 1, (n, k)
    if net.chance(0.3):
        attrs["alpha"] = 0.5
    if net.chance(0.3):
        attrs["beta"] = -2.0
    w = net.weight(*size, axis=net.pick((None, size.index(n))), spread=0.7)
    bias = net.pick(
        ([], [net.reals(n)], [net.reals(1, n)], [net.reals()], [net.reals(shape[0], 1)])
    )
    if not bias and net.opset < 11:
        bias = [net.reals(n)]
    return net.node("Gemm", [x, w, *bias], **attrs)


def product(net: Net, x: str) -> str:
    """Of two activations."""
    shape = net.shape(x)
    need(len(shape) >= 2)
    order = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
    other = x if net.chance(0.3) else adapt(net, net.pick(net.pool), shape)
    turned = net.node("Transpose", [other], perm=order)
    y = net.node("MatMul", [x, turned] if net.chance(0.6) else [turned, x])
    if net.chance(0.6):
        y = net.node("Mul", [y, net.constant(np.float32(1 / math.sqrt(shape[-1])))])
    return y


def einsum(net: Net, x: str) -> str:
    need(net.opset >= 12)
    shape = net.shape(x)
    need(len(shape) >= 2)
    letters = "abcd"[: len(shape)]
    how = net.some(0, 4)
    if how == 0:
        return net.node(
            "Einsum", [x], equation=f"{letters}->{''.join(net.rng.permutation(list(letters)))}"
        )
    if how == 1:
        kept = "".join(a for a in letters if net.chance(0.6)) or letters[-1]
        return net.node("Einsum", [x], equation=f"{letters}->{kept}")
    if how == 2:
        w = net.weight(shape[-1], 3)
        return net.node("Einsum", [x, w], equation=f"...{letters[-1]},{letters[-1]}z->...z")
    if how == 3:
        w = net.weight(3, shape[-1])
        return net.node("Einsum", [x, w], equation=f"{letters},z{letters[-1]}->{letters[:-1]}z")
    other = adapt(net, net.pick(net.pool), shape)
    return net.node(
        "Einsum", [x, other], equation=f"{letters},{letters[:-2]}z{letters[-1]}->{letters[:-1]}z"
    )


# norms, softmax, sums along axes


def norm(net: Net, x: str) -> str:
    shape = net.shape(x)
    need(len(shape) >= 1 and shape[-1] > 1)
    e = shape[-1]
    how = net.some(0, 3)
    gamma, beta = net.reals(e, low=0.3, high=1.5), net.reals(e)
    if how == 0 and net.opset >= 17:
        axis = -1 if net.chance(0.7) else some_axis(net, x)
        size = shape[axis:]
        gamma = net.reals(*size, low=0.3, high=1.5)
        rest = [net.reals(*size)] if net.chance(0.7) else []
        attrs = {"epsilon": float(net.pick((1e-5, 1e-3, 0.1)))} if net.chance(0.5) else {}
        return net.node("LayerNormalization", [x, gamma, *rest], axis=axis, **attrs)
    if how == 1 and net.opset >= 23:
        return net.node("RMSNormalization", [x, gamma], axis=-1)
    if how == 2:
        square = (
            net.node("Mul", [x, x])
            if net.chance(0.5)
            else net.node("Pow", [x, net.constant(np.float32(2))])
        )
        mean = with_axes(
            net, "ReduceMean", square, [-1] if net.opset >= 11 else [len(shape) - 1], 18
        )
        root = net.node("Sqrt", [net.node("Add", [mean, net.constant(np.float32(1e-3))])])
        y = net.node("Div", [x, root])
        return net.node("Mul", [y, gamma])
    axes = [-1] if net.opset >= 11 else [len(shape) - 1]
    mean = with_axes(net, "ReduceMean", x, axes, 18)
    centred = net.node("Sub", [x, mean])
    square = net.node("Pow", [centred, net.constant(np.float32(2))])
    variance = with_axes(net, "ReduceMean", square, axes, 18)
    root = net.node("Sqrt", [net.node("Add", [variance, net.constant(np.float32(1e-3))])])
    y = net.node("Div", [centred, root])
    y = net.node("Mul", [y, gamma] if net.chance(0.5) else [gamma, y])
    return net.node("Add", [y, beta])


def batch_norm(net: Net, x: str) -> str:
    shape = net.shape(x)
    need(len(shape) >= 2)
    c = shape[1]
    parts = [net.reals(c, low=0.3), net.reals(c), net.reals(c), net.reals(c, low=0.4)]
    attrs = {"epsilon": 0.01} if net.chance(0.5) else {}
    return net.node("BatchNormalization", [x, *parts], **attrs)


def softmax(net: Net, x: str) -> str:
    need(len(net.shape(x)) > (net.opset < 13))  # an axis that onnxruntime takes and ONNX does not
    attrs = {} if net.chance(0.4) else {"axis": some_axis(net, x)}
    return net.node("Softmax", [x], **attrs)


def reduce(net: Net, x: str) -> str:
    rank = len(net.shape(x))
    need(rank > 0)
    kind = net.pick(("ReduceMean", "ReduceMean", "ReduceMax", "ReduceSum", "ReduceMin"))
    axes = sorted({some_axis(net, x) % rank for _ in range(net.some(1, 2))})
    if net.opset >= 11 and net.chance(0.3):
        axes = [a - rank for a in axes]
    attrs = {} if net.chance(0.5) else {"keepdims": net.some(0, 1)}
    since = {"ReduceSum": 13}.get(kind, 18)
    return with_axes(net, kind, x, None if net.chance(0.1) else axes, since, **attrs)


# windows


def _windows(net: Net, x: str, dilated: bool) -> dict[str, object]:
    space = net.shape(x)[2:]
    kernel = [net.some(1, min(3, n)) for n in space]
    attrs: dict[str, object] = {"kernel_shape": kernel}
    if net.chance(0.5):
        attrs["strides"] = [net.some(1, 2) for _ in space]
    if dilated and net.chance(0.3):
        attrs["dilations"] = [net.some(1, 2) for _ in space]
    how = net.rng.random()
    if how < 0.4:
        attrs["pads"] = [net.some(0, k - 1) for k in kernel] + [net.some(0, k - 1) for k in kernel]
    elif how < 0.6 and "dilations" not in attrs:
        attrs["auto_pad"] = net.pick(("SAME_UPPER", "SAME_LOWER", "VALID"))
    return attrs


def conv(net: Net, x: str) -> str:
    shape = net.shape(x)
    need(len(shape) in (3, 4))
    attrs = _windows(net, x, dilated=True)
    c, n, group = shape[1], net.some(1, 6), 1
    if net.chance(0.3):
        group, n = c, c * net.some(1, 2)
    w = net.weight(n, c // group, *attrs["kernel_shape"], axis=net.pick((None, 0)), spread=0.7)  # type: ignore[misc]
    bias = [net.reals(n)] if net.chance(0.6) else []
    if net.chance(0.3):
        del attrs["kernel_shape"]
    return net.node("Conv", [x, w, *bias], group=group, **attrs)


def pool(net: Net, x: str) -> str:
    need(len(net.shape(x)) in (3, 4))
    kind = net.pick(("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"))
    if kind.startswith("Global"):
        return net.node(kind, [x])
    attrs = _windows(net, x, dilated=False)
    if net.opset >= 10 and net.chance(0.3):
        attrs["ceil_mode"] = 1
    if kind == "AveragePool" and net.chance(0.4):
        attrs["count_include_pad"] = 1
    return net.node(kind, [x], **attrs)


# with the integers themselves


def stored(net: Net, x: str) -> str:
    """onnxruntime's operators on integers."""
    from semantics.case import MICROSOFT

    x = x if x in net.grids else net.pair(x)
    q, s, z = net.grids[x]
    unsigned = net.values[z][0].dtype == np.uint8
    kind = net.pick(("QLinearMatMul", "QLinearAdd", "QLinearMul", "QGemm", "QLinearSigmoid"))
    shape = net.shape(x)
    weights = net.rng.integers(-127, 128, (shape[-1] if shape else 1, net.some(1, 6)))
    w = net.given(weights.astype(np.int8))
    step, none = net.given(np.float32(0.008)), net.given(np.int8(0))
    real = net.node("DequantizeLinear", [w, step, none], net.domain())
    if kind == "QLinearMatMul":
        need(net.opset >= 10 and len(shape) >= 2)
        out = _out(net, net.node("MatMul", [x, real]), unsigned)
        y = net.node(kind, [q, s, z, w, step, none, *out])
    elif kind == "QGemm":
        need(len(shape) == 2)
        out = _out(net, net.node("MatMul", [x, real]), unsigned)
        bias = net.given(net.rng.integers(-500, 500, weights.shape[1]).astype(np.int32))
        y = net.node(kind, [q, s, z, w, step, none, bias, *out], MICROSOFT)
    elif kind == "QLinearSigmoid":
        out = _out(net, net.node("Sigmoid", [x]), unsigned)
        y = net.node(kind, [q, s, z, *out], MICROSOFT)
    else:
        other = adapt(net, net.pick(net.pool), shape)
        other = other if other in net.grids else net.pair(other)
        need((net.values[net.grids[other][2]][0].dtype == np.uint8) == unsigned)
        out = _out(net, net.node(kind[7:], [x, other]), unsigned)
        y = net.node(kind, [q, s, z, *net.grids[other], *out], MICROSOFT)
    real = net.node("DequantizeLinear", [y, *out], net.domain())
    net.grids[real] = (y, *out)
    return real


def _out(net: Net, like: str, unsigned: bool) -> list[str]:
    """Names of a scale and a zero point for a value of this range."""
    low, high = net.span(like)
    scale = np.float32((high - low) / 255) or np.float32(0.01)
    zero = int(np.clip(np.rint(-128 - low / scale), -128, 127))
    kind = np.uint8(zero + 128) if unsigned else np.int8(zero)
    return [net.given(scale), net.given(kind)]
