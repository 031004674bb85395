# SPDX-License-Identifier: Apache-2.0
"""Grids that the importer chooses where a model has none."""

from __future__ import annotations

import numpy as np
import pytest

from tinygen.graph import Quant
from tinygen.passes.scales import grid_of, score_grid
from tinygen.passes.simulate import softmax

RNG = np.random.default_rng(8)


def error(scores: np.ndarray, factor: float, grid: Quant) -> float:
    q = np.clip(np.rint(scores / grid.scale) + grid.zero_point, -128, 127)
    rounded = softmax(factor * grid.scale * (q - grid.zero_point))
    return float(((rounded - softmax(factor * scores)) ** 2).mean())


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
