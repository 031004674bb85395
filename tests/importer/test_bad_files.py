# SPDX-License-Identifier: Apache-2.0
"""Files that cannot be imported: one sentence that names file, node and remedy; no traceback."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tinygen.errors import TinygenError
from tinygen.importer import read
from tinygen.passes import import_model
from tinygen.reference import quantise, run

FOLDER = Path(__file__).parent / "fixtures"
GOOD = FOLDER / "dynamo20.onnx"


def refused(path: Path, *parts: str) -> str:
    with pytest.raises(TinygenError) as caught:
        import_model(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    for part in parts:
        assert part in message, message
    return message


def changed(tmp_path: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    model = onnx.load(GOOD)
    change(model)
    path = tmp_path / "changed.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def small(tmp_path: Path, *nodes: onnx.NodeProto, shape: tuple[object, ...] = (1, 4)) -> Path:
    """A model of a few nodes from x to y, with constants s (0.1), z (int8 0)."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 4))],
        [
            numpy_helper.from_array(np.float32(0.1), "s"),
            numpy_helper.from_array(np.int8(0), "z"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path = tmp_path / "small.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def rounding(source: str, target: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("QuantizeLinear", [source, "s", "z"], [f"{target}_q"], name=f"q_{target}"),
        helper.make_node("DequantizeLinear", [f"{target}_q", "s", "z"], [target], name="dq"),
    ]


def test_missing(tmp_path: Path) -> None:
    refused(tmp_path / "none.onnx", "cannot be read (no such file or directory)")


def test_folder(tmp_path: Path) -> None:
    refused(tmp_path, "is a folder")


def test_empty(tmp_path: Path) -> None:
    (tmp_path / "e.onnx").write_bytes(b"")
    refused(tmp_path / "e.onnx", "holds no ONNX graph")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_truncated(tmp_path: Path, part: float) -> None:
    content = GOOD.read_bytes()
    path = tmp_path / "t.onnx"
    path.write_bytes(content[: int(len(content) * part)])
    refused(path)


def test_not_onnx(tmp_path: Path) -> None:
    path = tmp_path / "n.onnx"
    path.write_text("this is not a model\n" * 50)
    refused(path, "is not an ONNX file")


def test_too_large_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "MAX_BYTES", 100)
    refused(GOOD, "microcontroller size")


def test_float_only(tmp_path: Path) -> None:
    path = small(tmp_path, helper.make_node("Relu", ["x"], ["y"]))
    refused(path, "float model without quantisation", "tinygen quantize")


def test_dynamically_quantised(tmp_path: Path) -> None:
    node = helper.make_node("DynamicQuantizeLinear", ["x"], ["a", "b", "c"])
    path = small(tmp_path, node, helper.make_node("Cast", ["a"], ["y"], to=1))
    refused(path, "quantised dynamically", "static quantisation")


def test_unsupported_operator(tmp_path: Path) -> None:
    node = helper.make_node("TopK", ["a", "k"], ["y", "i"], name="best")
    constant = helper.make_node("Constant", [], ["k"], value_ints=[2])
    path = small(tmp_path, *rounding("x", "a"), constant, node)
    refused(path, "node best", "unsupported operator TopK")


def test_operator_of_another_domain(tmp_path: Path) -> None:
    node = helper.make_node("FancyNorm", ["a"], ["y"], name="fancy", domain="com.acme")
    path = small(tmp_path, *rounding("x", "a"), node)
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid("com.acme", 1))
    path.write_bytes(model.SerializeToString())
    refused(path, "node fancy", "unsupported operator com.acme.FancyNorm")


def test_an_operator_of_one_processor(tmp_path: Path) -> None:
    """What onnxruntime's highest level of optimisation writes."""
    domain = "com.microsoft.nchwc"
    path = small(
        tmp_path, *rounding("x", "a"), helper.make_node("Conv", ["a"], ["y"], "c", domain=domain)
    )
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid(domain, 1))
    path.write_bytes(model.SerializeToString())
    refused(path, f"unsupported operator {domain}.Conv", "level extended or lower")


