# SPDX-License-Identifier: Apache-2.0
"""What is left of the float graph, said in one sentence."""

from __future__ import annotations

from tinygen.errors import TinygenError
from tinygen.graph import Float, Graph, Node
from tinygen.passes.canonical import FORMS, form_of
from tinygen.passes.elementwise import ELEMENTWISE
from tinygen.passes.engine import kind_of
from tinygen.passes.masks import NEVER
from tinygen.passes.unsupported import INSTEAD, unsupported

KNOWN = FORMS.keys() | ELEMENTWISE | {"Move", "Grid", "Quant"}
QUANTISE = "quantise it (`tinygen quantize` chooses operators that fit)"


def refuse_leftovers(graph: Graph) -> None:
    """Raise for the first node without an integer form: unknown operators first, then scales."""
    left = [n for n in graph.nodes if isinstance(n.op, Float)]
    for node in left:
        kind = _kind(node)
        if kind in ("QuantizeLinear", "DequantizeLinear"):
            continue  # what reads it is the reason
        if kind in INSTEAD or kind not in KNOWN:
            raise TinygenError(unsupported(node))
    quantised = {v.name for v in graph.values.values() if v.quant is not None}
    for node in sorted(left, key=lambda n: _kind(n) != "Softmax"):
        if _kind(node) in FORMS.keys() | {"Add"}:
            _refuse(graph, node, quantised)
    for node in left:
        if _kind(node) not in ("Grid",):
            raise TinygenError(
                f"node {node.name} ({_title(node, _kind(node))}) has no integer form "
                "where it stands: open an issue with this model"
            )


def _refuse(graph: Graph, node: Node, quantised: set[str]) -> None:
    kind = _kind(node)
    what = _title(node, "sum")
    constants = {v.name for v in graph.values.values() if v.data is not None}
    grids = {n.output for n in graph.nodes if _kind(n) == "Grid"}
    known = quantised | constants | grids
    if kind == "Softmax" and _last(graph, node):
        raise TinygenError(
            f"node {node.name} ({what}) is the model's last step, which firmware does not need: "
            "export the model without it (the largest logit is the class)"
        )
    if kind == "Softmax" and _masked(graph, node):
        raise TinygenError(
            f"node {node.name} ({what}) has a tensor added to its scores that is not a constant "
            f"mask of 0 and at most {NEVER:.0f}, the same for every head: export with such a mask, "
            "or without"
        )
    if kind in ("Scores", "Softmax"):
        raise TinygenError(
            f"node {node.name} ({what}) is not part of a self-attention that tinygen knows "
            "(q, k, v from one quantised input, softmax over keys, an output projection): "
            "check that every product in it is quantised, or open an issue with this model"
        )
    for name in node.inputs:
        if name and name not in known:
            raise TinygenError(
                f"node {node.name} ({what}) reads {name.split('~')[0]}, which has no scale: "
                f"{QUANTISE}"
            )
    readers = [n for n in graph.nodes if node.output in n.inputs]
    if not any(_kind(r) == "Quant" for r in readers):
        raise TinygenError(f"node {node.name} ({what}) has an output without a scale: {QUANTISE}")


def _last(graph: Graph, node: Node) -> bool:
    """Whether nothing but movement and roundings stands between a node and an output."""
    name = node.output
    while name not in graph.output_values:
        readers = graph.consumers(name)
        if len(readers) != 1 or kind_of(readers[0]) not in ("Move", "Quant"):
            return False
        name = readers[0].output
    return True


def _masked(graph: Graph, softmax: Node) -> bool:
    """Whether an Add with another tensor than one number stands before the softmax."""
    node = graph.producer(softmax.inputs[0])
    while node is not None and kind_of(node) in ("Move", "Quant", "Reshape", "Lut"):
        node = graph.producer(node.inputs[0])
    return node is not None and kind_of(node) in ("Add", "Where")


def _kind(node: Node) -> str:
    return node.op.kind if isinstance(node.op, Float) else ""


def _title(node: Node, otherwise: str) -> str:
    form = form_of(node)
    return otherwise if form is None else form.title
