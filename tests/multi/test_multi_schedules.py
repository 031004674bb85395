# SPDX-License-Identifier: Apache-2.0
"""Buffers of several inputs and outputs, and the bits that the emitted C gives with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from graphs import GraphBuilder
from planner.hostnet import random_samples, wrong_outputs
from tinygen import operators as ops
from tinygen.boards import load_board
from tinygen.graph import Graph
from tinygen.lowering import TICKS, Slot
from tinygen.planner import Options, Plan, make_plan
from tinygen.planner.values import assign_homes


def read_later() -> Graph:
    """An output in the middle, which later layers read, and which a norm could overwrite."""
    b = GraphBuilder((4, 8))
    middle = b.add("first", b.linear(8, 8))
    normed = b.add("norm", b.norm(8))
    b.add("sum", b.residual(), normed, middle)
    return b.graph(b.add("head", b.linear(2, 8)), middle)


def two_inputs() -> Graph:
    """The second input is read by the last layer only."""
    b = GraphBuilder((4, 8))
    other = b.entry("other", 4, 8)
    made = b.add("first", b.linear(8, 8))
    total = b.add("sum", b.residual(), made, other)
    return b.graph(b.add("left", b.linear(3, 8), total), b.add("right", b.linear(5, 8), total))


def one_value() -> Graph:
    """Two outputs are one value, a third is a row of it and a fourth the same bytes."""
    b = GraphBuilder((4, 8))
    rows = b.add("first", b.linear(8, 8))
    row = b.add("row", ops.SelectToken(2), rows)
    flat = b.add("flat", ops.Reshape((32,)), rows)
    return b.graph(rows, rows, row, flat, b.add("norm", b.norm(8), rows))


def attention() -> Graph:
    """The attention's input is an output, so that no schedule may write over it."""
    b = GraphBuilder((9, 16))
    first = b.add("first", b.linear(16, 16))
    b.block(16, 8, 2, 32)
    return b.graph(first, b.add("head", b.linear(3, 16)))


GRAPHS = (read_later, two_inputs, one_value, attention)


def of(board: str, graph: Graph, **options: object) -> Plan:
    return make_plan(graph, load_board(board), replace(Options(), **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("place", ["caller", "arena"])
def test_every_output_is_as_promised(graph: object, place: str, tmp_path: Path) -> None:
    assert callable(graph)
    made = graph()
    plan = of("host", made, input_in_arena=place == "arena")
    if place == "arena" and len(made.inputs) == 1:
        plan = of("host", made)
    if place == "arena" and len(made.inputs) > 1:
        for end in plan.inputs:
            assert any(q.buffer.name == end.buffer for q in plan.placements)
    assert wrong_outputs(plan, random_samples(made, 6), tmp_path) == 0


@pytest.mark.parametrize("kind", ["whole", "depth-first", "head-streaming"])
def test_no_schedule_writes_over_an_output(kind: str, tmp_path: Path) -> None:
    made = attention()
    plan = of("host", made, attention=kind)
    assert wrong_outputs(plan, random_samples(made, 4), tmp_path) == 0


def test_an_output_that_is_read_again_keeps_its_buffer() -> None:
    graph = read_later()
    slots = assign_homes(graph).slots
    middle = graph.outputs[1].value
    assert slots[middle] == Slot("output_out_1")
    writers = [n.output for n in graph.nodes if slots[n.output].buffer == slots[middle].buffer]
    assert writers == [middle]


def test_the_caller_owns_a_buffer_for_each_end() -> None:
    graph = two_inputs()
    homes = assign_homes(graph)
    assert homes.slots["x"] == Slot("input_x") and homes.slots["other"] == Slot("input_other")
    assert not {"input_x", "input_other", "output_out_0", "output_out_1"} & homes.sizes.keys()
    assert set(assign_homes(graph, input_in_arena=True).sizes) >= {"input_x", "input_other"}


def test_what_is_one_value_is_copied() -> None:
    plan = of("host", one_value())
    first, *others = plan.outputs
    assert first.slot == Slot(first.buffer)
    assert [end.slot for end in others[:3]] == [
        Slot(first.buffer),
        Slot(first.buffer, 2 * 8),
        Slot(first.buffer),
    ]


@pytest.mark.parametrize("graph", GRAPHS)
def test_on_a_cluster_outputs_live_to_the_end(graph: object) -> None:
    assert callable(graph)
    plan = of("pulp_open", graph())
    end = len(plan.steps) * TICKS - 1
    lives = {q.buffer.name: q.buffer for q in plan.placements}
    for output in plan.outputs:
        assert lives[output.slot.buffer].last == end
    for entry in plan.inputs:
        assert lives[entry.slot.buffer].first == 0
    for a in plan.placements:
        for b in plan.placements:
            apart = a.buffer.last < b.buffer.first or b.buffer.last < a.buffer.first
            beside = a.offset + a.buffer.size <= b.offset or b.offset + b.buffer.size <= a.offset
            assert a is b or a.region != b.region or apart or beside
