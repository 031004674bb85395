# SPDX-License-Identifier: Apache-2.0
"""Two roundings one after the other: when one grid may stand for both."""

from __future__ import annotations

import pytest

from tinygen.graph import Quant
from tinygen.passes.merged import merged


def test_a_mask_of_a_billion_leaves_no_steps_for_scores() -> None:
    """Quantised with their mask, scores all become 0: finer steps would be another network."""
    first, second = Quant(0.01, 0), Quant(1e9 / 255, 127)
    one, shows = merged(first, second)
    assert shows and one == second


@pytest.mark.parametrize("zero", [-128, 0, 40])
def test_the_same_grid_twice_is_that_grid(zero: int) -> None:
    grid = Quant(0.25, zero)
    assert merged(grid, grid) == (grid, False)


def test_a_side_of_zero_that_the_first_cuts_off_stays_cut_off() -> None:
    one, shows = merged(Quant(0.1, -128), Quant(0.1, 0))
    assert not shows and one.zero_point == -128 and one.scale == pytest.approx(12.7 / 255)
