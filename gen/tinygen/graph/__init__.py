# SPDX-License-Identifier: Apache-2.0
"""The intermediate representation: values, nodes, their verifier."""

from tinygen.graph.float import Float, Op
from tinygen.graph.graph import (
    File,
    Graph,
    Input,
    Node,
    Normalisation,
    Output,
    Quant,
    Value,
    are_scales,
)
from tinygen.graph.verify import verify

__all__ = [
    "File",
    "Float",
    "Graph",
    "Input",
    "Node",
    "Normalisation",
    "Op",
    "Output",
    "Quant",
    "Value",
    "are_scales",
    "verify",
]
