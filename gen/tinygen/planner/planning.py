# SPDX-License-Identifier: Apache-2.0
"""Graph + Board -> Plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinygen.boards import Board
from tinygen.errors import TinygenError
from tinygen.graph import Graph, Quant, verify
from tinygen.planner import arena
from tinygen.planner import plan as p
from tinygen.planner.choose import Attempt, attention_layers
from tinygen.planner.constants import const_bytes
from tinygen.planner.lower import Lowering, lifetimes
from tinygen.planner.plan import TICKS
from tinygen.planner.schedule import Kind
from tinygen.targets import get_target


@dataclass(frozen=True)
class Options:
    """What the user wishes. attention: None = the planner decides.  row_block: query rows."""

    attention: Kind | None = None
    row_block: int | None = None


def make_plan(graph: Graph, board: Board, options: Options | None = None) -> p.Plan:
    """Decide schedule, layouts and places.

    Raises `TinygenError` naming the operator at the peak if the arena cannot fit the board, or
    the largest operator if the weights cannot.
    """
    verify(graph, integer=True)
    options = options or Options()
    target = get_target(board.core.target)
    layers = attention_layers(graph, target, options.attention, options.row_block)
    attempt = Attempt(graph, board, {name: 0 for name in layers}, layers)
    while True:
        low = attempt.lower()
        buffers = lifetimes(low)
        try:
            return _finish(graph, board, low, buffers, arena.pack(buffers, board.ram))
        except ValueError:
            smaller = attempt.smaller(buffers, low.steps)
            if smaller is None:
                raise _too_large(buffers, low, board) from None
            attempt = smaller


def _finish(
    graph: Graph, board: Board, low: Lowering, buffers: list[p.Buffer], packed: arena.Arena
) -> p.Plan:
    consts = const_bytes(low.steps)
    _check_flash(consts, low.steps, board)
    sources = {f for kind in low.operators for f in _sources(low, kind)}
    return p.Plan(
        model=graph.name,
        model_hash=graph.model_hash,
        board=board,
        target=low.target.name,
        input_shape=graph.values[graph.input].shape,
        output_shape=graph.values[graph.output].shape,
        input_quant=_quant(graph, graph.input),
        output_quant=_quant(graph, graph.output),
        steps=tuple(low.steps),
        placements=packed.placements,
        regions=_region_use(packed, board),
        arena_lower_bound=arena.live_bytes(buffers),
        sources=tuple(sorted(sources)),
        params_bytes=params_count(graph),
        const_bytes=consts,
        notes=graph.notes,
    )


def _sources(low: Lowering, kind: str) -> tuple[str, ...]:
    return () if kind == "prepend" else low.target.sources(kind)


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


def _too_large(buffers: list[p.Buffer], low: Lowering, board: Board) -> TinygenError:
    need, tick = p.peak(buffers)
    step = low.steps[min(tick // TICKS, len(low.steps) - 1)]
    have = sum(r.usable for r in board.ram)
    return TinygenError(
        f"{low.graph.name}: node {step.name} needs {need:,} bytes of RAM at once but "
        f"{board.name} has {have:,} usable: use fewer tokens or features, or a board with more RAM"
    )


def _check_flash(consts: int, steps: list[p.Step], board: Board) -> None:
    have = sum(r.usable for r in board.flash)
    if consts > have:
        largest = max(steps, key=lambda s: const_bytes([s]))
        raise TinygenError(
            f"node {largest.name}: the model's weights take {consts:,} bytes but {board.name} has "
            f"{have:,} of flash ({const_bytes([largest]):,} of them in this node): use a smaller "
            "model or a board with more flash"
        )


def params_count(graph: Graph) -> int:
    """Bytes of weights and biases as the model has them (int8 weights, int32 biases)."""
    total = 0
    for node in graph.nodes:
        for array in vars(node.op).values():
            if isinstance(array, np.ndarray):
                total += array.nbytes
    return total
