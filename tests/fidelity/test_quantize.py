# SPDX-License-Identifier: Apache-2.0
"""Float ONNX in, an importable int8 model out, or one sentence and nothing written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tinygen.errors import TinygenError
from tinygen.fidelity import check, load_samples, quantize
from tinygen.fidelity.honest import Verdict, judged
from tinygen.fidelity.quantize import stays_float
from tinygen.passes import import_model

pytest.importorskip("onnxruntime")
EXAMPLES = Path(__file__).parents[2] / "example_models"
DIGITS = EXAMPLES / "digits"


def silent(done: int, total: int) -> None:
    pass


@pytest.mark.parametrize("name", ["digits", "activity"])
def test_a_trained_model_keeps_its_accuracy(name: str, tmp_path: Path) -> None:
    folder, output = EXAMPLES / name, tmp_path / "q.onnx"
    seen: list[tuple[int, int]] = []
    result = quantize(
        folder / "float.onnx",
        folder / "calibration.npz",
        output,
        progress=lambda i, n: seen.append((i, n)),
    )
    assert seen[-1] == (result.samples, result.samples)
    assert len(result.left_out) == 2 and result.top1_agreement >= 0.97
    graph = import_model(output)
    x, y = load_samples(folder / "samples.npz", graph)
    measured = check(graph, output, x, y)
    assert measured.top1_agreement >= 0.99 and measured.mean_abs_lsb <= 0.25
    assert measured.accuracy_int is not None and measured.accuracy_int >= 0.95


def test_noise_is_told_layer_by_layer(tmp_path: Path) -> None:
    result = quantize(
        DIGITS / "float.onnx", DIGITS / "calibration.npz", tmp_path / "q.onnx", progress=silent
    )
    assert {"Gemm", "LayerNormalization", "Softmax", "Add"} <= {x.op for x in result.layers}
    assert all(10 < x.snr_db < 60 for x in result.layers)
    assert result.accuracy_float is not None and result.accuracy_quantised is not None


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        quantize(
            DIGITS / "float.onnx", DIGITS / "calibration.npz", tmp_path / name, progress=silent
        )
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def refused(match: str, model: Path, output: Path, calibration: Path | None = None) -> None:
    before = sorted(output.parent.iterdir()) if output.parent.is_dir() else []
    with pytest.raises(TinygenError, match=match) as caught:
        quantize(model, calibration or DIGITS / "calibration.npz", output, progress=silent)
    assert "\n" not in str(caught.value)
    assert not output.parent.is_dir() or sorted(output.parent.iterdir()) == before


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    output = tmp_path / "q.onnx"
    output.write_text("mine")
    refused("q.onnx exists.*--force", DIGITS / "float.onnx", output)
    assert output.read_text() == "mine"
    quantize(DIGITS / "float.onnx", DIGITS / "calibration.npz", output, force=True, progress=silent)
    assert len(output.read_bytes()) > 1000


def test_a_quantised_model_is_refused(tmp_path: Path) -> None:
    refused("is quantised already", DIGITS / "model.onnx", tmp_path / "q.onnx")


def test_no_folder(tmp_path: Path) -> None:
    refused("is not a folder", DIGITS / "float.onnx", tmp_path / "no" / "q.onnx")


def test_samples_of_another_shape(tmp_path: Path) -> None:
    data = EXAMPLES / "activity" / "calibration.npz"
    refused(r"x has the shape", DIGITS / "float.onnx", tmp_path / "q.onnx", data)


def test_missing_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    refused(r"pip install 'tinygen\[check\]'", DIGITS / "float.onnx", tmp_path / "q.onnx")


def small(path: Path, kind: int, *nodes: onnx.NodeProto) -> Path:
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", kind, (1, 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 4))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


def test_token_ids(tmp_path: Path) -> None:
    """The digits model behind an embedding of ten tokens."""
    model = onnx.load(DIGITS / "float.onnx")
    rng, feed = np.random.default_rng(0), model.graph.input[0].name
    rows = np.load(DIGITS / "calibration.npz")["x"].reshape(-1, 8)
    table = onnx.numpy_helper.from_array(rows[rng.permutation(len(rows))[:10]], "table")
    model.graph.initializer.append(table)
    model.graph.node.insert(0, helper.make_node("Gather", ["table", "ids"], [feed], "look_up"))
    del model.graph.input[:]
    model.graph.input.append(helper.make_tensor_value_info("ids", TensorProto.INT64, [1, 8]))
    onnx.save(model, tmp_path / "f.onnx")
    np.savez(tmp_path / "ids.npz", x=rng.integers(0, 10, (64, 8)))
    output = tmp_path / "q.onnx"
    quantize(tmp_path / "f.onnx", tmp_path / "ids.npz", output, progress=silent)
    graph = import_model(output)
    x, y = load_samples(tmp_path / "ids.npz", graph)
    measured = check(graph, output, x, y)
    assert measured.top1_agreement >= 0.95 and measured.mean_abs_lsb <= 0.5


def test_integers_that_are_no_ids(tmp_path: Path) -> None:
    node = helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)
    (tmp_path / "in").mkdir()
    model = small(tmp_path / "in" / "f.onnx", TensorProto.INT64, node)
    data = tmp_path / "in" / "d.npz"
    np.savez(data, x=np.arange(16).reshape(4, 4))
    refused("cannot take the result|no embedding looks up", model, tmp_path / "q.onnx", data)
    other = small(tmp_path / "in" / "g.onnx", TensorProto.UINT8, node)
    refused("not float32: .*token ids in int32 or int64", other, tmp_path / "q.onnx", data)


def test_an_operator_that_no_rule_knows(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    model = small(tmp_path / "in" / "f.onnx", 1, helper.make_node("Hardmax", ["x"], ["y"]))
    data = tmp_path / "in" / "d.npz"
    np.savez(data, x=np.arange(16, dtype=np.float32).reshape(4, 4))
    refused("cannot take the result.*was not written", model, tmp_path / "q.onnx", data)


def test_functions_spelled_out_stay_float() -> None:
    """GELU by Erf stays float as a whole; the residual after it does not."""
    c = [helper.make_tensor(n, 1, [], [v]) for n, v in (("r", 1.4), ("one", 1.0), ("h", 0.5))]
    nodes = [
        helper.make_node("Div", ["x", "r"], ["a"], name="div"),
        helper.make_node("Erf", ["a"], ["b"], name="erf"),
        helper.make_node("Add", ["b", "one"], ["c"], name="plus"),
        helper.make_node("Mul", ["x", "c"], ["d"], name="times"),
        helper.make_node("Mul", ["d", "h"], ["e"], name="half"),
        helper.make_node("MatMul", ["e", "w"], ["f"], name="product"),
        helper.make_node("Add", ["x", "f"], ["y"], name="residual"),
    ]
    c.append(helper.make_tensor("w", 1, [1, 1], [2.0]))
    graph = helper.make_graph(nodes, "g", [], [], c)
    assert stays_float(helper.make_model(graph)) == ["div", "erf", "plus", "times", "half"]


@pytest.mark.parametrize("side", [0, 1])
def test_the_mask_before_a_softmax_stays_float(side: int) -> None:
    """And what stands behind it where a row would have no key; a residual does not."""
    scored = ["scores", "m"][:: 1 - 2 * side]
    make = helper.make_node
    nodes = [
        make("MatMul", ["x", "x"], ["scores"], "product"),
        make("Add", ["x", "scores"], ["sum"], "residual"),
        make("Add", scored, ["masked"], "mask"),
        make("Reshape", ["masked", "shape"], ["laid"], "shape"),
        make("Softmax", ["laid"], ["weights"], "softmax"),
        make("IsNaN", ["weights"], ["none"], "none"),
        make("Where", ["none", "m", "weights"], ["some"], "some"),
        make("MatMul", ["some", "sum"], ["y"], "context"),
    ]
    graph = helper.make_graph(nodes, "g", [], [], [helper.make_tensor("m", 1, [1], [-1e4])])
    left = stays_float(helper.make_model(graph))
    assert set(left) == {"mask", "softmax", "none", "some", "context"}


def run(*args: str | Path) -> Any:
    command = [sys.executable, "-m", "tinygen", *map(str, args), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_on_the_command_line(tmp_path: Path) -> None:
    output = tmp_path / "q.onnx"
    data = DIGITS / "calibration.npz"
    record = run("quantize", DIGITS / "float.onnx", "--calibration", data, "-o", output)
    assert record["output"] == str(output) and record["samples"] == 128
    assert {"name", "op", "snr_db", "lost_db"} == set(record["layers"][0])
    checked = run("check", output, "--data", DIGITS / "samples.npz", "--per-layer")
    names = [layer["name"] for layer in checked["layers"]]
    assert names[0] == "embed" and names[-1] == "head" and "block0.attention" in names
    assert max(layer["mean_abs_lsb"] for layer in checked["layers"]) < 0.5


def small_gemm(opset: int, bias: tuple[int, ...], **attrs: float) -> onnx.ModelProto:
    """x [1, 6] -> Gemm with such a bias -> y [1, 3]."""
    rng = np.random.default_rng(2)
    w, c = (rng.normal(size=s).astype(np.float32) for s in ((3, 6), bias))
    tensors = [onnx.numpy_helper.from_array(a, n) for a, n in ((w, "w"), (c, "c"))]
    node = helper.make_node("Gemm", ["x", "w", "c"], ["y"], "gemm", transB=1, **attrs)
    info = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, s]) for n, s in (("x", 6), ("y", 3))
    ]
    graph = helper.make_graph([node], "g", info[:1], info[1:], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)


@pytest.mark.parametrize(
    ("opset", "bias", "beta"),
    [(9, (3,), 1.0), (11, (1, 1), 1.0), (12, (3,), -2.0), (17, (1, 3), -2.0), (17, (1,), 0.5)],
)
def test_any_opset_and_any_bias(
    opset: int,
    bias: tuple[int, ...],
    beta: float,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Below opset 13 each weight has one scale, which is said; nothing is logged."""
    source, output, data = (tmp_path / n for n in ("f.onnx", "q.onnx", "c.npz"))
    source.write_bytes(small_gemm(opset, bias, beta=beta).SerializeToString())
    x = np.random.default_rng(1).normal(size=(32, 6)).astype(np.float32)
    np.savez(data, x=x)
    result = quantize(source, data, output, progress=silent)
    assert any("no scale for each output channel" in w for w in result.warnings) == (opset < 13)
    graph = import_model(output)
    assert check(graph, source, x).mean_abs_lsb < 1.5
    assert "Traceback" not in "".join(capfd.readouterr())


def test_outputs_that_are_always_zero_are_no_noise() -> None:
    """Both models give 0: nothing to complain about, and no logarithm of it."""
    nothing = np.zeros((4, 3), np.float32)
    with np.errstate(all="raise"):
        verdict = judged(Verdict(()), np.ones(4, bool), nothing, nothing, (None, None))
    assert verdict == Verdict(())
