# SPDX-License-Identifier: Apache-2.0
"""Every attention schedule gives the reference's bits, within the memory that it promises."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hostnet import random_samples, wrong_outputs

from graphs import GraphBuilder, random_encoder
from tinygen.boards import Board, load_board
from tinygen.graph import Graph
from tinygen.operators import FUSIONS, Fusion
from tinygen.operators.attention.memory import working_bytes
from tinygen.operators.attention.schedule import AttentionSchedule, attention_schedules
from tinygen.planner import KINDS, Options, make_plan
from tinygen.targets import get_target

needs_cc = pytest.mark.skipif(not shutil.which("cc"), reason="no host C compiler (cc)")

SHAPES = [(5, 8, 4, 2), (1, 5, 7, 1), (9, 18, 2, 3), (13, 7, 3, 12), (7, 6, 2, 1), (3, 1, 1, 5)]
"""S, E, P, H: odd ones, P = 2, one head, twelve."""


def layer(s: int, e: int, p: int, h: int, fusion: Fusion = "unfused") -> Graph:
    """One attention layer between two linear ones, so that all its buffers are the arena's."""
    b = GraphBuilder((s, 3), seed=s)
    b.add("embed", b.linear(e, 3))
    b.add("attention", b.attention(e, p, h, fusion=fusion))
    b.add("head", b.linear(2, e))
    return b.graph()


@needs_cc
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("row_block", [None, 1, 2, 4])
def test_bits(shape: tuple[int, ...], kind: str, row_block: int | None, tmp_path: Path) -> None:
    graph = layer(*shape)
    plan = make_plan(graph, load_board("host"), Options(kind, row_block))
    assert plan.steps[1].schedule.startswith(kind)
    assert wrong_outputs(plan, random_samples(graph, 2), tmp_path / "net") == 0


@needs_cc
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fusion", FUSIONS[1:])
@pytest.mark.parametrize(("shape", "row_block"), [((13, 7, 3, 3), 4), ((6, 8, 8, 2), None)])
def test_bits_of_fused_weights(
    shape: tuple[int, ...], row_block: int | None, fusion: Fusion, kind: str, tmp_path: Path
) -> None:
    graph = layer(*shape, fusion)
    plan = make_plan(graph, load_board("host"), Options(kind, row_block))
    step = plan.steps[1]
    assert step.schedule.startswith(kind) and "portable/attention_load.c" in plan.sources
    assert step.macs == graph.nodes[1].op.macs(shape[0])
    assert wrong_outputs(plan, random_samples(graph, 2), tmp_path / "net") == 0


def test_keys_and_values_that_are_x_take_the_memory_of_one_head() -> None:
    board = load_board("mps2_an386")
    how = AttentionSchedule("whole", 8)
    sizes = {
        fusion: {
            q.buffer.name: q.buffer.size
            for q in make_plan(
                layer(8, 16, 16, 4, fusion), board, Options(schedules={"attention": how})
            ).placements
        }
        for fusion in ("unfused", "fused")
    }
    for buffer in ("k_1", "v_1"):
        assert 4 * sizes["fused"][buffer] == sizes["unfused"][buffer]


@pytest.mark.parametrize("tokens", [8, 40])
@pytest.mark.parametrize("form", FUSIONS[1:])
def test_fused_weights_take_less_of_a_clusters_memory(form: Fusion, tokens: int) -> None:
    """Keys and values of one head instead of eight, and fewer weights."""
    plain, plan = (
        make_plan(layer(tokens, 16, 16, 8, f), load_board("gap9")) for f in ("unfused", form)
    )
    assert {"cluster/attention_fused.c", "xpulpv2/attention_load.c"} <= set(plan.sources)
    assert plan.arena_bytes < plain.arena_bytes and plan.const_bytes < 0.85 * plain.const_bytes


def small(target: str, ram: int) -> Board:
    """A board with so much RAM."""
    board = load_board("host")
    core = board.core.model_copy(update={"target": target})
    memory = tuple(
        r.model_copy(update={"size": ram}) if r.kind == "ram" else r for r in board.memory
    )
    return board.model_copy(update={"core": core, "memory": memory})


@needs_cc
@pytest.mark.parametrize(("shape", "ram"), [((9, 8, 32, 4), 1144), ((9, 64, 2, 4), 744)], ids=str)
def test_both_ways_to_stream_heads(shape: tuple[int, ...], ram: int, tmp_path: Path) -> None:
    """Wide heads ask for int32 sums, narrow ones for the context."""
    graph = layer(*shape)
    plan = make_plan(graph, small("portable", ram), Options("head-streaming"))
    assert ("sums" in plan.steps[1].schedule) == (shape[2] == 32), plan.steps[1].schedule
    assert wrong_outputs(plan, random_samples(graph, 2), tmp_path / "net") == 0


@needs_cc
@pytest.mark.parametrize("kind", KINDS)
def test_deep_encoder(kind: str, tmp_path: Path) -> None:
    graph = random_encoder(tokens=9, e=18, p=2, h=3, blocks=3, class_token=False)
    plan = make_plan(graph, load_board("host"), Options(kind, 4))
    assert wrong_outputs(plan, random_samples(graph, 2), tmp_path / "net") == 0


@pytest.mark.parametrize("target", ["portable", "armv7em"])
@pytest.mark.parametrize("shape", [(81, 32, 32, 8), (66, 16, 2, 8), (5, 16, 8, 4)], ids=str)
def test_working_bytes_are_what_the_plan_needs(target: str, shape: tuple[int, ...]) -> None:
    graph = layer(*shape)
    board = small(target, 1 << 28)
    for how in attention_schedules(shape[0]):
        want = working_bytes(get_target(target), graph.nodes[1].op, shape[0], how)
        plan = make_plan(graph, board, Options(how.kind, how.row_block))
        if plan.steps[1].args.schedule == how:
            tick = 5  # the attention is the second step
            live = [
                sum(
                    -(-q.buffer.size // 8) * 8
                    for q in plan.placements
                    if q.buffer.first <= t <= q.buffer.last
                )
                for t in range(tick, tick + 5)
            ]
            assert max(live) == want, how


@pytest.mark.parametrize("target", ["portable", "armv7em"])
def test_eeg_layer_in_18_900_bytes(target: str) -> None:
    """(81, 32, 32, 8): layer by layer with the whole map needs 117,288 bytes."""
    op = layer(81, 32, 32, 8).nodes[1].op
    assert op.map_bytes(81) == 117_288
    sizes = (
        working_bytes(get_target(target), op, 81, how)
        for how in attention_schedules(81, compact=(False, True))
    )
    assert min(sizes) <= 18_900


def test_row_blocks_are_cut_to_the_layer() -> None:
    assert list(attention_schedules(5, "depth-first", 99)) == [AttentionSchedule("depth-first", 5)]
