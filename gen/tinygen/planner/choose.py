# SPDX-License-Identifier: Apache-2.0
"""Pick a schedule for every attention layer: the fastest that memory allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tinygen.boards import Board
from tinygen.graph import Graph, ops
from tinygen.planner import attention
from tinygen.planner import plan as p
from tinygen.planner.lower import Lowering
from tinygen.planner.schedule import AttentionSchedule, Kind, attention_schedules
from tinygen.planner.values import assign_homes
from tinygen.targets import PackedLinear, Target, get_target


@dataclass(frozen=True)
class Candidate:
    """working_bytes: peak of the layer by itself, input and output included."""

    schedule: AttentionSchedule
    working_bytes: int


def attention_layers(
    graph: Graph, target: Target, kind: Kind | None, row_block: int | None
) -> dict[str, tuple[Candidate, ...]]:
    """Attention node -> its schedules worth having, fastest first, each smaller than the last."""
    layers = {}
    for node in graph.nodes:
        if isinstance(node.op, ops.Attention):
            tokens = graph.values[node.inputs[0]].shape[0]
            worth: list[Candidate] = []
            for how in attention_schedules(tokens, kind, row_block):
                size = attention.working_bytes(target, node.op, tokens, how)
                if not worth or size < worth[-1].working_bytes:
                    worth.append(Candidate(how, size))
            layers[node.name] = tuple(worth)
    return layers


@dataclass(frozen=True)
class Attempt:
    """One candidate for each attention layer, by its index."""

    graph: Graph
    board: Board
    chosen: Mapping[str, int]
    layers: Mapping[str, tuple[Candidate, ...]]
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
