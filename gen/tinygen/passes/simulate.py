# SPDX-License-Identifier: Apache-2.0
"""Run the canonical float graph in numpy: what its values are on samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.errors import TinygenError
from tinygen.graph import Float, Graph, Node
from tinygen.passes.elementwise import ELEMENTWISE, evaluate
from tinygen.passes.unsupported import unsupported

Array = NDArray[Any]


def simulate(graph: Graph, x: Array) -> dict[str, Array]:
    """Every value for one real input of the graph input's shape, its batch axis aside."""
    data = {k: v.data for k, v in graph.values.items() if v.data is not None}
    known: dict[str, Array] = {**data, graph.input: _on_grid(graph, x)}
    for node in graph.nodes:
        assert isinstance(node.op, Float)
        inputs = [known[i] if i else None for i in node.inputs]
        shape = graph.values[node.output].shape
        known[node.output] = evaluated(node, inputs, shape)
    return known


def evaluated(node: Node, inputs: list[Any], shape: tuple[int, ...]) -> Array:
    """One float operator."""
    with np.errstate(over="ignore", invalid="ignore"):  # of damaged or untrained models
        return np.asarray(_run(node, inputs, shape), np.float32).reshape(shape)


def _on_grid(graph: Graph, x: Array) -> Array:
    quant = graph.values[graph.input].quant
    shape = graph.values[graph.input].shape
    if quant is None:
        return x.reshape(shape).astype(np.float32)
    with np.errstate(over="ignore"):
        steps = x / np.float32(quant.scale)
    q = np.clip(np.rint(steps) + quant.zero_point, -128, 127)
    return ((q - quant.zero_point) * quant.scale).reshape(shape).astype(np.float32)


def _run(node: Node, i: list[Any], shape: tuple[int, ...]) -> Array:
    assert isinstance(node.op, Float)
    kind, attrs = node.op.kind, node.op.attrs
    if kind == "Softmax" and attrs.get("axis", -1) not in (-1, i[0].ndim - 1):
        raise TinygenError(
            f"node {node.name} (Softmax) is along axis {attrs['axis']}, which was not brought "
            "last: open an issue with this model"
        )
    special: dict[str, Callable[[], Any]] = {
        "Grid": lambda: i[0] * i[1],
        "Move": lambda: _moved(i[0], attrs["index"]),
        "Linear": lambda: i[0] @ (i[1] * i[2][:, None]).T + i[3],
        "Convolve": lambda: _convolved(i, attrs, shape),
        "Scores": lambda: (i[0] @ i[1]) * attrs["alpha"],
        "Softmax": lambda: _weights(i[0], attrs),
        "Embed": lambda: i[1][np.clip(i[0], 0, len(i[1]) - 1).astype(int)],
        "Largest": lambda: _largest(i[0], attrs, shape),
        "Mean": lambda: i[0].mean(axis=0) * attrs.get("times", 1.0),
        "Padded": lambda: np.pad(
            i[0],
            list(zip(attrs["before"], attrs["after"], strict=True)),
            constant_values=attrs["value"],
        ),
        "Join": lambda: np.concatenate(i),
        "Norm": lambda: _norm(i, attrs),
    }
    if kind in special:
        return np.asarray(special[kind]())
    if kind in ELEMENTWISE:
        return evaluate(kind, attrs, i)
    raise TinygenError(unsupported(node))


def _moved(x: Array, index: Array | None) -> Array:
    flat = x.reshape(-1)
    return flat if index is None else flat[index.reshape(-1)]


def _weights(scores: Array, attrs: Any) -> Array:
    mask = attrs.get("mask")
    if mask is not None:  # [S or 1, T] for every head's rows
        rows = np.resize(mask, scores.shape) if len(mask) > 1 else mask
        scores = np.where(rows, scores, -np.inf)
    y = softmax(scores * attrs.get("beta", 1.0), attrs.get("weights"))
    levels = attrs.get("levels")  # QuantLib's rounds them down
    return y if levels is None else np.asarray(np.floor(y * levels) / levels)


def softmax(x: Array, weights: Array | None = None) -> Array:
    """Over the last axis. weights: a table of its own for the distances from the maximum."""
    below = x.max(axis=-1, keepdims=True) - x
    e = np.exp(-below) if weights is None else weights[np.rint(below).astype(int)]
    y: Array = e / e.sum(axis=-1, keepdims=True)
    return y


def _norm(i: list[Any], attrs: Any) -> Array:
    mean, eps, whole = i[0].mean(axis=-1, keepdims=True), attrs["eps"], attrs.get("whole", False)
    mean = mean if attrs.get("centred", True) else 0.0
    centred = i[0] - (np.trunc(mean) if whole else mean)
    variance = (centred**2).mean(axis=-1, keepdims=True)
    if "scale" in attrs:
        variance = evaluate("Quant", attrs, [variance])
    deviation = np.floor(np.sqrt(np.floor(variance) + eps)) if whole else np.sqrt(variance + eps)
    y: Array = centred / deviation * i[1] + i[2]
    return y


def _largest(x: Array, attrs: Any, shape: tuple[int, ...]) -> Array:
    (top, left, bottom, right), (kh, kw), (sh, sw) = (
        attrs[k] for k in ("pads", "kernel", "strides")
    )
    x = np.pad(x, ((top, bottom), (left, right), (0, 0)), constant_values=-np.inf)
    high, wide = (x.shape[0] - kh) // sh + 1, (x.shape[1] - kw) // sw + 1
    parts = [x[i::sh, j::sw][:high, :wide] for i, j in np.ndindex(kh, kw)]
    y: Array = np.max(parts, axis=0).reshape(shape)
    return y


def _convolved(i: list[Any], attrs: Any, shape: tuple[int, ...]) -> Array:
    """[C, H, W] -> [OH * OW, N], window by window."""
    x, q, scales, bias = i
    if attrs["channels_last"]:
        x = x.transpose(2, 0, 1)
    weight = q * scales.reshape(-1, 1, 1, 1)
    top, left, bottom, right = attrs["pads"]
    x = np.pad(x, ((0, 0), (top, bottom), (left, right)))
    (sh, sw), (dh, dw), groups = attrs["strides"], attrs["dilations"], attrs["group"]
    n, c, kh, kw = weight.shape
    high = (x.shape[1] - dh * (kh - 1) - 1) // sh + 1
    wide = (x.shape[2] - dw * (kw - 1) - 1) // sw + 1
    y = np.zeros((high * wide, n), np.float32)
    for g in range(groups):
        outs = slice(g * n // groups, (g + 1) * n // groups)
        part = x[g * c : (g + 1) * c]
        for a in range(kh):
            for b in range(kw):
                seen = part[:, a * dh :, b * dw :][:, : sh * (high - 1) + 1 : sh]
                seen = seen[:, :, : sw * (wide - 1) + 1 : sw].reshape(c, -1)
                y[:, outs] += seen.T @ weight[outs, :, a, b].T
    assert math.prod(shape) == y.size
    result: Array = y + bias
    return result
