# SPDX-License-Identifier: Apache-2.0
"""Cycles that the core waits for memories, beside what its pipeline takes: an estimate.

Weights stream from flash once for every group of rows that shares a pass over them, unless half of
the data cache holds them; each byte costs the flash's `wait`. Working memory costs what its region
is slower than the fastest, a word at a time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from tinygen.boards import Board
from tinygen.planner import plan as p
from tinygen.planner.attention import operands
from tinygen.planner.cost import AttentionShape
from tinygen.planner.loops import Loops, get_loops
from tinygen.planner.schedule import AttentionSchedule
from tinygen.targets import Target

WORD = 4


def weight_cycles(reads: int, board: Board) -> int:
    """reads: bytes of weights, from the board's first flash."""
    return round(reads * board.flash[0].wait) if board.flash else 0


def _streamed(size: int, passes: int, board: Board) -> int:
    """Bytes read for so many passes over weights."""
    return size if 2 * size <= board.core.dcache else size * passes


def step_reads(step: p.Step, target: Target, board: Board) -> int:
    """Bytes of weights that one step streams."""
    loops = get_loops(target.name)
    if loops is None:
        return 0
    match step.args:
        case p.LinearStep(linear=a, rows=rows):
            return _streamed(a.packed.w.nbytes, _passes(rows, loops), board)
        case p.FeedForwardStep(up=up, down=down, rows=rows, schedule=how):
            sizes = (up.packed.w.nbytes, down.packed.w.nbytes)
            return feed_forward_reads(sizes, rows, how.row_block, target, board)
        case p.ConvStep(linear=a, out=out):
            return _streamed(a.packed.w.nbytes, _passes(out[0] * out[1], loops), board)
        case p.AttentionStep() as a:
            return attention_reads(AttentionShape.of_step(a), a.schedule, target, board)
        case _:
            return 0


def feed_forward_reads(
    sizes: tuple[int, ...], rows: int, block: int, target: Target, board: Board
) -> int:
    """sizes: bytes of the weights that each block of rows goes through."""
    loops = get_loops(target.name)
    if loops is None:
        return 0
    passes = rows // block * _passes(block, loops) + _passes(rows % block, loops)
    return sum(_streamed(size, passes, board) for size in sizes)


def attention_reads(s: AttentionShape, how: AttentionSchedule, target: Target, board: Board) -> int:
    """The same of an attention layer that runs so."""
    loops = get_loops(target.name)
    if loops is None:
        return 0
    streaming = how.kind == "head-streaming"
    heads, rounds = (1, s.heads) if streaming else (s.heads, 1)
    t = operands(target, how)
    query, values = (heads * t.linear_weights(dim, s.e) for dim in (s.dim, s.value_dim))
    blocks = [how.row_block] * (s.tokens // how.row_block)
    blocks += [s.tokens % how.row_block] if s.tokens % how.row_block else []
    query_passes = sum(_passes(rows, loops) for rows in blocks)
    total = rounds * _streamed(query, query_passes, board)
    for size, projected in ((query, s.keys), (values, s.values)):
        if projected:
            total += rounds * _streamed(size, _passes(s.tokens, loops), board)
    if how.accumulate:
        total += rounds * _streamed(target.linear_weights(s.n, s.value_dim), query_passes, board)
    else:
        passes = _passes(s.tokens, loops) if streaming else query_passes
        total += _streamed(target.linear_weights(s.n, s.heads * s.value_dim), passes, board)
    return total


def _passes(rows: int, loops: Loops) -> int:
    return math.ceil(rows / loops.tile)


def placement_cycles(traffic: Mapping[str, int], regions: Mapping[str, str], board: Board) -> int:
    """traffic: buffer -> bytes of one step.  regions: buffer -> region."""
    extra = {r.name: r.speed - 1 for r in board.ram}
    waits = (n / WORD * extra[regions[b]] for b, n in traffic.items() if b in regions)
    return round(sum(waits))
