# SPDX-License-Identifier: Apache-2.0
"""Integer operators -> steps: what each operator lowers itself to, in order, with all buffers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tinygen.graph import Graph, Node
from tinygen.lowering import TICKS, Buffer, Lowered, Site, Step
from tinygen.lowering.context import Packed
from tinygen.operators import Operator
from tinygen.operators.feed_forward import WORD, FeedForwardSchedule
from tinygen.planner import feedforward
from tinygen.planner.plan import Schedule
from tinygen.planner.values import Homes
from tinygen.targets import Target


@dataclass
class Lowering:
    """Collects steps, the buffers that live within one step, and the traffic of all buffers."""

    graph: Graph
    target: Target
    homes: Homes
    schedules: Mapping[str, Schedule]
    """Attention node, or the first of two linear ones -> how it runs."""
    packed: Packed = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    scratch: list[Buffer] = field(default_factory=list)
    traffic: dict[str, int] = field(default_factory=dict)
    step_traffic: dict[int, dict[str, int]] = field(default_factory=dict)
    """Step -> buffer -> bytes."""
    sources: set[str] = field(default_factory=set)
    """C files under kernels/src."""

    def run(self) -> Lowering:
        together = feedforward.blocked(feedforward.pairs(self.graph), self.schedules)
        at_last = {pair.nodes[-1].name: (pair, how) for pair, how in together.values()}
        skipped = {n.name for pair, _ in together.values() for n in pair.nodes[:-1]}
        for node in self.graph.nodes:
            assert isinstance(node.op, Operator)
            if node.name in at_last:
                self._feed_forward(*at_last[node.name])
            elif not node.op.is_view and node.name not in skipped:
                site = self._site(node.name, node.inputs, node.output)
                self._take(site, node.op.word, self.lower(site, node), node.inputs, node.output)
        return self

    def lower(self, site: Site, node: Node) -> Lowered:
        """One operator, on what runs it."""
        assert isinstance(node.op, Operator)
        return node.op.lower(site)

    def _feed_forward(self, pair: feedforward.Pair, how: FeedForwardSchedule) -> None:
        first, last = pair.nodes[0], pair.nodes[-1]
        site = self._site(first.name, first.inputs, last.output)
        low = feedforward.lower(site, pair, how)
        self._take(site, WORD, low, first.inputs, last.output)

    def _site(self, node: str, inputs: tuple[str, ...], output: str) -> Site:
        values, slots = self.graph.values, self.homes.slots
        return Site(
            node=node,
            index=len(self.steps),
            inputs=tuple(values[i].shape for i in inputs),
            output=values[output].shape,
            places=tuple(slots[i] for i in inputs),
            home=slots[output],
            target=self.target,
            schedule=self.schedules.get(node),
            packed=self.packed,
            scratch=[],
        )

    def _take(
        self, site: Site, word: str, low: Lowered, inputs: tuple[str, ...], output: str
    ) -> None:
        """The step, and what it reads and writes."""
        here = self.step_traffic.setdefault(site.index, {})
        self.scratch += site.scratch
        here |= {buffer.name: buffer.traffic for buffer in site.scratch}
        for value, count in zip(inputs[1:], low.others, strict=False):
            self._count(value, count)
        self._count(inputs[0], low.reads)
        writes = math.prod(site.output) if low.writes is None else low.writes
        self._count(output, writes)
        self.sources.update(low.files)
        self.steps.append(
            Step(
                *(site.node, word, low.macs, site.places, site.home, low.args, low.schedule),
                *low.span,
                work=low.work,
                tiles=low.tiles,
            )
        )

    def _count(self, value: str, count: int) -> None:
        buffer = self.homes.slots[value].buffer
        for traffic in (self.traffic, self.step_traffic[len(self.steps)]):
            traffic[buffer] = traffic.get(buffer, 0) + count


def lifetimes(low: Lowering) -> list[Buffer]:
    """Arena buffers with the ticks between their first write and last read."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for i, step in enumerate(low.steps):
        base = i * TICKS
        for slot in step.inputs:
            last[slot.buffer] = max(last.get(slot.buffer, 0), base + step.reads_until)
        first.setdefault(step.output.buffer, base + step.writes_from)
        last[step.output.buffer] = max(last.get(step.output.buffer, 0), base + TICKS - 1)
    for value in low.graph.output_values:  # who copies them away does so at the end
        last[low.homes.slots[value].buffer] = len(low.steps) * TICKS - 1
    buffers = [
        Buffer(name, size, first.get(name, 0), last.get(name, 0), low.traffic.get(name, 0))
        for name, size in low.homes.sizes.items()
    ]
    return buffers + low.scratch
