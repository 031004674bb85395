# SPDX-License-Identifier: Apache-2.0
"""Each end by itself: an output that others read, the softmax of one of them, integers at one end,
names that C has no place for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from multi.models import FEATURES, Net, float_model, quantised
from tinygen import fidelity, runner
from tinygen.boards import load_board
from tinygen.emitter import cfile, emit
from tinygen.graph import Graph
from tinygen.passes import import_model
from tinygen.planner import make_plan
from tinygen.project import Request, new_project

IDS = Path(__file__).parents[1] / "corpus/models/dynamo20-qdq-ids.onnx"


def small(**outputs: int) -> Net:
    """features -> hidden, an output or not, -> the outputs."""
    net = Net(3)
    net.dense("hidden", "features", FEATURES, 8)
    for name, size in outputs.items():
        net.dense(name, "hidden", 8, size)
    return net


def taken(folder: Path, model: onnx.ModelProto, key: str = "features") -> tuple[Graph, Path]:
    """Quantised, imported, compared with onnxruntime, run on the host."""
    source, data, made = folder / "f.onnx", folder / "d.npz", folder / "q.onnx"
    onnx.save(model, source)
    np.savez(data, **{key: np.random.default_rng(0).normal(size=(32, FEATURES))})
    fidelity.quantize(source, data, made, force=True, progress=lambda *_: None)
    graph = import_model(made)
    x, _ = fidelity.load_samples(data, graph)
    result = fidelity.check(graph, made, x)
    assert result.mean_abs_lsb < 0.5 and result.max_abs_lsb <= 2, result
    new_project(Request(load_board("host"), made, data, folder / "p", self_test=16))
    assert runner.run(folder / "p", load_board("host"), "host").passed
    return graph, made


FEATURE = {"features": (1, FEATURES)}


def test_an_output_that_other_layers_read(tmp_path: Path) -> None:
    net = small(a=3, b=2)
    graph, _ = taken(tmp_path, net.model(FEATURE, {"hidden": 8, "a": 3, "b": 2}))
    assert [graph.values[o.value].shape[-1] for o in graph.outputs] == [8, 3, 2]
    assert len(graph.consumers(graph.outputs[0].value)) == 2


def test_the_softmax_of_one_output_is_left_out_and_its_logits_are_another(tmp_path: Path) -> None:
    """So that two outputs are one value."""
    net = small(a=3, b=2)
    net.op("Softmax", "likely", "a", axis=-1)
    graph, _ = taken(tmp_path, net.model(FEATURE, {"a": 3, "likely": 3, "b": 2}))
    first, likely, other = graph.outputs
    assert first.value == likely.value != other.value
    assert (first.logits, other.logits) == ("", "") and likely.logits
    assert sum("Softmax" in note for note in graph.notes) == 1


def test_a_threshold_for_each_output(tmp_path: Path) -> None:
    net = small(a=1, b=1)
    net.op("Sigmoid", "sure", "a")
    graph, _ = taken(tmp_path, net.model(FEATURE, {"sure": 1, "b": 1}))
    assert [o.threshold for o in graph.outputs] == [0.5, 0.0]


@pytest.mark.parametrize("names", [("output", "input"), ("int", "class-1"), ("a.b", "a_b")])
def test_names_that_c_has_no_place_for(names: tuple[str, str], tmp_path: Path) -> None:
    net = small(**dict.fromkeys(names, 3))
    taken(tmp_path, net.model(FEATURE, dict.fromkeys(names, 3)))


def test_the_only_input_of_several_outputs_may_be_called_input(tmp_path: Path) -> None:
    net = Net(3)
    net.dense("a", "input", FEATURES, 3)
    net.dense("b", "input", FEATURES, 2)
    taken(tmp_path, net.model({"input": (1, FEATURES)}, {"a": 3, "b": 2}), "input")


def test_one_input_in_integers_and_one_in_real_numbers(tmp_path: Path) -> None:
    """The rounding of the features is taken off the file, and their tensor is its input."""
    made, data = quantised(tmp_path, float_model())
    model = onnx.load(str(made))
    graph = model.graph
    first = next(n for n in graph.node if n.input[0] == "features")
    assert first.op_type == "QuantizeLinear"
    integers = first.output[0]
    graph.node.remove(first)
    kept = [i for i in graph.input if i.name != "features"]
    del graph.input[:]
    entry = helper.make_tensor_value_info(integers, TensorProto.INT8, [1, FEATURES])
    graph.input.extend([*kept, entry])
    onnx.save(model, made)
    with np.load(data) as arrays:
        x = np.rint(arrays["features"] * 10).clip(-128, 127)
        np.savez(data, signal=arrays["signal"], **{integers: x})
    found = import_model(made)
    assert [i.integers for i in found.inputs] == ["", "int8"]
    rows, _ = fidelity.load_samples(data, found)
    assert fidelity.check(found, made, rows).max_abs_lsb <= 2


@pytest.mark.parametrize("board", ["mps2_an386", "gap9_evk"])
def test_the_header_says_how_token_ids_are_stored(board: str) -> None:
    graph = import_model(IDS)
    plan = make_plan(graph, load_board(board))
    header = emit(plan, None)[cfile.header(plan.model)]
    assert "token ids, each stored as (int8_t)(id - 128)" in header
