# SPDX-License-Identifier: Apache-2.0
"""Roundings that a model makes within an operator: followed where they show, said either way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graphs import GraphBuilder
from tinygen import operators as ops
from tinygen.graph import Graph
from tinygen.passes.roundings import LIMIT, distance, nearest, roundings
from tinygen.passes.twice import MERGED

DROPPED = (f"q~2 {MERGED} before its bias", f"k {MERGED} before its bias")


def shifted(by: int) -> Graph:
    """Outputs that many steps higher than with 0, except where they saturate."""
    b = GraphBuilder((2, 3), 4)
    b.add("sum", ops.Add(1 << 10, 0, (by << 10) + (1 << 9), 10, b.int8(2, 3) * 0))
    return replace(b.graph(), notes=("other",))


def test_the_distance_is_in_steps() -> None:
    x = np.zeros((4, 2, 3), np.float32)
    assert distance(shifted(0), shifted(3), x) == 3
    assert distance(shifted(0), shifted(3), None) > 2.5


def test_those_that_show_are_followed() -> None:
    quick, exact = replace(shifted(0), notes=("other", *DROPPED)), shifted(1)
    assert roundings(quick) == DROPPED
    chosen = nearest(quick, exact, DROPPED, None)
    assert chosen.nodes is exact.nodes
    note = chosen.notes[-1]
    assert chosen.notes[:-1] == ("other",) and "the device does so too" in note
    assert f"the model {MERGED} before its bias (q and 1 more)" in note
    assert "`tinygen quantize` avoids" in note


def one_in(parts: int) -> Graph:
    """As `shifted(0)`, but one of so many outputs is a step higher."""
    b = GraphBuilder((1, parts), 4)
    high = np.zeros((1, parts), np.int8)
    high[0, 0] = 1
    b.add("sum", ops.Add(1 << 10, 1 << 10, 1 << 9, 10, high))
    return b.graph()


@pytest.mark.parametrize(("parts", "said"), [(5, True), (40, False)])
def test_those_that_do_not_are_left_out(parts: int, said: bool) -> None:
    same = one_in(parts)
    (node,) = same.nodes
    assert isinstance(node.op, ops.Add) and node.op.other is not None
    plain = replace(node, op=replace(node.op, other=0 * node.op.other))
    quick = replace(same, nodes=(plain,), notes=DROPPED)
    x = np.zeros((4, 1, parts), np.float32)
    assert distance(quick, same, x) == pytest.approx(1 / parts) and 1 / parts < LIMIT
    chosen = nearest(quick, same, DROPPED, x)
    assert chosen.nodes is quick.nodes
    assert [f"the device does not, which is {1 / parts:.2f} LSB" in n for n in chosen.notes] == (
        [True] if said else []
    )


def test_without_a_graph_that_follows_them_that_is_said() -> None:
    quick = replace(shifted(0), notes=DROPPED)
    (note,) = nearest(quick, None, DROPPED, None).notes
    assert note.endswith("the device does not")
