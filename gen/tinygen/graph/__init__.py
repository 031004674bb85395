# SPDX-License-Identifier: Apache-2.0
"""The intermediate representation: values, operators, their verifier."""

from tinygen.graph.graph import Graph, Node, Normalisation, Quant, Value, are_scales
from tinygen.graph.verify import verify

__all__ = ["Graph", "Node", "Normalisation", "Quant", "Value", "are_scales", "verify"]
