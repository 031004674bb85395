# SPDX-License-Identifier: Apache-2.0
"""Graph + Board -> Plan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinygen.boards import Board, all_boards
from tinygen.errors import TinygenError
from tinygen.graph import Graph, verify
from tinygen.operators import Operator
from tinygen.planner import arena, budgets
from tinygen.planner import plan as p
from tinygen.planner.constants import const_bytes
from tinygen.planner.ends import inputs_of, outputs_of
from tinygen.planner.footprint import footprint
from tinygen.planner.machine import Machine, Way
from tinygen.planner.machines import machine_of
from tinygen.planner.options import Options


def make_plan(graph: Graph, board: Board, options: Options | None = None) -> p.Plan:
    """Decide schedule, layouts and places: the fastest that is predicted to fit.

    Raises `TinygenError`, one sentence, if nothing fits: which node is at fault, by how much, and
    what would fit.
    """
    options = options or Options()
    found = _find(graph, board, options)
    excess = budgets.excess(found, options.max_ram, options.max_flash, options.max_latency)
    if excess is None:
        assert isinstance(found, p.Plan)
        return found
    raise TinygenError(_refusal(graph, board, options, excess))


def _find(graph: Graph, board: Board, options: Options) -> p.Plan | budgets.TooLarge:
    """The fastest plan within RAM, else the smallest that there is."""
    verify(graph, integer=True)
    if all(isinstance(n.op, Operator) and n.op.is_view for n in graph.nodes):
        raise TinygenError(
            f"model {graph.name} computes nothing: its output is its input, or a part of it, so "
            "there is nothing to deploy"
        )
    machine = machine_of(board)
    for way in machine.ways(graph, options):
        try:
            packed = arena.pack(way.buffers, board.ram)
        except ValueError:
            continue
        if options.max_ram is None or packed.used <= options.max_ram:
            return machine.settled(_finish(graph, machine, way, packed), options)
    need = arena.smallest(way.buffers)
    return budgets.TooLarge(graph.name, board, tuple(way.low.steps), tuple(way.buffers), need)


def _refusal(graph: Graph, board: Board, options: Options, excess: budgets.Excess) -> str:
    """The whole sentence; tries what else would fit."""
    remedies = []
    free = replace(options, attention=None, row_block=None)
    if (options.attention or options.row_block) and excess.budget != "flash":
        other = _find(graph, board, free)
        if not budgets.excess(other, options.max_ram, options.max_flash, options.max_latency):
            assert isinstance(other, p.Plan)
            remedies.append(f"--attention auto fits with {other.arena_bytes:,} bytes of RAM")
    if excess.remedy:
        remedies.append(excess.remedy)
    boards = sorted(all_boards(), key=lambda b: sum(r.size for r in b.ram))
    others = [b for b in boards if b.name != board.name and not b.emulation.host]
    for candidate in others if excess.of_board else []:
        found = _find(graph, candidate, free)
        if not budgets.excess(found, options.max_ram, options.max_flash, options.max_latency):
            remedies.append(f"--board {candidate.name} fits")
            break
    return f"{excess.sentence}: " + (" or ".join(remedies) or "use a smaller model")


def _finish(graph: Graph, machine: Machine, way: Way, packed: arena.Arena) -> p.Plan:
    low, board = way.low, machine.board
    steps = machine.predicted(low, {q.buffer.name: q.region for q in packed.placements})
    sources = tuple(sorted(low.sources))
    regions = _region_use(packed, board)
    ends = len(graph.inputs) + len(graph.outputs)
    return p.Plan(
        model=graph.name,
        model_hash=graph.model_hash,
        board=board,
        target=low.target.name,
        machine=machine.name,
        inputs=inputs_of(graph, low.homes.slots),
        outputs=outputs_of(graph, low.homes.slots),
        steps=steps,
        placements=packed.placements,
        regions=regions,
        arena_lower_bound=arena.live_bytes([q.buffer for q in packed.placements]),
        sources=sources,
        params_bytes=params_count(graph),
        const_bytes=const_bytes(low.steps),
        notes=graph.notes,
        alternatives={
            name: tuple(replace(a, chosen=a.schedule == low.schedules[name]) for a in every)
            for name, every in way.considered.items()
        },
        footprint=footprint(steps, sources, len(regions), ends, low.target.name, board),
    )


def _region_use(packed: arena.Arena, board: Board) -> tuple[p.RegionUse, ...]:
    uses = []
    for region in board.ram:
        mine = [q for q in packed.placements if q.region == region.name]
        if mine:
            used = arena.align_up(max(q.offset + q.buffer.size for q in mine))
            bound = arena.live_bytes([q.buffer for q in mine])
            proven = region.name in packed.proven
            uses.append(
                p.RegionUse(region.name, region.section, used, region.usable, bound, proven)
            )
    return tuple(uses)


def params_count(graph: Graph) -> int:
    """Bytes of weights and biases as the model has them (int8 weights, int32 biases)."""
    total = 0
    for node in graph.nodes:
        for array in vars(node.op).values():
            if isinstance(array, np.ndarray):
                total += array.nbytes
    return total
