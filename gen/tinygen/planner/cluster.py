# SPDX-License-Identifier: Apache-2.0
"""Schedules for a cluster of cores: work shared out, weights brought to L1 in chunks.

All activations lie in L1, in the arena; the caller's input and output are copied there and back.
Sizes here are those that kernels/src/cluster cuts its working memory into.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tinygen.boards import Board
from tinygen.graph import Graph, Node, ops
from tinygen.graph.operator import Operator
from tinygen.planner import attention, cluster_cost
from tinygen.planner import plan as p
from tinygen.planner.lower import Lowering
from tinygen.planner.plan import TICKS
from tinygen.planner.schedule import FEW, HEADS, ROWS, AttentionSchedule
from tinygen.planner.values import Homes, assign_homes
from tinygen.targets import PackedLinear, Target, get_target
from tinygen.targets.portable import round_up
from tinygen.targets.xpulpv2 import kind_of, score_kind

INPUT_COPY, OUTPUT_COPY = "input_copy", "output_copy"
CHUNK = 8192
"""Bytes of a weight chunk that are worth a DMA transfer of their own."""
SOURCES = (
    *("cluster/copy.c", "runtime/team_pulp.c", "runtime/team_threads.c"),
    *("runtime/dma_pulp.c", "runtime/dma_host.c"),
)
"""What every cluster project has; the template compiles those of its machine."""
TILE, TABLE, EXP, OP_BYTES, Q_BYTES = 4, 256, 512, 512, 512


def align8(size: int) -> int:
    return -(-size // 8) * 8


def linear_work(t: Target, n: int, k: int, tiles: int, cores: int, table: bool) -> int:
    """`tg_cluster_linear_s8`."""
    every = math.ceil(n / TILE)
    buffers = (2 if tiles < every else 1) * align8(tiles * t.linear_weights(TILE, k))
    return buffers + (TABLE if table else 0) + cores * linear_scratch(t, k)


def linear_few_work(t: Target, n: int, k: int, tiles: int, table: bool) -> int:
    """`tg_cluster_linear_few_s8`."""
    buffers = (2 if tiles < n // TILE else 1) * align8(tiles * t.linear_weights(TILE, k))
    return buffers + (TABLE if table else 0) + align8(5 * round_up(k, 4))


def linear_scratch(t: Target, k: int) -> int:
    """Of one core."""
    return align8(t.linear_scratch(TILE, k, 4))


def fitting_tiles(t: Target, n: int, k: int, limit: int, cores: int) -> int:
    """The most tiles a chunk whose working memory stays within limit; 1 if none does."""
    every = math.ceil(n / TILE)
    fit = [c for c in range(1, every + 1) if linear_work(t, n, k, c, cores, False) <= limit]
    return max(fit, default=1)


def conv_work(t: Target, op: ops.Conv, cores: int) -> int:
    """`tg_cluster_conv_s8`."""
    n, k = len(op.weight) // op.groups, math.prod(op.weight.shape[1:])
    weights = align8(op.groups * t.linear_weights(n, k))
    table = TABLE if op.table is not None else 0
    return weights + table + cores * align8(t.conv_scratch(op))


def attention_work(
    t: Target, op: ops.Attention, tokens: int, how: AttentionSchedule, cores: int
) -> int:
    """`tg_cluster_attention_heads_s8` or `..._rows_s8`, without the output projection; or those of
    fused weights, whose keys and values are x, in one place for all heads."""
    if how == FEW:
        return few_work(t, op, cores)
    e = op.wq.shape[1]
    projected = [op.dim]
    shared = OP_BYTES + EXP + align8(round_up(tokens, 4) * round_up(e, 4))
    kept = 0
    for is_x, dim, bytes_of in (
        (op.keys_are_x, op.dim, t.k_bytes),
        (op.values_are_x, op.value_dim, t.v_bytes),
    ):
        size = align8(bytes_of(op, 1, tokens))
        if is_x:
            shared += size
        else:
            kept += size
            projected.append(dim)
    part = max(align8(t.linear_weights(dim, e)) for dim in projected)
    groups = math.ceil(tokens / 4)

    def own(most: int) -> int:
        q = t.q_bytes(op, 1, 4) * max(1, min(most, Q_BYTES // t.q_bytes(op, 1, 4)))
        return align8(q) + align8(t.attend_scratch(op, 4, tokens))

    if how == HEADS:
        return shared + cores * ((2 * part + kept + own(groups)) // 64 * 64 + 72)
    largest = 0
    for here in range(1, cores + 1):  # fewer cores than planned may run it
        teams, parts = teams_of(op, how, here)
        size = teams * 2 * (len(projected) * part + kept) + here * own(math.ceil(groups / parts))
        largest = max(largest, size)
    return shared + largest


def teams_of(op: ops.Attention, how: AttentionSchedule, cores: int) -> tuple[int, int]:
    """Teams, and cores of each."""
    teams = min(how.teams, op.heads, cores)
    return teams, cores // teams


def few_work(t: Target, op: ops.Attention, cores: int) -> int:
    """`tg_cluster_attention_few_s8` or `..._few_fused_s8`."""
    e, (_, inner) = op.wq.shape[1], op.wo.shape
    rows, keys = align8(5 * op.dim), 8 * op.value_dim
    weights = max(
        t.linear_weights(op.dim, e),
        0 if op.values_are_x else t.linear_weights(op.value_dim, e),
        t.linear_weights(TILE, inner),
    )
    own = 2 * align8(weights) + (1 if op.keys_are_x else 2) * rows + align8(5 * 20) + 5 * 8
    shared = OP_BYTES + EXP + align8(5 * round_up(e, 4)) + align8(5 * inner)
    if op.values_are_x:
        shared += keys
    else:
        own += keys
    return shared + cores * (own // 64 * 64 + 72)


def fits_few(t: Target, op: ops.Attention, tokens: int) -> bool:
    """Whether the kernel for so few tokens does this layer."""
    if tokens > FEW.row_block or op.dim % 4 or op.value_dim % 4 or len(op.wo) % 4 or op.levels:
        return False
    if op.fusion == "fused-values" or op.score.m[0] >= 1 << 28:
        return False
    weights = {"q": op.wq, "k": op.wk, "v": op.wv}
    packed = [(t.pack_project(op, x), w.shape[1]) for x, w in weights.items() if len(w)]
    packed.append((t.pack_linear(op.wo, op.bo, op.ro), op.wo.shape[1]))
    kinds = [kind_of(*each) for each in packed]
    kinds.append(score_kind(int(op.score.m[0]), op.score.s, op.score.zp, op.dim))
    return "wide" not in kinds


def idle_time(op: ops.Attention, tokens: int, how: AttentionSchedule, cores: int) -> int:
    """Time of the busiest core, in multiplications of a group of four rows: an estimate that ranks
    the ways to share out, not a prediction."""
    e: int = op.wq.shape[1]
    groups = math.ceil(tokens / 4)
    others = [e * op.dim] * (not op.keys_are_x) + [e * op.value_dim] * (not op.values_are_x)
    attend = e * op.dim + tokens * (op.dim + 2 * op.value_dim + 28)
    if how == FEW:  # a tile of five rows instead of four, and code that stays in the cache
        return math.ceil(op.heads / cores) * (sum(others) + attend)
    if how == HEADS:
        return math.ceil(op.heads / cores) * groups * (sum(others) + attend)
    teams, parts = teams_of(op, how, cores)
    shared = math.ceil(len(others) * groups / parts) * max(others, default=0)
    shared += math.ceil(groups / parts) * attend
    return math.ceil(op.heads / teams) * (shared + 200)


@dataclass
class ClusterLowering(Lowering):
    """cores: how many share the work.  ahead: weights come early where memory of their own serves
    that."""

    cores: int = 1
    ahead: bool = False
    more_sources: tuple[str, ...] = SOURCES

    def _lower(self, node: Node) -> p.Step:
        if isinstance(node.op, ops.Attention):
            return self._attention(node, node.op)
        before = len(self.scratch)
        step = super()._lower(node)
        del self.scratch[before:]  # the kernels' own scratch is part of the working memory
        t, tiles = self.target, 0
        match node.op:
            case ops.Linear() as op:
                n, k = op.weight.shape
                every = math.ceil(n / TILE)
                tiles = min(every, max(1, CHUNK // t.linear_weights(TILE, k)))
                size = linear_work(t, n, k, tiles, self.cores, op.table is not None)
                assert isinstance(step.args, p.LinearStep)
                packed = step.args.linear.packed
                if step.args.rows == FEW.row_block and n % 4 == 0 and kind_of(packed, k) != "wide":
                    step = replace(step, args=replace(step.args, few=True))
                    size = linear_few_work(t, n, k, tiles, op.table is not None)
                    self.more_sources += ("xpulpv2/few.c", "xpulpv2/lut.c")
            case ops.Conv() as op:
                size = conv_work(t, op, self.cores)
            case ops.LayerNorm() as op:
                size = align8(4 * len(op.gamma)) + align8(2 * len(op.gamma))
            case ops.DotProductAttention() as op:
                (_, width), (keys, _) = (self.graph.values[i].shape for i in node.inputs[:2])
                size = EXP + self.cores * align8(t.dot_product_scratch(width // op.heads, keys))
            case ops.Lut():
                size = TABLE
            case ops.Add(other=other) if other is not None:
                size = other.nbytes
            case Operator() as op:
                return replace(step, work=self._operator_work(op))
            case _:
                size = 0
        if step.op != "prepend":
            self.more_sources += (f"cluster/{step.function}.c",)
        return replace(step, work=self.temporary("work", size, 0, TICKS - 1), tiles=tiles)

    def _operator_work(self, op: Operator) -> p.Slot | None:
        """Scratch of every core."""
        return self.temporary("work", self.cores * align8(op.scratch()), 0, TICKS - 1)

    def _attention(self, node: Node, op: ops.Attention) -> p.Step:
        tokens = self.graph.values[node.inputs[0]].shape[0]
        how, t = self.attention_schedule(node), self.target
        n, inner = op.wo.shape
        size = attention_work(t, op, tokens, how, self.cores)
        tiles, ahead = 0, False
        if how != FEW:
            tiles = fitting_tiles(t, n, inner, max(size, 2 * CHUNK), self.cores)
            output = linear_work(t, n, inner, tiles, self.cores, False)
            first = align8(min(tiles, math.ceil(n / TILE)) * t.linear_weights(TILE, inner))
            # They lie behind everything, which must hold all else that the output projection needs.
            ahead = self.ahead and how == HEADS and output - first <= size
            size = max(size + (first if ahead else 0), output)
        work = self.temporary("work", size, 0, TICKS - 1, size * tokens)
        context = self.temporary("context", tokens * inner, 0, TICKS - 1) if how != FEW else work
        assert work and context

        def project(which: str, weight: ops.I8, requant: ops.Requant) -> p.LinearArgs:
            def pack() -> PackedLinear:
                return t.pack_project(op, which) if len(weight) else attention.NO_WEIGHTS

            return self.linear(node.name, which, pack, requant, (len(weight), op.wq.shape[1]))

        def pack_output() -> PackedLinear:
            return t.pack_linear(op.wo, op.bo, op.ro)

        step = p.AttentionStep(
            schedule=how,
            q=project("q", op.wq, op.rq),
            k=project("k", op.wk, op.rk),
            v=project("v", op.wv, op.rv),
            o=self.linear(node.name, "o", pack_output, op.ro, (n, inner)),
            tokens=tokens,
            heads=op.heads,
            dim=op.dim,
            value_dim=op.value_dim,
            score_m=int(op.score.m[0]),
            score_s=op.score.s,
            score_zp=op.score.zp,
            exp_table=t.pack_exp(op.exp_table),
            context=op.context,
            levels=op.levels,
            levels_up=op.levels_up,
            slots=p.AttentionSlots(work, work, work, context, None, None, None, None, None),
            head_stride_k=0 if op.keys_are_x else t.k_bytes(op, 1, tokens),
            head_stride_v=0 if op.values_are_x else t.v_bytes(op, 1, tokens),
            ahead=ahead,
        )
        fused = "_fused" * (op.fusion != "unfused")
        if how == FEW:
            self.more_sources += ("cluster/attention_few.c", f"cluster/attention_few{fused}.c")
            self.more_sources += ("xpulpv2/few.c",)
        else:
            self.sources.update(t.sources("attention"))
            self.sources.update(t.sources("attention_load") if fused else ())
            self.more_sources += ("cluster/attention.c", f"cluster/attention{fused}.c")
            self.more_sources += ("cluster/linear.c",)
        if op.levels:
            self.sources.update(t.sources("attention_levels"))
            self.more_sources += (f"cluster/attention{fused}_levels.c",)
        self.touch(node, step.projections * tokens * op.wq.shape[1], tokens * n)
        return p.Step(
            node.name,
            "attention",
            attention.macs(op, tokens),
            tuple(self.homes.slots[i] for i in node.inputs),
            self.homes.slots[node.output],
            step,
            str(how),
            *attention.io_span(how),
            work=work,
            tiles=tiles,
        )


def lowerings(graph: Graph, board: Board) -> Iterator[Lowering]:
    """Ways to run the network, the quickest first."""
    cores, target = board.core.count, get_target(board.core.target)
    homes = copied(graph, assign_homes(graph))
    layers = {n.name: n for n in graph.nodes if isinstance(n.op, ops.Attention)}
    ranked = {name: _by_time(graph, node, target, cores) for name, node in layers.items()}
    smallest = {name: _by_size(graph, node, target, cores)[0] for name, node in layers.items()}
    for rank in range(max((len(ways) for ways in ranked.values()), default=1)):
        chosen = {name: ways[min(rank, len(ways) - 1)] for name, ways in ranked.items()}
        for ahead in (True, False):
            yield ClusterLowering(graph, target, homes, chosen, cores=cores, ahead=ahead).run()
    yield ClusterLowering(graph, target, homes, smallest, cores=cores).run()


def layer_cycles(graph: Graph, node: Node, board: Board) -> int | None:
    """Predicted, of one node in the quickest way; None without a cost model."""
    alone = replace(graph, nodes=(node,), input=node.inputs[0], output=node.output)
    (step,) = next(iter(lowerings(alone, board))).steps
    return cluster_cost.predicted(step, board.core.target, board.core.count).cycles


def _by_time(graph: Graph, node: Node, target: Target, cores: int) -> Sequence[AttentionSchedule]:
    op, tokens = _layer(graph, node)
    ways = _ways(target, op, tokens, cores)
    return sorted(ways, key=lambda how: idle_time(op, tokens, how, cores))


def _by_size(graph: Graph, node: Node, target: Target, cores: int) -> Sequence[AttentionSchedule]:
    op, tokens = _layer(graph, node)
    ways = _ways(target, op, tokens, cores)
    return sorted(ways, key=lambda how: attention_work(target, op, tokens, how, cores))


def _layer(graph: Graph, node: Node) -> tuple[ops.Attention, int]:
    assert isinstance(node.op, ops.Attention)
    return node.op, graph.values[node.inputs[0]].shape[0]


def _ways(
    target: Target, op: ops.Attention, tokens: int, cores: int
) -> tuple[AttentionSchedule, ...]:
    most = max(1, min(op.heads, cores // 2))
    rows = tuple(replace(ROWS, teams=n) for n in range(1, most + 1))
    few = (FEW,) if fits_few(target, op, tokens) else ()
    return (*few, HEADS, *rows)


def copied(graph: Graph, homes: Homes) -> Homes:
    """The caller's input and output get a place in the arena, where the cores work on them."""
    names = {p.INPUT: INPUT_COPY, p.OUTPUT: OUTPUT_COPY}
    sizes = dict(homes.sizes)
    for value, place in ((graph.input, p.INPUT), (graph.output, p.OUTPUT)):
        if any(slot.buffer == place for slot in homes.slots.values()):
            sizes[names[place]] = math.prod(graph.values[value].shape)
    slots = {
        value: p.Slot(names.get(slot.buffer, slot.buffer), slot.offset)
        for value, slot in homes.slots.items()
    }
    return Homes(slots, sizes)
