# SPDX-License-Identifier: Apache-2.0
"""What cannot be an input, an output or a file of samples, each in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from multi.models import OUTPUTS, SAMPLES, labels, quantised, samples
from tinygen import fidelity
from tinygen.errors import TinygenError
from tinygen.passes import import_model

Change = Callable[[onnx.GraphProto], None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quantised(tmp_path_factory.mktemp("refused"))[0]


def sentence(path: Path, *outputs: str) -> str:
    with pytest.raises(TinygenError) as caught:
        import_model(path, outputs=outputs)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    return message


def changed(made: Path, folder: Path, change: Change) -> Path:
    model = onnx.load(str(made))
    change(model.graph)
    onnx.save(model, folder / "changed.onnx")
    return folder / "changed.onnx"


def output(graph: onnx.GraphProto, name: str, shape: list[int]) -> None:
    graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))


def test_an_unknown_output(made: Path) -> None:
    said = sentence(made, "colour")
    assert said.endswith(f"has no output colour: choose from {', '.join(OUTPUTS)}")


def test_an_input_that_nothing_needs(made: Path, tmp_path: Path) -> None:
    def change(graph: onnx.GraphProto) -> None:
        entry = helper.make_tensor_value_info("wind", TensorProto.FLOAT, [1, 3])
        graph.input.append(entry)

    said = sentence(changed(made, tmp_path, change))
    assert "no output depends on the input wind" in said


def test_an_input_that_only_a_dead_node_reads(made: Path, tmp_path: Path) -> None:
    def change(graph: onnx.GraphProto) -> None:
        graph.input.append(helper.make_tensor_value_info("wind", TensorProto.FLOAT, [1, 3]))
        graph.node.append(helper.make_node("Neg", ["wind"], ["away"], "dead"))

    path = changed(made, tmp_path, change)
    assert "no output depends on the input wind" in sentence(path)
    assert len(import_model(path, outputs=["mood"]).inputs) == 2  # which needs it no more


def test_an_output_that_is_an_input(made: Path, tmp_path: Path) -> None:
    path = changed(made, tmp_path, lambda g: output(g, "features", [1, 5]))
    assert "the output features is an input" in sentence(path)


def test_an_output_that_is_a_constant(made: Path, tmp_path: Path) -> None:
    def change(graph: onnx.GraphProto) -> None:
        graph.initializer.append(numpy_helper.from_array(np.ones((1, 2), np.float32), "two"))
        graph.node.append(helper.make_node("Neg", ["two"], ["same"], "fixed"))
        output(graph, "same", [1, 2])

    path = changed(made, tmp_path, change)
    assert "the output same is a constant" in sentence(path)
    assert import_model(path, outputs=["mood"]).outputs[0].name == "mood"


def loaded(path: Path, made: Path, *outputs: str, **arrays: NDArray[np.generic]) -> str:
    np.savez(path, **arrays)  # type: ignore[arg-type]
    with pytest.raises(TinygenError) as caught:
        fidelity.load_samples(path, import_model(made, outputs=outputs))
    return str(caught.value)


def test_files_of_samples(made: Path, tmp_path: Path) -> None:
    path, x, y = tmp_path / "d.npz", samples(), labels()
    assert "no array features, which is an input" in loaded(path, made, signal=x["signal"])
    assert "the array weather is no input" in loaded(path, made, **x, weather=x["features"])
    assert "the array y_wind is no input" in loaded(path, made, **x, y_wind=y["y_mood"])
    said = loaded(path, made, signal=x["signal"], features=x["features"][:, :3])
    assert "features has the shape [48, 3]" in said
    said = loaded(path, made, signal=x["signal"], features=x["features"][:9])
    assert "different numbers of samples (signal 48, features 9)" in said
    said = loaded(path, made, **x, y_mood=y["y_mood"][:9])
    assert "y_mood must hold one integer label for each of the 48 rows" in said
    said = loaded(path, made, **x, y_mood=y["y_mood"] + 1)
    assert "from 1 to 3 but the output mood has 3 outputs" in said


def test_labels_are_those_of_their_output(made: Path, tmp_path: Path) -> None:
    """y is the file's first output's, so that another output alone has none of it."""
    path, y = tmp_path / "d.npz", labels()["y_gesture"]
    np.savez(path, **samples(), y=y)
    _, found = fidelity.load_samples(path, import_model(made))
    assert found is not None and found.shape == (SAMPLES, 3)
    assert np.array_equal(found[:, 0], y) and (found[:, 1:] == -1).all()
    assert fidelity.load_samples(path, import_model(made, outputs=["mood"]))[1] is None
    np.savez(path, **samples(), y_mood=labels()["y_mood"])
    _, found = fidelity.load_samples(path, import_model(made, outputs=["mood"]))
    assert np.array_equal(found, labels()["y_mood"])
