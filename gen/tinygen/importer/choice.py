# SPDX-License-Identifier: Apache-2.0
"""Which inputs and outputs of a file the firmware has: all, or those that the user names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import onnx

from tinygen.errors import TinygenError
from tinygen.graph import File


def with_outputs(model: onnx.ModelProto, wanted: Sequence[str], path: Path) -> onnx.ModelProto:
    """The model with the outputs that are named, and without what only others need; all of them
    without names. In the order of the file, so that the user's order does not matter."""
    if not wanted:
        return model
    present = [str(o.name) for o in model.graph.output]
    for name in wanted:
        if name not in present:
            raise TinygenError(
                f"{path} has no output {name}: choose from {', '.join(present) or 'none'}"
            )
    kept = [o for o in model.graph.output if o.name in wanted]
    needed = needed_for(model, [o.name for o in kept])
    nodes = [n for n in model.graph.node if needed.intersection(n.output)]
    cut: onnx.ModelProto = onnx.ModelProto.FromString(model.SerializeToString())
    for field, items in (
        (cut.graph.node, nodes),
        (cut.graph.output, kept),
        (cut.graph.input, [i for i in model.graph.input if i.name in needed]),
        (cut.graph.initializer, [t for t in model.graph.initializer if t.name in needed]),
    ):
        del field[:]
        field.extend(items)
    return cut


def names_of(model: onnx.ModelProto) -> File:
    weights = {t.name for t in model.graph.initializer}
    return File(
        tuple(str(i.name) for i in model.graph.input if i.name not in weights),
        tuple(str(o.name) for o in model.graph.output),
    )


def real_inputs(model: onnx.ModelProto, path: Path) -> list[onnx.ValueInfoProto]:
    """The inputs that are no weights. Raises `TinygenError` without any, and for one of several
    that nothing reads."""
    weights = {t.name for t in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in weights]
    if not inputs:
        raise TinygenError(f"{path} has no input: export a model that takes a tensor")
    read = needed_for(model, [o.name for o in model.graph.output])
    for entry in inputs:
        if entry.name not in read and len(inputs) > 1:
            raise TinygenError(
                f"{path}: no output depends on the input {entry.name}: export the model without it"
            )
    return inputs


def needed_for(model: onnx.ModelProto, tensors: Iterable[str]) -> set[str]:
    """These tensors, and all that they are made from."""
    needed = set(tensors)
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
    return needed


def refuse_input_as_output(name: str, inputs: Iterable[str], path: Path) -> None:
    if name in inputs:
        raise TinygenError(
            f"{path}: the output {name} is an input, which the caller has: export the model "
            "without it"
        )
