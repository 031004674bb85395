# SPDX-License-Identifier: Apache-2.0
"""The promise: what the reference says the board will print for each sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen import reference
from tinygen.emitter import Samples
from tinygen.graph import Graph, Input
from tinygen.graph.packed import samples_together
from tinygen.operators import Operator

Progress = Callable[[int, int], None]


def promise(
    graph: Graph,
    x: NDArray[Any],
    y: NDArray[Any] | None,
    progress: Progress | None = None,
) -> Samples:
    """x [N, ...] float, y [N] labels or None -> inputs and outputs as the firmware stores them.

    Of several outputs y is [N, outputs]."""
    inputs, outputs = [], []
    for i, sample in enumerate(x):
        q = reference.quantise(graph, sample)
        inputs.append(q.reshape(-1))
        outputs.append(reference.run(graph, q).reshape(-1))
        if progress:
            progress(i + 1, len(x))
    count = len(graph.outputs)
    none = np.full(len(x) if count == 1 else (len(x), count), -1, np.int32)
    labels = none if y is None else y.astype(np.int32)
    return Samples(np.array(inputs, np.int8), np.array(outputs, np.int8), labels)


def random_samples(graph: Graph, count: int) -> NDArray[np.float32]:
    """Inputs over the whole quantised range, for a model that came without samples."""
    rng = np.random.default_rng(0)
    return samples_together([_random(graph, entry, count, rng) for entry in graph.inputs])


def _random(
    graph: Graph, entry: Input, count: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    value, quant = graph.values[entry.value], graph.quant(entry.value)
    q = rng.integers(-128, min([128, *_tokens(graph, entry.value)]), (count, *value.shape))
    if entry.integers:
        return (q + (128 if entry.integers == "uint8" else 0)).astype(np.float32)
    real = ((q - quant.zero_point) * quant.scale).astype(np.float32)
    return real if entry.normalisation is None else entry.normalisation.undo(real)


def _tokens(graph: Graph, name: str) -> Iterator[int]:
    """One beyond the largest token, less 128, of each table that an input is looked up in."""
    for node in graph.consumers(name):
        assert isinstance(node.op, Operator)
        if node.op.ids:
            yield node.op.ids - 128
        elif node.op.is_view:
            yield from _tokens(graph, node.output)