def drop_rounding(kind: str) -> Callable[[onnx.ModelProto], None]:
    """Take away every Q/DQ pair that uses the scale of the first node of a kind (or the input)."""

    def change(model: onnx.ModelProto) -> None:
        nodes = list(model.graph.node)
        made = "input" if kind == "input" else ""
        made = made or next(n.output[0] for n in nodes if n.op_type == kind)
        reached = {made}
        for n in nodes:  # the rounding may stand behind movement
            if n.op_type in ("Reshape", "Transpose") and n.input[0] in reached:
                reached.add(n.output[0])
        first = next(n for n in nodes if n.op_type == "QuantizeLinear" and n.input[0] in reached)
        pairs = [n for n in nodes if n.input[1:2] == first.input[1:2]]
        origin = {q.output[0]: q.input[0] for q in pairs if q.op_type == "QuantizeLinear"}
        instead = {d.output[0]: origin[d.input[0]] for d in pairs if d.input[0] in origin}
        for n in pairs:
            model.graph.node.remove(n)
        for n in model.graph.node:
            for i, name in enumerate(n.input):
                n.input[i] = instead.get(name, name)

    return change


@pytest.mark.parametrize(
    ("kind", "node"),
    [
        ("LayerNormalization", "node_layer_norm"),
        ("Add", "node_add"),
        ("MatMul", "node_matmul"),
    ],
)
def test_a_missing_scale_is_chosen_and_said(tmp_path: Path, kind: str, node: str) -> None:
    """As PT2E leaves some: the model imports, with a note; samples make a better choice."""
    path = changed(tmp_path, drop_rounding(kind))
    data = np.load(GOOD.with_suffix(".npz"))
    graph = import_model(path)
    notes = " ".join(graph.notes)
    assert f"{node} has no scale" in notes and "random inputs (give real ones" in notes
    graph = import_model(path, samples=data["x"])
    assert f"{node} has no scale in the model; chosen from {len(data['x'])} samples" in " ".join(
        graph.notes
    )
    ours = np.stack([run(graph, quantise(graph, x)).reshape(-1) for x in data["x"]])
    assert (ours.argmax(axis=1) == data["logits"].argmax(axis=1)).mean() >= 0.9


def test_softmax_at_the_end(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        graph = model.graph
        graph.node.append(helper.make_node("Softmax", [graph.output[0].name], ["p"], "probs"))
        graph.output[0].name = "p"

    data = np.load(GOOD.with_suffix(".npz"))
    graph = import_model(changed(tmp_path, change), samples=data["x"])
    assert "the last Softmax (probs) is left out" in " ".join(graph.notes)
    plain = import_model(GOOD, samples=data["x"])
    for x in data["x"][:8]:
        same = run(graph, quantise(graph, x)).reshape(-1)
        np.testing.assert_array_equal(same, run(plain, quantise(plain, x)).reshape(-1))


def test_input_without_a_scale(tmp_path: Path) -> None:
    refused(changed(tmp_path, drop_rounding("input")), "the input input has no scale")


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_nonsense_scale(tmp_path: Path, bad: float) -> None:
    def change(model: onnx.ModelProto) -> None:
        for t in model.graph.initializer:
            if t.name == "layer_norm_scale":
                t.CopyFrom(numpy_helper.from_array(np.float32(bad), t.name))

    refused(changed(tmp_path, change), "layer_norm", "calibrate")


def set_dim(axis: int, value: int | str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        dim = model.graph.input[0].type.tensor_type.shape.dim[axis]
        if isinstance(value, str):
            dim.dim_param = value
        else:
            dim.dim_value = value

    return change


def test_dynamic_token_axis(tmp_path: Path) -> None:
    refused(changed(tmp_path, set_dim(1, "tokens")), "axis 1 (tokens)", "is dynamic")


def test_fixed_batch(tmp_path: Path) -> None:
    refused(changed(tmp_path, set_dim(0, 8)), "has batch 8", "export with batch 1")


def test_giant_axis(tmp_path: Path) -> None:
    refused(changed(tmp_path, set_dim(1, 1 << 40)), "too large for firmware")


def test_wrong_axis(tmp_path: Path) -> None:
    refused(changed(tmp_path, set_dim(2, 5)), "do not fit")


def test_an_input_that_no_output_depends_on(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [1, 6]))

    refused(changed(tmp_path, change), "no output depends on the input mask")


def test_giant_constant(tmp_path: Path) -> None:
    shape = helper.make_node("Constant", [], ["n"], value_ints=[1 << 20, 1 << 20])
    fill = helper.make_node("ConstantOfShape", ["n"], ["c"], name="fill")
    path = small(tmp_path, *rounding("x", "a"), shape, fill, helper.make_node("Add", "ac", "y"))
    refused(path, "node fill", "too large for firmware")


def test_no_transformer_is_taken_with_a_note(tmp_path: Path) -> None:
    nodes = [*rounding("x", "a"), helper.make_node("Relu", ["a"], ["b"]), *rounding("b", "y")]
    nodes[-1].name = "dq_y"
    graph = import_model(small(tmp_path, *nodes))
    assert any("no attention" in note for note in graph.notes)


def test_control_flow(tmp_path: Path) -> None:
    empty = helper.make_graph([], "b", [], [helper.make_tensor_value_info("a", 1, [1, 4])])
    branch = helper.make_node("If", ["c"], ["y"], name="choice", then_branch=empty)
    branch.attribute.append(helper.make_attribute("else_branch", empty))
    path = small(
        tmp_path, *rounding("x", "a"), helper.make_node("Cast", ["a"], ["c"], to=9), branch
    )
    refused(path)


def test_flipped_bits_never_escape(tmp_path: Path) -> None:
    """A clean error or an import, for 150 damaged files."""
    rng = random.Random(3)
    content = GOOD.read_bytes()
    path = tmp_path / "f.onnx"
    for _ in range(150):
        damaged = bytearray(content)
        for _ in range(rng.choice((1, 4, 16))):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(damaged))
        try:
            import_model(path)
        except TinygenError as error:
            assert "\n" not in str(error)


