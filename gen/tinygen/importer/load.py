# SPDX-License-Identifier: Apache-2.0
"""Walk the ONNX nodes once: know every shape, fold every constant, keep the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from tinygen.errors import TinygenError
from tinygen.graph import Float, Graph, Input, Node, Output, Quant, Value, verify
from tinygen.importer.attributes import Inputs, extra, refusal
from tinygen.importer.choice import names_of, real_inputs, refuse_input_as_output, with_outputs
from tinygen.importer.contrib import expand, is_contrib
from tinygen.importer.ends import IDS, fix_shape, rounded_input, with_real_ends
from tinygen.importer.fold import fold, foldable
from tinygen.importer.infer import infer
from tinygen.importer.last import without_last_softmax
from tinygen.importer.read import NOT_QUANTISED, read_model
from tinygen.importer.spell import spell_out
from tinygen.importer.upgrade import upgraded, version_of
from tinygen.names import model_name

QUANTISED_KINDS = {
    "QuantizeLinear",
    "DequantizeLinear",
    "QGemm",
    "QLinearMatMul",
    "QLinearConv",
    "QLinearAdd",
    "RequantShift",
}
IDS_GRID = Quant(1.0, -128)
"""Token ids are integers 0 to 255 of scale 1, which int8 holds less 128."""
DYNAMIC_KINDS = {"DynamicQuantizeLinear", "MatMulInteger", "DynamicQuantizeMatMul", "ConvInteger"}


def load(
    path: Path,
    *,
    name: str | None = None,
    quantised: bool = True,
    outputs: Sequence[str] = (),
) -> Graph:
    """Read an ONNX file into a Graph of `Float` nodes; the batch axis, 1, is still there.

    ``name``: the model's name, by default made from the file's.  ``quantised``: refuse a model
    without quantisation.  ``outputs``: those that are wanted, without any all of the file's.
    Raises `TinygenError`.
    """
    model, model_hash = read_model(path)
    file = names_of(model)
    model = with_outputs(model, outputs, path)
    kinds = {n.op_type for n in model.graph.node}
    if kinds & DYNAMIC_KINDS:
        raise TinygenError(
            f"{path} is quantised dynamically (node type {min(kinds & DYNAMIC_KINDS)}): "
            "use static quantisation (`tinygen quantize`)"
        )
    if quantised and not kinds & QUANTISED_KINDS and not kinds >= {"Floor", "Clip"}:
        raise TinygenError(f"{path} {NOT_QUANTISED}")
    walk = _Walk(spell_out(model, path), path)
    walk.run()
    graph = Graph(
        name=model_name(name or _title(path)),
        values=walk.values,
        nodes=tuple(walk.nodes),
        inputs=tuple(Input(i, i) for i in walk.inputs),
        outputs=tuple(Output(o, o) for o in walk.outputs),
        model_hash=model_hash,
        file=file,
    )
    types = {n: walk.types[n].tensor_type.elem_type for n in (*walk.inputs, *walk.outputs)}
    for entry in walk.inputs:
        if types[entry] in IDS:
            if not _looked_up(graph, entry):
                raise TinygenError(
                    f"{path}: input {entry} holds integers that no embedding looks up: tinygen "
                    "takes float inputs, and token ids"
                )
            graph = rounded_input(graph, entry, IDS_GRID, "ids")
    try:
        graph = with_real_ends(graph, types)
    except TinygenError as error:
        raise TinygenError(f"{path}: {error}") from error
    return verify(without_last_softmax(graph))


def without_contrib(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """The model with onnxruntime's fused float operators spelled out; its batch must be fixed."""
    if not any(is_contrib(n) for n in model.graph.node):
        return model
    walk = _Walk(model, path)
    walk.run()
    nodes = []
    for node in model.graph.node:
        spelled = walk.spelled.get(node.output[0]) if is_contrib(node) else None
        nodes += spelled or [onnx.NodeProto.FromString(node.SerializeToString())]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _looked_up(graph: Graph, name: str) -> bool:
    """Whether all readers take the value, in whatever shape, as indices of a Gather."""
    readers = graph.consumers(name)
    return bool(readers) and all(
        node.inputs[1] == name
        if isinstance(node.op, Float) and node.op.kind == "Gather"
        else isinstance(node.op, Float)
        and node.op.kind in ("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten")
        and _looked_up(graph, node.output)
        for node in readers
    )


def _title(path: Path) -> str:
    """The file's name, or its folder's where the file is just called model.onnx."""
    folder = path.resolve().parent.name
    return folder if path.stem == "model" and folder else path.stem


