# SPDX-License-Identifier: Apache-2.0
"""Two linear layers as one step that never holds the hidden activation whole.

A block of rows goes through both before the next; the output may lie over the input, because a row
of it depends on the same row only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from tinygen.graph import Graph, Node, ops
from tinygen.planner import plan as p
from tinygen.planner.check import ALIGN
from tinygen.planner.schedule import FeedForwardSchedule
from tinygen.targets import Target

if TYPE_CHECKING:
    from tinygen.planner.lower import Lowering


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
    def table(self) -> ops.I8 | None:
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
    return readers[0] if len(readers) == 1 and node.output != graph.output else None


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


def lower(low: Lowering, pair: Pair, how: FeedForwardSchedule) -> tuple[p.FeedForwardStep, int]:
    """The step and its multiply-accumulates."""
    up, down, t = pair.up, pair.down, low.target
    first, second = pair.nodes[0].name, pair.nodes[-1].name
    macs = pair.rows * (up.weight.size + down.weight.size)
    block = how.row_block

    def linear(node: str, op: ops.Linear, table: ops.I8 | None) -> p.LinearArgs:
        n, k = op.weight.shape
        return low.linear(
            node,
            "",
            lambda: t.pack_linear(op.weight, op.bias, op.requant),
            op.requant,
            (n, k),
            table,
        )

    size = max(t.linear_scratch(n, k, block) for n, k in (up.weight.shape, down.weight.shape))
    hidden = low.temporary("hidden", block * pair.hidden, 0, p.TICKS - 1, macs // 2)
    assert hidden is not None
    step = p.FeedForwardStep(
        schedule=how,
        up=linear(first, up, pair.table),
        down=linear(second, down, down.table),
        rows=pair.rows,
        hidden=hidden,
        scratch=low.temporary("scratch", size, 0, p.TICKS - 1, macs),
    )
    return step, macs


def blocked(
    found: Mapping[str, Pair], chosen: Mapping[str, object]
) -> dict[str, tuple[Pair, FeedForwardSchedule]]:
    """Of the pairs, those whose schedule goes by row blocks."""
    return {
        name: (pair, how)
        for name, pair in found.items()
        if isinstance(how := chosen.get(name), FeedForwardSchedule) and not how.whole
    }
