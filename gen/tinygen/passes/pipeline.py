# SPDX-License-Identifier: Apache-2.0
"""The passes in order, the verifier after each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygen.errors import TinygenError
from tinygen.graph import Float, Graph, Node, Quant, Value, verify
from tinygen.importer import load
from tinygen.operators import Attention, DotProductAttention, Softmax, Weighted
from tinygen.passes.algebra import ALGEBRA
from tinygen.passes.attention import ATTENTION, EXACT_ATTENTION, SEPARATE_ATTENTION
from tinygen.passes.attention_node import attention_node
from tinygen.passes.diagnose import refuse_leftovers
from tinygen.passes.ends import normalised_input, quantised_ends
from tinygen.passes.engine import Rule, kind_of, rewrite
from tinygen.passes.general import GENERAL, MOVEMENT
from tinygen.passes.integer import INTEGER, VIEWS
from tinygen.passes.masks import MASKS
from tinygen.passes.moves import MOVES, moves_compose
from tinygen.passes.names import systematic
from tinygen.passes.norms import EXACT_NORMS, NORMS
from tinygen.passes.products import PRODUCTS_OF_MATRICES
from tinygen.passes.quantisation import PAIRS, ROUNDING
from tinygen.passes.quantlib import QUANTLIB, integer_input
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
    path: Path, *, name: str | None = None, samples: NDArray[Any] | None = None
) -> Graph:
    """Read a quantised ONNX model into the verified integer graph.

    name: the model's name, by default from the file.  samples: float inputs [N, ...] for
    choosing the scales that a model lacks.  Raises `TinygenError`: one sentence with file and node.
    """
    return import_with_origins(path, name=name, samples=samples).graph


def import_with_origins(
    path: Path, *, name: str | None = None, samples: NDArray[Any] | None = None
) -> Imported:
    """As `import_model`, and from which ONNX tensor every value came."""
    path = Path(path)
    loaded = load(path, name=name)
    try:
        graph, origins = to_integer(loaded, samples)
    except TinygenError as error:
        message = re.sub(r"~\w+", "", str(error))  # the numbers that rewriting adds to names
        raise TinygenError(f"{path}: {_with_batch(loaded, message)}") from error
    return Imported(graph, origins)


def _with_batch(graph: Graph, message: str) -> str:
    """What is wrong with an input whose first axis is not 1 may be that."""
    batch = graph.values[graph.input].shape[0]
    if batch == 1:
        return message
    return (
        f"input {graph.input} has batch {batch}: export with batch 1 (or a dynamic batch axis); "
        f"taken as one input without a batch axis it fails too ({message})"
    )


def to_integer(graph: Graph, samples: NDArray[Any] | None = None) -> tuple[Graph, dict[str, str]]:
    """A Graph of `Float` nodes -> the integer graph and the ONNX tensor behind each value."""
    graph = integer_input(graph, samples)
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
    if samples is None or not graph.integer_input:
        return samples
    (first,) = graph.consumers(graph.input)
    grid = graph.values[first.output].quant
    assert grid is not None
    zero = grid.zero_point + (128 if graph.integer_input == "uint8" else 0)
    real: NDArray[Any] = (samples.astype(np.float32) - zero) * np.float32(grid.scale)
    return real


def _integer(graph: Graph, samples: NDArray[Any] | None, how: Flavour) -> Graph:
    spelled = rewrite(graph, how.spelled)
    graph = rewrite(spelled, how.canonical)
    if samples is not None and not _rounds_its_input(graph):
        graph = rewrite(with_input_grid(spelled, samples), how.canonical)
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


def _rounds_its_input(graph: Graph) -> bool:
    graph = normalised_input(graph)
    return any(kind_of(n) == "Quant" for n in graph.consumers(graph.input))


def with_input_grid(graph: Graph, samples: NDArray[Any]) -> Graph:
    """The input rounded onto the range of the samples."""
    grid = grid_of(float(samples.min()), float(samples.max()))
    name = f"{graph.input}~grid"
    op = Float("Quant", {"scale": grid.scale, "zp": grid.zero_point})
    first = Node(name, op, (graph.input,), (name,))
    rest = tuple(
        replace(n, inputs=tuple(name if i == graph.input else i for i in n.inputs))
        for n in graph.nodes
    )
    values = {**graph.values, name: Value(name, graph.values[graph.input].shape, grid)}
    notes = (*graph.notes, f"{graph.input} {CHOSEN} {len(samples)} samples")
    return replace(graph, values=values, nodes=(first, *rest), notes=notes)


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
