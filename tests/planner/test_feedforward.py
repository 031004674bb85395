# SPDX-License-Identifier: Apache-2.0
"""Two linear layers by row blocks: the same bits, and the hidden activation never whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hostnet import random_samples, wrong_outputs

from graphs import GraphBuilder
from tinygen import operators as ops
from tinygen.boards import load_board
from tinygen.graph import Graph
from tinygen.operators.feed_forward import FeedForwardStep
from tinygen.planner import Options, Plan, make_plan

needs_cc = pytest.mark.skipif(not shutil.which("cc"), reason="no host C compiler (cc)")


def network(rows: int, e: int, hidden: int, n: int, *, separate: bool = False) -> Graph:
    """Two linear layers within others, with a table in between; separate: as a node of its own."""
    b = GraphBuilder((rows, 3), seed=rows)
    b.add("embed", b.linear(e, 3))
    skip = b.add("norm", b.norm(e))
    b.add("up", b.linear(hidden, e, table=not separate))
    if separate:
        b.add("gelu", ops.Lut(b.table()))
    b.add("down", b.linear(n, hidden))
    if n == e:
        b.add("sum", b.residual(), b.last, skip)
    b.add("head", b.linear(2, n, table=True))
    return b.graph()


def hidden_bytes(plan: Plan) -> int:
    return max(q.buffer.size for q in plan.placements if q.buffer.name.startswith("hidden"))


@needs_cc
@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.parametrize(("shape", "block"), [((13, 8, 21, 8), 4), ((9, 5, 16, 7), 1)], ids=str)
def test_bits(shape: tuple[int, ...], block: int, separate: bool, tmp_path: Path) -> None:
    graph = network(*shape, separate=separate)
    plan = make_plan(graph, load_board("host"), Options(feed_forward_block=block))
    step = next(s for s in plan.steps if s.name == "up")
    assert step.op == "feed-forward" and step.schedule == f"row blocks of {block}"
    assert hidden_bytes(plan) == block * shape[2]
    assert plan.macs == make_plan(graph, load_board("host")).macs
    assert wrong_outputs(plan, random_samples(graph, 2), tmp_path / "net") == 0


def test_the_output_lies_over_a_dead_input() -> None:
    """norm is needed again by the residual, embed's result is not."""
    b = GraphBuilder((8, 3))
    b.add("embed", b.linear(16, 3))
    b.add("up", b.linear(64, 16))
    b.add("down", b.linear(16, 64))
    b.add("head", b.linear(2, 16))
    options = Options(feed_forward_block=4)
    plan = make_plan(b.graph(), load_board("host"), options)
    step = plan.steps[1]
    assert isinstance(step.args, FeedForwardStep) and step.inputs[0] == step.output
    kept = make_plan(network(8, 16, 64, 16), load_board("host"), options)
    step = next(s for s in kept.steps if s.op == "feed-forward")
    assert step.inputs[0] != step.output


@pytest.mark.parametrize("limit", [14_000, 9_000])
def test_blocks_only_where_memory_asks(limit: int) -> None:
    board = load_board("mps2_an386")
    graph = network(64, 32, 256, 32)
    free = make_plan(graph, board)
    assert all(s.op != "feed-forward" for s in free.steps)
    tight = make_plan(graph, board, Options(max_ram=limit))
    step = next(s for s in tight.steps if s.op == "feed-forward")
    assert tight.arena_bytes <= limit < free.arena_bytes
    chosen = next(a for a in tight.alternatives["up"] if a.chosen)
    assert str(chosen.schedule) == step.schedule
    assert chosen.instructions == step.instructions


def test_what_others_read_stays_whole() -> None:
    b = GraphBuilder((8, 4))
    hidden = b.add("up", b.linear(16, 4))
    b.add("down", b.linear(16, 16))
    b.add("sum", b.residual(), b.last, hidden)
    plan = make_plan(b.graph(), load_board("host"), Options(feed_forward_block=4))
    assert [s.op for s in plan.steps] == ["linear", "linear", "add"]


@needs_cc
def test_the_input_may_lie_in_the_arena(tmp_path: Path) -> None:
    """An image gives its memory to the layers after the patch embedding."""
    b = GraphBuilder((3, 12, 12))
    weight = b.int8(16, 3, 4, 4)
    b.add("embed", ops.Conv(weight, b.bias(16), b.requant(16, 48), (4, 4)))
    b.add("class_token", ops.PrependTokens(b.int8(1, 16)))
    b.block(16, 4, 4, 64)
    graph, board = b.graph(), load_board("host")
    plan = make_plan(graph, board, Options(input_in_arena=True))
    image = plan.placement("input")
    later = [q for q in plan.placements if q.buffer.first > image.buffer.last]
    assert any(
        q.offset < image.offset + image.buffer.size and image.offset < q.offset + q.buffer.size
        for q in later
    )
    assert plan.arena_bytes < make_plan(graph, board).arena_bytes + image.buffer.size
    assert wrong_outputs(plan, random_samples(graph, 2), tmp_path / "net") == 0
