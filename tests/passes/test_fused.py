# SPDX-License-Identifier: Apache-2.0
"""Fused weights stand for the same layer, with fewer parameters at P = E, and lose no accuracy."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from graphs import GraphBuilder
from tinygen import reference
from tinygen.graph import Graph
from tinygen.numeric import I8, Requant
from tinygen.operators import FUSIONS, Attention, Fusion
from tinygen.passes import fuse, import_model
from tinygen.passes.fused import fuse_layer, score_step

EXAMPLES = Path(__file__).parents[2] / "example_models"
FORMS = FUSIONS[1:]
X = -7
"""Zero point of a layer's input."""


def layer(e: int, p: int, h: int, seed: int = 0) -> Attention:
    """Queries, keys and values use the whole of int8; the context's grid suits a mean of rows."""
    op = GraphBuilder((1, 1), seed).attention(e, p, h)
    context = replace(op.context, mult=1 << 14, frac=12, offset=128)
    return replace(op, context=context)


def rows(e: int, count: int, seed: int = 1) -> list[I8]:
    x = np.random.default_rng(seed).normal(X, 40, (count, 11, e))
    return list(np.clip(np.rint(x), -128, 127).astype(np.int8))


def real_layer(x: I8, op: Attention) -> NDArray[np.float64]:
    """y in LSB, by the definition of attention on dequantised weights, nothing rounded."""

    def project(w: I8, b: NDArray[np.int32], r: Requant) -> NDArray[np.float64]:
        flat = (x.astype(np.float64) @ w.T + b) * r.m / 2.0**r.s
        return flat.reshape(len(x), op.heads, -1).swapaxes(0, 1)

    q, k = project(op.wq, op.bq, op.rq), project(op.wk, op.bk, op.rk)
    v = project(op.wv, op.bv, op.rv)
    scores = q @ k.swapaxes(1, 2) * (op.score.m[0] / 2.0**op.score.s) * score_step(op)
    e = np.exp(scores - scores.max(axis=2, keepdims=True))
    mean = e / e.sum(axis=2, keepdims=True) @ (v + op.rv.zp)
    one = 1 << (op.context.s - 32)
    moved = (op.context.offset - one / 2) / one
    context = moved + mean * op.context.mult / 2.0**op.context.frac
    joined = context.swapaxes(0, 1).reshape(len(x), -1)
    y = (joined @ op.wo.T.astype(np.float64) + op.bo) * op.ro.m / 2.0**op.ro.s + op.ro.zp
    return np.clip(y, -128, 127)


def error(op: Attention, real: Attention, samples: list[I8]) -> float:
    """Mean distance in LSB from the real layer."""
    off = [op.reference([x]) - real_layer(x, real) for x in samples]
    return float(np.abs(off).mean())


@pytest.mark.parametrize("step", [0.01, 0.05, 0.3])
def test_step_of_the_scores_is_read_from_the_table(step: float) -> None:
    op = layer(4, 2, 1)
    table = np.rint(32767 * np.exp(-step * np.arange(256))).astype(np.uint16)
    assert score_step(replace(op, exp_table=table)) == pytest.approx(step, rel=1e-4)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(16, 16, 2), (12, 5, 3), (9, 24, 1)], ids=str)
def test_fused_layer_is_as_exact_as_the_layer_that_it_stands_for(
    shape: tuple[int, int, int], form: Fusion
) -> None:
    op, samples = layer(*shape), rows(shape[0], 24)
    fused = fuse_layer(op, X, samples[:16], form)
    assert fused.fusion == form and fused.heads == op.heads
    assert fused.dim == (shape[0] if form in ("fused-scores", "fused") else shape[1])
    assert fused.value_dim == (shape[0] if form in ("fused-values", "fused") else shape[1])
    fresh = samples[16:]  # not those that chose the scales
    assert np.ptp([real_layer(x, op) for x in fresh]) > 60  # a layer that does something
    assert error(fused, op, fresh) <= error(op, op, fresh) + 0.1


def parameters(op: Attention) -> int:
    return op.wq.size + op.wk.size + op.wv.size + op.wo.size


def test_parameters_at_equal_widths_fall_by_a_quarter_and_by_half() -> None:
    op, samples = layer(32, 32, 8), rows(32, 2)
    left = {f: parameters(fuse_layer(op, X, samples, f)) / parameters(op) for f in FORMS}
    assert left == {"fused-scores": 0.75, "fused-values": 0.75, "fused": 0.5}


def test_only_the_named_layers_change() -> None:
    b = GraphBuilder((5, 8))
    b.add("first", b.attention(8, 4, 2))
    b.add("second", b.attention(8, 4, 2))
    graph = b.graph()
    made = fuse(graph, {"first": "unfused", "second": "fused"}, [b.int8(5, 8)])
    assert made.graph.nodes[0].op is graph.nodes[0].op and list(made.errors) == ["second"]
    second = made.graph.nodes[1].op
    assert isinstance(second, Attention) and second.fusion == "fused"


@cache
def example(name: str) -> tuple[Graph, list[I8], list[I8], NDArray[np.int64]]:
    """Graph, calibration inputs, test inputs, labels."""
    folder = EXAMPLES / name
    graph = import_model(folder / "model.onnx", name=name)
    test, calibration = (np.load(folder / f"{f}.npz") for f in ("samples", "calibration"))
    chosen, x = (
        [reference.quantise(graph, s) for s in a] for a in (calibration["x"][:64], test["x"])
    )
    return graph, chosen, x, test["y"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["digits", "activity"])
def test_trained_examples_lose_at_most_half_a_point(name: str, form: Fusion) -> None:
    graph, calibration, x, y = example(name)
    layers = {n.name: form for n in graph.nodes if isinstance(n.op, Attention)}
    made = fuse(graph, layers, calibration)
    fused = made.graph
    assert any(isinstance(n.op, Attention) and n.op.fusion == form for n in fused.nodes)
    for before, after in made.errors.values():  # one LSB of the layer's output
        assert 0.1 < before < 1 and 0.1 < after <= before + 0.1

    def accuracy(g: Graph) -> float:
        return float(
            np.mean([reference.run(g, s).argmax() == t for s, t in zip(x, y, strict=True)])
        )

    assert accuracy(fused) >= accuracy(graph) - 0.005
