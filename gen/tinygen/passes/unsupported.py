# SPDX-License-Identifier: Apache-2.0
"""Operators that tinygen does not compute, or only in one place, each said in one sentence."""

from __future__ import annotations

from tinygen.graph import Float, Node

INTEGERS = (
    "is read as integers by an operator that tinygen takes on real numbers only: quantise in the "
    "QDQ format"
)
INSTEAD = {
    "QuantizeLinear": INTEGERS,
    "DequantizeLinear": INTEGERS,
    "IsNaN": "is taken only with the Where that clears a masked softmax: export without it",
    "LogSoftmax": "is not the model's last step: tinygen takes it there only, where the largest "
    "logit is the class",
    "Mask": "adds a mask to what no softmax reads: tinygen takes masks of attention scores",
    "Cast": "casts what is no token id: keep activations in float32",
    "Where": "chooses by what is no constant, or between other things than scores and a large "
    "negative number, or by another mask for each head: tinygen takes one constant attention mask",
}


def unsupported(node: Node) -> str:
    """The sentence about a float node that nothing takes."""
    assert isinstance(node.op, Float)
    kind = node.op.kind
    if kind in INSTEAD:
        return f"node {node.name} ({kind}) {INSTEAD[kind]}"
    return (
        f"node {node.name} has the unsupported operator {kind}: rewrite it with the operators of "
        "a transformer encoder, or open an issue with this model"
    )
