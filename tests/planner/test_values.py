# SPDX-License-Identifier: Apache-2.0
"""A result lies over its operand only where nobody reads the operand any more."""

from __future__ import annotations

import pytest

from graphs import GraphBuilder
from tinygen.planner.values import assign_homes


def homes_where_add_reads(late: str) -> tuple[str, str]:
    """Buffers of a norm's operand and result, the operand being read again: ``late`` says where."""
    b = GraphBuilder((4, 8))
    first = b.add("first", b.linear(8, 8))
    second = b.add("second", b.norm(8))
    if late == "by the next node":
        b.add("sum", b.residual(), second, first)
    elif late == "two nodes on":
        b.add("third", b.linear(8, 8))
        b.add("sum", b.residual(), b.last, first)
    b.add("head", b.linear(2, 8))
    slots = assign_homes(b.graph()).slots
    return slots[first].buffer, slots[second].buffer


@pytest.mark.parametrize("late", ["by the next node", "two nodes on"])
def test_what_is_read_again_is_not_overwritten(late: str) -> None:
    operand, result = homes_where_add_reads(late)
    assert operand != result


def test_what_dies_is_overwritten() -> None:
    operand, result = homes_where_add_reads("never")
    assert operand == result


def test_the_callers_input_is_never_overwritten() -> None:
    b = GraphBuilder((4, 8))
    b.add("norm", b.norm(8))
    b.add("head", b.linear(2, 8))
    slots = assign_homes(b.graph()).slots
    assert slots["x"].buffer != slots["norm_y"].buffer
