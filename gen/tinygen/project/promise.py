# SPDX-License-Identifier: Apache-2.0
"""The promise: what the reference says the board will print for each sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen import reference
from tinygen.emitter import Samples
from tinygen.graph import Graph
from tinygen.operators import Operator

Progress = Callable[[int, int], None]


def promise(
    graph: Graph,
    x: NDArray[Any],
    y: NDArray[Any] | None,
    progress: Progress | None = None,
) -> Samples:
    """x [N, ...] float, y [N] labels or None -> inputs and outputs as the firmware stores them."""
    shape = graph.values[graph.input].shape
    inputs, outputs = [], []
    for i, sample in enumerate(x):
        q = reference.quantise(graph, sample.reshape(shape))
        inputs.append(q.reshape(-1))
        outputs.append(reference.run(graph, q).reshape(-1))
        if progress:
            progress(i + 1, len(x))
    labels = np.full(len(x), -1, np.int32) if y is None else y.astype(np.int32)
    return Samples(np.array(inputs, np.int8), np.array(outputs, np.int8), labels)


def random_samples(graph: Graph, count: int) -> NDArray[np.float32]:
    """Inputs over the whole quantised range, for a model that came without samples."""
    value = graph.values[graph.input]
    assert value.quant is not None
    rng = np.random.default_rng(0)
    tables = [n.op.ids for n in graph.nodes if isinstance(n.op, Operator) and n.op.ids]
    q = rng.integers(-128, min([128, *(rows - 128 for rows in tables)]), (count, *value.shape))
    if value_kind := graph.integer_input:
        return (q + (128 if value_kind == "uint8" else 0)).astype(np.float32)
    real = ((q - value.quant.zero_point) * value.quant.scale).astype(np.float32)
    return real if graph.normalisation is None else graph.normalisation.undo(real)
