# SPDX-License-Identifier: Apache-2.0
"""Cycles that the core waits for memories, beside what its pipeline takes: an estimate.

Weights stream from flash once for every group of rows that shares a pass over them, unless half of
the data cache holds them; each byte costs the flash's `wait`. Working memory costs what its region
is slower than the fastest, a word at a time.
"""

from __future__ import annotations

from collections.abc import Mapping

from tinygen.boards import Board
from tinygen.lowering import Step, Stream
from tinygen.targets import Target

WORD = 4


def weight_cycles(reads: int, board: Board) -> int:
    """reads: bytes of weights, from the board's first flash."""
    return round(reads * board.flash[0].wait) if board.flash else 0


def stream_of(target: Target, board: Board) -> Stream | None:
    """How weights stream; None where nobody has counted the target's loops."""
    loops = target.loops
    return None if loops is None else Stream(target, loops.tile, board.core.dcache)


def step_reads(step: Step, target: Target, board: Board) -> int:
    """Bytes of weights that one step streams."""
    stream = stream_of(target, board)
    return 0 if stream is None else step.args.weight_reads(stream)


def placement_cycles(traffic: Mapping[str, int], regions: Mapping[str, str], board: Board) -> int:
    """traffic: buffer -> bytes of one step.  regions: buffer -> region."""
    extra = {r.name: r.speed - 1 for r in board.ram}
    waits = (n / WORD * extra[regions[b]] for b, n in traffic.items() if b in regions)
    return round(sum(waits))
