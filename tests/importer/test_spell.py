# SPDX-License-Identifier: Apache-2.0
"""onnxruntime's fused integer operators are spelled out; what is not theirs stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tinygen.errors import TinygenError
from tinygen.importer.spell import SPELLINGS, spell_out

PATH = Path("m.onnx")
CONSTANTS = {
    "s": np.float32([0.1]),
    "z": np.int8([0]),
    "w": np.ones((2, 2), np.int8),
    "c": np.ones(2, np.int32),
    "ws": np.float32([0.1, 0.2]),
    "wz": np.int8([0, 0]),
}
INPUTS = {
    "QGemm": ["x", "s", "z", "w", "ws", "wz", "c", "s", "z"],
    "QLinearMatMul": ["x", "s", "z", "w", "ws", "wz", "s", "z"],
    "QLinearConv": ["x", "s", "z", "w", "ws", "wz", "s", "z", "c"],
    "QLinearAdd": ["x", "s", "z", "x", "s", "z", "s", "z"],
    "QLinearMul": ["x", "s", "z", "x", "s", "z", "s", "z"],
    "QLinearSoftmax": ["x", "s", "z", "s", "z"],
    "QLinearSigmoid": ["x", "s", "z", "s", "z"],
    "QLinearLeakyRelu": ["x", "s", "z", "s", "z"],
    "QLinearReduceMean": ["x", "s", "z", "s", "z"],
    "QLinearAveragePool": ["x", "s", "z", "s", "z"],
    "QLinearGlobalAveragePool": ["x", "s", "z", "s", "z"],
    "QLinearConcat": ["s", "z", "x", "s", "z", "x", "s", "z"],
    "QuantizeLinear": ["x", "s", "z"],
    "DequantizeLinear": ["x", "s", "z"],
}


def model(kind: str, domain: str, inputs: list[str]) -> onnx.ModelProto:
    constants = [numpy_helper.from_array(v, k) for k, v in CONSTANTS.items()]
    node = helper.make_node(kind, inputs, ["y"], "n", domain=domain)
    return helper.make_model(helper.make_graph([node], "g", [], [], constants))


@pytest.mark.parametrize(("domain", "kind"), SPELLINGS)
def test_spelled_out(domain: str, kind: str) -> None:
    made = list(spell_out(model(kind, domain, INPUTS[kind]), PATH).graph.node)
    assert not {(n.domain, n.op_type) for n in made} & set(SPELLINGS)
    assert made[-1].output[0] == "y"
    if len(made) > 1:
        assert made[0].op_type == "DequantizeLinear" and made[-1].op_type == "QuantizeLinear"


def test_other_operators_stay() -> None:
    before = model("MatMul", "", ["x", "w"])
    assert spell_out(before, PATH) is before and before.graph.node[0].op_type == "MatMul"


def test_a_bias_counts_in_both_scales() -> None:
    made = spell_out(model("QGemm", "com.microsoft", INPUTS["QGemm"]), PATH)
    bias = next(n for n in made.graph.node if n.input[0] == "c")
    held = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}
    np.testing.assert_allclose(held[bias.input[1]], [0.01, 0.02], rtol=1e-6)


@pytest.mark.parametrize("inputs", [["x", "s"], ["x", "s", "z", "x", "no", "z", "s", "z"]])
def test_missing_inputs_are_one_sentence(inputs: list[str]) -> None:
    with pytest.raises(TinygenError, match=r"m.onnx: node n \(QLinearAdd\) has not the constant"):
        spell_out(model("QLinearAdd", "com.microsoft", inputs), PATH)
