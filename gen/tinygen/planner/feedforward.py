# SPDX-License-Identifier: Apache-2.0
"""Two linear layers as one step that never holds the hidden activation whole.

A block of rows goes through both before the next; the output may lie over the input, because a row
of it depends on the same row only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from tinygen import operators as ops
from tinygen.graph import Graph, Node
from tinygen.lowering import Lowered, Site
from tinygen.lowering.live import ALIGN
from tinygen.numeric import I8
from tinygen.operators.feed_forward import FeedForwardSchedule, FeedForwardStep
from tinygen.operators.linear import LinearArgs
from tinygen.targets import Target


@dataclass(frozen=True)
class Pair:
    """nodes: the first linear layer, perhaps a table, the second.  rows of both."""

    nodes: tuple[Node, ...]
    rows: int

    @property
    def up(self) -> ops.Linear:
        op = self.nodes[0].op
        assert isinstance(op, ops.Linear)
        return op

    @property
    def down(self) -> ops.Linear:
        op = self.nodes[-1].op
        assert isinstance(op, ops.Linear)
        return op

    @property
    def table(self) -> I8 | None:
        """What stands between the two."""
        between = self.nodes[1].op
        return between.table if isinstance(between, ops.Lut) else self.up.table

    @property
    def hidden(self) -> int:
        return len(self.up.weight)


def pairs(graph: Graph) -> dict[str, Pair]:
    """Name of the first node -> the pair, for every two that nothing else reads in between; of
    three in a row the two with the more between them."""
    found: dict[str, Pair] = {}
    for node in graph.nodes:
        if not isinstance(node.op, ops.Linear):
            continue
        chain = [node]
        follower = _only_reader(graph, node)
        if follower is not None and isinstance(follower.op, ops.Lut) and node.op.table is None:
            chain.append(follower)
            follower = _only_reader(graph, follower)
        if follower is not None and isinstance(follower.op, ops.Linear):
            rows = prod(graph.values[node.inputs[0]].shape[:-1])
            found[node.name] = Pair((*chain, follower), rows)
    taken: set[str] = set()
    for name, pair in sorted(found.items(), key=lambda i: -i[1].rows * i[1].hidden):
        mine = {node.name for node in pair.nodes}
        if mine & taken:
            del found[name]
        else:
            taken |= mine
    return found


def _only_reader(graph: Graph, node: Node) -> Node | None:
    readers = graph.consumers(node.output)
    return readers[0] if len(readers) == 1 and node.output not in graph.output_values else None


def schedules(rows: int, row_block: int | None = None) -> list[FeedForwardSchedule]:
    """Both layers one after the other, and every block that is smaller than all rows; or the only
    block that is wished for."""
    if row_block is not None:
        return [FeedForwardSchedule(min(row_block, rows), row_block >= rows)]
    blocks = [b for b in (64, 32, 16, 8, 4) if b < rows]
    return [FeedForwardSchedule(rows, True), *(FeedForwardSchedule(b) for b in blocks)]


def working_bytes(t: Target, pair: Pair, how: FeedForwardSchedule) -> int:
    """Peak of input, output and what is between, each aligned; weights excluded."""
    (hidden, e), n = pair.up.weight.shape, len(pair.down.weight)
    x, y, middle = pair.rows * e, pair.rows * n, how.row_block * hidden
    first = t.linear_scratch(hidden, e, how.row_block)
    second = t.linear_scratch(n, hidden, how.row_block)

    def total(*sizes: int) -> int:
        return sum(-(-size // ALIGN) * ALIGN for size in sizes)

    if how.whole:
        return max(total(x, middle, first), total(middle, y, second))
    return total(*((x,) if x == y else (x, y)), middle, max(first, second))


def lower(site: Site, pair: Pair, how: FeedForwardSchedule) -> Lowered:
    """Both layers as one step, at the place of the second; named after the first."""
    up, down, t = pair.up, pair.down, site.target
    macs = pair.rows * (up.weight.size + down.weight.size)
    block = how.row_block

    def linear(node: Node, op: ops.Linear, table: I8 | None) -> LinearArgs:
        packed = site.pack(
            "", lambda: t.pack_linear(op.weight, op.bias, op.requant), node=node.name
        )
        n, k = op.weight.shape
        return LinearArgs(packed, n, k, op.requant.s, op.requant.zp, table)

    size = max(t.linear_scratch(n, k, block) for n, k in (up.weight.shape, down.weight.shape))
    hidden = site.temporary("hidden", block * pair.hidden, traffic=macs // 2)
    assert hidden is not None
    step = FeedForwardStep(
        schedule=how,
        up=linear(pair.nodes[0], up, pair.table),
        down=linear(pair.nodes[-1], down, down.table),
        rows=pair.rows,
        hidden=hidden,
        scratch=site.temporary("scratch", size, traffic=macs),
    )
    return Lowered(
        step,
        pair.rows * step.up.k,
        t.sources("linear"),
        writes=pair.rows * step.down.n,
        macs=macs,
        schedule=str(how),
    )


def blocked(
    found: Mapping[str, Pair], chosen: Mapping[str, object]
) -> dict[str, tuple[Pair, FeedForwardSchedule]]:
    """Of the pairs, those whose schedule goes by row blocks."""
    return {
        name: (pair, how)
        for name, pair in found.items()
        if isinstance(how := chosen.get(name), FeedForwardSchedule) and not how.whole
    }
