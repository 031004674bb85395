# SPDX-License-Identifier: Apache-2.0
"""Grids that the importer chooses where a model has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rule_bench import Bench

from tinygen.graph import Graph, Quant
from tinygen.operators.softmax import real_softmax
from tinygen.passes.scales import chosen_grids, drawn, grid_of, score_grid

RNG = np.random.default_rng(8)


def error(scores: np.ndarray, factor: float, grid: Quant) -> float:
    q = np.clip(np.rint(scores / grid.scale) + grid.zero_point, -128, 127)
    rounded = real_softmax(factor * grid.scale * (q - grid.zero_point))
    return float(((rounded - real_softmax(factor * scores)) ** 2).mean())


@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_scores_keep_their_upper_end(factor: float) -> None:
    """Few low scores matter: finer steps at the top serve the softmax better."""
    scores = RNG.normal(0, 5, (50, 7, 7)) / factor
    low, high = float(scores.min()), float(scores.max())
    grid, whole = score_grid(scores, factor), grid_of(low, high)
    assert grid.scale < 0.8 * whole.scale
    assert error(scores, factor, grid) < 0.6 * error(scores, factor, whole)
    assert (127 - grid.zero_point) * grid.scale > 0.99 * high


def test_scores_above_zero_have_the_usual_grid() -> None:
    scores = RNG.uniform(1, 9, (20, 5, 5))
    assert score_grid(scores) == grid_of(1.0, float(scores.max()))


def test_scores_that_a_mask_leaves_keep_their_lower_end() -> None:
    """Rows whose only keys have low scores, beside rows with high ones."""
    scores = RNG.normal(0, 4, (50, 6, 6))
    scores[:, :2] -= 25
    scores[:, :, 3:] += 20
    visible = np.broadcast_to(np.tri(6, dtype=bool), scores.shape)
    grid = score_grid(scores, 1.0, visible)
    assert (-128 - grid.zero_point) * grid.scale < scores[visible].min() + 6
    assert (127 - grid.zero_point) * grid.scale > 0.99 * scores[visible].max()
    blind = score_grid(scores)
    assert (-128 - blind.zero_point) * blind.scale > -20


def test_scores_that_others_read_keep_their_lower_end() -> None:
    """A sum beside the softmax needs the low ones, which the softmax does not."""
    grids = []
    weight = RNG.integers(-150, 150, (8, 8))
    for beside in (False, True):
        b = Bench(4, 8)
        scores = b.linear(b.quant("x", 1 / 16), weight)
        y = b.node("Softmax", scores, shape=(4, 8))
        if beside:
            y = b.node("Add", scores, b.quant(y, 1 / 256, -128), shape=(4, 8))
        graph = on_a_grid(b.graph(y))
        grids.append(chosen_grids(graph, drawn(graph))[scores])
    alone, shared = grids
    assert shared.scale > 1.2 * alone.scale
    low, lowest = ((-128 - g.zero_point) * g.scale for g in grids)
    assert lowest < 1.2 * low


def on_a_grid(graph: Graph) -> Graph:
    """With a grid of its input, from which inputs are drawn."""
    return replace(
        graph, values={**graph.values, "x": replace(graph.values["x"], quant=Quant(1 / 16, 0))}
    )


def test_infinite_values_have_no_part_in_a_range() -> None:
    """1 / x where some x are 0, before a Move that takes others."""
    b = Bench(4, 6)
    y = b.linear(b.node("Div", b.const(2.0), b.quant("x", 1 / 16), shape=(4, 6)), np.eye(6))
    graph = on_a_grid(b.graph(y))
    with np.errstate(all="ignore"):
        grid = chosen_grids(graph, np.round(RNG.normal(size=(3, 4, 6)) * 4).astype(np.float32) / 4)
    assert all(np.isfinite(g.scale) for g in grid.values()) and grid
