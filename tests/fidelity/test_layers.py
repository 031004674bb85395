# SPDX-License-Identifier: Apache-2.0
"""`check --per-layer`: every layer is held against the right tensor of the ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinygen.fidelity import check_layers
from tinygen.passes import import_with_origins

pytest.importorskip("onnxruntime")
ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "importer" / "fixtures"


@pytest.mark.parametrize(
    ("model", "layers"),
    [
        (FIXTURES / "dynamo20.onnx", 12),
        (FIXTURES / "dynamo20_class_conv1d.onnx", 11),
        (ROOT / "example_models" / "activity" / "model.onnx", 12),
    ],
)
def test_layers_agree_one_by_one(model: Path, layers: int) -> None:
    beside = model.with_suffix(".npz")
    data = beside if beside.exists() else model.with_name("samples.npz")
    found = check_layers(import_with_origins(model), model, np.load(data)["x"])
    assert len(found) == layers
    assert all(x.mean_abs_lsb < 1 for x in found)
    own = [x.own_mean_abs_lsb for x in found if x.own_mean_abs_lsb is not None]
    assert len(own) >= layers - 1 and max(own) < 0.05


def test_the_layer_that_differs_stands_out() -> None:
    """onnxruntime rounds q and k here before and after their scale, tinygen after."""
    model = FIXTURES / "dynamo20_layer.onnx"
    x = np.load(model.with_suffix(".npz"))["x"]
    seen: list[tuple[int, int]] = []
    found = check_layers(import_with_origins(model), model, x, lambda i, n: seen.append((i, n)))
    own = {f.name: f.own_mean_abs_lsb for f in found}
    assert seen[-1] == (len(x), len(x))
    assert own["block0.add1"] == pytest.approx(0, abs=1e-3)
    assert (own["block0.attention"] or 0) > 0.2


@pytest.mark.parametrize(
    "name", ["dynamo20-raw-base", "dynamo20-default-base", "dynamo20-xnnpack-causal"]
)
def test_attention_that_stands_by_itself(name: str) -> None:
    """Its context is found in the file, whatever the order of heads and tokens there."""
    path = Path(__file__).parents[1] / "corpus" / "models" / f"{name}.onnx"
    x = np.load(path.with_suffix(".npz"))["x"][:32].astype(np.float32)
    layers = {d.name: d for d in check_layers(import_with_origins(path, samples=x), path, x)}
    own = layers["block0.attention"].own_mean_abs_lsb
    assert own is not None and own < 0.2


def test_general_operators_are_not_held_against_tensors_of_others() -> None:
    """An attention with a bias: heads lie otherwise in the file, and moves stand for two values."""
    path = Path(__file__).parents[1] / "corpus" / "models" / "dynamo20-qdq-mask.onnx"
    x = np.load(path.with_suffix(".npz"))["x"][:32].astype(np.float32)
    found = check_layers(import_with_origins(path, samples=x), path, x)
    assert {"BatchMatMul", "Weighted"} <= {f.op for f in found}
    assert all(f.mean_abs_lsb < 1 for f in found), found
    assert all(f.own_mean_abs_lsb is None or f.own_mean_abs_lsb < 1 for f in found), found
