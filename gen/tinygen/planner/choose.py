# SPDX-License-Identifier: Apache-2.0
"""Pick a schedule for every attention layer: the fastest that memory allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tinygen.boards import Board
from tinygen.graph import Graph, Node, ops
from tinygen.planner import attention, feedforward
from tinygen.planner import plan as p
from tinygen.planner.cost import AttentionShape, CostModel
from tinygen.planner.lower import Lowering
from tinygen.planner.plan import Alternative
from tinygen.planner.schedule import AttentionSchedule, Kind, attention_schedules
from tinygen.planner.stalls import attention_reads, feed_forward_reads, weight_cycles
from tinygen.planner.values import assign_homes
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


Packed = dict[tuple[str, str], PackedLinear]
"""(node, role) -> weights, as `Lowering.packed`."""


def _forms(node: Node, op: ops.Attention, t: Target, packed: Packed) -> tuple[int, int, int, int]:
    """Of the packed weights of q, k, v and the output, which cost differently."""

    def form(role: str, rows: int, pack: Callable[[], PackedLinear]) -> int:
        if not rows:
            return 0
        if (node.name, role) not in packed:
            packed[node.name, role] = pack()
        return packed[node.name, role].form

    return (
        form("q", len(op.wq), lambda: t.pack_project(op, "q")),
        form("k", len(op.wk), lambda: t.pack_project(op, "k")),
        form("v", len(op.wv), lambda: t.pack_project(op, "v")),
        form("o", len(op.wo), lambda: t.pack_linear(op.wo, op.bo, op.ro)),
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
                size = attention.working_bytes(target, op, tokens, how)
                if cost is None:
                    every.append(Alternative(how, size, None, None))
                    continue
                waits = weight_cycles(attention_reads(shape, how, target, board), board)
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
            if model is None:
                every.append(Alternative(how, size, None, None))
                continue
            cost = model.products(pair.rows, how.row_block, *shapes)
            reads = feed_forward_reads(sizes, pair.rows, how.row_block, target, board)
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


@dataclass(frozen=True)
class Attempt:
    """One candidate for each attention layer, by its index."""

    graph: Graph
    board: Board
    target: Target
    chosen: Mapping[str, int]
    layers: Mapping[str, tuple[Alternative, ...]]
    input_in_arena: bool = False
    packed: dict[tuple[str, str], PackedLinear] = field(default_factory=dict)

    def lower(self) -> Lowering:
        schedules = {n: self.layers[n][i].schedule for n, i in self.chosen.items()}
        in_place = {
            n for n, how in schedules.items() if isinstance(how, AttentionSchedule) and how.in_place
        }
        blocked = feedforward.blocked(feedforward.pairs(self.graph), schedules).values()
        homes = assign_homes(
            self.graph, in_place, [pair for pair, _ in blocked], self.input_in_arena
        )
        return Lowering(self.graph, self.target, homes, schedules, self.packed).run()

    def smaller(self, buffers: list[p.Buffer], steps: list[p.Step]) -> Attempt | None:
        """The layer at the peak takes its next smaller schedule; None if that cannot help."""
        peak = steps[min(p.peak(buffers)[1] // p.TICKS, len(steps) - 1)].name
        for first, pair in feedforward.pairs(self.graph).items():
            if peak in (node.name for node in pair.nodes):
                peak = first
        for name in (peak, *self._largest_first()):
            if name in self.chosen and self.chosen[name] + 1 < len(self.layers[name]):
                return replace(self, chosen={**self.chosen, name: self.chosen[name] + 1})
            if name == peak and name not in self.chosen:
                return None
        return None

    def _largest_first(self) -> list[str]:
        return sorted(self.chosen, key=lambda n: -self.layers[n][self.chosen[n]].working_bytes)