class _Walk:
    """State of one import: values known so far, nodes kept."""

    def __init__(self, model: onnx.ModelProto, path: Path) -> None:
        self.model = model
        self.opsets = list(model.opset_import)
        self.path = path
        self.read = {i for n in model.graph.node for i in n.input}
        self.read |= {o.name for o in model.graph.output}
        self.values: dict[str, Value] = {}
        self.nodes: list[Node] = []
        self.types: dict[str, onnx.TypeProto] = {}
        self.spelled: dict[str, list[onnx.NodeProto]] = {}
        """First output of a contrib operator -> what stands for it."""
        self.inputs = self._fix_inputs()
        self.live = set(self.inputs)
        self.outputs = [str(o.name) for o in model.graph.output]
        for tensor in model.graph.initializer:
            self._add_constant(tensor.name, self._array(tensor))

    def run(self) -> None:
        """Every node in file order, which the checker has found topological."""
        used: set[str] = set()
        for position, node in enumerate(self.model.graph.node):
            label = node.name or f"{node.op_type}_{position}"
            while label in used:
                label += "_"
            used.add(label)
            for part in self._expanded(node, label):
                self._upgraded(part, label)
        for name in self.outputs:
            if name not in self.values:
                raise TinygenError(f"{self.path}: nothing makes the output {name}: export again")
            refuse_input_as_output(name, self.inputs, self.path)

    def _expanded(self, node: onnx.NodeProto, label: str) -> Iterator[onnx.NodeProto]:
        """A fused float operator as standard ones, one after the other."""
        if not is_contrib(node):
            yield node
            return
        shapes = [self.values[i].shape if i else () for i in node.input]
        try:
            made = expand(node, label, shapes, self._opset().get("", 0))
        except TinygenError as error:
            raise TinygenError(f"{self.path}: {error}") from error
        self.spelled[node.output[0]] = made
        self.read.update(i for part in made for i in part.input)
        yield from made

    def _upgraded(self, node: onnx.NodeProto, label: str) -> None:
        """The node as the newest opset has it; what is added for that gets numbered names."""
        shapes = [self.values[i].shape if i else () for i in node.input]
        try:
            kinds = [self.types[i].tensor_type.elem_type if i else 0 for i in node.input]
            made = upgraded(node, self._opset().get("", 0), shapes, kinds)
        except TinygenError as error:
            raise TinygenError(f"{self.path}: node {label} ({node.op_type}) {error}") from error
        self.read.update(i for part in made for i in part.input)
        main = max((i for i, m in enumerate(made) if m.op_type == node.op_type), default=-1)
        for count, part in enumerate(made):
            self._node(part, label if count == main % len(made) else f"{label}~{count}")

    def _node(self, node: onnx.NodeProto, label: str) -> None:
        attrs = self._attributes(node, label)
        inputs = [self.values[i] if i else None for i in node.input]
        known = [v.data if v is not None else None for v in inputs]
        if foldable(node.op_type, inputs):
            shapes = [v.shape if v is not None else None for v in inputs]
            for output, data in zip(
                node.output, fold(node, known, shapes, self._opset(node), self.path), strict=False
            ):
                self._add_constant(output, data)
            return
        kept = self._outputs(node)
        if reason := extra(node.op_type, kept):
            raise TinygenError(f"{self.path}: node {label} ({node.op_type}) {reason}")
        types = infer(node, kept, label, self.types, self.values, self.model, self.path)
        live = [i in self.live for i in node.input]
        kind = "Identity" if self._keeps_ids(node, types) else node.op_type
        reason = refusal(kind, attrs, Inputs(inputs, live))
        if reason:
            raise TinygenError(f"{self.path}: node {label} ({node.op_type}) {reason}")
        for output in kept:
            if any(live):
                self.live.add(output)
            self.types[output] = types[output]
            shape = tuple(d.dim_value for d in types[output].tensor_type.shape.dim)
            self.values[output] = Value(output, shape)
        self.nodes.append(Node(label, Float(kind, attrs), tuple(node.input), tuple(kept)))

    def _outputs(self, node: onnx.NodeProto) -> list[str]:
        """Names of the outputs; of those after the first that may be left out, the ones read."""
        if node.op_type == "Split":  # its parts stand one behind the other, read or not
            return list(node.output)
        kept = [o for o in node.output if o in self.read]
        return kept if node.output[0] in kept else [node.output[0], *kept]

    def _keeps_ids(self, node: onnx.NodeProto, types: Mapping[str, onnx.TypeProto]) -> bool:
        """Whether it casts integers to integers, which changes none that a look-up can take."""
        if node.op_type != "Cast":
            return False
        both = self.types[node.input[0]], types[node.output[0]]
        return all(t.tensor_type.elem_type in IDS for t in both)

    def _array(self, tensor: onnx.TensorProto) -> NDArray[Any]:
        try:
            return onnx.numpy_helper.to_array(tensor)
        except (LookupError, TypeError, ValueError) as error:
            raise TinygenError(
                f"{self.path}: the constant {tensor.name} does not hold what its shape says: "
                "export or copy the model again"
            ) from error

    def _opset(self, node: onnx.NodeProto | None = None) -> dict[str, int]:
        """The model's opsets; those by which a node is read after it was upgraded."""
        found = {"" if o.domain == "ai.onnx" else o.domain: o.version for o in self.opsets}
        if node is not None:
            found[""] = version_of(node.op_type, found.get("", 0))
        return found

    def _attributes(self, node: onnx.NodeProto, label: str) -> Mapping[str, Any]:
        attrs: dict[str, Any] = {}
        for a in node.attribute:
            if a.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
                raise TinygenError(
                    f"{self.path}: node {label} ({node.op_type}) has a sub-graph, which firmware "
                    "cannot schedule: export the model without control flow"
                )
            value = onnx.helper.get_attribute_value(a)
            if isinstance(value, onnx.TensorProto):
                value = self._array(value)
            attrs[a.name] = value.decode(errors="replace") if isinstance(value, bytes) else value
        return attrs

    def _add_constant(self, name: str, data: NDArray[Any]) -> None:
        self.values[name] = Value(name, tuple(data.shape), data=data)
        kind = onnx.helper.np_dtype_to_tensor_dtype(data.dtype)
        self.types[name] = onnx.helper.make_tensor_type_proto(kind, list(data.shape))

    def _fix_inputs(self) -> list[str]:
        """The inputs that are no weights, their batch axis set to 1."""
        inputs = real_inputs(self.model, self.path)
        for entry in inputs:
            try:
                shape = fix_shape(entry)
            except TinygenError as error:
                raise TinygenError(f"{self.path}: {error}") from error
            tensor = entry.type.tensor_type
            self.types[entry.name] = onnx.helper.make_tensor_type_proto(tensor.elem_type, shape)
            self.values[entry.name] = Value(entry.name, shape)
        return [str(entry.name) for entry in inputs]
