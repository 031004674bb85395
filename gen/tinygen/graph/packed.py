# SPDX-License-Identifier: Apache-2.0
"""Several tensors in one array, one after the other: how samples hold inputs, and results outputs.

Whoever handles samples then handles one array, whatever the number of inputs. A single tensor
keeps its own shape.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.graph.graph import Graph


def apart(graph: Graph, values: Sequence[str], x: NDArray[Any]) -> list[NDArray[Any]]:
    """x [N, elements of all] -> of each of the values [N, *shape]."""
    parts, at = [], 0
    x = x.reshape(len(x), -1)
    for name in values:
        shape = graph.values[name].shape
        size = math.prod(shape)
        parts.append(x[:, at : at + size].reshape(len(x), *shape))
        at += size
    return parts


def given(graph: Graph, x: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """A sample -> input value -> its elements."""
    values = graph.input_values
    return {
        name: part[0]
        for name, part in zip(values, apart(graph, values, x.reshape(1, -1)), strict=True)
    }


def together(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Tensors one after the other; a single one as it is."""
    return parts[0] if len(parts) == 1 else np.concatenate([p.reshape(-1) for p in parts])


def samples_together(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Of each tensor [N, ...] -> [N, elements of all]; a single one as it is."""
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([p.reshape(len(p), -1) for p in parts], axis=1)


def outputs_of(graph: Graph, values: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """The outputs among the values of one inference."""
    return together([values[name] for name in graph.output_values])


def size_of_all(graph: Graph, values: Sequence[str]) -> int:
    """Elements of all of them."""
    return sum(math.prod(graph.values[name].shape) for name in values)
