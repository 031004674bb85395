# SPDX-License-Identifier: Apache-2.0
"""One core: every attention layer by itself takes the fastest schedule that memory allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from tinygen.boards import Board
from tinygen.graph import Graph
from tinygen.lowering import TICKS, Buffer, Step
from tinygen.lowering.context import Packed
from tinygen.operators.attention import AttentionSchedule
from tinygen.planner import feedforward, stalls
from tinygen.planner.choose import Wishes, attention_layers, feed_forward_layers, worth_having
from tinygen.planner.cost import CostModel, load_cost_model
from tinygen.planner.lower import Lowering
from tinygen.planner.machine import Alternatives, Cost, Machine, Way
from tinygen.planner.options import Options
from tinygen.planner.plan import peak
from tinygen.planner.values import assign_homes
from tinygen.targets import Target, get_target


class OneCore(Machine):
    name = "one core"

    @property
    def _target(self) -> Target:
        return get_target(self.board.core.target)

    @property
    def _model(self) -> CostModel | None:
        return load_cost_model(self._target.name, self.board.core.cpu)

    def ways(self, graph: Graph, options: Options) -> Iterator[Way]:
        target, model, weights = self._target, self._model, Packed()
        wishes = Wishes(options.attention, options.row_block, options.schedules)
        layers = attention_layers(graph, self.board, target, wishes, model, weights)
        worth = {name: worth_having(every) for name, every in layers.items()}
        block = options.feed_forward_block
        two = feed_forward_layers(graph, self.board, target, block, model, weights)
        # Blocks make one layer of two: only where memory asks for it.
        worth |= {name: worth_having(every, 0) for name, every in two.items()}
        layers |= two
        first = {name: 0 for name in layers}
        attempt: Attempt | None = Attempt(
            graph, target, first, worth, options.input_in_arena, weights
        )
        while attempt is not None:
            way = Way(attempt.lower(), layers)
            yield way
            attempt = attempt.smaller(way.buffers, way.low.steps)

    def predicted(self, low: Lowering, homes: Mapping[str, str]) -> tuple[Step, ...]:
        target, traffic, model = low.target, low.step_traffic, self._model
        return tuple(
            _predicted(step, target, traffic.get(i, {}), homes, self.board, model)
            for i, step in enumerate(low.steps)
        )

    def attention_costs(self, graph: Graph) -> dict[str, Cost]:
        found = attention_layers(graph, self.board, self._target, Wishes(), self._model)
        return {name: (a[0].instructions, a[0].cycles) for name, a in found.items()}


def _predicted(
    step: Step,
    target: Target,
    traffic: Mapping[str, int],
    homes: Mapping[str, str],
    board: Board,
    model: CostModel | None,
) -> Step:
    cost = None if model is None else model.step(step)
    if cost is None:
        return step
    weights = stalls.weight_cycles(stalls.step_reads(step, target, board), board)
    memory = stalls.placement_cycles(traffic, homes, board)
    return replace(
        step,
        instructions=cost.instructions,
        cycles=cost.cycles + weights + memory,
        wait_weights=weights,
        wait_memory=memory,
    )


@dataclass(frozen=True)
class Attempt:
    """One candidate for each attention layer, by its index."""

    graph: Graph
    target: Target
    chosen: Mapping[str, int]
    layers: Alternatives
    input_in_arena: bool = False
    packed: Packed = field(default_factory=dict)

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

    def smaller(self, buffers: list[Buffer], steps: list[Step]) -> Attempt | None:
        """The layer at the peak takes its next smaller schedule; None if that cannot help."""
        at_peak = steps[min(peak(buffers)[1] // TICKS, len(steps) - 1)].name
        for first, pair in feedforward.pairs(self.graph).items():
            if at_peak in (node.name for node in pair.nodes):
                at_peak = first
        for name in (at_peak, *self._largest_first()):
            if name in self.chosen and self.chosen[name] + 1 < len(self.layers[name]):
                return replace(self, chosen={**self.chosen, name: self.chosen[name] + 1})
            if name == at_peak and name not in self.chosen:
                return None
        return None

    def _largest_first(self) -> list[str]:
        return sorted(self.chosen, key=lambda n: -self.layers[n][self.chosen[n]].working_bytes)
