# SPDX-License-Identifier: Apache-2.0
"""A vision transformer in the 320 KB of an STM32F746: planned, run on an emulated M7, bit for bit.

    python benchmarks/vit.py

80 x 80 x 3 image, patches of 4 x 4 (Conv2d), class token, 401 tokens of 128, three blocks of four
heads and a feed-forward of 512; random weights, as in example_models/paper_shapes. Layer by layer,
one attention layer holds Q, K, V and the map of all heads; the plan holds neither the map nor the
feed-forward's hidden activation. The emulated board has the memory map of nucleo_f746zg, so that a
firmware that needs more does not link.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from graphs import GraphBuilder
from tinygen import operators as ops
from tinygen.boards import Board, load_board
from tinygen.graph import Graph
from tinygen.operators.feed_forward import FeedForwardStep
from tinygen.planner import Plan, make_plan
from tinygen.project import create_project, promise, random_samples
from tinygen.runner import RunResult, run

BOARD = "nucleo_f746zg"


def vision_transformer(
    image: int = 80,
    patch: int = 4,
    e: int = 128,
    heads: int = 4,
    hidden: int = 512,
    blocks: int = 3,
) -> Graph:
    """Random weights. image: pixels of a side, three channels."""
    b = GraphBuilder((3, image, image), seed=5, name="vit")
    side, k = image // patch, 3 * patch * patch
    weight = b.int8(e, 3, patch, patch)
    b.add("embed", ops.Conv(weight, b.bias(e), b.requant(e, k), (patch, patch)))
    b.add("class_token", ops.PrependTokens(b.int8(1, e)))
    tokens = side * side + 1
    b.add("positions", ops.Add(11000, 9000, 1 << 13, 14, b.int8(tokens, e)))
    for i in range(blocks):
        b.block(e, e // heads, heads, hidden, f"block{i}")
    b.add("norm", b.norm(e))
    b.add("token", ops.SelectToken(0))
    b.add("head", b.linear(10, e))
    return b.graph()


def emulated(board: Board) -> Board:
    """The emulated Cortex-M7 with that board's memory map."""
    machine = load_board("mps2_an500")
    return machine.model_copy(update={"memory": (*machine.flash, *board.ram)})


def layer_by_layer(graph: Graph) -> int:
    """Bytes of the largest layer where every operator's result is whole, the map too."""
    sizes = []
    for node in graph.nodes:
        x, y = (graph.values[v].shape for v in (node.inputs[0], node.output))
        if isinstance(node.op, ops.Attention):
            sizes.append(node.op.map_bytes(x[0]) + x[0] * x[1])  # and the residual
        elif isinstance(node.op, ops.Linear) and len(x) == 2:
            sizes.append(x[0] * (x[1] + 2 * y[1] if y[1] <= x[1] else 2 * x[1] + y[1]))
    return max(sizes)


def hidden_bytes(plan: Plan) -> tuple[int, int]:
    """(largest block of hidden activation, what it would be whole)."""
    steps = [s.args for s in plan.steps if isinstance(s.args, FeedForwardStep)]
    return (
        max(s.schedule.row_block * s.up.n for s in steps),
        max(s.rows * s.up.n for s in steps),
    )


def measure(graph: Graph, plan: Plan) -> RunResult:
    samples = promise(graph, random_samples(graph, 1), None)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "vit"
        create_project(plan, samples, "baremetal", folder)
        return run(folder, plan.board, "qemu")


def main() -> int:
    graph, board = vision_transformer(), load_board(BOARD)
    plan = make_plan(graph, board)
    have = sum(r.size for r in board.ram)
    print(f"layer by layer: {layer_by_layer(graph):,} bytes, the board has {have:,}")
    print(f"plan: arena {plan.arena_bytes:,} bytes, lower bound {plan.arena_lower_bound:,}")
    for r in plan.regions:
        print(f"  {r.name}: {r.used:,} of {r.size:,}")
    for s in plan.steps:
        if s.schedule:
            print(f"  {s.name}: {s.schedule}")
    print("  hidden activation: {:,} bytes of {:,}".format(*hidden_bytes(plan)))
    print(f"  flash: {plan.flash_bytes:,} of {sum(r.usable for r in board.flash):,}")
    print(f"  {plan.macs:,} MAC, estimated {plan.latency_ms:,.0f} ms")
    same = make_plan(graph, emulated(board))
    result = measure(graph, same)
    print(f"emulated: {result.matching}/{result.samples} bit-equal, arena {result.arena_bytes:,}, "
          f"{result.total:,} instructions")  # fmt: skip
    return not result.passed


if __name__ == "__main__":
    sys.exit(main())
