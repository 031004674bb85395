# SPDX-License-Identifier: Apache-2.0
"""Whether the device follows roundings that a model makes between two steps of one operator.

A model that was quantised without preprocessing rounds each product to 8 bits before its bias is
added; one from an exporter below opset 17 rounds within its norms; one with a quantised softmax
rounds the probabilities. The device needs none of these, is quicker without and as near to the
float model. But its answers should be the model's: where leaving them out moves the outputs more
than a little, the device rounds too.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.graph import Graph
from tinygen.passes.scales import SAMPLES, drawn
from tinygen.passes.twice import MERGED, NARROWER
from tinygen.reference import quantise, run

LIMIT = 0.3
"""LSB that the outputs may move on average: more than half of the 0.5 in which a model and its
firmware agree. The rest is for what else differs, and for samples, of which 64 tell it to 0.05."""
WORK = 1 << 36
"""Largest value times weights, times samples."""
UNSEEN = 0.05
"""LSB that are not worth a note."""
HINT = "which onnxruntime's preprocessing or `tinygen quantize` avoids"


def roundings(graph: Graph) -> tuple[str, ...]:
    """What the rules left out, as they noted it."""
    return tuple(n for n in graph.notes if MERGED in n)


def nearest(
    quick: Graph, exact: Graph | None, dropped: tuple[str, ...], samples: NDArray[Any] | None
) -> Graph:
    """Of a graph without and one with these roundings the first, if the outputs let it."""
    others = tuple(n for n in quick.notes if n not in dropped)
    avoidable = any(NARROWER not in n for n in dropped)
    said = f"the model {_named(dropped)}{f', {HINT}' if avoidable else ''}"
    if exact is None or not same_output(quick, exact):
        return replace(quick, notes=(*others, f"{said}; the device does not"))
    moved = distance(quick, exact, samples)
    lsb = f"{moved:.2f} LSB of the output on average"
    if moved < UNSEEN:
        return replace(quick, notes=others)
    if moved <= LIMIT:
        return replace(quick, notes=(*others, f"{said}; the device does not, which is {lsb}"))
    note = f"{said}; the device does so too, because without it would be {lsb}"
    return replace(exact, notes=(*exact.notes, note))


def _named(dropped: tuple[str, ...]) -> str:
    """``rounds to 8 bits before its bias (node_MatMul_1 and 6 others)``"""
    name, _, what = dropped[0].partition(f" {MERGED}")
    more = f" and {len(dropped) - 1} more" if len(dropped) > 1 else ""
    return f"{MERGED}{what} ({name.split('~')[0]}{more})"


def same_output(a: Graph, b: Graph) -> bool:
    pairs = zip(a.output_values, b.output_values, strict=True)
    return all(a.values[i].quant == b.values[j].quant for i, j in pairs)


def _enough(graph: Graph) -> int:
    """`SAMPLES`, fewer of a large network, so that an import stays a matter of seconds."""
    largest = max(math.prod(v.shape) for v in graph.values.values())
    arrays = (a for n in graph.nodes for a in vars(n.op).values() if isinstance(a, np.ndarray))
    weights = sum(a.size for a in arrays)
    return max(8, min(SAMPLES, WORK // (largest * weights)))


def distance(a: Graph, b: Graph, samples: NDArray[Any] | None) -> float:
    """Mean difference of two graphs' outputs in LSB."""
    x = (drawn(a) if samples is None else samples)[: _enough(a)]
    rows = [quantise(a, sample) for sample in x]
    return float(np.mean([np.abs(run(a, r).astype(int) - run(b, r)).mean() for r in rows]))
