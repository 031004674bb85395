# SPDX-License-Identifier: Apache-2.0
"""Which layers keep their constants in L3, and the buffer in L2 that they come to.

The largest go first, until what stays fits. Layers take the slots of the buffer in turn: with two,
one layer's constants are on their way while the layer before uses its own; with one, where two have
no room, each waits for its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinygen.boards import Board, Region
from tinygen.lowering import Step
from tinygen.planner import plan as p
from tinygen.planner.constants import const_bytes

ALIGN, MOST = 8, 4 << 19
"""Bytes: alignment of every array; most that `tg_l3_load` (tinygen/l3.h) brings at once."""
SOURCES = ("cluster/stage.c", "runtime/l3_pulp.c", "runtime/l3_host.c")
NO_WAITS = "predicted cycles leave out waits for L3"


def align(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


def block_bytes(step: Step) -> int:
    """All constants of a layer, one after the other, each aligned."""
    return sum(align(array.nbytes) for _, array in step.args.constants())


def external(board: Board) -> Region | None:
    return next((r for r in board.memory if r.kind == "external"), None)


def staging(
    steps: Sequence[Step], board: Board, code: int = 0, limit: int | None = None
) -> p.Staging | None:
    """None: all fits L2, or L3 does not help.

    code: bytes of L2 that are not constants.  limit: of L2, bytes; None = the board's.
    """
    region = external(board)
    have = sum(r.usable for r in board.flash)
    have = (have if limit is None else min(have, limit)) - code
    total = const_bytes(steps)
    if region is None or total <= have:
        return None
    largest = sorted(range(len(steps)), key=lambda i: -block_bytes(steps[i]))
    if block_bytes(steps[largest[0]]) > MOST:
        return None
    for slots in (2, 1):
        for count in range(1, len(steps) + 1):
            chosen = [steps[i] for i in sorted(largest[:count]) if block_bytes(steps[i])]
            stage = _stage(chosen, slots)
            if total - stage.saved <= have and stage.l3_bytes <= region.usable:
                return stage
    return None


def _stage(steps: Sequence[Step], slots: int) -> p.Staging:
    """Slot i holds every layer whose turn is i, modulo their number."""
    sizes = [block_bytes(s) for s in steps]
    rooms = [max(sizes[i::slots], default=0) for i in range(slots)]
    layers, at = [], 0
    for i, (step, size) in enumerate(zip(steps, sizes, strict=True)):
        offset = sum(rooms[: i % slots])
        layers.append(p.Staged(step.name, at, size, offset, const_bytes([step])))
        at += size
    return p.Staging(tuple(layers), sum(rooms), slots)
