# SPDX-License-Identifier: Apache-2.0
"""The ways to share an attention layer out to a cluster, and the working memory of each."""

from __future__ import annotations

import math
from dataclasses import replace

from tinygen.lowering.cores import EXP, OP_BYTES, Q_BYTES, TILE, align8
from tinygen.operators.attention.layer import pack_o, pack_project
from tinygen.operators.attention.parameters import Parameters
from tinygen.operators.attention.schedule import FEW, HEADS, ROWS, AttentionSchedule
from tinygen.targets import Target
from tinygen.targets.portable import round_up
from tinygen.targets.xpulpv2.rounding import kind_of, score_kind


def attention_work(
    t: Target, op: Parameters, tokens: int, how: AttentionSchedule, cores: int
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
        size = align8(bytes_of(dim, 1, tokens))
        if is_x:
            shared += size
        else:
            kept += size
            projected.append(dim)
    part = max(align8(t.linear_weights(dim, e)) for dim in projected)
    groups = math.ceil(tokens / 4)

    def own(most: int) -> int:
        q = t.q_bytes(op.dim, 1, 4) * max(1, min(most, Q_BYTES // t.q_bytes(op.dim, 1, 4)))
        return align8(q) + align8(t.attend_scratch(op.dim, 4, tokens))

    if how == HEADS:
        return shared + cores * ((2 * part + kept + own(groups)) // 64 * 64 + 72)
    largest = 0
    for here in range(1, cores + 1):  # fewer cores than planned may run it
        teams, parts = teams_of(op, how, here)
        size = teams * 2 * (len(projected) * part + kept) + here * own(math.ceil(groups / parts))
        largest = max(largest, size)
    return shared + largest


def teams_of(op: Parameters, how: AttentionSchedule, cores: int) -> tuple[int, int]:
    """Teams, and cores of each."""
    teams = min(how.teams, op.heads, cores)
    return teams, cores // teams


def few_work(t: Target, op: Parameters, cores: int) -> int:
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


def fits_few(t: Target, op: Parameters, tokens: int) -> bool:
    """Whether the kernel for so few tokens does this layer."""
    if tokens > FEW.row_block or op.dim % 4 or op.value_dim % 4 or len(op.wo) % 4 or op.levels:
        return False
    if op.fusion == "fused-values" or op.score.m[0] >= 1 << 28:
        return False
    weights = {"q": op.wq, "k": op.wk, "v": op.wv}
    packed = [(pack_project(t, op, x), w.shape[1]) for x, w in weights.items() if len(w)]
    packed.append((pack_o(t, op), op.wo.shape[1]))
    kinds = [kind_of(*each) for each in packed]
    kinds.append(score_kind(int(op.score.m[0]), op.score.s, op.score.zp, op.dim))
    return "wide" not in kinds


def idle_time(op: Parameters, tokens: int, how: AttentionSchedule, cores: int) -> int:
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


def ways(target: Target, op: Parameters, tokens: int, cores: int) -> tuple[AttentionSchedule, ...]:
    """Every schedule that a cluster offers."""
    most = max(1, min(op.heads, cores // 2))
    rows = tuple(replace(ROWS, teams=n) for n in range(1, most + 1))
    few = (FEW,) if fits_few(target, op, tokens) else ()
    return (*few, HEADS, *rows)
