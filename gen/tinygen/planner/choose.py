# SPDX-License-Identifier: Apache-2.0
"""Pick a schedule for every attention layer: the fastest that memory allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tinygen.boards import Board
from tinygen.graph import Graph, ops
from tinygen.planner import attention
from tinygen.planner import plan as p
from tinygen.planner.cost import AttentionShape, CostModel
from tinygen.planner.lower import Lowering
from tinygen.planner.plan import Alternative
from tinygen.planner.schedule import AttentionSchedule, Kind, attention_schedules
from tinygen.planner.values import assign_homes
from tinygen.targets import PackedLinear, Target, get_target

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


def attention_layers(
    graph: Graph, target: Target, wishes: Wishes, model: CostModel | None
) -> dict[str, tuple[Alternative, ...]]:
    """Attention node -> every schedule that the wishes allow, fastest first."""
    layers = {}
    for node in graph.nodes:
        if isinstance(node.op, ops.Attention):
            tokens = graph.values[node.inputs[0]].shape[0]
            op = node.op
            e = op.wq.shape[1]
            shape = AttentionShape(tokens, e, op.dim, op.heads, len(op.wo))
            every = [
                Alternative(
                    how,
                    attention.working_bytes(target, op, tokens, how),
                    None if model is None else model.attention(shape, how),
                )
                for how in wishes.allowed(node.name, tokens, target)
                if op.fusion == "unfused" or not how.compact
            ]
            layers[node.name] = tuple(
                sorted(every, key=lambda a: (a.instructions or 0, a.working_bytes))
                if model
                else every
            )
    return layers


def worth_having(every: Sequence[Alternative]) -> tuple[Alternative, ...]:
    """Fastest first, each smaller than the last; the first is the smallest of the fastest."""
    limit = (every[0].instructions or 0) * (1 + NEGLIGIBLE)
    if every[0].instructions is None:
        first = every[0]
    else:
        fast = [a for a in every if (a.instructions or 0) <= limit]
        first = min(fast, key=lambda a: (a.working_bytes, a.instructions))
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
    chosen: Mapping[str, int]
    layers: Mapping[str, tuple[Alternative, ...]]
    packed: dict[tuple[str, str], PackedLinear] = field(default_factory=dict)

    def lower(self) -> Lowering:
        schedules = {n: self.layers[n][i].schedule for n, i in self.chosen.items()}
        in_place = {n for n, how in schedules.items() if how.in_place}
        homes = assign_homes(self.graph, in_place)
        target = get_target(self.board.core.target)
        return Lowering(self.graph, target, homes, schedules, self.packed).run()

    def smaller(self, buffers: list[p.Buffer], steps: list[p.Step]) -> Attempt | None:
        """The layer at the peak takes its next smaller schedule; None if that cannot help."""
        peak = steps[min(p.peak(buffers)[1] // p.TICKS, len(steps) - 1)].name
        for name in (peak, *self._largest_first()):
            if name in self.chosen and self.chosen[name] + 1 < len(self.layers[name]):
                return replace(self, chosen={**self.chosen, name: self.chosen[name] + 1})
            if name == peak and name not in self.chosen:
                return None
        return None

    def _largest_first(self) -> list[str]:
        return sorted(self.chosen, key=lambda n: -self.layers[n][self.chosen[n]].working_bytes)