def test_edited_attributes_never_escape(tmp_path: Path) -> None:
    """The same for files that parse but lie: attributes, shapes and names edited."""
    rng = random.Random(4)
    for _ in range(150):
        model = onnx.load(rng.choice([GOOD, FOLDER / "legacy17_layer.onnx"]))
        node = rng.choice(model.graph.node)
        what = rng.randrange(4)
        if what == 0 and node.attribute:
            attribute = rng.choice(node.attribute)
            if attribute.ints:
                attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice((-9, 0, 7, 1 << 40))
            else:
                attribute.i = rng.choice((-5, 0, 3, 1 << 40))
        elif what == 1 and node.input:
            node.input[rng.randrange(len(node.input))] = rng.choice(model.graph.node).output[0]
        elif what == 2:
            tensor = rng.choice(model.graph.initializer)
            if tensor.dims:
                tensor.dims[0] = rng.choice((0, 1, 1 << 40))
        else:
            node.op_type = rng.choice(("Relu", "MatMul", "Reshape", "Concat", "Softmax", "Conv"))
        path = tmp_path / "e.onnx"
        path.write_bytes(model.SerializeToString())
        try:
            import_model(path)
        except TinygenError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("bad", [1e-42, 3e38])
def test_a_scale_that_float32_cannot_work_with(tmp_path: Path, bad: float) -> None:
    def change(model: onnx.ModelProto) -> None:
        for t in model.graph.initializer:
            if t.name == "layer_norm_scale":
                t.CopyFrom(numpy_helper.from_array(np.float32(bad), t.name))

    refused(changed(tmp_path, change), "layer_norm_scale", "1e-30 to 1e+30")


def test_a_name_that_cannot_be_printed(tmp_path: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node[3].name = "two\nlines"

    refused(changed(tmp_path, change), "a name is not text")


def test_further_outputs_are_named(tmp_path: Path) -> None:
    """Not their shapes, which could not be found."""
    flat = helper.make_node("Unsqueeze", ["a", "o"], ["b"])
    axes = helper.make_node("Constant", [], ["o"], value_ints=[0, 1])
    node = helper.make_node("Attention", ["b", "b", "b"], ["c", "d", "e"], "look")
    last = helper.make_node("Reshape", ["d", "n"], ["y"])
    to = helper.make_node("Constant", [], ["n"], value_ints=[1, 4])
    path = small(tmp_path, *rounding("x", "a"), axes, flat, to, node, last)
    model = onnx.load(path)
    model.opset_import[0].version = 23
    path.write_bytes(model.SerializeToString())
    refused(path, "node look", "has the cache or the scores as a second output, d")


def test_an_axis_that_the_input_lacks(tmp_path: Path) -> None:
    """Softmax before opset 13 is along axis 1 where nothing is said."""
    soft = helper.make_node("Softmax", ["a"], ["b"], "soft")
    path = small(tmp_path, *rounding("x", "a"), soft, *rounding("b", "y"), shape=(4,))
    model = onnx.load(path)
    model.opset_import[0].version = 12
    del model.graph.output[0].type.tensor_type.shape.dim[0]
    path.write_bytes(model.SerializeToString())
    refused(path, "node soft (Softmax) has axis 1", "1 dimension", "opset 13")
