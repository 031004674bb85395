# SPDX-License-Identifier: Apache-2.0
"""Graph + Board -> Plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from tinygen.boards import Board, all_boards
from tinygen.errors import TinygenError
from tinygen.graph import Graph, Quant, verify
from tinygen.graph.ops import VIEWS, Fusion
from tinygen.planner import arena, budgets, cluster, cluster_cost, l3, stalls
from tinygen.planner import plan as p
from tinygen.planner.choose import (
    Attempt,
    Packed,
    Wishes,
    attention_layers,
    feed_forward_layers,
    worth_having,
)
from tinygen.planner.constants import const_bytes
from tinygen.planner.cost import CostModel, load_cost_model
from tinygen.planner.footprint import footprint
from tinygen.planner.lower import Lowering, lifetimes
from tinygen.planner.schedule import AttentionSchedule, Kind
from tinygen.targets import Target, get_target


@dataclass(frozen=True)
class Options:
    """What the user wishes. attention: None = the planner decides.  row_block: query rows.

    max_ram: bytes of arena.  max_flash: bytes of weights, tables and code.  max_latency: predicted
    milliseconds.  schedules: attention node -> its only schedule, for measurements.
    feed_forward_block: rows of two linear layers at a time.  input_in_arena: it lies there, and
    later layers overwrite it; else it is the caller's.  fusion: of attention weights, None = where
    it wins; `make_plan` takes the graph as it is.
    short: the arithmetic was shortened (`tinygen.passes.short`); kept for updates only.
    """

    attention: Kind | None = None
    row_block: int | None = None
    max_ram: int | None = None
    max_flash: int | None = None
    max_latency: float | None = None
    feed_forward_block: int | None = None
    input_in_arena: bool = False
    fusion: Fusion | None = None
    schedules: Mapping[str, AttentionSchedule] = field(default_factory=dict)
    short: bool = False


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
    if all(isinstance(node.op, VIEWS) for node in graph.nodes):
        raise TinygenError(
            f"model {graph.name} computes nothing: its output is its input, or a part of it, so "
            "there is nothing to deploy"
        )
    target = get_target(board.core.target)
    if board.core.count > 1:
        return _cluster(graph, board, options.max_flash)
    return _search(graph, board, target, options)


def _search(
    graph: Graph, board: Board, target: Target, options: Options
) -> p.Plan | budgets.TooLarge:
    model = load_cost_model(target.name, board.core.cpu)
    weights: Packed = {}
    wishes = Wishes(options.attention, options.row_block, options.schedules)
    layers = attention_layers(graph, board, target, wishes, model, weights)
    worth = {name: worth_having(every) for name, every in layers.items()}
    two = feed_forward_layers(graph, board, target, options.feed_forward_block, model, weights)
    # Blocks make one layer of two: only where memory asks for it.
    worth |= {name: worth_having(every, 0) for name, every in two.items()}
    layers |= two
    first = {name: 0 for name in layers}
    attempt: Attempt | None = Attempt(
        graph, board, target, first, worth, options.input_in_arena, weights
    )
    while attempt is not None:
        low = attempt.lower()
        buffers = lifetimes(low)
        try:
            packed = arena.pack(buffers, board.ram)
            if options.max_ram is None or packed.used <= options.max_ram:
                return _finish(graph, board, low, packed, layers)
        except ValueError:
            pass
        attempt = attempt.smaller(buffers, low.steps)
    need = arena.smallest(buffers)
    return budgets.TooLarge(graph.name, board, tuple(low.steps), tuple(buffers), need)


def _cluster(graph: Graph, board: Board, max_flash: int | None) -> p.Plan | budgets.TooLarge:
    for low in cluster.lowerings(graph, board):
        buffers = lifetimes(low)
        try:
            found = _finish(graph, board, low, arena.pack(buffers, board.ram), {})
            return _staged(found, max_flash)
        except ValueError:
            need = arena.smallest(buffers)
            excess = budgets.TooLarge(graph.name, board, tuple(low.steps), tuple(buffers), need)
    return excess


def _staged(plan: p.Plan, max_flash: int | None) -> p.Plan:
    """With constants in L3 where L2, or --max-flash, has no room for all."""
    code = plan.flash_bytes - plan.const_bytes
    stage = l3.staging(plan.steps, plan.board, code, max_flash)
    if stage is None:
        return plan
    sources = tuple(sorted({*plan.sources, *l3.SOURCES}))
    return replace(plan, staging=stage, sources=sources, notes=(*plan.notes, l3.NO_WAITS))


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


def _finish(
    graph: Graph,
    board: Board,
    low: Lowering,
    packed: arena.Arena,
    layers: Mapping[str, tuple[p.Alternative, ...]],
) -> p.Plan:
    model = load_cost_model(low.target.name, board.core.cpu)
    homes = {q.buffer.name: q.region for q in packed.placements}
    steps = tuple(
        _predicted(step, low, low.step_traffic.get(i, {}), homes, board, model)
        for i, step in enumerate(low.steps)
    )
    if board.core.count > 1:
        cores = board.core.count
        steps = tuple(cluster_cost.predicted(step, low.target.name, cores) for step in steps)
    sources = tuple(sorted(low.sources | set(low.more_sources)))
    regions = _region_use(packed, board)
    return p.Plan(
        model=graph.name,
        model_hash=graph.model_hash,
        board=board,
        target=low.target.name,
        input_shape=graph.values[graph.input].shape,
        output_shape=graph.values[graph.output].shape,
        input_quant=_quant(graph, graph.input),
        output_quant=_quant(graph, graph.output),
        steps=steps,
        placements=packed.placements,
        regions=regions,
        arena_lower_bound=arena.live_bytes([q.buffer for q in packed.placements]),
        sources=sources,
        params_bytes=params_count(graph),
        const_bytes=const_bytes(low.steps),
        notes=graph.notes,
        normalisation=graph.normalisation,
        integer_input=graph.integer_input,
        threshold=graph.threshold,
        alternatives={
            name: tuple(replace(a, chosen=a.schedule == low.schedules[name]) for a in every)
            for name, every in layers.items()
        },
        footprint=footprint(steps, sources, len(regions), low.target.name, board),
    )


def _predicted(
    step: p.Step,
    low: Lowering,
    traffic: Mapping[str, int],
    regions: Mapping[str, str],
    board: Board,
    model: CostModel | None,
) -> p.Step:
    cost = None if model is None else model.step(step)
    if cost is None:
        return step
    weights = stalls.weight_cycles(stalls.step_reads(step, low.target, board), board)
    memory = stalls.placement_cycles(traffic, regions, board)
    return replace(
        step,
        instructions=cost.instructions,
        cycles=cost.cycles + weights + memory,
        wait_weights=weights,
        wait_memory=memory,
    )


def _quant(graph: Graph, value: str) -> Quant:
    quant = graph.values[value].quant
    assert quant is not None
    return quant


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
