# SPDX-License-Identifier: Apache-2.0
"""From outputs to an answer: the largest output, or one output against a threshold."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.graph import Graph, Quant


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
    """int8 outputs [N, n] -> classes [N]."""
    quant = graph.values[graph.output].quant
    assert quant is not None
    return answers(outputs, threshold_step(quant, graph.threshold))
