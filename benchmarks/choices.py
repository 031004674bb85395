# SPDX-License-Identifier: Apache-2.0
"""Is the planner's choice the best? Every alternative for an attention layer, counted in QEMU.

    python benchmarks/choices.py             the paper's shapes on both cores; fails over 5 %
    python benchmarks/choices.py --update    also write the table of README.md

Alternatives are all schedules with all row blocks, operands in 16 and in 8 bits. The choice, which
the planner makes by estimated cycles, is compared by counted instructions with the best of all of
them, and again under every memory limit at which the set of those that fit changes.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import fit_costs
from graphs import GraphBuilder
from tinygen.boards import Board, load_board
from tinygen.graph import Graph
from tinygen.operators.attention.schedule import AttentionSchedule, attention_schedules
from tinygen.planner import cost
from tinygen.planner.choose import Wishes, attention_layers, worth_having
from tinygen.planner.plan import Alternative
from tinygen.targets import get_target

HERE = Path(__file__).resolve().parent
SHAPES = (
    ("EEGFormer", (81, 32, 32, 8)),
    ("ECGFormer", (66, 16, 2, 8)),
    ("TinyRadar", (5, 32, 32, 8)),
    ("generic", (64, 64, 64, 4)),
)
BOARDS = ("mps2_an500", "mps2_an386")
TARGET = "armv7em"
BAR = 0.05
START, END = "<!-- choices -->", "<!-- end of choices -->"

Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class Measured:
    """One alternative. instructions: counted."""

    alternative: Alternative
    instructions: int


@dataclass(frozen=True)
class Verdict:
    """above: of the choice over the best, relative.  worst: the same under any memory limit."""

    alternatives: int
    chosen: Measured
    best: Measured
    above: float
    worst: float


def network(shape: Shape, layers: int) -> Graph:
    """The same layer so many times."""
    s, e, p, h = shape
    b = GraphBuilder((s, e), seed=1, name="choices")
    for i in range(layers):
        b.add(f"m{i}", b.attention(e, p, h))
    return b.graph()


def measure(shape: Shape, board: Board, some: list[AttentionSchedule]) -> list[Measured]:
    """some: the schedules; as many layers of one network."""
    graph = network(shape, len(some))
    chosen = {f"m{i}": how for i, how in enumerate(some)}
    counted = fit_costs.measure(graph, board, TARGET, chosen, estimate=False)
    model = cost.load_cost_model(TARGET, board.core.cpu)
    layers = attention_layers(graph, board, get_target(TARGET), Wishes(fixed=chosen), model)
    return [Measured(layers[f"m{i}"][0], layer.instructions) for i, layer in enumerate(counted)]


def choose(every: list[Measured], limit: int | None = None) -> Measured:
    """What the planner takes of those that fit, by its own rules and predictions."""
    order = sorted(every, key=lambda m: (m.alternative.cycles or 0, m.alternative.working_bytes))
    worth = worth_having([m.alternative for m in order])
    fits = next(a for a in worth if limit is None or a.working_bytes <= limit)
    return next(m for m in order if m.alternative is fits)


def above(chosen: Measured, every: list[Measured], limit: int | None = None) -> float:
    fits = [m for m in every if limit is None or m.alternative.working_bytes <= limit]
    return chosen.instructions / min(m.instructions for m in fits) - 1


def verdict(shape: Shape, board_name: str, some: int | None = None) -> Verdict:
    """some: only so many schedules, evenly."""
    every = list(attention_schedules(shape[0], compact=(False, True)))
    every = every[:: max(1, len(every) // some)] if some else every
    measured = measure(shape, load_board(board_name), every)
    limits = {m.alternative.working_bytes for m in measured}
    chosen = choose(measured)
    return Verdict(
        len(measured),
        chosen,
        min(measured, key=lambda m: m.instructions),
        above(chosen, measured),
        max(above(choose(measured, limit), measured, limit) for limit in limits),
    )


def table(found: dict[tuple[str, Shape, str], Verdict]) -> str:
    lines = [
        "| shape (S, E, P, H) | core | alternatives | planner's choice | instructions | best | "
        "instructions | choice above it | at most, under a memory limit |",
        "|---|---|--:|---|--:|---|--:|--:|--:|",
    ]
    for (name, shape, board), v in found.items():
        lines.append(
            f"| {name} ({', '.join(map(str, shape))}) | {load_board(board).core.cpu} "
            f"| {v.alternatives} | {v.chosen.alternative.schedule} | {v.chosen.instructions:,} "
            f"| {v.best.alternative.schedule} | {v.best.instructions:,} | {100 * v.above:.1f} % "
            f"| {100 * v.worst:.1f} % |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--update", action="store_true", help="write it into README.md")
    args = parser.parse_args()
    found = {}
    for name, shape in SHAPES:
        for board in BOARDS:
            found[name, shape, board] = v = verdict(shape, board)
            print(
                f"{name} on {board}: {v.chosen.alternative.schedule} ({v.chosen.instructions:,}), "
                f"{v.above:.1%} above the best, at most {v.worst:.1%} under a limit",
                flush=True,
            )
    if args.update:
        readme = HERE / "README.md"
        before, rest = readme.read_text().split(START)
        readme.write_text(f"{before}{START}\n{table(found)}\n{END}{rest.split(END)[1]}")
    return max(v.worst for v in found.values()) > BAR


if __name__ == "__main__":
    sys.exit(main())
