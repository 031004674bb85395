# SPDX-License-Identifier: Apache-2.0
"""A cluster of cores: work shared out, weights brought to L1 in chunks.

All activations lie in L1, in the arena; the caller's inputs and outputs are copied there and back.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tinygen.graph import Graph, Input, Node, Output
from tinygen.lowering import Cores, Lowered, Site, Slot, Step
from tinygen.operators import Attention, Operator
from tinygen.operators.attention.cluster import attention_work, idle_time, ways
from tinygen.operators.attention.schedule import AttentionSchedule
from tinygen.planner import cluster_cost, l3
from tinygen.planner.ends import buffers
from tinygen.planner.lower import Lowering
from tinygen.planner.machine import Cost, Machine, Way
from tinygen.planner.options import Options
from tinygen.planner.plan import Plan
from tinygen.planner.values import Homes, assign_homes
from tinygen.targets import Target, get_target

SOURCES = (
    *("cluster/copy.c", "runtime/team_pulp.c", "runtime/team_threads.c"),
    *("runtime/dma_pulp.c", "runtime/dma_host.c"),
)
"""What every cluster project has; the template compiles those of its machine."""


class Cluster(Machine):
    name = "cluster"
    usual_weight = 48
    """How large sums become decides on the kind of rounding."""

    def ways(self, graph: Graph, options: Options) -> Iterator[Way]:
        for low in self.lowerings(graph):
            yield Way(low, {})

    def lowerings(self, graph: Graph) -> Iterator[ClusterLowering]:
        cores, target = self.board.core.count, get_target(self.board.core.target)
        homes = copied(graph, assign_homes(graph))
        layers = {n.name: n for n in graph.nodes if isinstance(n.op, Attention)}
        ranked = {name: _by_time(graph, node, target, cores) for name, node in layers.items()}
        smallest = {name: _by_size(graph, node, target, cores)[0] for name, node in layers.items()}
        for rank in range(max((len(every) for every in ranked.values()), default=1)):
            chosen = {name: every[min(rank, len(every) - 1)] for name, every in ranked.items()}
            for ahead in (True, False):
                how = Cores(target, cores, ahead)
                yield ClusterLowering(graph, target, homes, chosen, cores=how).collected()
        how = Cores(target, cores)
        yield ClusterLowering(graph, target, homes, smallest, cores=how).collected()

    def predicted(self, low: Lowering, homes: Mapping[str, str]) -> tuple[Step, ...]:
        cores, target = self.board.core.count, low.target.name
        return tuple(cluster_cost.predicted(step, target, cores) for step in low.steps)

    def attention_costs(self, graph: Graph) -> dict[str, Cost]:
        """A cluster's instructions are not counted."""
        layers = (n for n in graph.nodes if isinstance(n.op, Attention))
        return {n.name: (None, self._layer_cycles(graph, n)) for n in layers}

    def _layer_cycles(self, graph: Graph, node: Node) -> int | None:
        """Of one node in the quickest way; None without a cost model."""
        alone = replace(
            graph,
            nodes=(node,),
            inputs=tuple(Input(i, i) for i in dict.fromkeys(node.inputs)),
            outputs=(Output(node.output, node.output),),
        )
        low = next(iter(self.lowerings(alone)))
        return self.predicted(low, {})[0].cycles

    def settled(self, plan: Plan, options: Options) -> Plan:
        """With constants in L3 where L2, or --max-flash, has no room for all."""
        code = plan.flash_bytes - plan.const_bytes
        stage = l3.staging(plan.steps, plan.board, code, options.max_flash)
        if stage is None:
            return plan
        sources = tuple(sorted({*plan.sources, *l3.SOURCES}))
        return replace(plan, staging=stage, sources=sources, notes=(*plan.notes, l3.NO_WAITS))


@dataclass
class ClusterLowering(Lowering):
    cores: Cores = field(kw_only=True)

    def lower(self, site: Site, node: Node) -> Lowered:
        assert isinstance(node.op, Operator)
        return node.op.share(site, self.cores)

    def collected(self) -> ClusterLowering:
        self.run()
        self.sources.update(SOURCES)
        return self


def _by_time(graph: Graph, node: Node, target: Target, cores: int) -> Sequence[AttentionSchedule]:
    op, tokens = _layer(graph, node)
    every = ways(target, op, tokens, cores)
    return sorted(every, key=lambda how: idle_time(op, tokens, how, cores))


def _by_size(graph: Graph, node: Node, target: Target, cores: int) -> Sequence[AttentionSchedule]:
    op, tokens = _layer(graph, node)
    every = ways(target, op, tokens, cores)
    return sorted(every, key=lambda how: attention_work(target, op, tokens, how, cores))


def _layer(graph: Graph, node: Node) -> tuple[Attention, int]:
    assert isinstance(node.op, Attention)
    return node.op, graph.values[node.inputs[0]].shape[0]


def copied(graph: Graph, homes: Homes) -> Homes:
    """The caller's inputs and outputs get a place in the arena, where the cores work on them."""
    given, got = buffers(graph)
    sizes = dict(homes.sizes)
    ends = [*given.items(), *zip(graph.output_values, got, strict=True)]
    for value, buffer in ends:
        if any(slot.buffer == buffer for slot in homes.slots.values()):
            sizes[copy_of(buffer)] = math.prod(graph.values[value].shape)
    callers = {buffer for _, buffer in ends}
    slots = {
        value: Slot(copy_of(slot.buffer) if slot.buffer in callers else slot.buffer, slot.offset)
        for value, slot in homes.slots.items()
    }
    return Homes(slots, sizes)


def copy_of(buffer: str) -> str:
    """What the copy of a caller's buffer is called."""
    return f"{buffer}_copy"
