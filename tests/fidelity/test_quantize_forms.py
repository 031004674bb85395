# SPDX-License-Identifier: Apache-2.0
"""Forms that `tinygen quantize` must leave as the importer takes them: small networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tinygen.fidelity import check
from tinygen.fidelity.quantize import quantize
from tinygen.fidelity.samples import load_samples
from tinygen.graph import Graph
from tinygen.passes import import_model


def taken(folder: Path, *nodes: onnx.NodeProto, output: tuple[int, ...] = (1, 3)) -> Graph:
    """x [1, 6, 5] through these nodes to y, quantised, imported and compared."""
    rng = np.random.default_rng(0)
    arrays = {
        "mean": rng.normal(0, 3, 5),
        "deviation": rng.uniform(0.1, 4, 5),
        "table": rng.normal(size=(6, 5)),
        "first": rng.normal(size=(5, 8)),
        "left": rng.normal(size=(6, 6)),
        "head": rng.normal(size=(8, 3)),
        "number": np.array(2.5),
    }
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", 1, (1, 6, 5))],
        [helper.make_tensor_value_info("y", 1, output)],
        [numpy_helper.from_array(a.astype(np.float32), n) for n, a in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    source, data, made = (folder / n for n in ("f.onnx", "d.npz", "q.onnx"))
    onnx.save(model, source)
    np.savez(data, x=(arrays["mean"] + rng.normal(size=(64, 6, 5)) * arrays["deviation"]))
    quantize(source, data, made, progress=lambda *_: None)
    found = import_model(made)
    x, _ = load_samples(data, found)
    compared = check(found, made, x, None)
    assert compared.mean_abs_lsb < 0.7 and compared.top1_agreement > 0.9
    return found


def product(x: str, weight: str, y: str) -> onnx.NodeProto:
    return helper.make_node("MatMul", [x, weight], [y], f"to_{y}")


def pooled(x: str) -> list[onnx.NodeProto]:
    pool = helper.make_node("ReduceMean", [x], ["pooled"], "pool", axes=[1], keepdims=0)
    return [pool, product("pooled", "head", "y")]


def test_features_of_their_own_ranges_are_normalised_in_float(tmp_path: Path) -> None:
    centred = helper.make_node("Sub", ["x", "mean"], ["centred"], "sub")
    unit = helper.make_node("Div", ["centred", "deviation"], ["unit"], "div")
    graph = taken(tmp_path, centred, unit, product("unit", "first", "rows"), *pooled("rows"))
    normalisation = graph.inputs[0].normalisation
    assert normalisation is not None and normalisation.factor.size in (5, 30)


def test_a_table_of_factors_between_two_products(tmp_path: Path) -> None:
    """As rotary positions have it."""
    add = helper.make_node("Add", ["x", "table"], ["a"], "add")
    mul = helper.make_node("Mul", ["a", "table"], ["b"], "mul")
    taken(tmp_path, add, mul, product("b", "first", "rows"), *pooled("rows"))


def test_a_constant_matrix_in_front_of_an_activation(tmp_path: Path) -> None:
    mixed = helper.make_node("MatMul", ["left", "rows"], ["mixed"], "mix")
    taken(tmp_path, product("x", "first", "rows"), mixed, *pooled("mixed"))


@pytest.mark.parametrize("kind", ["Tanh", "Div", "Sigmoid"])
def test_a_function_as_the_last_step(tmp_path: Path, kind: str) -> None:
    *body, head = [product("x", "first", "rows"), *pooled("rows")]
    head.output[0] = "logits"
    inputs = ["logits", "number"] if kind == "Div" else ["logits"]
    taken(tmp_path, *body, head, helper.make_node(kind, inputs, ["y"], "last"))


def test_a_last_softmax_of_integers(tmp_path: Path) -> None:
    """In the QOperator format its logits are no tensor of the file."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    rng = np.random.default_rng(1)
    x = rng.normal(size=(32, 6, 5)).astype(np.float32)

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter(x)

        def get_next(self) -> dict[str, object] | None:
            return next(({"x": s[None]} for s in self.left), None)

    arrays = {"first": rng.normal(size=(5, 8)), "head": rng.normal(size=(8, 3))}
    nodes = [
        product("x", "first", "rows"),
        helper.make_node("Softmax", ["rows"], ["inner"], "inner", axis=-1),
        helper.make_node("ReduceMean", ["inner"], ["pooled"], "pool", axes=[1], keepdims=0),
        product("pooled", "head", "logits"),
        helper.make_node("Softmax", ["logits"], ["y"], "last", axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, (1, 6, 5))],
        [helper.make_tensor_value_info("y", 1, (1, 3))],
        [numpy_helper.from_array(a.astype(np.float32), n) for n, a in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    source, made = tmp_path / "f.onnx", tmp_path / "q.onnx"
    onnx.save(model, source)
    quantize_static(str(source), str(made), Reader(), quant_format=QuantFormat.QOperator)
    assert "QLinearSoftmax" in {n.op_type for n in onnx.load(made).graph.node}
    found = import_model(made, samples=x)
    assert any("the last Softmax" in n and "_real_" not in n for n in found.notes)
    compared = check(found, made, x, None)
    assert compared.mean_abs_lsb < 0.7 and compared.top1_agreement > 0.9
