# SPDX-License-Identifier: Apache-2.0
"""Budgets: the planner keeps them, or says in one sentence what breaks them and what would hold."""

from __future__ import annotations

import re

import pytest

from graphs import GraphBuilder, random_encoder
from tinygen import operators as ops
from tinygen.boards import Board, load_board
from tinygen.errors import TinygenError
from tinygen.graph import Graph
from tinygen.planner import Options, make_plan


@pytest.fixture(scope="module")
def eeg() -> Graph:
    b = GraphBuilder((81, 32))
    b.add("embed", b.linear(32, 32))
    b.block(32, 32, 8, 64)
    return b.graph()


def board(ram: int | None = None) -> Board:
    made = load_board("mps2_an386")
    memory = tuple(
        r.model_copy(update={"size": ram, "reserved": 0}) if r.kind == "ram" and ram else r
        for r in made.memory
    )
    return made.model_copy(update={"memory": memory})


def refusal(graph: Graph, on: Board, options: Options) -> str:
    with pytest.raises(TinygenError) as caught:
        make_plan(graph, on, options)
    text = str(caught.value)
    assert "\n" not in text and not text.endswith(".") and text.startswith(f"{graph.name}: ")
    return text


@pytest.mark.parametrize("limit", [60_000, 40_000, 30_000])
def test_less_memory_costs_time_not_bits(eeg: Graph, limit: int) -> None:
    free, tight = make_plan(eeg, board()), make_plan(eeg, board(), Options(max_ram=limit))
    assert tight.arena_bytes <= limit
    assert (tight.instructions or 0) >= (free.instructions or 0)
    by_board = make_plan(eeg, board(limit))
    assert [s.schedule for s in by_board.steps] == [s.schedule for s in tight.steps]


def test_ram(eeg: Graph) -> None:
    text = refusal(eeg, board(), Options(max_ram=9_000))
    assert "node block0.attention (head-streaming" in text
    need, more = (int(n.replace(",", "")) for n in re.findall(r"([0-9,]+) (?:bytes|more)", text))
    assert need - more == 9_000
    assert text.endswith(f": --max-ram {need}")
    assert make_plan(eeg, board(), Options(max_ram=need)).arena_bytes == need


def test_a_wish_that_stands_in_the_way(eeg: Graph) -> None:
    text = refusal(eeg, board(), Options(attention="whole", max_ram=40_000))
    assert "--attention auto fits with" in text


def test_ram_of_the_board(eeg: Graph) -> None:
    text = refusal(eeg, board(9_000), Options())
    assert "mps2_an386 grants" in text
    name = re.search(r"--board (\w+) fits", text)
    assert name
    make_plan(eeg, load_board(name[1]))


def test_flash(eeg: Graph) -> None:
    text = refusal(eeg, board(), Options(max_flash=20_000))
    size = make_plan(eeg, board()).flash_bytes
    assert f"{size - 20_000:,} more than --max-flash grants" in text
    assert "node block0.attention" in text and text.endswith(f"--max-flash {size}")
    make_plan(eeg, board(), Options(max_flash=size))


def test_latency(eeg: Graph) -> None:
    text = refusal(eeg, board(), Options(max_latency=1.0))
    assert "node block0.attention" in text
    limit = re.search(r"--max-latency ([0-9.]+)", text)
    assert limit
    make_plan(eeg, board(), Options(max_latency=float(limit[1])))


def test_latency_without_a_cost_model(eeg: Graph) -> None:
    assert "no cost model" in refusal(eeg, load_board("host"), Options(max_latency=1e9))


def test_the_same_plan_every_time() -> None:
    graph = random_encoder(tokens=40, e=24, p=6, h=4, blocks=3)
    first, second = (make_plan(graph, board(), Options(max_ram=9_000)) for _ in range(2))
    assert first.placements == second.placements
    assert first.alternatives == second.alternatives


@pytest.mark.parametrize("name", ["host", "gap9_evk"])
def test_a_model_that_computes_nothing_is_refused(name: str) -> None:
    b = GraphBuilder((4, 6))
    b.add("view", ops.Reshape((6, 4)))
    b.add("first", ops.SelectToken(2))
    with pytest.raises(TinygenError, match="computes nothing"):
        make_plan(b.graph(), load_board(name))


def test_a_cluster_keeps_the_limit_too(eeg: Graph) -> None:
    gap9 = load_board("gap9_evk")
    free = make_plan(eeg, gap9)
    said = refusal(eeg, gap9, Options(max_ram=1000))
    least = int(said.split("--max-ram ")[-1])
    assert f"needs {least:,} bytes of RAM even in the smallest plan" in said
    tight = make_plan(eeg, gap9, Options(max_ram=least))
    assert least <= free.arena_bytes and tight.arena_bytes <= least
    assert (tight.cycles or 0) >= (free.cycles or 0)
