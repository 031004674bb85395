# SPDX-License-Identifier: Apache-2.0
"""The last step of a classifier: a softmax goes, since the largest logit is the class without it;
a single output is compared with a threshold."""

from __future__ import annotations

import math
import re
from dataclasses import replace

from tinygen.graph import Float, Graph, Node, Output

SPELLED = r"_real_[0-9]+$"
"""What `spell_out` puts behind a tensor of the file."""
PASSED = {"QuantizeLinear", "DequantizeLinear", "Identity", "Reshape", "Squeeze", "Flatten"}
PASSED |= {"Unsqueeze", "Cast"}


def without_last_softmax(graph: Graph) -> Graph:
    """A last Softmax or LogSoftmax of all elements of an output is dropped, with a note;
    `Output.logits` names the tensor that is the output then. A single element gets its
    `Output.threshold`. An output that others read keeps what they read."""
    outputs, notes = [], list(graph.notes)
    for end in graph.outputs:
        changed, note = _without_softmax(graph, end)
        outputs.append(changed)
        notes += [note] if note else []
    return replace(graph, outputs=tuple(outputs), notes=tuple(notes))


def _without_softmax(graph: Graph, end: Output) -> tuple[Output, str]:
    node = _before(graph, end.value)
    size = math.prod(graph.values[end.value].shape)
    if node is None or not isinstance(node.op, Float):
        return end, ""
    if size == 1:
        above = 0.5 if node.op.kind in ("Sigmoid", "HardSigmoid") else 0.0
        return replace(end, threshold=above), ""
    if node.op.kind not in ("Softmax", "LogSoftmax"):
        return end, ""
    shape = graph.values[node.output].shape
    axis = int(node.op.attrs.get("axis", -1)) % max(1, len(shape))
    if not shape or shape[axis] != size:
        return end, ""
    name = node.inputs[0]
    while "~" in name and (step := graph.producer(name)) is not None:
        name = step.inputs[0]  # what the import added is no tensor of the file
    note = (
        f"the last {node.op.kind} ({node.name}) is left out: the largest logit is the class, and "
        f"the outputs are those of {re.sub(SPELLED, '', name)}"
    )
    return replace(end, value=node.inputs[0], logits=name), note


def _before(graph: Graph, name: str) -> Node | None:
    """What makes a value, roundings and changes of shape aside."""
    node = graph.producer(name)
    while node is not None and isinstance(node.op, Float) and node.op.kind in PASSED:
        node = graph.producer(node.inputs[0])
    return node
