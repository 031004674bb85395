# SPDX-License-Identifier: Apache-2.0
"""Every fixture of make_fixtures.py imports, and agrees with onnxruntime's recorded outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinygen import operators as ops
from tinygen.graph import verify
from tinygen.passes import import_model
from tinygen.reference import dequantise, quantise, run

FOLDER = Path(__file__).parent / "fixtures"

# Mean logit difference allowed, in steps of the output, on random weights. One of onnxruntime's
# roundings is always left out, which moves the outputs (towards the float model): of packed q and k
# before their scale. With zero points the context is rounded on a shifted grid.
EXACT, MOVED = 0.25, 0.75
LIMITS = {
    "dynamo18_conv2d_sdpa": EXACT,
    "dynamo18_tensor_raw": EXACT,
    "dynamo20": EXACT,
    "dynamo20_asymmetric": EXACT,
    "dynamo20_chunk": EXACT,
    "dynamo20_class_conv1d": EXACT,
    "dynamo20_gather": EXACT,
    "dynamo20_layer": MOVED,
    "dynamo20_mha": MOVED,
    "dynamo20_overlap": EXACT,
    "dynamo20_raw": MOVED,
    "dynamo20_softmax": EXACT,
    "dynamo20_uint8": MOVED,
    "legacy14": EXACT,
    "legacy14_asymmetric": EXACT,
    "legacy17": EXACT,
    "legacy17_dynamic": EXACT,
    "legacy17_layer": MOVED,
    "legacy17_raw": EXACT,
}


def test_every_fixture_is_listed() -> None:
    assert {p.stem for p in FOLDER.glob("*.onnx")} == set(LIMITS)


@pytest.mark.parametrize("name", LIMITS)
def test_agrees_with_onnxruntime(name: str) -> None:
    path = FOLDER / f"{name}.onnx"
    graph = verify(import_model(path), integer=True)
    data = np.load(path.with_suffix(".npz"))
    ours = np.stack([dequantise(graph, run(graph, quantise(graph, x))) for x in data["x"]])
    ours = ours.reshape(len(ours), -1)
    quant = graph.values[graph.only_output].quant
    assert quant is not None
    difference = np.abs(ours - data["logits"]) / quant.scale
    assert difference.mean() <= LIMITS[name]
    assert (ours.argmax(axis=1) == data["logits"].argmax(axis=1)).mean() >= 0.9


@pytest.mark.parametrize("name", LIMITS)
def test_operators_and_names(name: str) -> None:
    graph = import_model(FOLDER / f"{name}.onnx", name="My Net-1")
    assert graph.name == "my_net_1" and len(graph.model_hash) == 64
    names = [n.name for n in graph.nodes]
    assert len(set(names)) == len(names)
    assert "embed" in names and names[-1] == "head" and "block0.attention" in names
    kinds = ops.Attention | ops.DotProductAttention
    attention = [n.op for n in graph.nodes if isinstance(n.op, kinds)]
    assert attention and all((a.heads, a.weight_bits) == (2, 15) for a in attention)
    assert all(a.dim == 8 for a in attention if isinstance(a, ops.Attention))
    norms = {n for n in names if "norm" in n}
    pre = {"block0.norm1", "norm"} <= norms
    assert pre or {"block0.norm1", "block0.norm2"} <= norms
    if "mha" not in name:
        assert {"block0.ffn1", "block0.ffn2", "block0.add1", "block0.add2"} <= set(names)


def test_two_blocks() -> None:
    names = {n.name for n in import_model(FOLDER / "dynamo20_raw.onnx").nodes}
    assert {"block1.norm1", "block1.attention", "block1.ffn2", "block1.add2"} <= names


def test_only_the_class_token_goes_through_the_last_feed_forward() -> None:
    graph = import_model(FOLDER / "legacy17.onnx")
    rows = {n.name: graph.values[n.output].shape[0] for n in graph.nodes}
    assert rows["block0.attention"] == 7 and rows["block0.ffn1"] == rows["block0.ffn2"] == 1


def test_importing_twice_gives_the_same_graph() -> None:
    a, b = (import_model(FOLDER / "dynamo20_raw.onnx") for _ in range(2))
    assert [(n.name, n.inputs) for n in a.nodes] == [(n.name, n.inputs) for n in b.nodes]
    assert a.model_hash == b.model_hash
