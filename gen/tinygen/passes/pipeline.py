# SPDX-License-Identifier: Apache-2.0
"""The passes in order, the verifier after each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.errors import TinygenError
from tinygen.graph import Graph, Input, Quant, verify
from tinygen.graph.packed import apart, samples_together
from tinygen.importer import load
from tinygen.importer.ends import rounded_input
from tinygen.operators import Attention, DotProductAttention, Softmax, Weighted
from tinygen.passes.algebra import ALGEBRA
from tinygen.passes.attention import ATTENTION, EXACT_ATTENTION, SEPARATE_ATTENTION
from tinygen.passes.attention_node import attention_node
from tinygen.passes.diagnose import refuse_leftovers
from tinygen.passes.ends import normalised_inputs, quantised_ends
from tinygen.passes.engine import Rule, kind_of, rewrite
from tinygen.passes.general import GENERAL, MOVEMENT
from tinygen.passes.integer import INTEGER, VIEWS
from tinygen.passes.masks import MASKS
from tinygen.passes.moves import MOVES, moves_compose
from tinygen.passes.names import systematic
from tinygen.passes.norms import EXACT_NORMS, NORMS
from tinygen.passes.products import PRODUCTS_OF_MATRICES
from tinygen.passes.quantisation import PAIRS, ROUNDING
from tinygen.passes.quantlib import QUANTLIB, integer_inputs
from tinygen.passes.roundings import nearest, roundings
from tinygen.passes.rows import INTEGER_ROWS, ROWS
from tinygen.passes.scales import CHOSEN, choose_scales, chosen_grids, grid_of, normalised
from tinygen.passes.sharing import share_roundings
from tinygen.passes.tables import make_tables
from tinygen.passes.tail import drop_identities, fuse_tables, select_early
from tinygen.passes.twice import MERGING
from tinygen.passes.windows import WINDOWS

Rules = tuple[Rule, ...]
ATTENDING = (Attention, DotProductAttention, Weighted, Softmax)
NO_ATTENTION = (
    "the model has no attention: it runs, but general deployment tools may serve such networks "
    "better"
)


@dataclass(frozen=True)
class Flavour:
    """The rules of one way to import: spelled before the input has a grid, canonical until the
    float graph has its one form, attention."""

    spelled: Rules
    canonical: Rules
    attention: Rules


def _flavour(norms: Rules, merging: Rules, attention: Rules) -> Flavour:
    spelled = (*QUANTLIB, *PAIRS, *ROUNDING, *norms)
    rows = (attention_node, *PRODUCTS_OF_MATRICES, *ROWS, *WINDOWS)
    canonical = (*QUANTLIB, *norms, *PAIRS, *ROUNDING, *MASKS, *MOVES, *rows, *ALGEBRA, *merging)
    return Flavour(spelled, canonical, attention)


QUICK = _flavour(NORMS, MERGING, ATTENTION)
EXACT = _flavour(EXACT_NORMS, (), EXACT_ATTENTION)
"""Without and with the roundings that a model makes between two steps of one operator."""


@dataclass(frozen=True, eq=False)
class Imported:
    """graph: the integer graph.  origins: for each value, the ONNX tensor it stands for."""

    graph: Graph
    origins: Mapping[str, str]


def import_model(
    path: Path,
    *,
    name: str | None = None,
    samples: NDArray[Any] | None = None,
    outputs: Sequence[str] = (),
) -> Graph:
    """Read a quantised ONNX model into the verified integer graph.

    name: the model's name, by default from the file.  samples: float inputs [N, ...] for
    choosing the scales that a model lacks.  outputs: those that are wanted, by default all.
    Raises `TinygenError`: one sentence with file and node.
    """
    return import_with_origins(path, name=name, samples=samples, outputs=outputs).graph


def import_with_origins(
    path: Path,
    *,
    name: str | None = None,
    samples: NDArray[Any] | None = None,
    outputs: Sequence[str] = (),
) -> Imported:
    """As `import_model`, and from which ONNX tensor every value came."""
    path = Path(path)
    loaded = load(path, name=name, outputs=outputs)
    try:
        graph, origins = to_integer(loaded, samples)
    except TinygenError as error:
        message = re.sub(r"~\w+", "", str(error))  # the numbers that rewriting adds to names
        raise TinygenError(f"{path}: {_with_batch(loaded, message)}") from error
    return Imported(graph, origins)


def _with_batch(graph: Graph, message: str) -> str:
    """What is wrong with an input whose first axis is not 1 may be that."""
    several = [n for n in graph.input_values if graph.values[n].shape[0] != 1]
    if not several:
        return message
    name, batch = several[0], graph.values[several[0]].shape[0]
    return (
        f"input {name} has batch {batch}: export with batch 1 (or a dynamic batch axis); "
        f"taken as one input without a batch axis it fails too ({message})"
    )


def to_integer(graph: Graph, samples: NDArray[Any] | None = None) -> tuple[Graph, dict[str, str]]:
    """A Graph of `Float` nodes -> the integer graph and the ONNX tensor behind each value."""
    for name in graph.output_values:
        if graph.values[name].data is not None:
            raise TinygenError(
                f"the output {name} is a constant, whatever the input: export the model without it"
            )
    graph = integer_inputs(graph, samples)
    samples = real_samples(graph, samples)
    quick = _integer(graph, samples, QUICK)
    dropped = roundings(quick)
    if dropped:
        try:
            exact = _integer(graph, samples, EXACT)
        except TinygenError:
            exact = None
        quick = nearest(quick, exact, dropped, samples)
    graph, origins = systematic(verify(quick, integer=True))  # in the names of the file
    return verify(graph, integer=True), origins


def real_samples(graph: Graph, samples: NDArray[Any] | None) -> NDArray[Any] | None:
    """Samples of a model that takes integers, as real numbers."""
    if samples is None or not any(entry.integers for entry in graph.inputs):
        return samples
    parts = apart(graph, graph.input_values, samples)
    return samples_together(
        [_real(graph, entry, p) for entry, p in zip(graph.inputs, parts, strict=True)]
    )


def _real(graph: Graph, entry: Input, x: NDArray[Any]) -> NDArray[Any]:
    if not entry.integers:
        return x
    (first,) = graph.consumers(entry.value)
    grid = graph.quant(first.output)
    zero = grid.zero_point + (128 if entry.integers == "uint8" else 0)
    real: NDArray[Any] = (x.astype(np.float32) - zero) * np.float32(grid.scale)
    return real


def _integer(graph: Graph, samples: NDArray[Any] | None, how: Flavour) -> Graph:
    spelled = rewrite(graph, how.spelled)
    graph = rewrite(spelled, how.canonical)
    if samples is not None and (bare := _unrounded_inputs(graph)):
        graph = rewrite(with_input_grids(spelled, samples, bare), how.canonical)
    attention = _rules(*how.attention), _rules(*SEPARATE_ATTENTION)
    for step in (*ROUNDED, choose_scales(samples), *attention, *STEPS):
        graph = verify(step(graph))
    refuse_leftovers(graph)
    if not any(isinstance(n.op, ATTENDING) for n in graph.nodes):
        return replace(graph, notes=(*graph.notes, NO_ATTENTION))
    return graph


def lacking_scales(path: Path, samples: NDArray[Any]) -> dict[str, Quant]:
    """The grids that importing a file would choose from samples, by the tensor they round."""
    graph = load(path)
    graph = rewrite(rewrite(graph, QUICK.spelled), QUICK.canonical)
    for step in ROUNDED:
        graph = step(graph)
    return {
        name.split("~")[0]: grid
        for name, grid in chosen_grids(graph, normalised(graph, samples)).items()
    }


def _rules(*rules: Rule) -> Callable[[Graph], Graph]:
    return lambda graph: rewrite(graph, rules)


def _unrounded_inputs(graph: Graph) -> set[str]:
    graph = normalised_inputs(graph)
    return {
        name
        for name in graph.input_values
        if not any(kind_of(n) == "Quant" for n in graph.consumers(name))
    }


def with_input_grids(graph: Graph, samples: NDArray[Any], names: set[str]) -> Graph:
    """These inputs rounded onto the range of the samples."""
    for name, x in zip(graph.input_values, apart(graph, graph.input_values, samples), strict=True):
        if name in names:
            graph = rounded_input(graph, name, grid_of(float(x.min()), float(x.max())), "grid")
            notes = (*graph.notes, f"{name} {CHOSEN} {len(samples)} samples")
            graph = replace(graph, notes=notes)
    return graph


ROUNDED: tuple[Callable[[Graph], Graph], ...] = (
    quantised_ends,
    _rules(moves_compose),
    share_roundings,
)
STEPS: tuple[Callable[[Graph], Graph], ...] = (
    make_tables,
    _rules(*INTEGER, *INTEGER_ROWS, *VIEWS),
    _rules(*INTEGER, *INTEGER_ROWS, *GENERAL),
    _rules(*MOVEMENT),
    drop_identities,
    fuse_tables,
    select_early,
)
"""After the canonical form is reached: one step, one idea."""
