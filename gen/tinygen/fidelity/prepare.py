# SPDX-License-Identifier: Apache-2.0
"""A float ONNX model made ready to be quantised: the same numbers, fewer roundings."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tinygen.fidelity.model_proto import opset_of, set_nodes

MOVES = {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Dropout"}


def scale_scores(model: onnx.ModelProto) -> list[str]:
    """Numbers that queries and keys are multiplied by go behind their product, where the softmax
    takes them: (a q)(b k) = a b (q k). PyTorch puts the root of 1 / sqrt(P) before both, and each
    product would be rounded once more. Returns the names of the new factors."""
    graph = model.graph
    made = {o: n for n in graph.node for o in n.output}
    readers: dict[str, int] = {}
    for name in (*(i for n in graph.node for i in n.input), *(o.name for o in graph.output)):
        readers[name] = readers.get(name, 0) + 1
    numbers = _numbers(graph)
    nodes: list[onnx.NodeProto] = []
    names: list[str] = []
    for node in graph.node:
        nodes.append(node)
        if node.op_type != "MatMul" or any(i not in made for i in node.input):
            continue
        factor = 1.0
        for side in list(node.input):
            factor *= _taken_off(side, made, readers, numbers)
        if factor == 1.0:
            continue
        (output,) = node.output
        raw, number = f"{output}_unscaled", f"{output}_factor"
        node.output[0] = raw
        graph.initializer.append(numpy_helper.from_array(np.asarray(factor, np.float32), number))
        names.append(f"{node.name or output}_factor")
        nodes.append(helper.make_node("Mul", [raw, number], [output], names[-1]))
    read = {i for n in nodes for i in n.input} | {o.name for o in graph.output}
    alive = (n for n in nodes if any(o in read for o in n.output))
    set_nodes(graph, alive)
    return names


def weights_on_the_right(model: onnx.ModelProto) -> None:
    """A constant matrix c in front of an activation: c x = (x^T c^T)^T, because onnxruntime takes
    the scales of weights along the axis that is summed there."""
    graph = model.graph
    stored = {t.name: t for t in graph.initializer}
    inferred = onnx.shape_inference.infer_shapes(model).graph
    ranks = {
        v.name: len(v.type.tensor_type.shape.dim)
        for v in (*inferred.value_info, *inferred.input, *inferred.output)
    }
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        left = stored.get(node.input[0]) if node.op_type == "MatMul" else None
        rank = ranks.get(node.input[1], 0) if left is not None else 0
        if left is None or len(left.dims) != 2 or rank < 2 or node.input[1] in stored:
            nodes.append(node)
            continue
        (output,) = node.output
        name = node.name or output
        perm = [*range(rank - 2), rank - 1, rank - 2]
        weight = numpy_helper.from_array(numpy_helper.to_array(left).T.copy(), f"{name}_right")
        graph.initializer.append(weight)
        before, after = f"{name}_turned", f"{output}_turned"
        nodes += [
            helper.make_node("Transpose", [node.input[1]], [before], before, perm=perm),
            helper.make_node("MatMul", [before, weight.name], [after], name),
            helper.make_node("Transpose", [after], [output], after, perm=perm),
        ]
    set_nodes(graph, nodes)


def plain_biases(model: onnx.ModelProto) -> None:
    """A Gemm's third operand that is no bias of one number a column is added behind it, and its
    factor beta goes into it: onnxruntime quantises other forms wrongly or not at all."""
    graph = model.graph
    sizes = {t.name: tuple(t.dims) for t in graph.initializer}
    nodes: list[onnx.NodeProto] = []
    old = opset_of(model) < 11
    for node in graph.node:
        nodes.append(node)
        if node.op_type != "Gemm" or len(node.input) < 3 or not node.input[2]:
            continue
        how = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        weight, c = sizes.get(node.input[1], ()), node.input[2]
        plain = len(weight) == 2 and sizes.get(c) == (weight[0 if how.get("transB") else 1],)
        if plain and how.get("beta", 1) == 1:
            continue
        (output,) = node.output
        name = node.name or output
        if "beta" in how:
            node.attribute.remove(next(a for a in node.attribute if a.name == "beta"))
            c = _times(graph, nodes, c, how["beta"], name)
        if plain:
            node.input[2] = c
            continue
        del node.input[2:]
        if old and len(weight) == 2:  # a bias is not optional there
            zeros = np.zeros(weight[0 if how.get("transB") else 1], np.float32)
            graph.initializer.append(numpy_helper.from_array(zeros, f"{name}_none"))
            node.input.append(f"{name}_none")
        node.output[0] = f"{output}_product"
        nodes.append(helper.make_node("Add", [node.output[0], c], [output], f"{name}_bias"))
    set_nodes(graph, nodes)


def _times(
    graph: onnx.GraphProto, nodes: list[onnx.NodeProto], c: str, factor: float, name: str
) -> str:
    """A third operand times beta: a constant at once, else by a Mul before the last node."""
    stored = next((t for t in graph.initializer if t.name == c), None)
    made = f"{name}_beta"
    if stored is not None:
        data = numpy_helper.to_array(stored) * np.float32(factor)
        graph.initializer.append(numpy_helper.from_array(np.asarray(data, np.float32), made))
        return made
    beta = numpy_helper.from_array(np.asarray(factor, np.float32), f"{made}_factor")
    graph.initializer.append(beta)
    nodes.insert(-1, helper.make_node("Mul", [c, beta.name], [made], made))
    return made


def _numbers(graph: onnx.GraphProto) -> dict[str, float]:
    """Constants of one element."""
    stored = {t.name: t for t in graph.initializer}
    stored |= {
        n.output[0]: a.t
        for n in graph.node
        if n.op_type == "Constant"
        for a in n.attribute
        if a.name == "value"
    }
    arrays = ((k, numpy_helper.to_array(t)) for k, t in stored.items() if np.prod(t.dims) == 1)
    return {k: float(a.reshape(-1)[0]) for k, a in arrays if a.dtype.kind == "f"}


def _taken_off(
    name: str, made: dict[str, onnx.NodeProto], readers: dict[str, int], numbers: dict[str, float]
) -> float:
    """The factor in front of a value, movement between; the value loses it."""
    while (node := made.get(name)) is not None and readers[name] == 1:
        if node.op_type in MOVES:
            name = node.input[0]
            continue
        if node.op_type not in ("Mul", "Div"):
            break
        sides = [i for i in (0, 1) if node.input[i] in numbers]
        if len(sides) != 1 or (node.op_type == "Div" and sides == [0]):
            break
        number = numbers[node.input[sides[0]]]
        if number <= 0 or not np.isfinite(number):
            break
        factor = number if node.op_type == "Mul" else 1 / number
        source, (result,) = node.input[1 - sides[0]], node.output
        for reader in {id(n): n for n in made.values()}.values():
            for i, taken in enumerate(reader.input):
                if taken == result:
                    reader.input[i] = source
        return factor
    return 1.0
