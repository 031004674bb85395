# SPDX-License-Identifier: Apache-2.0
"""What short arithmetic (tinygen.passes.short) would gain and cost, said where it may be worth it:
it is another integer network, so only the user takes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tinygen import reference
from tinygen.boards import Board
from tinygen.errors import TinygenError
from tinygen.fidelity import load_samples
from tinygen.graph import Graph
from tinygen.passes.short import MEASURED, shorten
from tinygen.planner import Options, Plan, make_plan
from tinygen.reference.decision import integer_answers

TARGETS = ("xpulpv2",)
"""Those that have no quick 64-bit product."""
GAIN = 0.05
"""Of the cycles, that is worth a line."""


def with_offer(plan: Plan, graph: Graph, board: Board, options: Options, samples: Path) -> Plan:
    """The plan of this graph, with a note on `--short` if it is predicted to be faster."""
    if options.short or board.core.target not in TARGETS or not plan.cycles:
        return plan
    x, _ = load_samples(samples, graph)
    inputs = [reference.quantise(graph, sample) for sample in x[:MEASURED]]
    short = shorten(graph, inputs).graph
    try:
        cycles = make_plan(short, board, options).cycles
    except TinygenError:  # does not fit: nothing to offer
        return plan
    if not cycles or cycles > (1 - GAIN) * plan.cycles:
        return plan
    before, after = (
        np.stack([reference.run(g, one).reshape(-1) for one in inputs]).astype(int)
        for g in (graph, short)
    )
    same = int((integer_answers(graph, before) == integer_answers(graph, after)).sum())
    note = (
        f"--short would take {cycles:,} cycles ({100 * (cycles / plan.cycles - 1):+.0f} %): "
        f"multipliers of 22 fractional bits, attention weights of 8 where samples allow; on "
        f"{len(inputs)} samples outputs move by {np.abs(before - after).mean():.2f} LSB on average "
        f"and {same} keep their class"
    )
    return replace(plan, notes=(*plan.notes, note))
