# SPDX-License-Identifier: Apache-2.0
"""Pick a schedule for every attention layer: the fastest that memory allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tinygen import operators as ops
from tinygen.boards import Board
from tinygen.graph import Graph, Node
from tinygen.lowering.context import Packed
from tinygen.operators.attention import AttentionSchedule
from tinygen.operators.attention.cost import AttentionShape, attention_reads
from tinygen.operators.attention.layer import pack_o, pack_project
from tinygen.operators.attention.memory import working_bytes
from tinygen.operators.attention.schedule import Kind, attention_schedules
from tinygen.operators.feed_forward import block_reads
from tinygen.planner import feedforward
from tinygen.planner.cost import CostModel
from tinygen.planner.plan import Alternative
from tinygen.planner.stalls import stream_of, weight_cycles
from tinygen.targets import PackedLinear, Target

NEGLIGIBLE = 0.01
"""Of two schedules whose predictions differ by less, the smaller is the better."""


@dataclass(frozen=True)
class Wishes:
    """kind, row_block: for all layers, None = any.  fixed: node -> its only schedule."""

    kind: Kind | None = None
    row_block: int | None = None
    fixed: Mapping[str, AttentionSchedule] = field(default_factory=dict)

    def allowed(self, node: str, tokens: int, target: Target) -> tuple[AttentionSchedule, ...]:
        if node in self.fixed:
            return (self.fixed[node],)
        widths = (False,) if target.compact() is None else (False, True)
        return tuple(attention_schedules(tokens, self.kind, self.row_block, widths))


def _forms(node: Node, op: ops.Attention, t: Target, packed: Packed) -> tuple[int, int, int, int]:
    """Of the packed weights of q, k, v and the output, which cost differently."""

    def form(role: str, rows: int, pack: Callable[[], PackedLinear]) -> int:
        if not rows:
            return 0
        if (node.name, role) not in packed:
            packed[node.name, role] = pack()
        return packed[node.name, role].form

    return (
        form("q", len(op.wq), lambda: pack_project(t, op, "q")),
        form("k", len(op.wk), lambda: pack_project(t, op, "k")),
        form("v", len(op.wv), lambda: pack_project(t, op, "v")),
        form("o", len(op.wo), lambda: pack_o(t, op)),
    )


def attention_layers(
    graph: Graph,
    board: Board,
    target: Target,
    wishes: Wishes,
    model: CostModel | None,
    packed: Packed | None = None,
) -> dict[str, tuple[Alternative, ...]]:
    """Attention node -> every schedule that the wishes allow, fastest first. packed: weights that
    are packed already, and receives what is packed here.
    """
    layers = {}
    packed = {} if packed is None else packed
    stream = stream_of(target, board)
    for node in graph.nodes:
        if isinstance(node.op, ops.Attention):
            tokens = graph.values[node.inputs[0]].shape[0]
            op = node.op
            shape = AttentionShape.of(op, tokens, _forms(node, op, target, packed))
            every = []
            for how in wishes.allowed(node.name, tokens, target):
                if how.compact and op.fusion != "unfused":
                    continue
                cost = None if model is None else model.attention(shape, how)
                size = working_bytes(target, op, tokens, how)
                if cost is None or stream is None:
                    every.append(Alternative(how, size, None, None))
                    continue
                waits = weight_cycles(attention_reads(shape, how, stream), board)
                every.append(Alternative(how, size, cost.instructions, cost.cycles + waits))
            if model is not None:
                every.sort(key=lambda a: (a.cycles or 0, a.working_bytes))
            layers[node.name] = tuple(every)
    return layers


def feed_forward_layers(
    graph: Graph,
    board: Board,
    target: Target,
    row_block: int | None,
    model: CostModel | None,
    packed: Packed,
) -> dict[str, tuple[Alternative, ...]]:
    """First of two linear nodes -> the ways to run both, fastest first.

    row_block: the only one, if the layers have so many rows; None = all.
    """
    layers = {}
    stream = stream_of(target, board)
    for name, pair in feedforward.pairs(graph).items():
        (hidden, e), n = pair.up.weight.shape, len(pair.down.weight)
        forms = []
        for node, op in ((pair.nodes[0].name, pair.up), (pair.nodes[-1].name, pair.down)):
            if (node, "") not in packed:
                packed[node, ""] = target.pack_linear(op.weight, op.bias, op.requant)
            forms.append(packed[node, ""].form)
        shapes = (
            (hidden, e, pair.table is not None, forms[0]),
            (n, hidden, pair.down.table is not None, forms[1]),
        )
        sizes = target.linear_weights(hidden, e), target.linear_weights(n, hidden)
        every = []
        for how in feedforward.schedules(pair.rows, row_block):
            size = feedforward.working_bytes(target, pair, how)
            if model is None or stream is None:
                every.append(Alternative(how, size, None, None))
                continue
            cost = model.products(pair.rows, how.row_block, *shapes)
            reads = block_reads(sizes, pair.rows, how.row_block, stream)
            cycles = cost.cycles + weight_cycles(reads, board)
            every.append(Alternative(how, size, cost.instructions, cycles))
        if model is not None:
            every.sort(key=lambda a: (a.cycles or 0, a.working_bytes))
        layers[name] = tuple(every)
    return layers


def worth_having(
    every: Sequence[Alternative], negligible: float = NEGLIGIBLE
) -> tuple[Alternative, ...]:
    """Fastest first, each smaller than the last; the first is the smallest of the fastest."""
    limit = (every[0].cycles or 0) * (1 + negligible)
    if every[0].cycles is None:
        first = every[0]
    else:
        fast = [a for a in every if (a.cycles or 0) <= limit]
        first = min(fast, key=lambda a: (a.working_bytes, a.cycles))
    worth = [first]
    for a in every:
        if a.working_bytes < worth[-1].working_bytes:
            worth.append(a)
    return tuple(worth)
