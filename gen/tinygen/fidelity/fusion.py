# SPDX-License-Identifier: Apache-2.0
"""Fused attention weights are taken only where samples show that they cost next to nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen import reference
from tinygen.fidelity.compare import CheckResult, Progress, compare, definition
from tinygen.graph import Graph
from tinygen.numeric import I8
from tinygen.operators import Attention, Fusion
from tinygen.passes import fuse, is_exponential
from tinygen.reference.decision import accuracy, integer_answers

LOST_POINTS = 0.5
"""Of accuracy, in percentage points, that fused weights may cost on labelled samples."""
ADDED_LSB = 0.1
"""That the mean error of a layer's output may grow by, against its dequantised weights in real
arithmetic."""
SCALES, MEASURED = 32, 256
"""Samples that choose scales, and those that accuracy is measured on, at most."""


@dataclass(frozen=True, eq=False)
class FusedModel:
    """graph: with fused weights in the layers that `refused` does not name, for a reason.

    errors: layer -> mean error in LSB of its output before and after.  Of both integer models on
    `samples` samples: top1_agreement, mean_abs_lsb, and with labels their accuracies.
    """

    graph: Graph
    refused: Mapping[str, str]
    errors: Mapping[str, tuple[float, float]]
    samples: int
    top1_agreement: float
    mean_abs_lsb: float
    accuracy_unfused: float | None
    accuracy_fused: float | None


def fuse_within(
    graph: Graph,
    forms: Mapping[str, Fusion],
    x: NDArray[Any],
    y: NDArray[Any] | None,
    progress: Progress | None = None,
    short: bool = False,
) -> FusedModel:
    """forms: attention layer -> its form.  x float [N, ...], y labels [N].  short: the graph's
    arithmetic is, and so that of what is made.

    A layer whose own error grows by more than `ADDED_LSB` stays unfused, and all do if the model's
    accuracy falls by more than `LOST_POINTS`.
    """
    inputs = [reference.quantise(graph, sample) for sample in x[:MEASURED]]
    refused = {
        n.name: "its softmax is a table of its own"
        for n in graph.nodes
        if n.name in forms and isinstance(n.op, Attention) and not is_exponential(n.op)
    }
    possible = {name: form for name, form in forms.items() if name not in refused}
    made = fuse(graph, possible, inputs[:SCALES], short)
    refused |= {
        name: f"its output's mean error rises from {before:.2f} to {after:.2f} LSB"
        for name, (before, after) in made.errors.items()
        if after > before + ADDED_LSB
    }
    fused = _without(made.graph, graph, refused)
    before, after = _outputs(graph, fused, inputs, progress)
    labels = None if y is None else y[: len(inputs)]
    plain, other = (_accuracy(graph, out, labels) for out in (before, after))
    if plain is not None and other is not None and 100 * (plain - other) > LOST_POINTS:
        lost = f"accuracy falls from {100 * plain:.1f} % to {100 * other:.1f} %"
        refused |= {name: f"{lost} on {len(inputs)} samples" for name in made.errors}
        fused = graph
    return FusedModel(
        graph=fused,
        refused=refused,
        errors=made.errors,
        samples=len(inputs),
        top1_agreement=float(
            (integer_answers(graph, before) == integer_answers(graph, after)).mean()
        ),
        mean_abs_lsb=float(np.abs(before - after).mean()),
        accuracy_unfused=plain,
        accuracy_fused=other,
    )


@dataclass(frozen=True)
class FusedCheck:
    """The model with fused weights in `layers` attention layers, against onnxruntime. params: int8
    weights of those layers, before and after."""

    fusion: Fusion
    layers: int
    params: tuple[int, int]
    result: CheckResult


def check_fused(
    graph: Graph,
    model: Path,
    x: NDArray[Any],
    y: NDArray[Any] | None,
    wishes: Sequence[Fusion] = (),
    progress: Progress | None = None,
) -> list[FusedCheck]:
    """wishes: the forms to try, on all layers; without any, fused scores and both, on the layers
    where they save parameters (E < 2 P). Scales are chosen on the first samples."""
    layers = {
        n.name: n.op
        for n in graph.nodes
        if isinstance(n.op, Attention)
        and is_exponential(n.op)
        and (wishes or n.op.wq.shape[1] < 2 * n.op.dim)
    }
    forms = [f for f in wishes or ("fused-scores", "fused") if f != "unfused"]
    if not layers or not forms:
        return []
    theirs = definition(graph, model, x)
    inputs = [reference.quantise(graph, sample) for sample in x[:SCALES]]
    found = []
    for form in forms:
        fused = fuse(graph, dict.fromkeys(layers, form), inputs).graph
        after = [n.op for n in fused.nodes if n.name in layers and isinstance(n.op, Attention)]
        params = sum(op.params for op in layers.values()), sum(op.params for op in after)
        result = compare(fused, theirs, x, y, progress)
        found.append(FusedCheck(form, len(layers), params, result))
    return found


def _without(fused: Graph, graph: Graph, names: Mapping[str, str]) -> Graph:
    """The fused graph with the unfused layers of these names."""
    pairs = zip(fused.nodes, graph.nodes, strict=True)
    return replace(fused, nodes=tuple(old if new.name in names else new for new, old in pairs))


def _outputs(
    graph: Graph, fused: Graph, inputs: list[I8], progress: Progress | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    both: tuple[list[NDArray[Any]], list[NDArray[Any]]] = ([], [])
    for i, q in enumerate(inputs):
        for g, out in zip((graph, fused), both, strict=True):
            out.append(reference.run(g, q).reshape(-1))
        if progress:
            progress(i + 1, len(inputs))
    return np.array(both[0], np.int64), np.array(both[1], np.int64)


def _accuracy(graph: Graph, outputs: NDArray[Any], labels: NDArray[Any] | None) -> float | None:
    return accuracy(integer_answers(graph, outputs), labels)
