# SPDX-License-Identifier: Apache-2.0
"""Of schedules that are about as fast, the smallest; then only smaller ones."""

from __future__ import annotations

import pytest

from tinygen.operators.attention.schedule import AttentionSchedule
from tinygen.planner.choose import worth_having
from tinygen.planner.plan import Alternative


def ways(*sizes_and_cycles: tuple[int, int | None]) -> list[Alternative]:
    """Fastest first."""
    how = AttentionSchedule("whole", 4)
    return [Alternative(how, size, cycles, cycles) for size, cycles in sizes_and_cycles]


def sizes(every: list[Alternative]) -> list[int]:
    return [a.working_bytes for a in worth_having(every)]


def test_the_smallest_of_those_within_a_hundredth_is_first() -> None:
    assert sizes(ways((900, 1000), (500, 1009), (700, 1010), (400, 1011))) == [500, 400]


def test_of_two_as_small_the_faster_is_first() -> None:
    first = worth_having(ways((500, 1000), (500, 1009)))[0]
    assert first.cycles == 1000


def test_a_slower_one_that_is_no_smaller_is_not_worth_having() -> None:
    assert sizes(ways((500, 1000), (600, 2000), (500, 3000), (499, 4000))) == [500, 499]


@pytest.mark.parametrize("order", [(800, 300, 500), (800, 900, 100)])
def test_without_predictions_the_given_order_counts(order: tuple[int, ...]) -> None:
    got = sizes(ways(*((size, None) for size in order)))
    assert got[0] == order[0] and got == sorted(got, reverse=True) and got[-1] == min(order)
