# SPDX-License-Identifier: Apache-2.0
"""Peak working memory of one attention layer under every schedule, as the README's table.

    python benchmarks/memory_table.py [--target armv7em] [--cpu cortex-m4]

Bytes count the layer's input, its output and every working buffer with its padding; weights and
stack are left out. "layer by layer" is the textbook schedule with the whole int8 attention map.
Of each kind of schedule the smallest is shown and, after it, how much slower than the fastest plan
it is predicted to be.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from graphs import GraphBuilder
from tinygen import operators as ops
from tinygen.boards import load_board
from tinygen.planner.choose import Wishes, attention_layers, worth_having
from tinygen.planner.cost import load_cost_model
from tinygen.planner.plan import Alternative
from tinygen.targets import get_target

SHAPES = (
    ("EEGFormer", 81, 32, 32, 8),
    ("ECGFormer", 66, 16, 2, 8),
    ("TinyRadar", 5, 32, 32, 8),
    ("S = 128", 128, 64, 16, 4),
    ("S = 256", 256, 64, 16, 4),
    ("S = 512", 512, 64, 16, 4),
)
"""Name, tokens, features, features a head, heads."""
BOARD = load_board("mps2_an386")
"""Memory that never waits."""


def alternatives(
    target: str, cpu: str, s: int, e: int, p: int, h: int
) -> tuple[int, list[Alternative]]:
    """(bytes layer by layer, every schedule)."""
    b = GraphBuilder((s, e))
    b.add("attention", b.attention(e, p, h))
    graph = b.graph()
    op = graph.nodes[0].op
    assert isinstance(op, ops.Attention)
    model = load_cost_model(target, cpu)
    layers = attention_layers(graph, BOARD, get_target(target), Wishes(), model)
    return op.map_bytes(s), list(layers["attention"])


def table(target: str, cpu: str) -> str:
    kinds = ("whole", "depth-first", "head-streaming")
    lines = [
        "| shape (S, E, P, H) | layer by layer | whole | depth-first | head-streaming "
        "| planner's choice | smallest |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, *shape in SHAPES:
        s, e, p, h = shape
        naive, every = alternatives(target, cpu, s, e, p, h)
        fastest = min(a.cycles or 0 for a in every)

        def cell(a: Alternative, fastest: int = fastest) -> str:
            if a.cycles is None:
                return f"{a.working_bytes:,}"
            slower = 100 * (a.cycles / fastest - 1)
            return f"{a.working_bytes:,} (+{slower:.0f} %)"

        row = [f"{name} ({s}, {e}, {p}, {h})", f"{naive:,}"]
        for kind in kinds:
            mine = [a for a in every if a.schedule.kind == kind]
            row.append(cell(min(mine, key=lambda a: (a.working_bytes, a.cycles or 0))))
        row.append(cell(worth_having(every)[0]))
        least = min(a.working_bytes for a in every)
        row.append(f"{naive / least:.1f} × less")
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--target", default="armv7em")
    parser.add_argument("--cpu", default="cortex-m4")
    args = parser.parse_args()
    print(table(args.target, args.cpu))


if __name__ == "__main__":
    main()
