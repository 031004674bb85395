# SPDX-License-Identifier: Apache-2.0
"""Checking against onnxruntime, and the samples it takes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

from tinygen.errors import TinygenError
from tinygen.fidelity import check, load_samples, onnx_outputs
from tinygen.graph import Graph
from tinygen.passes import import_model

FIXTURES = Path(__file__).parents[1] / "importer" / "fixtures"
MODEL = FIXTURES / "dynamo20.onnx"


@pytest.fixture(scope="module")
def graph() -> Graph:
    return import_model(MODEL)


@pytest.fixture(scope="module")
def x() -> Any:
    return np.load(FIXTURES / "dynamo20.npz")["x"]


def test_check_counts_samples_and_compares(graph: Graph, x: Any) -> None:
    pytest.importorskip("onnxruntime")
    seen: list[tuple[int, int]] = []
    labels = np.load(FIXTURES / "dynamo20.npz")["logits"].argmax(axis=1)
    result = check(graph, MODEL, x, labels, lambda i, n: seen.append((i, n)))
    assert result.samples == len(x) and seen[-1] == (len(x), len(x))
    assert result.top1_agreement >= 0.995 and result.mean_abs_lsb <= 0.25
    assert result.accuracy_onnx == 1.0 and result.accuracy_int == result.top1_agreement


def test_check_without_labels_gives_no_accuracy(graph: Graph, x: Any) -> None:
    pytest.importorskip("onnxruntime")
    result = check(graph, MODEL, x[:3])
    assert result.accuracy_onnx is None and result.accuracy_int is None


def test_recorded_outputs_are_what_onnxruntime_gives(x: Any) -> None:
    pytest.importorskip("onnxruntime")
    from tinygen.fidelity import onnx_outputs

    recorded = np.load(FIXTURES / "dynamo20.npz")["logits"]
    scale = np.ptp(recorded) / 255
    assert np.abs(onnx_outputs(MODEL, x) - recorded).max() < 2 * scale


def test_missing_onnxruntime_is_one_sentence(
    graph: Graph, x: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(TinygenError, match=r"pip install 'tinygen\[check\]'"):
        check(graph, MODEL, x)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"z": np.zeros(3)}, "no array x"),
        ({"x": np.zeros((3, 5, 4))}, r"\[3, 5, 4\] but dynamo20 takes \[N, 6, 4\]"),
        ({"x": np.full((3, 6, 4), np.nan)}, "finite"),
        ({"x": np.zeros((0, 6, 4))}, "no samples"),
        ({"x": np.zeros((3, 6, 4)), "y": np.zeros(2, int)}, "one integer label"),
    ],
)
def test_bad_samples(graph: Graph, tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    path = tmp_path / "s.npz"
    np.savez(path, **arrays)
    with pytest.raises(TinygenError, match=message) as caught:
        load_samples(path, graph)
    assert str(path) in str(caught.value)


def test_samples_that_are_no_archive(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    path.write_bytes(b"nothing")
    with pytest.raises(TinygenError, match="not a readable"):
        load_samples(path, graph)


def test_samples_with_and_without_a_batch_axis(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    np.savez(path, x=np.ones((3, 1, 6, 4)), y=np.arange(3))
    x, y = load_samples(path, graph)
    assert x.shape == (3, 6, 4) and y is not None and y.tolist() == [0, 1, 2]


def test_samples_one_after_another(graph: Graph, tmp_path: Path) -> None:
    """Without a batch axis: what a concatenation of inputs leaves."""
    path = tmp_path / "s.npz"
    one = np.arange(24, dtype=np.float32).reshape(6, 4)
    np.savez(path, x=np.concatenate([one, 2 * one]), y=np.arange(2))
    x, _ = load_samples(path, graph)
    np.testing.assert_array_equal(x, [one, 2 * one])


def test_samples_beyond_float32(graph: Graph, tmp_path: Path) -> None:
    path = tmp_path / "s.npz"
    np.savez(path, x=np.full((3, 6, 4), 1e300))
    with pytest.raises(TinygenError, match="beyond float32"):
        load_samples(path, graph)


@pytest.mark.parametrize("name", ["hand10-quantlib-post", "dynamo20-qop_uint8-base"])
def test_models_that_onnxruntime_has_other_words_for(name: str) -> None:
    """QuantLib's operators run in ONNX's evaluator; QLinearSoftmax is not spelled out."""
    path = Path(__file__).parents[1] / "corpus" / "models" / f"{name}.onnx"
    x = np.load(path.with_suffix(".npz"))["x"][:8].astype(np.float32)
    assert check(import_model(path, samples=x), path, x).mean_abs_lsb < 1


def test_a_spelled_mean_runs_at_every_opset(tmp_path: Path) -> None:
    """Its axes are an attribute before opset 18."""
    path = tmp_path / "mean.onnx"
    grid = [
        numpy_helper.from_array(np.float32(0.05), "s"),
        numpy_helper.from_array(np.int8(0), "z"),
    ]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node(
            "QLinearReduceMean",
            ["q", "s", "z", "s", "z"],
            ["m"],
            domain="com.microsoft",
            axes=[1],
            keepdims=1,
        ),
        helper.make_node("DequantizeLinear", ["m", "s", "z"], ["y"]),
    ]
    info = [helper.make_tensor_value_info(n, 1, [1, s, 6]) for n, s in (("x", 4), ("y", 1))]
    made = helper.make_graph(nodes, "g", info[:1], info[1:], grid)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)]
    path.write_bytes(
        helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString()
    )
    x = np.random.default_rng(0).normal(size=(5, 4, 6)).astype(np.float32)
    found = onnx_outputs(path, x, spelled=True)
    np.testing.assert_allclose(found, x.mean(axis=1), atol=0.08)
