# SPDX-License-Identifier: Apache-2.0
"""From outputs to answers: the largest output, or one output against a threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.graph import Graph, Quant
from tinygen.graph.packed import apart


def answers(outputs: NDArray[Any], threshold: float) -> NDArray[np.int64]:
    """outputs [N, n] -> classes [N]: the first largest of several; of one, whether it is above the
    threshold, in the outputs' own unit."""
    if outputs.shape[1] == 1:
        return (outputs[:, 0] > threshold).astype(np.int64)
    best: NDArray[np.int64] = outputs.argmax(axis=1)
    return best


def threshold_step(quant: Quant, threshold: float) -> int:
    """The int8 output above which a real output is above the threshold."""
    return math.floor(threshold / quant.scale + quant.zero_point + 1e-6)


def integer_answers(graph: Graph, outputs: NDArray[Any]) -> NDArray[np.int64]:
    """int8 outputs [N, n] -> classes [N], of several outputs [N, outputs]."""
    return _of_each(
        graph, outputs, [threshold_step(graph.quant(o.value), o.threshold) for o in graph.outputs]
    )


def real_answers(graph: Graph, outputs: NDArray[Any]) -> NDArray[np.int64]:
    """As `integer_answers`, of real outputs."""
    return _of_each(graph, outputs, [o.threshold for o in graph.outputs])


def _of_each(graph: Graph, outputs: NDArray[Any], thresholds: Sequence[float]) -> NDArray[np.int64]:
    parts = apart(graph, graph.output_values, outputs)
    found = [
        answers(part.reshape(len(part), -1), threshold)
        for part, threshold in zip(parts, thresholds, strict=True)
    ]
    return found[0] if len(found) == 1 else np.stack(found, axis=1)


def accuracy(given: NDArray[np.int64], labels: NDArray[Any] | None) -> float | None:
    """Share of the answers that are as labelled, -1: not labelled. None without labels."""
    if labels is None or not (labels >= 0).any():
        return None
    return float((given == labels)[labels >= 0].mean())
